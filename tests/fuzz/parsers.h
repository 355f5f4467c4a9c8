// Every reader of text and files that strangers may have written, behind one signature: what the fuzzer
// (fuzzer/main.cpp) and the replay of its findings (corpus_test.cpp) call.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gradc::fuzz {

struct Parser {
  const char* name;  // its folder below corpus/
  // Reads the bytes. A refusal that names the mistake is a success; whatever else is thrown is a finding.
  void (*read)(std::string_view bytes);
  int seconds = 10;  // of the processor that it may take under the sanitizers; about a fifth without
};
const std::vector<Parser>& parsers();
const Parser* find_parser(std::string_view name);

// What is wrong with how the parser took the bytes; "" when nothing is.
std::string finding(const Parser& p, std::string_view bytes);

}  // namespace gradc::fuzz
