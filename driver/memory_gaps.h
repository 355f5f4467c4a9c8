// Under the address sanitizer: the bytes of a call's regions that belong to no buffer at its dimensions are
// forbidden to the code that it calls, generated code included. Nothing in other builds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/step/step.h"

namespace gradc {

class MemoryGaps {
 public:
  // The regions are as codegen::make_table and codegen::scratch_bytes lay them out for `threads`.
  MemoryGaps(const step::Step& s, const std::map<std::string, int64_t>& dims, std::byte* io,
             std::byte* scratch, int threads);
  MemoryGaps(const MemoryGaps&) = delete;
  MemoryGaps& operator=(const MemoryGaps&) = delete;
  ~MemoryGaps();

 private:
  std::vector<std::pair<std::byte*, size_t>> regions_;
};

}  // namespace gradc
