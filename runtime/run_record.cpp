// run.json: what ran, on what, and what came out.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/run_folder.h"

namespace gradc::runtime {
namespace {

// The shortest text that reads back as the same number; JSON has no NaN and no infinity.
std::string json_number(double v) {
  if (!std::isfinite(v)) return "null";
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, v).ptr};
}

std::string members(const std::vector<std::pair<std::string, double>>& values) {
  std::string out;
  for (const auto& [name, v] : values)
    out += (out.empty() ? "" : ", ") + quote_json(name) + ": " + json_number(v);
  return "{" + out + "}";
}

std::vector<std::pair<std::string, double>> members_of(const Json& j, const char* key) {
  std::vector<std::pair<std::string, double>> out;
  if (const Json* v = j.find(key))
    for (const auto& [name, x] : v->members)
      out.push_back({name, x.kind == Json::Kind::Number ? x.number : std::nan("")});
  return out;
}

class Writer {
 public:
  void text(const char* key, const std::string& v) { row(key, quote_json(v)); }
  void whole(const char* key, int64_t v) { row(key, std::to_string(v)); }
  void row(const std::string& key, const std::string& value) {
    out_ += (out_.empty() ? "{\n  " : ",\n  ") + quote_json(key) + ": " + value;
  }
  std::string take() { return out_ + "\n}\n"; }

 private:
  std::string out_;
};

std::string text_of(const Json& j, const char* key) {
  const Json* v = j.find(key);
  return v != nullptr && v->kind == Json::Kind::String ? v->text : "";
}

int64_t whole_of(const Json& j, const char* key) {
  const Json* v = j.find(key);
  return v == nullptr ? 0 : v->whole().value_or(0);
}

}  // namespace

std::string to_json(const RunRecord& r) {
  Writer w;
  w.text("status", r.status);
  if (!r.note.empty()) w.text("note", r.note);
  std::string list;
  for (const std::string& s : r.command) list += (list.empty() ? "" : ", ") + quote_json(s);
  w.row("command", "[" + list + "]");
  w.text("folder", r.folder), w.text("file", r.file), w.text("model", r.model);
  w.text("version", r.version), w.text("host", r.host), w.text("cpu", r.cpu);
  w.whole("cores", r.cores), w.whole("threads", r.threads), w.whole("pid", r.pid);
  w.whole("seed", r.seed), w.whole("batch", r.batch);
  w.text("started", r.started), w.text("ended", r.ended);
  w.whole("steps", r.steps), w.whole("planned_steps", r.planned_steps), w.whole("epochs", r.epochs);
  w.text("metric", r.metric);
  w.row("maximize", r.maximize ? "true" : "false");
  w.row("best", r.best ? json_number(*r.best) : "null");
  w.whole("best_step", r.best_step);
  w.row("results", members(r.results));
  w.row("seconds", members(r.seconds));
  return w.take();
}

RunRecord read_record(const std::string& path) {
  const Json j = parse_json(read_file(path, int64_t(1) << 24));
  RunRecord r;
  r.status = text_of(j, "status"), r.note = text_of(j, "note");
  if (const Json* v = j.find("command"))
    for (const Json& word : v->items) r.command.push_back(word.text);
  r.folder = text_of(j, "folder"), r.file = text_of(j, "file"), r.model = text_of(j, "model");
  r.version = text_of(j, "version"), r.host = text_of(j, "host"), r.cpu = text_of(j, "cpu");
  r.cores = whole_of(j, "cores"), r.threads = whole_of(j, "threads"), r.pid = whole_of(j, "pid");
  r.seed = whole_of(j, "seed"), r.batch = whole_of(j, "batch");
  r.started = text_of(j, "started"), r.ended = text_of(j, "ended");
  r.steps = whole_of(j, "steps"), r.planned_steps = whole_of(j, "planned_steps");
  r.epochs = whole_of(j, "epochs"), r.best_step = whole_of(j, "best_step");
  r.metric = text_of(j, "metric");
  if (const Json* v = j.find("maximize")) r.maximize = v->truth;
  if (const Json* v = j.find("best"); v != nullptr && v->kind == Json::Kind::Number) r.best = v->number;
  r.results = members_of(j, "results"), r.seconds = members_of(j, "seconds");
  return r;
}

std::string utc_now() {
  std::timespec t{};
  std::timespec_get(&t, TIME_UTC);
  std::tm parts{};
  gmtime_r(&t.tv_sec, &parts);
  char text[40], ms[8];
  std::snprintf(ms, sizeof ms, ".%03dZ", static_cast<int>(t.tv_nsec / 1000000));
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts)) + ms;
}

}  // namespace gradc::runtime
