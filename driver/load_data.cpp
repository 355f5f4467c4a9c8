#include "driver/load_data.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "driver/element_type.h"
#include "runtime/csv.h"
#include "runtime/error.h"
#include "runtime/idx.h"
#include "runtime/shuffle.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;
using frontend::DataOp;
using frontend::FieldSpec;
using frontend::SourceSpec;

std::string shape_text(std::span<const int64_t> shape) {
  std::string s;
  for (int64_t d : shape) s += (s.empty() ? "" : ", ") + std::to_string(d);
  return "[" + s + "]";
}

const frontend::Input* input_named(const frontend::Unit& unit, const std::string& name) {
  for (const frontend::Input& i : unit.inputs)
    if (i.name == name) return &i;
  return nullptr;
}

class Loader {
 public:
  Loader(const frontend::Unit& unit, const DataPlaces& places, const Sources& sources)
      : unit_(unit), places_(places), sources_(sources) {}

  LoadedData run() {
    const frontend::DataSpec& spec = *unit_.data;
    sets_.resize(static_cast<size_t>(spec.datasets));
    for (const DataOp& op : spec.ops) {
      if (op.kind == DataOp::Kind::Source)
        load(spec.sources[static_cast<size_t>(op.source)], op.outputs[0]);
      else if (op.kind == DataOp::Kind::Shuffle)
        shuffle(op);
      else
        split(op);
    }
    auto take = [&](int n) { return n < 0 ? runtime::Split{} : sets_[static_cast<size_t>(n)]; };
    out_.splits = {take(spec.train), take(spec.val), take(spec.test)};
    for (const DataOp& op : spec.ops)
      for (size_t i = 0; i < op.outputs.size(); ++i) check_rows(op, i);
    return std::move(out_);
  }

 private:
  void load(const SourceSpec& s, int output) {
    auto data = std::make_unique<runtime::Dataset>();
    try {
      s.kind == SourceSpec::Kind::Csv ? load_csv(s, *data) : load_idx(s, *data);
    } catch (const runtime::Error& e) {
      throw CompileError(s.loc, e.what());
    }
    runtime::Split all{data.get(), {}};
    all.rows.resize(static_cast<size_t>(data->rows));
    std::iota(all.rows.begin(), all.rows.end(), 0);
    sets_[static_cast<size_t>(output)] = std::move(all);
    out_.sources.push_back(std::move(data));
  }

  void load_csv(const SourceSpec& s, runtime::Dataset& data) {
    const runtime::CsvTable table = runtime::read_csv(find_data(s.path, places_, s.loc));
    data.rows = table.rows();
    for (const FieldSpec& f : s.fields) {
      const std::vector<std::string> names = field_columns(f, table.columns());
      out_.columns[f.name] = names;
      const frontend::Input* in = input_named(unit_, f.name);
      const DType t = in != nullptr ? in->type.dtype : f.dtype;
      runtime::Array a =
          f.scalar ? table.column(names[0], runtime_type(t)) : table.columns(names, runtime_type(t));
      if (in != nullptr) check(*in, f, a, table.name());
      if (in != nullptr && in->classes > 0)
        for (int64_t i = 0; i < a.count(); ++i) {
          if (a.at(i) >= 0 && a.at(i) < static_cast<double>(in->classes)) continue;
          const auto width = static_cast<int64_t>(names.size());
          const int column = table.require(names[static_cast<size_t>(i % width)]);
          throw runtime::Error(runtime::Failure::Data, table.where(i / width, column) + ": " + f.name +
                                                           " = " + table.cell(i / width, column) +
                                                           ", but the model needs 0.." +
                                                           std::to_string(in->classes - 1));
        }
      data.fields.emplace(f.name, std::move(a));
    }
  }

  void load_idx(const SourceSpec& s, runtime::Dataset& data) {
    bool first = true;
    for (const FieldSpec& f : s.fields) {
      const std::string path = find_data(f.path, places_, f.loc);
      runtime::Array a = runtime::read_idx(path);
      const int64_t n = a.shape.empty() ? 0 : a.shape[0];
      if (!first && n != data.rows)
        throw CompileError(f.loc,
                           fmt::format("{} has {} examples, the field before has {}", f.path, n, data.rows));
      data.rows = n;
      first = false;
      if (const frontend::Input* in = input_named(unit_, f.name)) {
        check(*in, f, a, path);
        for (int64_t r = 0; in->classes > 0 && r < a.count(); ++r)
          if (a.at(r) < 0 || a.at(r) >= static_cast<double>(in->classes))
            throw CompileError(f.loc, fmt::format("{}: example {}: {} = {}, but the model needs 0..{}", path,
                                                  r, f.name, a.at(r), in->classes - 1));
      }
      data.fields.emplace(f.name, std::move(a));
    }
  }

  // Message 22: both shapes per example, and where the input is declared.
  void check(const frontend::Input& in, const FieldSpec& f, const runtime::Array& a,
             const std::string& path) {
    std::vector<int64_t> want;
    for (size_t i = 1; i < in.type.shape.size(); ++i) {
      if (!in.type.shape[i].is_constant()) refuse_length(in, f, a, path, i);
      want.push_back(in.type.shape[i].constant_part());
    }
    const std::span<const int64_t> have(a.shape.begin() + 1, a.shape.end());
    const bool same = std::equal(have.begin(), have.end(), want.begin(), want.end());
    if (same && compiler_type(a.dtype) == in.type.dtype) return;
    const LineColumn p = sources_.position(in.loc.file, in.loc.begin);
    throw CompileError(
        f.loc,
        fmt::format(
            "{} is {}{} per example in {}, model input is {}{} ({}:{}); reshape it or change the input",
            in.name, name_of(compiler_type(a.dtype)), shape_text(have), path, name_of(in.type.dtype),
            shape_text(want), p.line, p.column));
  }

  // Every example of a file has one shape.
  [[noreturn]] void refuse_length(const frontend::Input& in, const FieldSpec& f, const runtime::Array& a,
                                  const std::string& path, size_t axis) {
    const LineColumn p = sources_.position(in.loc.file, in.loc.begin);
    const bool has = axis < a.shape.size();
    throw CompileError(
        f.loc,
        fmt::format(
            "axis {} of {} is {}, of any length ({}:{}), and {} gives {}{} per example; write {}", axis,
            in.name, in.type.shape[axis].str(), p.line, p.column, path, name_of(compiler_type(a.dtype)),
            shape_text(std::span<const int64_t>(a.shape.begin() + 1, a.shape.end())),
            has ? fmt::format("its length, {}, in the input", a.shape[axis]) : "an input of that shape"));
  }

  // An empty split has no loss; said here, before anything is trained.
  void check_rows(const DataOp& op, size_t part) {
    const frontend::DataSpec& spec = *unit_.data;
    const int set = op.outputs[part];
    const char* name = set == spec.train ? "train" : set == spec.val ? "val" : set == spec.test ? "test" : "";
    if (*name == 0 || !sets_[static_cast<size_t>(set)].rows.empty()) return;
    if (op.kind != DataOp::Kind::Split) {
      const bool source = op.kind == DataOp::Kind::Source;
      throw CompileError(source ? spec.sources[static_cast<size_t>(op.source)].loc : op.loc,
                         fmt::format("the split {} has no rows", name));
    }
    const size_t rows = sets_[static_cast<size_t>(op.input)].rows.size();
    const std::string share =
        op.fractions ? fmt::format("{:g}%", 100 * op.parts[part]) : fmt::format("{:g} rows", op.parts[part]);
    throw CompileError(op.loc, fmt::format("the split {} has no rows: {} of {} rows; give it a larger share",
                                           name, share, rows));
  }

  void shuffle(const DataOp& op) {
    const runtime::Split& from = sets_[static_cast<size_t>(op.input)];
    const auto order = runtime::permutation(static_cast<uint64_t>(op.seed), ~uint64_t(0),
                                            static_cast<int64_t>(from.rows.size()));
    runtime::Split to{from.data, {}};
    for (int64_t i : order) to.rows.push_back(from.rows[static_cast<size_t>(i)]);
    sets_[static_cast<size_t>(op.outputs[0])] = std::move(to);
  }

  void split(const DataOp& op) {
    const runtime::Split from = sets_[static_cast<size_t>(op.input)];
    const auto n = static_cast<int64_t>(from.rows.size());
    int64_t at = 0;
    for (size_t i = 0; i < op.parts.size(); ++i) {
      const bool last = i + 1 == op.parts.size();
      // 0.7 * n in binary may fall just short of a whole number.
      int64_t size = op.fractions ? static_cast<int64_t>(op.parts[i] * static_cast<double>(n) + 1e-9)
                                  : static_cast<int64_t>(op.parts[i]);
      if (op.fractions && last) size = n - at;
      if (size > n - at)
        throw CompileError(op.loc, fmt::format("the split asks for more rows than the {} there are", n));
      runtime::Split part{from.data, {from.rows.begin() + at, from.rows.begin() + at + size}};
      sets_[static_cast<size_t>(op.outputs[i])] = std::move(part);
      at += size;
    }
  }

  const frontend::Unit& unit_;
  const DataPlaces& places_;
  const Sources& sources_;
  std::vector<runtime::Split> sets_;
  LoadedData out_;
};

}  // namespace

std::string data_root(const std::string& given) {
  const char* env = std::getenv("GRADC_DATA");
  if (!given.empty()) return given;
  return env != nullptr && *env != 0 ? env : "../shared/data";
}

std::string find_data(const std::string& path, const DataPlaces& places, Loc loc) {
  const std::string root = data_root(places.root);
  const fs::path beside = fs::path(places.model_folder) / path, below = fs::path(root) / path;
  std::error_code ignored;
  for (const fs::path& p : {beside, below})
    if (fs::is_regular_file(p, ignored)) return p.lexically_normal().string();
  throw CompileError(
      loc, fmt::format("cannot find '{}': neither {} nor {} is there; --data DIR names another root", path,
                       beside.lexically_normal().string(), below.lexically_normal().string()));
}

std::vector<std::string> field_columns(const FieldSpec& field, const std::vector<std::string>& columns) {
  if (!field.all_columns) return field.columns;
  std::vector<std::string> out;
  for (const std::string& e : field.except)
    if (std::find(columns.begin(), columns.end(), e) == columns.end())
      throw CompileError(field.loc, fmt::format("the table has no column '{}' to leave out", e));
  for (const std::string& c : columns)
    if (std::find(field.except.begin(), field.except.end(), c) == field.except.end()) out.push_back(c);
  return out;
}

LoadedData load_data(const frontend::Unit& unit, const DataPlaces& places, const Sources& sources) {
  return Loader(unit, places, sources).run();
}

std::optional<Type> example_type(const SourceSpec& source, const FieldSpec& field, const DataPlaces& places) {
  try {
    if (source.kind == SourceSpec::Kind::Csv) {
      const auto names =
          field_columns(field, runtime::read_csv(find_data(source.path, places, field.loc)).columns());
      return Type{field.dtype, {Dim(static_cast<int64_t>(names.size()))}};
    }
    const runtime::Array a = runtime::read_idx(find_data(field.path, places, field.loc));
    Type t{compiler_type(a.dtype), {}};
    for (size_t i = 1; i < a.shape.size(); ++i) t.shape.push_back(Dim(a.shape[i]));
    return t;
  } catch (const std::exception&) {
    return std::nullopt;  // said when the data is loaded
  }
}

}  // namespace gradc
