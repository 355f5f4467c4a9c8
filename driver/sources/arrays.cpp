// Files of arrays, a field for each file or member: IDX, NPY, NPZ, safetensors.
#include "driver/element_type.h"
#include "driver/sources/source.h"
#include "runtime/error.h"
#include "runtime/idx.h"
#include "runtime/npy.h"
#include "runtime/safetensors.h"
#include "runtime/zip.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using frontend::FieldSpec;

void add(SourceData& to, const FieldSpec& f, std::string file, runtime::Array a) {
  const int64_t n = a.shape.empty() ? 0 : a.shape[0];
  if (!to.data.fields.empty() && n != to.data.rows)
    throw CompileError(f.loc,
                       fmt::format("{} has {} examples, the field before has {}", file, n, to.data.rows));
  to.data.rows = n;
  to.files[f.name] = std::move(file);
  to.data.fields.emplace(f.name, std::move(a));
}

void set_places(SourceData& to) {
  std::map<std::string, int64_t> width;
  for (const auto& [name, a] : to.data.fields)
    width[name] = std::max<int64_t>(1, a.count() / std::max<int64_t>(1, to.data.rows));
  to.place = [files = to.files, width](const std::string& field, int64_t element) {
    return fmt::format("{}: example {}: {}", files.at(field), element / width.at(field), field);
  };
}

Type example_of(DType t, std::span<const int64_t> shape) {
  Type type{t, {}};
  for (int64_t d : shape.subspan(1)) type.shape.push_back(Dim(d));
  return type;
}

SourceData read_idx(const SourceRequest& r) {
  SourceData out;
  for (const FieldSpec& f : r.spec.fields) {
    const std::string path = r.find(f.texts[0], f.loc);
    add(out, f, path, runtime::read_idx(path));
  }
  set_places(out);
  return out;
}

std::optional<Type> idx_type(const SourceRequest& r, const FieldSpec& f) {
  const runtime::Array a = runtime::read_idx(r.find(f.texts[0], f.loc));
  return example_of(compiler_type(a.dtype), a.shape);
}

runtime::ByteStream stream_of(const SourceRequest& r, const FieldSpec& f) {
  if (r.spec.paths.empty()) return runtime::open_file(r.find(f.texts[0], f.loc));
  return runtime::open_member(r.find(r.spec.paths[0], r.spec.loc), f.texts[0] + ".npy");
}

// Numbers of the file become those of the model's input where both are whole or both are not; other fields
// keep whole numbers as they are, and floats are of the type that the program computes in.
DType numpy_type(const SourceRequest& r, const FieldSpec& f, DType stored) {
  const DType otherwise = is_float(stored) ? f.dtype : stored,
              wanted = r.input_type(f.name).value_or(otherwise);
  return is_float(wanted) == is_float(stored) ? wanted : stored;
}

SourceData read_numpy(const SourceRequest& r) {
  SourceData out;
  for (const FieldSpec& f : r.spec.fields) {
    runtime::ByteStream from = stream_of(r, f);
    const std::string name = from.name;
    add(out, f, name, runtime::read_npy(from, [&](runtime::DType stored) {
          return runtime_type(numpy_type(r, f, compiler_type(stored)));
        }));
  }
  set_places(out);
  return out;
}

std::optional<Type> numpy_example(const SourceRequest& r, const FieldSpec& f) {
  runtime::ByteStream from = stream_of(r, f);
  const runtime::ArrayInfo info = runtime::npy_info(from);
  return example_of(numpy_type(r, f, compiler_type(info.dtype)), info.shape);
}

const runtime::Array& member(const runtime::SafeTensors& file, const std::string& path, const FieldSpec& f) {
  const auto it = file.tensors.find(f.texts[0]);
  if (it == file.tensors.end()) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : file.tensors) names.push_back(name);
    throw CompileError(
        f.loc, fmt::format("{} has no tensor '{}'; it has {}", path, f.texts[0], fmt::join(names, ", ")));
  }
  if (it->second.shape.empty())
    throw CompileError(
        f.loc, fmt::format("{}: '{}' is one number, and not a row for each example", path, f.texts[0]));
  return it->second;
}

// As NumPy's files are read.
runtime::Array converted(const runtime::Array& a, runtime::DType wanted, const std::string& name) {
  if (wanted == a.dtype) return a;
  runtime::Array out = runtime::make_array(wanted, a.shape);
  for (int64_t i = 0; i < a.count(); ++i) {
    if (is_float(compiler_type(wanted))) {
      out.set(i, a.at(i));
      continue;
    }
    const int64_t v = a.whole_at(i);
    if (!runtime::holds(wanted, v))
      throw runtime::Error(runtime::Failure::Data, fmt::format("{}: element {} is {}, which no {} is", name,
                                                               i, v, runtime::name_of(wanted)));
    out.set_whole(i, v);
  }
  return out;
}

SourceData read_tensors(const SourceRequest& r) {
  SourceData out;
  const std::string path = r.find(r.spec.paths[0], r.spec.loc);
  const runtime::SafeTensors file = runtime::read_safetensors(path);
  for (const FieldSpec& f : r.spec.fields) {
    const runtime::Array& a = member(file, path, f);
    const std::string name = path + ": " + f.texts[0];
    add(out, f, name, converted(a, runtime_type(numpy_type(r, f, compiler_type(a.dtype))), name));
  }
  set_places(out);
  return out;
}

std::optional<Type> tensor_example(const SourceRequest& r, const FieldSpec& f) {
  const std::string path = r.find(r.spec.paths[0], r.spec.loc);
  const runtime::SafeTensors file = runtime::read_safetensors(path);
  const runtime::Array& a = member(file, path, f);
  return example_of(numpy_type(r, f, compiler_type(a.dtype)), a.shape);
}

}  // namespace

std::span<const SourceReader> array_sources() {
  static constexpr SourceReader rows[] = {{"idx", read_idx, idx_type},
                                          {"npy", read_numpy, numpy_example},
                                          {"npz", read_numpy, numpy_example},
                                          {"safetensors", read_tensors, tensor_example}};
  return rows;
}

}  // namespace gradc
