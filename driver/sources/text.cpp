#include <memory>

#include "driver/sources/source.h"
#include "runtime/vocabulary.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

// The windows are those of the spec's fields; which positions they start at, the chain of the data block
// says.
void set_windows(const SourceRequest& r, SourceData& to) {
  to.data.rows = to.data.sequence.count();
  for (size_t i = 0; i < r.spec.fields.size(); ++i)
    to.data.windows[r.spec.fields[i].name] = {static_cast<int64_t>(i),
                                              r.spec.fields[i].type->shape[0].constant_part()};
}

SourceData read_chars(const SourceRequest& r) {
  SourceData out;
  out.file = r.find(r.spec.paths[0], r.spec.loc);
  runtime::Coded text = runtime::read_characters(out.file);
  out.data.sequence = std::move(text.ids);
  out.names[""] = std::move(text.names);
  set_windows(r, out);
  return out;
}

SourceData read_raw(const SourceRequest& r) {
  SourceData out;
  out.file = r.find(r.spec.paths[0], r.spec.loc);
  out.data.sequence = runtime::read_bytes(out.file);
  out.raw_bytes = true;
  set_windows(r, out);
  out.place = [file = out.file](const std::string& field, int64_t element) {
    return fmt::format("{}: byte {}: {}", file, element + 1, field);
  };
  return out;
}

}  // namespace

std::span<const SourceReader> text_sources() {
  static constexpr SourceReader rows[] = {{"chars", read_chars, nullptr}, {"bytes", read_raw, nullptr}};
  return rows;
}

}  // namespace gradc
