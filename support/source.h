// Source texts and places in them. A Loc is a byte range of one Source; it is small enough to be carried
// by every token, tree node and graph node.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace gradc {

// A range of bytes in a source. file 0 means "no place".
struct Loc {
  uint32_t file = 0;
  uint32_t begin = 0;
  uint32_t end = 0;

  explicit operator bool() const { return file != 0; }
  bool operator==(const Loc&) const = default;
};

struct LineColumn {
  int line = 0;    // from 1
  int column = 0;  // from 1, in Unicode code points
};

// Owns the texts of one compilation; files are numbered from 1 in order of addition.
class Sources {
 public:
  uint32_t add(std::string name, std::string text);
  std::string_view name(uint32_t file) const { return files_[file - 1]->name; }
  std::string_view text(uint32_t file) const { return files_[file - 1]->text; }
  std::string_view text(Loc loc) const { return text(loc.file).substr(loc.begin, loc.end - loc.begin); }
  LineColumn position(uint32_t file, uint32_t offset) const;
  // The whole line that holds the offset, without its newline.
  std::string_view line_at(uint32_t file, uint32_t offset) const;

 private:
  struct File {
    std::string name, text;
    std::vector<uint32_t> line_starts;
  };
  std::vector<std::unique_ptr<File>> files_;  // pointers: views into a text survive further additions
};

}  // namespace gradc
