#include "driver/open_axis.h"

#include <algorithm>

#include "driver/element_type.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

int64_t most_of(const OpenAxis& open, const frontend::Unit& unit) {
  return unit.module.at("predict").dims.at(open.dim).max;
}

void require_whole(const runtime::Array& field, const frontend::DataOp& op, const std::string& file) {
  const DType t = compiler_type(field.dtype);
  if (field.shape.size() == 1 && (t == DType::U8 || t == DType::I32 || t == DType::I64)) return;
  throw CompileError(op.loc, fmt::format("{} is {}[{}] in {}; buckets go by one whole number each, a length",
                                         op.field, name_of(t), fmt::join(field.shape, ", "), file));
}

}  // namespace

void note_open_axis(OpenAxis& open, const frontend::Input& in, const frontend::FieldSpec& f,
                    const std::vector<int64_t>& shape) {
  for (size_t i = 1; i < in.type.shape.size(); ++i) {
    if (in.type.shape[i].is_constant()) continue;
    const std::string dim = in.type.shape[i].str();
    if (i > 1)
      throw CompileError(in.loc,
                         fmt::format("axis {} of {} is {}, of any length; data leaves the first axis of "
                                     "an example open, and no other",
                                     i, in.name, dim));
    if (open.dim.empty()) {
      const auto frame = f.numbers.find("frame");
      open = {dim, in.name, shape.at(i), frame == f.numbers.end() ? 1 : frame->second};
    }
    if (dim != open.dim)
      throw CompileError(in.loc, fmt::format("{} leaves {} open and {} leaves {}; data leaves one axis open",
                                             open.field, open.dim, in.name, dim));
    if (shape.at(i) != open.extent)
      throw CompileError(f.loc, fmt::format("{} is {} in {} and {} in {}", dim, open.extent, open.field,
                                            shape.at(i), in.name));
  }
}

runtime::Buckets one_bucket(const OpenAxis& open, const frontend::Unit& unit, Loc loc) {
  if (open.dim.empty()) return {};
  if (const int64_t most = most_of(open, unit); open.extent > most)
    throw CompileError(loc, fmt::format("{} is {} long in {}, and the model takes at most {}; write {} <= {}",
                                        open.dim, open.extent, open.field, most, open.dim, open.extent));
  return {{open.extent}, {}};
}

runtime::Buckets buckets_of(const OpenAxis& open, const frontend::DataOp& op, const frontend::Unit& unit,
                            const runtime::Dataset& data, const std::string& file) {
  if (open.dim.empty())
    throw CompileError(op.loc,
                       "buckets need an input that leaves its first axis open: x: f32[B, T <= 256, 8]");
  const runtime::Array& lengths = data.fields.at(op.field);
  require_whole(lengths, op, file);
  runtime::Buckets out;
  const int64_t most = most_of(open, unit);
  for (int64_t end : op.values) {
    const int64_t extent = std::min(open.extent, (end + open.of_one - 1) / open.of_one);
    if (extent > most)
      throw CompileError(op.loc, fmt::format("{} is {} in the bucket that ends at {}, and the model takes at "
                                             "most {}; write {} <= {}",
                                             open.dim, extent, end, most, open.dim, extent));
    out.extents.push_back(extent);
  }
  out.number.reserve(static_cast<size_t>(data.rows));
  for (int64_t row = 0; row < data.rows; ++row) {
    const int64_t n = lengths.whole_at(row);
    const auto at = std::lower_bound(op.values.begin(), op.values.end(), n);
    if (at == op.values.end())
      throw CompileError(op.loc, fmt::format("{}: {} = {} in row {}, and the last bucket ends at {}", file,
                                             op.field, n, row + 1, op.values.back()));
    out.number.push_back(static_cast<uint32_t>(at - op.values.begin()));
  }
  return out;
}

}  // namespace gradc
