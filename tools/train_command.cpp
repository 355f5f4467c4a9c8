// gradc train: a model file to a run's folder with its weights, its record and the model as it was trained.
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>

#include "codegen/codegen.h"
#include "driver/anomaly.h"
#include "driver/compiler.h"
#include "driver/load_data.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/memory.h"
#include "runtime/run_folder.h"
#include "runtime/team.h"
#include "runtime/trainer.h"
#include "support/check.h"
#include "tools/metrics_log.h"
#include "tools/model_options.h"
#include "tools/signals.h"
#include "tools/start_point.h"
#include "tools/weights.h"

namespace gradc {

using runtime::size_text;
namespace {

constexpr const char* kBadStep = "bad-step.safetensors";

bool as_json(const Arguments& a) { return a.log_format == "json"; }

std::string json_list(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& s : list) out += (out.size() > 1 ? "," : "") + runtime::quote_json(s);
  return out + "]";
}

runtime::TrainOptions train_options(const Arguments& a, const frontend::TrainSpec& t,
                                    const LoadedData& data) {
  runtime::TrainOptions o;
  o.name = t.name;
  o.batch = t.batch, o.epochs = t.epochs, o.seed = t.seed, o.steps = t.steps;
  auto aim = [](const frontend::Keep& k) { return runtime::Aim{k.split, k.metric, k.maximize}; };
  auto rule = [&](const frontend::Keep& k) { return runtime::Rule{aim(k), k.patience, k.delta}; };
  if (t.keep) o.keep = rule(*t.keep);
  if (t.stop) o.stop = rule(*t.stop);
  for (const frontend::Plateau& p : t.plateaus)
    o.plateaus.push_back({p.rate, aim(p.on), p.factor, p.threshold, p.low, p.patience, p.cooldown});
  o.validate_every = t.validate_every;
  if (t.numbered)
    o.numbered = runtime::Numbered{t.numbered->steps, t.numbered->minutes * 60, t.numbered->last};
  o.save = a.save;
  for (const auto& [field, columns] : data.columns) o.metadata["gradc.columns." + field] = json_list(columns);
  for (const auto& [field, names] : data.vocabulary)
    o.metadata["gradc.vocabulary." + field] = json_list(names);
  for (const auto& [field, fills] : data.fills) {
    std::vector<std::string> numbers;
    for (double v : fills) numbers.push_back(fmt::format("{}", v));  // the shortest text that gives v again
    o.metadata["gradc.fill." + field] = json_list(numbers);
  }
  for (const auto& [field, text] : data.tokenizers) o.metadata["gradc.tokenizer." + field] = text;
  for (const auto& [field, form] : data.forms) o.metadata["gradc.form." + field] = json_list({form});
  o.metadata["gradc.version"] = kVersion;
  o.metadata["gradc.model"] = t.name;
  o.quiet = a.quiet || as_json(a);
  o.max_steps = a.max_steps;
  if (!a.max_time.empty()) o.max_seconds = seconds_of(a.max_time).value();
  return o;
}

const char* status_of(const runtime::TrainResult& r) {
  return r.interrupted ? "interrupted" : r.limited ? "stopped" : "finished";
}

// run.json, written anew whenever weights are.
class RunLog {
 public:
  RunLog(const runtime::RunFolder& folder, const runtime::Program& p, runtime::RunRecord start)
      : folder_(folder), program_(p), record_(std::move(start)) {
    write();
  }
  void saved(const runtime::TrainResult& r) {
    take(r);
    write();
  }
  void end(const runtime::TrainResult& r) {
    take(r);
    record_.seconds = {{"all", r.seconds}, {"beside", r.beside_seconds}, {"writing", r.writing_seconds}};
    end(status_of(r));
  }
  void end(const std::string& status, const std::string& note = "") {
    record_.status = status, record_.note = note, record_.ended = runtime::utc_now();
    write();
  }

 private:
  void take(const runtime::TrainResult& r) {
    record_.steps = r.step, record_.epochs = r.epochs, record_.best_step = r.best_step;
    const bool loss = !r.train.empty() && record_.metric == "train." + program_.metrics.at(0);
    record_.best = !r.best && loss ? r.train[0] : r.best;
    record_.results.clear();
    add("train.", r.train), add("val.", r.val), add("test.", r.test);
  }
  void add(const std::string& split, const std::vector<double>& values) {
    for (const auto& [name, v] : runtime::measured(program_, values, split == "train."))
      record_.results.push_back({split + name, v});
  }
  void write() const { folder_.write("run.json", to_json(record_)); }

  const runtime::RunFolder& folder_;
  const runtime::Program& program_;
  runtime::RunRecord record_;
};

runtime::RunRecord record_of(const Arguments& a, const frontend::TrainSpec& t, const LoadedData& data,
                             const runtime::Runner& runner) {
  runtime::RunRecord r;
  r.version = fmt::format("{} ({})", kVersion, codegen::version());
  r.model = t.name, r.file = a.file, r.command = a.command;
  r.folder = std::filesystem::current_path().string();
  utsname machine{};
  uname(&machine);
  r.host = fmt::format("{} ({} {} {})", machine.nodename, machine.sysname, machine.release, machine.machine);
  codegen::Target target;
  target.cpu = a.cpu;
  r.cpu = codegen::resolve(target).cpu;
  r.cores = runtime::available_cores(), r.threads = runner.threads(), r.pid = getpid();
  r.seed = t.seed, r.batch = t.batch;
  r.planned_steps = t.steps > 0 ? t.steps : runtime::count_batches(data.splits.train, t.batch) * t.epochs;
  r.metric =
      t.keep ? t.keep->split + "." + t.keep->metric : (data.splits.val ? "val." : "train.") + t.metrics.at(0);
  r.maximize = t.keep && t.keep->maximize;
  r.started = runtime::utc_now(), r.status = "running";
  return r;
}

// The events of --log-format=json, one object a line.
void json_start(const Arguments& a, const Compiled& c, const LoadedData& data, const runtime::Runner& runner,
                const std::string& run) {
  const frontend::TrainSpec& t = *c.unit.train;
  if (as_json(a))
    fmt::print(
        "{{\"event\":\"start\",\"model\":{},\"run\":{},\"parameters\":{},\"threads\":{},\"batch\":{},"
        "\"seed\":{},\"train_rows\":{},\"val_rows\":{},\"test_rows\":{}}}\n",
        runtime::quote_json(t.name), runtime::quote_json(run), parameters(c.program), runner.threads(),
        t.batch, t.seed, data.splits.train.rows.size(), data.splits.val.rows.size(),
        data.splits.test.rows.size());
}
void json_end(const Compiled& c, const runtime::TrainResult& r) {
  std::string line = fmt::format("{{\"event\":\"end\",\"status\":\"{}\",\"step\":{},\"epochs\":{}",
                                 status_of(r), r.step, r.epochs);
  for (const auto& [split, values] : {std::pair("train", &r.train), {"val", &r.val}, {"test", &r.test}})
    line += split_json(c.program, split, *values);
  fmt::print("{}}}\n", line);
}

void print_start(const Arguments& a, const Compiled& c, const LoadedData& data, const runtime::Runner& runner,
                 const std::string& run) {
  const frontend::TrainSpec& t = *c.unit.train;
  fmt::print("{} · {} parameters · arena {} · compiled in {:.2f} s · {} threads{}\n", t.name,
             parameters(c.program), size_text(runner.arena_bytes()), c.timing.total() / 1e3, runner.threads(),
             threads_of(a) == 0 && runner.threads() > 1 ? " at most" : "");
  fmt::print("data    train {}  val {}  test {}  batch {}  seed {}  run {}\n", data.splits.train.rows.size(),
             data.splits.val.rows.size(), data.splits.test.rows.size(), t.batch, t.seed, run);
  for (const std::string& remark : data.remarks) fmt::print("        {}\n", printable(remark));
}

void print_end(const Arguments& a, const Compiled& c, const runtime::TrainOptions& o,
               const runtime::TrainResult& r) {
  for (const std::string& w : r.warnings) std::cerr << "warning: " << printable(w) << "\n";
  if (!a.save.empty() && !r.saved_chosen)
    std::cerr << "warning: " << printable(a.save)
              << " was not written: the training ended in its first epoch\n";
  if (!o.quiet)
    fmt::print("saved   {}/best.safetensors, {}/last.safetensors at step {}{}{}\n", o.run_dir, o.run_dir,
               r.step, r.saved_chosen ? ", " + o.save : "", r.interrupted ? " (interrupted)" : "");
  if (as_json(a)) json_end(c, r);
  if (r.interrupted || r.limited) {
    std::cerr << fmt::format("{} after step {}; go on with: {}\n", r.interrupted ? "interrupted" : "stopped",
                             r.step, printable(resume_command(a, o.run_dir)));
    return;
  }
  if (as_json(a)) return;
  if (!r.test.empty())
    fmt::print("test  {}\n", runtime::metrics_text(c.program, r.test));
  else
    fmt::print("{}  {}\n", r.val.empty() ? "train" : "val",
               runtime::metrics_text(c.program, r.val.empty() ? r.train : r.val, r.val.empty()));
}

runtime::TrainResult train_logged(runtime::Runner& runner, const LoadedData& data,
                                  const runtime::TrainOptions& o, std::optional<RunLog>& log) {
  try {
    runtime::TrainResult r = runtime::train(runner, data.splits, o, stdout);
    log->end(r);
    return r;
  } catch (const std::exception& e) {
    const auto* known = dynamic_cast<const runtime::Error*>(&e);
    const bool diverged = known != nullptr && known->kind == runtime::Failure::Diverged;
    try {
      if (log) log->end(diverged ? "diverged" : "failed", e.what());
    } catch (const runtime::Error&) {  // what ended the training is what is told
    }
    throw;
  }
}

// The lines of the model that differ from those that the run began with.
void tell_changes(const std::string& run, const std::string& now) {
  const std::string path = run + "/model.grad";
  if (!runtime::is_file(path)) return;
  auto lines = [](const std::string& text) {
    std::multiset<std::string> out;
    std::istringstream from(text);
    for (std::string line; std::getline(from, line);) out.insert(line);
    return out;
  };
  const auto before = lines(runtime::read_file(path)), after = lines(now);
  auto only = [](const auto& x, const auto& y, const char* sign) {
    std::vector<std::string> rest;
    std::set_difference(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(rest));
    std::string text;
    for (const std::string& line : rest) text += std::string(sign) + line + "\n";
    return text;
  };
  const std::string difference = only(before, after, "  - ") + only(after, before, "  + ");
  if (!difference.empty())
    std::cerr << "warning: the model or its options are others than when " << printable(run)
              << " began; the bits will be others too:\n"
              << printable(difference);
}

void check_before(const Arguments& a, const frontend::TrainSpec& t, const LoadedData& data) {
  auto needs_val = [&](Loc loc, const std::string& what, const std::string& otherwise = "") {
    if (!data.splits.val)
      throw CompileError(loc, what +
                                  " of 'val', and the data has no such split; write train, val = ... |> "
                                  "split(90%, 10%)" +
                                  otherwise);
  };
  for (const frontend::Keep* rule : t.rules())
    if (rule->split == "val")
      needs_val(rule->loc, "keep, stop and plateau read metrics", ", or go by a metric of train");
  if (t.validate_every > 0) needs_val(t.loc, "validate computes metrics");
  if (a.save.empty() || a.dry_run) return;
  const std::filesystem::path target = runtime::check_target(a.save);
  runtime::clear_leftovers(target.has_parent_path() ? target.parent_path().string() : ".",
                           target.filename().string());
  runtime::check_writable(a.save);
}

// The step at which a training diverged is kept beside its weights, and looked into where that is asked for.
std::string keep_bad_step(const Arguments& a, const Compiled& c, const Sources& sources,
                          const std::string& folder, const runtime::SafeTensors& step) {
  const std::string path = folder.empty() ? "the step" : folder + "/" + kBadStep;
  if (!folder.empty()) runtime::write_safetensors(path, step);
  if (a.detect_anomaly) std::cerr << printable(explain_bad_step(c.unit, sources, step, path));
  if (folder.empty()) return "";
  return "; " + path + " has the step, and what it began with; look into it: " + bad_step_command(a, path);
}

int dry_run(const Arguments& a, const Compiled& c, const LoadedData& data, runtime::Runner& runner,
            runtime::TrainOptions o) {
  o.save.clear();
  o.steps = 1;
  if (const auto from = initial_weights_of(a, c.unit))
    o.weights = [&a, from](runtime::Runner& r) { initial_weights(a, *from, r); };
  if (!o.quiet) print_start(a, c, data, runner, "none");
  const runtime::TrainResult r = runtime::train(runner, data.splits, o, stdout);
  for (const std::string& w : r.warnings) std::cerr << "warning: " << printable(w) << "\n";
  if (r.interrupted) return 128 + o.signal->load();
  if (!as_json(a))
    fmt::print("dry run: one step and one batch of each split went well; nothing was written\n");
  return kOk;
}

// The folder of the training, locked, and its name in record and files.
struct Place {
  runtime::RunFolder folder;
  std::string id = runtime::utc_now();
  Place(const Arguments& a, const std::string& goes_on)  // in this run, or "" in one of its own
      : folder(runs_of(a.file), goes_on.empty() ? a.run_dir : goes_on, a.overwrite || !goes_on.empty()) {
    if (!goes_on.empty() && runtime::is_file(folder.path() + "/run.json"))
      id = runtime::read_record(folder.path() + "/run.json").started;
  }
};

// Where the training begins, which is looked at before it gets a folder; a run that goes on has one, which
// nobody else may write by then.
Place prepare(const Arguments& a, const Compiled& c, const LoadedData& data, runtime::Runner& runner,
              runtime::TrainOptions& o) {
  const std::optional<ResumePoint> from = resume_point(a);
  const std::string run = from ? from->run : "";
  auto start_at = [&](const std::string& id) {
    o.resume = read_start(*from, id);
    runtime::check_start(runner, data.splits, o);
  };
  if (from && run.empty()) start_at("");
  if (const auto begin = initial_weights_of(a, c.unit))
    o.weights = [file = initial_weights(a, *begin, runner), path = begin->path](runtime::Runner& r) {
      r.load(file, path, runtime::Runner::Wanted::Fitting);
    };
  Place place(a, run);
  if (!run.empty()) {
    start_at(place.id);
    tell_changes(run, c.unit.rendered);
  }
  o.run_dir = place.folder.path(), o.run = place.id;
  return place;
}

void prepare_end_at_once(const Arguments& a, const std::string& run) {
  const std::string last = run + "/last.safetensors";
  say_when_ended_at_once(
      last, "ended at once; " + last + " is as it was last saved; go on with: " + resume_command(a, run),
      "ended at once; nothing was saved yet");
}

}  // namespace

int train(const Arguments& a, const Compiled& c, const Sources& sources) {
  const frontend::TrainSpec& t = trained(c);
  if (!a.bad_step.empty()) {
    const std::string text =
        explain_bad_step(c.unit, sources, runtime::read_safetensors(a.bad_step), a.bad_step);
    return fmt::print("{}", printable(text)), kOk;
  }
  LoadedData data = load_data(c.unit, places_of(a), sources);
  check_before(a, t, data);
  limit_data(a, t.batch, data);
  runtime::TrainOptions o = train_options(a, t, data);
  o.signal = &watch_signals();
  runtime::Runner runner(c.program, threads_of(a));
  o.bad_step = [&](const runtime::SafeTensors& step) {
    return keep_bad_step(a, c, sources, o.run_dir, step);
  };
  require_memory_to_train(runner);
  if (a.dry_run) return dry_run(a, c, data, runner, o);
  const Place place = prepare(a, c, data, runner, o);
  const runtime::RunFolder& folder = place.folder;
  prepare_end_at_once(a, folder.path());
  json_start(a, c, data, runner, folder.path());
  if (!o.quiet) print_start(a, c, data, runner, folder.path());
  std::optional<RunLog> log;
  std::optional<MetricsLog> metrics;
  // Nothing of a run changes before its checkpoint is found to fit.
  o.started = [&](const runtime::TrainResult& r) {
    folder.write("model.grad", c.unit.rendered);
    std::error_code ignored;  // of an earlier training; there is none, as a rule
    std::filesystem::remove(folder.path() + "/" + kBadStep, ignored);
    runtime::RunRecord record = record_of(a, t, data, runner);
    record.started = place.id;
    log.emplace(folder, c.program, std::move(record));
    const std::filesystem::path from(o.resume ? o.resume->file : "");
    metrics.emplace(folder.path(), c.program, bool(data.splits.val),
                    from.has_parent_path() ? from.parent_path().string() : ".",
                    MetricsLog::Past{r.epochs, r.step, runtime::count_batches(data.splits.train, t.batch)});
    if (o.resume && !o.quiet)
      fmt::print("resumed {} after step {} of epoch {}\n", printable(o.resume->file), r.step, r.epochs + 1);
  };
  o.measured = [&](const runtime::Report& e) {
    metrics->add(e);
    if (!as_json(a)) return;
    // Whether it arrived is seen at the end: no reader ends a training.
    std::fputs((report_json(c.program, e) + "\n").c_str(), stdout);
    std::fflush(stdout);
  };
  o.saved = [&](const runtime::TrainResult& r) { log->saved(r); };
  const runtime::TrainResult r = train_logged(runner, data, o, log);
  if (!metrics->problem().empty()) std::cerr << "warning: " << printable(metrics->problem()) << "\n";
  print_end(a, c, o, r);
  return r.interrupted ? 128 + o.signal->load() : kOk;
}

}  // namespace gradc
