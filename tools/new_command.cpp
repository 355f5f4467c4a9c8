// gradc new: a first model for a table.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>

#include "runtime/error.h"
#include "runtime/file.h"
#include "support/check.h"
#include "support/diagnostic.h"
#include "tools/commands.h"
#include "tools/table_plan.h"

namespace gradc {
namespace {

using Names = std::vector<std::string>;

// The number at the end of a name, and what stands before it.
struct Numbered {
  std::string stem, digits;
};
Numbered numbered(const std::string& name) {
  const size_t at = name.find_last_not_of("0123456789") + 1;
  return {name.substr(0, at), name.substr(at)};
}

// Whether `next` is the column behind `name` in a range p00..p63.
bool follows(const std::string& name, const std::string& next) {
  const Numbered a = numbered(name), b = numbered(next);
  if (a.stem != b.stem || a.digits.empty() || b.digits.empty() || b.digits.size() > 9) return false;
  const int n = std::stoi(a.digits.substr(0, 9)) + 1;
  return a.digits.size() <= 9 && b.digits == fmt::format("{:0{}}", n, a.digits.size());
}

// Quoted, in lines of some 100 columns that begin with `indent`; what is numbered on as a range.
std::string column_list(const Names& columns, size_t begun, const std::string& indent) {
  std::string out;
  size_t width = begun;
  for (size_t i = 0; i < columns.size(); ++i) {
    size_t last = i;
    while (last + 1 < columns.size() && follows(columns[last], columns[last + 1]) &&
           numbered(columns[i]).digits.size() <= numbered(columns[last + 1]).digits.size())
      ++last;
    std::string item = fmt::format("\"{}\"", columns[i]);
    if (last - i >= 3) item = fmt::format("\"{}..{}\"", columns[i], columns[last]), i = last;
    if (!out.empty()) out += ",", ++width;
    if (!out.empty() && width + item.size() > 100)
      out += "\n" + indent, width = indent.size();
    else if (!out.empty())
      out += " ", ++width;
    out += item, width += item.size();
  }
  return out;
}

// Grows slowly with the number of kinds: 3 for 2, 6 for 30, 16 for 1000.
int64_t embedding_width(int64_t kinds) {
  return std::clamp<int64_t>(static_cast<int64_t>(std::lround(1.6 * std::pow(double(kinds), 0.33) + 0.5)), 2,
                             16);
}

std::string model_block(const TablePlan& p, const std::string& name) {
  Names inputs, parts;
  if (!p.numbers.empty()) {
    inputs.push_back(fmt::format("x: f32[B, {}]", p.numbers.size()));
    parts.emplace_back("Standardize{}(x)");
  }
  if (!p.gaps.empty()) {
    inputs.push_back(fmt::format("gaps: f32[B, {}]", p.gaps.size()));
    parts.emplace_back("gaps");
  }
  // Where no cell is missing kind 0 is not trained, and reads as 0.
  for (const TablePlan::Category& c : p.categories) {
    inputs.push_back(fmt::format("{}: i32[B]", c.input));
    parts.push_back(fmt::format("Embed{{{}, {}{}}}({})", c.kinds + 1, embedding_width(c.kinds),
                                c.missing ? "" : ", padding=0", c.input));
  }
  const bool amount = p.target == TablePlan::Target::Amount;
  const std::string indent(std::string("model  (").size() + name.size() - 1, ' ');
  std::string text = fmt::format("model {}({}) -> {} {{\n", name, fmt::join(inputs, ",\n" + indent),
                                 amount ? "(prediction: [B])" : "(logits: [B, classes], prediction: i32[B])");
  text += parts.size() == 1 ? fmt::format("  h = {}", parts[0])
                            : fmt::format("  h = concat({}, over=1)", fmt::join(parts, ",\n             "));
  // Small tables are learnt by heart otherwise.
  text += fmt::format("\n  h = h |> Dense{{hidden}} |> relu |> Dropout{{{}}} |> Dense{{hidden}} |> relu\n",
                      p.val ? "0.1" : "0.2");
  text += amount ? "  prediction = center + scale * (h |> Dense{1} |> squeeze(over=1))\n}\n"
                 : "  logits     = h |> Dense{classes}\n  prediction = argmax(logits)\n}\n";
  return text;
}

std::string data_block(const TablePlan& p, const std::string& path) {
  const std::string indent(12, ' ');
  Names fields;
  if (!p.numbers.empty())
    fields.push_back(fmt::format("x = columns({}{})", column_list(p.numbers, 25, indent + "            "),
                                 p.gaps.empty() ? "" : ", missing=median"));
  if (!p.gaps.empty())
    fields.push_back(
        fmt::format("gaps = is_missing({})", column_list(p.gaps, 31, indent + "                  ")));
  for (const TablePlan::Category& c : p.categories)
    fields.push_back(fmt::format("{} = category(\"{}\", unknown=0, missing=unknown)", c.input, c.column));
  fields.push_back(fmt::format(
      "y = {}(\"{}\"{}{})", p.target == TablePlan::Target::Names ? "label" : "column", p.target_column,
      p.target == TablePlan::Target::Numbers ? ", i32" : "", p.target_missing ? ", missing=drop" : ""));
  return fmt::format(
      "\ndata rows {{\n  all = csv(\"{}\",\n{}{})\n  {} = all |> shuffle(seed={}) |> split({})\n}}\n", path,
      indent, fmt::join(fields, ",\n" + indent), p.val ? "train, val, test" : "train, test", p.seed,
      p.val ? "70%, 10%, 20%" : "80%, 20%");
}

std::string train_block(const TablePlan& p, const std::string& name) {
  const bool amount = p.target == TablePlan::Target::Amount;
  const int64_t train = p.val ? p.rows * 7 / 10 : p.rows * 8 / 10, batch = train > 20000 ? 128 : 32;
  // Enough steps for a small table, and not too many for a large one.
  const int64_t epochs = std::clamp<int64_t>(2000 * batch / std::max<int64_t>(1, train), 20, p.val ? 60 : 80);
  std::string text = fmt::format("\ntrain {} on rows {{\n", name);
  text += amount
              ? "  loss      = mse(prediction / scale, y / scale)\n  metric r2 = r2(prediction, y)\n"
              : "  loss            = cross_entropy(logits, y)\n  metric accuracy = mean(prediction == y)\n";
  text += fmt::format(
      "  optimizer = adamw{{weight_decay = {} if rank(param) >= 2 else 0}}\n  lr        = cosine(2e-3, 0, "
      "warmup=20)\n  batch = {}; epochs = {}; seed = 1\n",
      p.val ? "0.01" : "0.3", batch, epochs);
  if (p.val) text += "  keep = best(min = val.loss)\n";
  return text + "}\n";
}

std::string model_text(const TablePlan& p, const std::string& path) {
  Names taken = {"hidden", "classes", "center", "scale", "rows"};
  const std::string name = identifier(std::filesystem::path(path).stem().string(), taken);
  std::string text =
      fmt::format("# Written by gradc new for {}, {} rows. Train with: gradc train\n", path, p.rows);
  for (const std::string& r : p.remarks) text += "# " + r + "\n";
  text += p.target == TablePlan::Target::Amount
              ? fmt::format("const hidden = 64, center = {:g}, scale = {:g}  # of the target\n\n", p.center,
                            p.scale)
              : fmt::format("const hidden = 64, classes = {}\n\n", p.classes);
  return text + model_block(p, name) + data_block(p, path) + train_block(p, name);
}

}  // namespace

int make_model(const Arguments& a) {
  const runtime::CsvTable table = runtime::read_csv(a.file);
  const TablePlan plan = plan_table(table, a.target);
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
  const std::string text = model_text(plan, path);
  runtime::write_file_atomically(output, std::vector<std::string_view>{text});
  for (const std::string& r : plan.remarks) fmt::print("{}\n", r);
  fmt::print("wrote {}; train it with: gradc train {}\n", output, output);
  return kOk;
}

}  // namespace gradc
