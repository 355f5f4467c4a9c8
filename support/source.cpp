#include "support/source.h"

#include <algorithm>

namespace gradc {

uint32_t Sources::add(std::string name, std::string text) {
  auto f = std::make_unique<File>();
  f->name = std::move(name);
  f->text = std::move(text);
  f->line_starts.push_back(0);
  for (size_t i = 0; i < f->text.size(); ++i)
    if (f->text[i] == '\n') f->line_starts.push_back(static_cast<uint32_t>(i + 1));
  files_.push_back(std::move(f));
  return static_cast<uint32_t>(files_.size());
}

LineColumn Sources::position(uint32_t file, uint32_t offset) const {
  const File& f = *files_[file - 1];
  const auto it = std::upper_bound(f.line_starts.begin(), f.line_starts.end(), offset);
  const size_t line = static_cast<size_t>(it - f.line_starts.begin());
  int column = 1;
  for (size_t i = f.line_starts[line - 1]; i < offset && i < f.text.size(); ++i)
    if ((static_cast<unsigned char>(f.text[i]) & 0xC0) != 0x80) ++column;
  return {static_cast<int>(line), column};
}

std::string_view Sources::line_at(uint32_t file, uint32_t offset) const {
  const std::string_view text = files_[file - 1]->text;
  const LineColumn p = position(file, offset);
  const size_t begin = files_[file - 1]->line_starts[p.line - 1];
  return text.substr(begin, std::min(text.find('\n', begin), text.size()) - begin);
}

}  // namespace gradc
