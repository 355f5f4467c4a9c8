// gradc predict: files in, results out.
#include <algorithm>
#include <optional>

#include "driver/compiler.h"
#include "driver/load_inputs.h"
#include "runtime/cell.h"
#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/runner.h"
#include "support/diagnostic.h"
#include "tools/commands.h"
#include "tools/model_options.h"
#include "tools/picture_grid.h"
#include "tools/result_text.h"
#include "tools/weights.h"

namespace gradc {
namespace {

using runtime::Failure;

ResultText::Format format_of(const Arguments& a) {
  return a.format == "npy"     ? ResultText::Format::Npy
         : a.format == "jsonl" ? ResultText::Format::JsonLines
                               : ResultText::Format::Csv;
}

// The outputs of the model that are asked for, by number.
std::vector<size_t> chosen_results(const Arguments& a, const Compiled& c) {
  const std::vector<std::string>& all = c.unit.outputs;
  std::vector<size_t> out;
  for (const std::string& name : a.results.empty() ? all : a.results) {
    const auto at = std::find(all.begin(), all.end(), name);
    if (at == all.end())
      throw runtime::Error(Failure::Usage, fmt::format("--results {}: the model's results are {}", name,
                                                       fmt::join(all, ", ")));
    out.push_back(static_cast<size_t>(at - all.begin()));
  }
  if ((a.format == "npy" || a.format == "png") && out.size() != 1)
    throw runtime::Error(
        Failure::Usage, fmt::format("--format={} holds one result: choose it with --results, of {}", a.format,
                                    fmt::join(all, ", ")));
  return out;
}

// A result along an open axis is as long as the longest bucket, with 0 behind what a shorter one gives.
ResultColumn column_of(const Compiled& c, size_t result, const FittedFields& fitted,
                       const runtime::Buckets& buckets) {
  const Type type = c.unit.module.at("predict").result_types()[result];
  const std::string& name = c.unit.outputs[result];
  if (type.rank() == 0 || !(type.shape[0] == c.unit.inputs.at(0).type.shape.at(0)))
    throw CompileError(
        {}, fmt::format("the result '{}' is {}: it has no row for each row of the input", name, type.str()));
  ResultColumn column{name, {}, class_names(c.unit, result, fitted)};
  const int64_t longest = buckets.extents.empty() ? 0 : buckets.extents.back();
  for (size_t i = 1; i < type.shape.size(); ++i)
    column.shape.push_back(
        type.shape[i].evaluate([](int) { return 0; }, [&](const std::string&) { return longest; }));
  return column;
}

// The rows of one batch: at most so many, and of one bucket.
runtime::Batch next_batch(const LoadedInputs& in, size_t from, size_t most) {
  const auto left = std::span(in.rows).subspan(from, std::min(most, in.rows.size() - from));
  if (left.empty() || in.buckets.extents.empty()) return {left, 0};
  const size_t bucket = in.buckets.of(left[0]);
  const auto end =
      std::find_if(left.begin(), left.end(), [&](int64_t row) { return in.buckets.of(row) != bucket; });
  return {left.first(static_cast<size_t>(end - left.begin())), in.buckets.extents[bucket]};
}

// The array with 0 behind the end of each axis, up to this shape.
runtime::Array filled_up(const runtime::Array& a, std::vector<int64_t> shape) {
  if (a.shape == shape) return a;
  runtime::Array out = runtime::make_array(a.dtype, std::move(shape));
  const auto rank = a.shape.size();
  std::vector<int64_t> at(rank);
  const auto run = static_cast<size_t>(a.shape[rank - 1] * runtime::size_of(a.dtype));
  for (size_t from = 0; from < a.bytes.size(); from += run) {
    int64_t to = 0;
    for (size_t d = 0; d < rank; ++d) to = to * out.shape[d] + at[d];
    std::copy_n(a.bytes.begin() + static_cast<long>(from), run,
                out.bytes.begin() + to * runtime::size_of(a.dtype));
    for (size_t d = rank - 1; d-- > 0 && ++at[d] == a.shape[d];) at[d] = 0;
  }
  return out;
}

}  // namespace

FittedFields fitted_of(const Weights& weights) {
  FittedFields out;
  auto take = [](const std::string& key, const std::string& value, const std::string& prefix,
                 std::map<std::string, std::vector<std::string>>& to) {
    if (!key.starts_with(prefix)) return;
    std::vector<std::string>& names = to[key.substr(prefix.size())];
    for (const runtime::Json& j : runtime::parse_json(value).items) names.push_back(j.text);
  };
  std::map<std::string, std::vector<std::string>> fills, forms;
  for (const auto& [key, value] : weights.file.metadata) {
    take(key, value, "gradc.fill.", fills);
    take(key, value, "gradc.form.", forms);
    take(key, value, "gradc.columns.", out.columns);
    take(key, value, "gradc.vocabulary.", out.vocabulary);
    if (constexpr std::string_view prefix = "gradc.tokenizer."; key.starts_with(prefix))
      out.tokenizers[key.substr(prefix.size())] = value;
  }
  for (const auto& [field, list] : forms)
    if (list.size() == 1) out.forms[field] = list[0];
  for (const auto& [field, list] : fills)
    for (const std::string& text : list) {
      const runtime::CellValue v = runtime::read_cell(text);
      if (v.kind != runtime::CellValue::Kind::Number)
        throw runtime::Error(runtime::Failure::Mismatch,
                             fmt::format("{}: gradc.fill.{} holds '{}', which is no number", weights.path,
                                         field, printable(text, 64)));
      out.fills[field].push_back(v.value);
    }
  return out;
}

int predict(const Arguments& a, const Compiled& c, const Sources& sources) {
  std::vector<std::string> files = a.inputs;
  files.insert(files.end(), a.files.begin(), a.files.end());
  if (files.empty())
    throw runtime::Error(Failure::Usage, "predict needs an input: gradc predict MODEL FILE, or --input FILE");
  const std::vector<size_t> results = chosen_results(a, c);
  runtime::Runner runner(c.program, threads_of(a));
  const Weights weights = weights_of(a);
  runner.init(0);
  runner.load(weights.file, weights.path);
  const FittedFields fitted = fitted_of(weights);
  LoadedInputs in = load_inputs(c.unit, files, fitted, sources);
  std::vector<ResultColumn> columns;
  for (size_t r : results) columns.push_back(column_of(c, r, fitted, in.buckets));
  std::optional<PictureGrid> pictures;
  if (a.format == "png") pictures.emplace(columns[0].name, columns[0].shape);
  for (const std::string& remark : in.remarks) fmt::print(stderr, "{}\n", printable(remark));
  if (a.rows > 0 && a.rows < static_cast<int64_t>(in.rows.size()))
    in.rows.resize(static_cast<size_t>(a.rows));
  ResultText text(format_of(a), columns, in.row_names);
  const auto batch = static_cast<size_t>(c.program.entry("predict")->max_dims.at(0));
  // Without a row there is still the type of the results.
  int64_t number = 0;
  for (size_t from = 0; from < in.rows.size() || number == 0; ++number) {
    const runtime::Batch rows = next_batch(in, from, batch);
    const auto n = static_cast<int64_t>(rows.rows.size());
    from += rows.rows.size();
    runner.begin("predict", rows);
    runner.set_batch_number(number);
    runner.set_rows(in.data, rows.rows);
    runner.call();
    std::vector<runtime::Array> values;
    for (size_t i = 0; i < results.size(); ++i) {
      std::vector<int64_t> shape = {n};
      shape.insert(shape.end(), columns[i].shape.begin(), columns[i].shape.end());
      values.push_back(filled_up(runner.output(c.unit.outputs[results[i]]), std::move(shape)));
    }
    if (pictures)
      pictures->add(values[0], n);
    else
      text.add(values, n);
  }
  if (pictures && pictures->cut() > 0)
    fmt::print(stderr, "{} numbers of '{}' are outside of what a sample holds, and were cut\n",
               pictures->cut(), c.unit.outputs[results[0]]);
  write_text(a.output, pictures ? pictures->png() : text.finish());
  return kOk;
}

}  // namespace gradc
