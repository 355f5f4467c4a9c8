// tokenizer.json, Hugging Face's file of a tokenizer, as plain data. Of what such files may say, byte-level
// BPE is read, GPT-2's kind; whatever would give other tokens is refused by name.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradc::runtime {

// Two tokens that stand side by side become one. Earlier merges go first.
struct Merge {
  int32_t left = 0, right = 0, to = 0;
};

// A text that is one token wherever it stands.
struct AddedToken {
  std::string text;
  int32_t id = 0;
  bool normalized = false;  // looked for behind those that are not
};

struct TokenizerSpec {
  // By number, as the file writes them: the bytes of a token in letters (token_bytes). Added
  // tokens that no merge makes are "" here.
  std::vector<std::string> names;
  std::vector<Merge> merges;
  std::vector<AddedToken> added;
  bool cut = true;                // by GPT-2's expression, else the whole text is one piece
  bool ignore_merges = false;     // a piece that is a token is that token
  std::vector<int32_t> byte_ids;  // 256 tokens of one byte; -1 where there is none
};

// Throws Error with file, line and column.
TokenizerSpec parse_tokenizer(const std::string& path, std::string_view text);

// The bytes that a token's name stands for: each character is a byte, and where one is none the name is text.
std::string token_bytes(std::string_view name);
std::string token_name(std::string_view bytes);

}  // namespace gradc::runtime
