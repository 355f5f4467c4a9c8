#include "driver/field_checks.h"

#include <algorithm>

#include "driver/element_type.h"
#include "runtime/vocabulary.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using frontend::FieldSpec;

std::string shape_text(std::span<const int64_t> shape) {
  std::string s;
  for (int64_t d : shape) s += (s.empty() ? "" : ", ") + std::to_string(d);
  return "[" + s + "]";
}

// Both shapes per example, and where the input is declared.
void check(const Sources& sources, const frontend::Input& in, const FieldSpec& f, runtime::DType type,
           const std::vector<int64_t>& shape, const std::string& path, OpenAxis& open) {
  const Shape want(in.type.shape.begin() + 1, in.type.shape.end());
  const std::span<const int64_t> have(shape.begin() + 1, shape.end());
  const bool same =
      std::equal(have.begin(), have.end(), want.begin(), want.end(),
                 [](int64_t n, const Dim& d) { return !d.is_constant() || d.constant_part() == n; });
  if (same && compiler_type(type) == in.type.dtype) return note_open_axis(open, in, f, shape);
  const LineColumn p = sources.position(in.loc.file, in.loc.begin);
  throw CompileError(
      f.loc,
      fmt::format("{} is {}{} per example in {}, model input is {}{} ({}:{}); reshape it or change the input",
                  in.name, name_of(compiler_type(type)), shape_text(have), path, name_of(in.type.dtype),
                  Type{in.type.dtype, want}.str().substr(std::string(name_of(in.type.dtype)).size()), p.line,
                  p.column));
}

}  // namespace

const frontend::Input* input_named(const frontend::Unit& unit, const std::string& name) {
  for (const frontend::Input& i : unit.inputs)
    if (i.name == name) return &i;
  return nullptr;
}

std::optional<Type> input_type(const frontend::Unit& unit, const std::string& name) {
  const frontend::Input* in = input_named(unit, name);
  return in == nullptr || !in->model_input ? std::nullopt : std::optional(in->type);
}

void check_shape(const frontend::Input& in, const FieldSpec& f, const SourceData& read,
                 const runtime::Dataset& data, const Sources& sources, OpenAxis& open) {
  if (const auto window = data.windows.find(f.name); window != data.windows.end())
    return check(sources, in, f, data.sequence.dtype, {data.rows, window->second.length},
                 read.file_of(f.name), open);
  const runtime::Array& a = data.fields.at(f.name);
  check(sources, in, f, a.dtype, a.shape, read.file_of(f.name), open);
}

void check_picture(const frontend::PictureChangeSpec& c, const std::string& field, const runtime::Array& a,
                   const std::string& path) {
  const std::span<const int64_t> example(a.shape.begin() + 1, a.shape.end());
  if (example.size() != 2 && example.size() != 3)
    throw CompileError(
        c.loc, fmt::format("{} changes pictures, [H, W] or [H, W, C], and {} is {} per example in {}", c.form,
                           field, example.empty() ? "one number" : shape_text(example), path));
  const int64_t least = std::min(example[0], example[1]);
  if (c.most >= least)
    throw CompileError(c.loc, fmt::format("{} by up to {} pixels moves a picture out of sight: {} is {} per "
                                          "example in {}; at most {}",
                                          c.form, c.most, field, shape_text(example), path, least - 1));
}

std::string class_problem(const frontend::Input& in, const SourceData& read, const runtime::Dataset& data) {
  const bool windowed = data.windows.count(in.name) != 0;
  if (in.classes == 0 || read.names.count(windowed ? "" : in.name) != 0) return "";
  if (windowed && data.bins) {
    const std::optional<int64_t> i = data.bins->first_from(in.classes);
    return !i ? ""
              : fmt::format("{} = {}, but the model needs 0..{}", read.place(in.name, *i), data.bins->at(*i),
                            in.classes - 1);
  }
  const runtime::Array& a = windowed ? data.sequence : data.fields.at(in.name);
  const bool whole = !is_float(compiler_type(a.dtype));
  for (int64_t i = 0; i < a.count(); ++i) {
    if (whole ? a.whole_at(i) >= 0 && a.whole_at(i) < in.classes
              : a.at(i) >= 0 && a.at(i) < static_cast<double>(in.classes))
      continue;
    std::string place = read.place(in.name, i);
    if (place.find(" = ") == place.npos) place += fmt::format(" = {}", a.at(i));
    return fmt::format("{}, but the model needs 0..{}", place, in.classes - 1);
  }
  return "";
}

std::string give_numbers(const std::vector<std::string>& vocabulary, const std::string& field,
                         SourceData& read, runtime::Dataset& data) {
  runtime::Array& ids = field.empty() ? data.sequence : data.fields.at(field);
  runtime::Coded coded{std::move(ids), std::move(read.names.at(field))};
  const bool unknown = read.unknown.count(field) != 0;
  const int64_t missing = runtime::renumber(coded, vocabulary, unknown);
  if (missing >= 0) {
    const std::string& name = coded.names[static_cast<size_t>(coded.ids.whole_at(missing))];
    const std::string place =
        field.empty() ? runtime::character_place(read.file, coded, missing) : read.place(field, missing);
    const bool letters = read.padded.count(field) != 0;
    return fmt::format("{}: {} '{}' is in no training example, whose {} kinds are all that the model knows",
                       place, field.empty() || letters ? "the character" : "the name",
                       name == "\n" ? "\\n" : printable(name, 64), vocabulary.size() - (letters ? 1 : 0));
  }
  ids = std::move(coded.ids);
  int64_t others = 0;
  for (int64_t i = 0; unknown && i < ids.count(); ++i) others += ids.whole_at(i) == 0;
  if (others > 0) read.remarks.push_back(fmt::format("{}: {}: {} unknown", read.file, field, others));
  return "";
}

}  // namespace gradc
