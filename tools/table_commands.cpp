// Commands on tables: what is in them, and a first model for one.
#include <filesystem>

#include "frontend/syntax/lexer.h"
#include "runtime/csv.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "support/check.h"
#include "support/diagnostic.h"
#include "tools/commands.h"

namespace gradc {
namespace {

using runtime::ColumnSummary;

int inspect(const Arguments& a) {
  const runtime::CsvTable table = runtime::read_csv(a.file);
  fmt::print("{}: {} rows, {} columns\n", a.file, table.rows(), table.columns().size());
  for (const ColumnSummary& s : runtime::summarize(table)) {
    std::string line = fmt::format("  {:28} {:8}", printable(s.name, 256), s.type);
    if (s.type != "text") line += fmt::format(" {:>12g} .. {:<12g} mean {:<12g}", s.min, s.max, s.mean);
    if (s.missing > 0) line += fmt::format(" {} missing", s.missing);
    line += fmt::format(" {} distinct", s.distinct > 1000 ? "more than 1000" : std::to_string(s.distinct));
    if (s.distinct <= 10 && table.rows() > 0) {
      line += ":";
      for (const auto& [value, n] : s.top)
        line += fmt::format(" {} {:.1f}%", printable(value, 256),
                            100.0 * static_cast<double>(n) / static_cast<double>(table.rows()));
    }
    fmt::print("{}\n", line);
  }
  return kOk;
}

// Strings of a model file end at the next quote or line; there is no escape.
bool can_be_written(const std::string& text) {
  bool continued_well = true;
  size_t rest = 0;  // bytes that a character of UTF-8 still needs
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if (u == '"' || u < 0x20 || u == 0x7F) return false;
    continued_well = continued_well && ((u & 0xC0) == 0x80) == (rest > 0);
    rest = rest > 0 ? rest - 1 : u >= 0xF0 ? 3 : u >= 0xE0 ? 2 : u >= 0xC0 ? 1 : 0;
  }
  return continued_well && rest == 0;
}

std::string identifier(const std::string& name) {
  std::string out;
  for (char c : name)
    out += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ? c : '_';
  // Words of the language, and the constants of the file to be written, are taken.
  const bool taken =
      frontend::is_reserved(out) || out == "hidden" || out == "classes" || out == "center" || out == "scale";
  return taken || out.empty() || (out[0] >= '0' && out[0] <= '9') ? "m_" + out : out;
}

// A classifier for class numbers 0, 1, ..., a regression for other numbers; features standardised.
// `path` is the table's as the model file names it.
std::string model_text(const runtime::CsvTable& table, const ColumnSummary& target,
                       const std::vector<std::string>& features, const std::string& path) {
  const std::string name = identifier(std::filesystem::path(path).stem().string());
  const bool classes = target.type == "integer" && target.min == 0 && target.distinct >= 2 &&
                       target.distinct <= 100 && target.max == static_cast<double>(target.distinct - 1);
  std::string list;
  for (const std::string& f : features) list += (list.empty() ? "" : ", ") + fmt::format("\"{}\"", f);
  std::string text =
      fmt::format("# Written by gradc new for {}, {} rows. Train with: gradc train\n", path, table.rows());
  const char* hidden = "x |> Standardize{} |> Dense{hidden} |> relu |> Dropout{0.1} |> Dense{hidden} |> relu";
  if (classes) {
    text += fmt::format(
        "const classes = {}, hidden = 64\n\nmodel {}(x: f32[B, {}]) -> (logits: [B, classes], prediction: "
        "i32[B]) {{\n",
        target.distinct, name, features.size());
    text += fmt::format("  logits     = {} |> Dense{{classes}}\n  prediction = argmax(logits)\n}}\n", hidden);
  } else {
    const double spread = std::max(1e-6, (target.max - target.min) / 4);
    text += fmt::format(
        "const hidden = 64, center = {:g}, scale = {:g}                    # of the target\n\nmodel {}(x: "
        "f32[B, {}]) -> (prediction: [B]) {{\n",
        target.mean, spread, name, features.size());
    text += fmt::format("  h = {} |> Dense{{1}} |> squeeze(over=1)\n  prediction = center + scale * h\n}}\n",
                        hidden);
  }
  text +=
      fmt::format("\ndata rows {{\n  all              = csv(\"{}\", x = columns({}), y = column(\"{}\"{}))\n",
                  path, list, target.name, classes ? ", i32" : "");
  text += "  train, val, test = all |> shuffle(seed=0) |> split(70%, 10%, 20%)\n}\n";
  text += fmt::format("\ntrain {} on rows {{\n", name);
  text += classes
              ? "  loss            = cross_entropy(logits, y)\n  metric accuracy = mean(prediction == y)\n"
              : "  loss      = mse(prediction / scale, y / scale)\n  metric r2 = r2(prediction, y)\n";
  text += fmt::format(
      "  optimizer = adamw{{weight_decay = 0.01 if rank(param) >= 2 else 0}}\n  lr        = cosine(2e-3, 0, "
      "warmup=20)\n  batch = 32; epochs = 40; seed = 1\n  keep = best({})\n}}\n",
      classes ? "max = val.accuracy" : "max = val.r2");
  return text;
}

int make_model(const Arguments& a) {
  const runtime::CsvTable table = runtime::read_csv(a.file);
  table.require(a.target);
  const std::vector<ColumnSummary> all = runtime::summarize(table);
  const ColumnSummary& target = all[static_cast<size_t>(table.index_of(a.target))];
  if (target.type == "text")
    throw runtime::Error(
        runtime::Failure::Data,
        fmt::format("{}: the target '{}' is text; number its classes 0, 1, ... first", a.file, a.target));
  if (target.missing > 0)
    throw runtime::Error(runtime::Failure::Data,
                         fmt::format("{}: the target '{}' is missing in {} rows; drop them first", a.file,
                                     a.target, target.missing));
  if (!can_be_written(a.target))
    throw runtime::Error(runtime::Failure::Data,
                         fmt::format("{}: a model file cannot hold the name of the target '{}'; rename the "
                                     "column",
                                     a.file, printable(a.target)));
  std::vector<std::string> features;
  for (const ColumnSummary& s : all) {
    if (s.name == a.target) continue;
    const std::string why = s.type == "text"          ? "text"
                            : s.missing > 0           ? fmt::format("missing in {} rows", s.missing)
                            : s.distinct < 2          ? "constant"
                            : !can_be_written(s.name) ? "a model file cannot hold its name; rename the column"
                                                      : "";
    if (why.empty())
      features.push_back(s.name);
    else
      fmt::print("left out {}: {}\n", printable(s.name), why);
  }
  if (features.empty())
    throw runtime::Error(runtime::Failure::Data, fmt::format("{}: no column is left to learn from", a.file));
  const std::string output =
      a.output.empty() ? std::filesystem::path(a.file).replace_extension(".grad").string() : a.output;
  if (std::filesystem::exists(output))
    throw runtime::Error(runtime::Failure::Usage, fmt::format("{} exists; -o names another file", output));
  // Data files are looked for beside the model file.
  const std::filesystem::path folder = std::filesystem::absolute(output).parent_path();
  const std::string path =
      std::filesystem::proximate(std::filesystem::absolute(a.file), folder).generic_string();
  if (!can_be_written(path))
    throw runtime::Error(
        runtime::Failure::Data,
        fmt::format("a model file cannot hold the path '{}'; rename the file", printable(path)));
  const std::string text = model_text(table, target, features, path);
  runtime::write_file_atomically(output, std::vector<std::string_view>{text});
  fmt::print("wrote {}; train it with: gradc train {}\n", output, output);
  return kOk;
}

}  // namespace

int run_on_table(const Arguments& a, const std::string& command) {
  return command == "inspect" ? inspect(a) : make_model(a);
}

}  // namespace gradc
