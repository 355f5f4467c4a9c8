// Byte-level BPE as Hugging Face's `tokenizers` has it: texts to tokens, to the same numbers, and back.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/tokenizer_file.h"

namespace gradc::runtime {

class Tokenizer {
 public:
  // The text of a tokenizer.json; `path` is for messages. Throws Error.
  Tokenizer(const std::string& path, std::string_view json);

  int64_t size() const { return static_cast<int64_t>(bytes_.size()); }
  // The bytes that a token stands for, which need not be whole characters.
  const std::string& bytes_of(int32_t id) const { return bytes_[static_cast<size_t>(id)]; }
  // Throws Error with the place in the text, of `path`, where it is not UTF-8 or a byte has no token.
  std::vector<int32_t> encode(std::string_view text, const std::string& path) const;

 private:
  struct Step {
    int32_t rank, to;
  };
  class Encoder;
  class Word;

  TokenizerSpec spec_;
  std::vector<std::string> bytes_;
  std::unordered_map<uint64_t, Step> merges_;         // by both tokens
  std::unordered_map<std::string, int32_t> by_name_;  // where a piece that is a token is that token
  std::vector<std::vector<AddedToken>> added_[2];     // by first byte, longest first; by `normalized`
};

// Where the piece that begins at `at` ends, by the expression of GPT-2:
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t piece_end(std::string_view text, size_t at);

}  // namespace gradc::runtime
