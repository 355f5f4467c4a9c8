// Files of token numbers, u16 or u32, as nanoGPT and llm.c write them: mapped into memory, so that of texts
// of any size only what steps read is fetched.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/array.h"

namespace gradc::runtime {

class TokenBins {
 public:
  // One text in several files. `width`: bytes of a number; 0 is what llm.c's header says, else 2. Throws
  // Error.
  TokenBins(std::span<const std::string> paths, int width);
  ~TokenBins();
  TokenBins(const TokenBins&) = delete;
  TokenBins& operator=(const TokenBins&) = delete;

  int64_t count() const { return count_; }
  int64_t at(int64_t i) const;
  // The first number that is not below the limit.
  std::optional<int64_t> first_from(int64_t limit) const;
  // i32[rows, length]: `length` numbers from row + offset on, each below 2^31.
  Array windows(std::span<const int64_t> rows, int64_t offset, int64_t length) const;
  // Which file, and which of its tokens, counted from 1.
  std::string place(int64_t i) const;

 private:
  class File;
  const File& file_of(int64_t i) const;

  std::vector<std::unique_ptr<File>> files_;
  int64_t count_ = 0;
};

}  // namespace gradc::runtime
