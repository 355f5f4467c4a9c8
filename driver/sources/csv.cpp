#include "driver/sources/source.h"
#include "driver/sources/table_fields.h"

namespace gradc {
namespace {

using frontend::FieldSpec;

SourceData read(const SourceRequest& r) {
  SourceData out;
  const auto table = read_table(r, out);
  for (const FieldSpec& f : r.spec.fields) read_table_field(*table, f, r.type_of(f), out);
  out.place = table_places(table, out);
  return out;
}

std::optional<Type> type(const SourceRequest& r, const FieldSpec& f) {
  const auto names = field_columns(f, runtime::read_csv(r.find(r.spec.paths[0], f.loc)).columns());
  return Type{f.dtype, {Dim(static_cast<int64_t>(names.size()))}};
}

}  // namespace

std::span<const SourceReader> table_sources() {
  static constexpr SourceReader rows[] = {{"csv", read, type}};
  return rows;
}

}  // namespace gradc
