#include "tools/metrics_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>
#include <sstream>

#include "runtime/error.h"
#include "runtime/json.h"

namespace gradc {
namespace {

using Past = MetricsLog::Past;

struct Row {
  int64_t epoch = 0, step = 0;
};

// An epoch that was not counted yet gets its row again, where it ends.
bool is_past(const Row& row, const Past& past) {
  return row.epoch <= past.epochs || (row.step <= past.step && row.step < (past.epochs + 1) * past.per_epoch);
}

// The file with the first line given, or none, and of the lines after it those of the past; open at its end.
runtime::Descriptor continued(const std::string& path, const std::string& before, const std::string& first,
                              const Past& past,
                              const std::function<std::optional<Row>(const std::string&)>& row_of) {
  std::string text = first.empty() ? "" : first + "\n";
  if (past.step > 0 && runtime::is_file(before)) {
    std::istringstream lines(runtime::read_file(before));
    for (std::string line; std::getline(lines, line);)
      if (const auto row = row_of(line); row && is_past(*row, past)) text += line + "\n";
  }
  const std::string_view part = text;
  runtime::write_file_atomically(path, std::span(&part, 1));
  runtime::Descriptor to(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (to.get() < 0)
    throw runtime::Error(runtime::Failure::Data, path + ": cannot write: " + std::strerror(errno));
  return to;
}

// Nothing for what is no whole row: a file that others changed loses it.
std::optional<Row> csv_row(const std::string& line, const std::string& header) {
  if (std::count(line.begin(), line.end(), ',') != std::count(header.begin(), header.end(), ','))
    return std::nullopt;
  char *comma = nullptr, *end = nullptr;
  Row row;
  row.epoch = std::strtoll(line.c_str(), &comma, 10);
  if (comma == line.c_str() || *comma != ',') return std::nullopt;
  row.step = std::strtoll(comma + 1, &end, 10);
  return end != comma + 1 && *end == ',' ? std::optional(row) : std::nullopt;
}
std::optional<Row> json_row(const std::string& line) {
  try {
    const runtime::Json row = runtime::parse_json(line);
    const runtime::Json *n = row.find("epoch"), *step = row.find("step");
    if (n == nullptr || step == nullptr || !n->whole() || !step->whole()) return std::nullopt;
    return Row{*n->whole(), *step->whole()};
  } catch (const runtime::Error&) {
    return std::nullopt;
  }
}

std::string csv_header(const runtime::Program& p, bool val) {
  std::string line = "epoch,step";
  const std::vector<double> any(p.metrics.size());
  for (const auto& [name, v] : runtime::measured(p, any, true)) line += ",train." + name;
  if (val)
    for (const std::string& m : p.metrics) line += ",val." + m;
  return line + ",train_ms,val_ms,best";
}

double milliseconds(double seconds, int64_t steps) {
  return steps > 0 ? seconds * 1e3 / static_cast<double>(steps) : 0;
}

}  // namespace

std::string json_number(double v) { return std::isfinite(v) ? fmt::format("{}", v) : "null"; }

std::string split_json(const runtime::Program& p, const std::string& split,
                       const std::vector<double>& values) {
  std::string out;
  for (const auto& [name, v] : runtime::measured(p, values, split == "train"))
    out += "," + runtime::quote_json(split + "." + name) + ":" + json_number(v);
  size_t at = p.metrics.size();
  for (const runtime::Table& t : p.tables) {
    if (values.empty()) break;
    std::vector<std::string> rows;
    for (int64_t row = 0; row < t.rows; ++row) {
      std::vector<std::string> row_values;
      for (int64_t i = 0; i < t.columns; ++i) row_values.push_back(json_number(values.at(at++)));
      rows.push_back(fmt::format("[{}]", fmt::join(row_values, ",")));
    }
    out += fmt::format(",{}:[{}]", runtime::quote_json(split + "." + t.name), fmt::join(rows, ","));
  }
  return out;
}

std::string report_json(const runtime::Program& p, const runtime::Report& e) {
  std::string line = fmt::format("{{\"event\":\"{}\",\"epoch\":{},\"step\":{}",
                                 e.within ? "validation" : "epoch", e.epoch, e.result.step);
  line += split_json(p, "train", e.train) + split_json(p, "val", e.result.val);
  return line + fmt::format(",\"train_ms\":{},\"val_ms\":{},\"best\":{}}}",
                            json_number(milliseconds(e.train_seconds, e.train_steps)),
                            json_number(milliseconds(e.val_seconds, e.val_steps)), e.best);
}

MetricsLog::MetricsLog(const std::string& run, const runtime::Program& p, bool val, const std::string& before,
                       Past past)
    : program_(p),
      val_(val),
      csv_{run + "/metrics.csv",
           continued(run + "/metrics.csv", before + "/metrics.csv", csv_header(p, val), past,
                     [&](const std::string& line) { return csv_row(line, csv_header(p, val)); })},
      jsonl_{run + "/metrics.jsonl",
             continued(run + "/metrics.jsonl", before + "/metrics.jsonl", "", past, json_row)} {}

void MetricsLog::add(const runtime::Report& e) {
  std::string line = fmt::format("{},{}", e.epoch, e.result.step);
  for (const auto& [name, v] : runtime::measured(program_, e.train, true)) line += fmt::format(",{}", v);
  if (val_)
    for (const auto& [name, v] : runtime::measured(program_, e.result.val)) line += fmt::format(",{}", v);
  line += fmt::format(",{},{},{}", milliseconds(e.train_seconds, e.train_steps),
                      milliseconds(e.val_seconds, e.val_steps), e.best ? 1 : 0);
  append(csv_, line + "\n");
  append(jsonl_, report_json(program_, e) + "\n");
}

void MetricsLog::append(const File& f, const std::string& line) {
  const off_t before = ::lseek(f.to.get(), 0, SEEK_END);
  errno = 0;
  if (::write(f.to.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) return;
  const int why = errno != 0 ? errno : ENOSPC;
  if (before >= 0) (void)!::ftruncate(f.to.get(), before);  // no half rows
  if (problem_.empty()) problem_ = f.path + ": rows are missing: " + std::strerror(why);
}

}  // namespace gradc
