// Points that the program draws: the same for the same seed and name of a field, however many fields there
// are.
#include "driver/element_type.h"
#include "driver/sources/source.h"
#include "runtime/shuffle.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

uint64_t stream_of(std::string_view name) {
  uint64_t h = 14695981039346656037ULL;
  for (char c : name) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return h;
}

runtime::Array draw(const SourceRequest& r, const frontend::FieldSpec& f) {
  const DType t = r.type_of(f);
  if (!is_float(t))
    throw CompileError(f.loc, fmt::format("points are floats, and the input {} is {}", f.name, name_of(t)));
  std::vector<int64_t> shape = {r.spec.rows};
  for (const Dim& d : f.type->shape) shape.push_back(d.constant_part());
  runtime::Array a = runtime::make_array(runtime_type(t), shape);
  const std::vector<double> u =
      runtime::uniform(static_cast<uint64_t>(r.spec.seed), stream_of(f.name), a.count());
  for (size_t i = 0; i < u.size(); ++i) a.set(static_cast<int64_t>(i), f.low + (f.high - f.low) * u[i]);
  return a;
}

SourceData draw_points(const SourceRequest& r) {
  SourceData out;
  out.file = "points";
  out.data.rows = r.spec.rows;
  for (const frontend::FieldSpec& f : r.spec.fields) out.data.fields.emplace(f.name, draw(r, f));
  out.place = [](const std::string& field, int64_t) { return "points: " + field; };
  return out;
}

}  // namespace

std::span<const SourceReader> drawn_sources() {
  static constexpr SourceReader rows[] = {{"points", draw_points, nullptr}};
  return rows;
}

}  // namespace gradc
