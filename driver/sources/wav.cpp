// Recordings that a table lists; predicted are also files themselves.
#include "runtime/wav.h"

#include <algorithm>
#include <optional>

#include "driver/element_type.h"
#include "driver/sources/table_fields.h"
#include "runtime/error.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using frontend::FieldSpec;
using runtime::Error;
using runtime::Failure;

struct File {
  std::string path, name, place;  // as the table has it, and where in the table; else the path, and ""
};

// Recordings, read once for all fields that take them.
class Recordings {
 public:
  explicit Recordings(std::vector<File> files) : files_(std::move(files)) {}

  struct Take {
    const FieldSpec* field;
    runtime::Array* to;
  };

  void read(const std::vector<Take>& takes) {
    for (int64_t row = 0; row < std::ssize(files_); ++row) {
      const runtime::Wav wav = read_row(row);
      for (const Take& t : takes)
        t.field->form == "audio" ? put_samples(t, row, wav) : put_length(t, row, wav);
    }
  }

 private:
  const File& file(int64_t row) const { return files_[static_cast<size_t>(row)]; }

  runtime::Wav read_row(int64_t row) const {
    try {
      return runtime::read_wav(file(row).path);
    } catch (const Error& e) {
      throw Error(e.kind, (file(row).place.empty() ? "" : file(row).place + ": ") + e.what());
    }
  }

  void put_samples(const Take& t, int64_t row, const runtime::Wav& wav) {
    const auto given = t.field->numbers.find("rate");
    if (given != t.field->numbers.end() && given->second != wav.rate)
      refuse_rate(row, wav.rate, fmt::format("the field {} takes {}", t.field->name, given->second));
    if (!rate_) rate_ = wav.rate;
    if (*rate_ != wav.rate) refuse_rate(row, wav.rate, fmt::format("the recordings before have {}", *rate_));
    const int64_t width = t.field->numbers.at("length"),
                  n = std::min<int64_t>(width, static_cast<int64_t>(wav.samples.size()));
    for (int64_t i = 0; i < n; ++i) t.to->set(row * width + i, wav.samples[static_cast<size_t>(i)] / 32768.0);
  }

  [[noreturn]] void refuse_rate(int64_t row, int64_t rate, const std::string& other) const {
    throw Error(Failure::Data, fmt::format("{}{} has {} samples a second, {}; recordings are not resampled",
                                           file(row).place.empty() ? "" : file(row).place + ": ",
                                           file(row).name, rate, other));
  }

  static void put_length(const Take& t, int64_t row, const runtime::Wav& wav) {
    const auto most = t.field->numbers.find("length");
    auto n = static_cast<int64_t>(wav.samples.size());
    if (most != t.field->numbers.end()) n = std::min(n, most->second);
    t.to->set_whole(row, n);
  }

  std::vector<File> files_;
  std::optional<int64_t> rate_;
};

std::vector<File> listed(const runtime::CsvTable& table, const std::string& name) {
  const int column = table.require(name);
  std::vector<File> out;
  for (int64_t row = 0; row < table.rows(); ++row)
    out.push_back({listed_file(table, row, column), table.cell(row, column), table.where(row, column)});
  return out;
}

bool is_recording(const FieldSpec& f) { return f.form == "audio" || f.form == "length"; }

// The field's array, to be filled.
Recordings::Take taken(const FieldSpec& f, const SourceRequest& r, SourceData& to) {
  const DType t = r.type_of(f);
  if (f.form == "audio" ? !is_float(t) : t != DType::I32 && t != DType::I64)
    throw CompileError(f.loc,
                       fmt::format("{} of a recording is {}, the input {} is {}", f.form,
                                   f.form == "audio" ? "f32 or f64" : "i32 or i64", f.name, name_of(t)));
  std::vector<int64_t> shape = {to.data.rows};
  if (f.form == "audio")
    for (const Dim& d : f.type->shape) shape.push_back(d.constant_part());
  const auto at = to.data.fields.insert_or_assign(f.name, runtime::make_array(runtime_type(t), shape)).first;
  to.columns[f.name] = f.texts;
  return {&f, &at->second};
}

// Each file is a row, named by its path.
SourceData read_files(const SourceRequest& r) {
  SourceData out;
  out.file = r.spec.paths[0];
  out.row_names = r.spec.paths;
  out.data.rows = std::ssize(r.spec.paths);
  std::vector<File> files;
  for (const std::string& path : r.spec.paths) files.push_back({path, path, ""});
  std::vector<Recordings::Take> takes;
  for (const FieldSpec& f : r.spec.fields) takes.push_back(taken(f, r, out));
  Recordings(files).read(takes);
  std::map<std::string, int64_t> widths;
  for (const auto& [name, a] : out.data.fields)
    widths[name] = std::max<int64_t>(1, a.count() / out.data.rows);
  out.place = [files = r.spec.paths, widths](const std::string& field, int64_t element) {
    return fmt::format("{}: {}", files[static_cast<size_t>(element / widths.at(field))], field);
  };
  return out;
}

SourceData read(const SourceRequest& r) {
  if (r.predicting && are_recordings(r.spec, r.spec.paths)) return read_files(r);
  SourceData out;
  const auto table = read_table(r, out);
  std::map<std::string, std::vector<Recordings::Take>> takes;
  for (const FieldSpec& f : r.spec.fields) {
    if (is_recording(f))
      takes[f.texts[0]].push_back(taken(f, r, out));
    else
      read_table_field(*table, f, r.type_of(f), out);
  }
  for (const auto& [column, fields] : takes) Recordings(listed(*table, column)).read(fields);
  out.place = table_places(table, out);
  return out;
}

}  // namespace

bool are_recordings(const frontend::SourceSpec& spec, const std::vector<std::string>& files) {
  return spec.kind == "wav" &&
         std::all_of(
             spec.fields.begin(), spec.fields.end(),
             [&](const FieldSpec& f) { return is_recording(f) && f.texts == spec.fields[0].texts; }) &&
         std::all_of(files.begin(), files.end(),
                     [](const std::string& f) { return f.ends_with(".wav") || f.ends_with(".WAV"); });
}

std::span<const SourceReader> sound_sources() {
  static constexpr SourceReader rows[] = {{"wav", read, nullptr}};
  return rows;
}

}  // namespace gradc
