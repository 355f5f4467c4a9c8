// Names as numbers: characters of a text, labels of a table. A reader numbers them as they come; once it is
// known which rows train, the names in those are sorted and numbered anew.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/array.h"

namespace gradc::runtime {

struct Coded {
  Array ids;  // i32, into names
  std::vector<std::string> names;
};

// Numbers texts in the order of their first appearance.
Coded number_names(const std::vector<std::string>& texts);

// The characters of an UTF-8 text, one axis. Throws Error with file, line and byte where it is not UTF-8.
Coded read_characters(const std::string& path);
Coded number_characters(std::string_view text, const std::string& path);
// Its bytes as i32 numbers.
Array read_bytes(const std::string& path);
// file:line:column of a character; "\n" ends a line.
std::string character_place(const std::string& path, const Coded& text, int64_t position);

// Gives every id the number that its name has in `vocabulary`, which is sorted. Returns the first position
// whose name is not in it, and then changes nothing; -1 where all are. Where `unknown`, all other names are
// 0.
int64_t renumber(Coded& coded, const std::vector<std::string>& vocabulary, bool unknown = false);

}  // namespace gradc::runtime
