// Recordings that a table lists.
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

// The recordings of one column, read once for all fields that take it.
class Recordings {
 public:
  Recordings(const runtime::CsvTable& table, const std::string& column)
      : table_(table), column_(table.require(column)) {}

  struct Take {
    const FieldSpec* field;
    runtime::Array* to;
  };

  void read(const std::vector<Take>& takes) {
    for (int64_t row = 0; row < table_.rows(); ++row) {
      const runtime::Wav wav = read_row(row);
      for (const Take& t : takes)
        t.field->form == "audio" ? put_samples(t, row, wav) : put_length(t, row, wav);
    }
  }

 private:
  runtime::Wav read_row(int64_t row) const {
    const std::string path = listed_file(table_, row, column_);
    try {
      return runtime::read_wav(path);
    } catch (const Error& e) {
      throw Error(e.kind, table_.where(row, column_) + ": " + e.what());
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
    throw Error(Failure::Data,
                fmt::format("{}: {} has {} samples a second, {}; recordings are not resampled",
                            table_.where(row, column_), table_.cell(row, column_), rate, other));
  }

  static void put_length(const Take& t, int64_t row, const runtime::Wav& wav) {
    const auto most = t.field->numbers.find("length");
    auto n = static_cast<int64_t>(wav.samples.size());
    if (most != t.field->numbers.end()) n = std::min(n, most->second);
    t.to->set_whole(row, n);
  }

  const runtime::CsvTable& table_;
  int column_;
  std::optional<int64_t> rate_;
};

SourceData read(const SourceRequest& r) {
  SourceData out;
  const auto table = read_table(r, out);
  std::map<std::string, std::vector<Recordings::Take>> takes;
  for (const FieldSpec& f : r.spec.fields) {
    const DType t = r.type_of(f);
    if (f.form != "audio" && f.form != "length") {
      read_table_field(*table, f, t, out);
      continue;
    }
    if (f.form == "audio" ? !is_float(t) : t != DType::I32 && t != DType::I64)
      throw CompileError(f.loc,
                         fmt::format("{} of a recording is {}, the input {} is {}", f.form,
                                     f.form == "audio" ? "f32 or f64" : "i32 or i64", f.name, name_of(t)));
    std::vector<int64_t> shape = {table->rows()};
    if (f.form == "audio")
      for (const Dim& d : f.type->shape) shape.push_back(d.constant_part());
    auto [at, fresh] = out.data.fields.insert_or_assign(f.name, runtime::make_array(runtime_type(t), shape));
    out.columns[f.name] = f.texts;
    takes[f.texts[0]].push_back({&f, &at->second});
  }
  for (const auto& [column, fields] : takes) Recordings(*table, column).read(fields);
  out.place = table_places(table, out);
  return out;
}

}  // namespace

std::span<const SourceReader> sound_sources() {
  static constexpr SourceReader rows[] = {{"wav", read, nullptr}};
  return rows;
}

}  // namespace gradc
