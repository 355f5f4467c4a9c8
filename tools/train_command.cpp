// gradc train: a model file to a run's folder with its weights, its record and the model as it was trained.
#include <sys/utsname.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <iostream>

#include "codegen/codegen.h"
#include "driver/compiler.h"
#include "driver/load_data.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/run_folder.h"
#include "runtime/team.h"
#include "runtime/trainer.h"
#include "support/check.h"
#include "tools/model_options.h"
#include "tools/weights.h"

namespace gradc {
namespace {

std::atomic<int> signal_seen{0};  // the one global: a signal handler can reach nothing else
void on_signal(int number) {
  if (signal_seen.exchange(number) != 0) _exit(128 + number);
}

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
  auto rule = [](const frontend::Keep& k) {
    return runtime::Rule{k.metric, k.maximize, k.patience, k.delta};
  };
  if (t.keep) o.keep = rule(*t.keep);
  if (t.stop) o.stop = rule(*t.stop);
  o.save = a.save;
  for (const auto& [field, columns] : data.columns) o.metadata["gradc.columns." + field] = json_list(columns);
  o.metadata["gradc.version"] = kVersion;
  o.metadata["gradc.model"] = t.name;
  o.quiet = a.quiet;
  o.signal = &signal_seen;
  return o;
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
    end(r.interrupted ? "interrupted" : "finished");
  }
  void end(const std::string& status, const std::string& note = "") {
    record_.status = status, record_.note = note, record_.ended = runtime::utc_now();
    write();
  }

 private:
  void take(const runtime::TrainResult& r) {
    record_.steps = r.step, record_.epochs = r.epochs, record_.best_step = r.best_step;
    record_.best = record_.metric == "train.loss" && !r.train.empty() ? r.train[0] : r.best;
    record_.results.clear();
    add("train.", r.train), add("val.", r.val), add("test.", r.test);
  }
  void add(const std::string& split, const std::vector<double>& values) {
    for (size_t i = 0; i < values.size(); ++i)
      record_.results.push_back({split + program_.metrics[i], values[i]});
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
  const auto rows = static_cast<int64_t>(data.splits.train.rows.size());
  r.planned_steps = t.steps > 0 ? t.steps : (rows + t.batch - 1) / t.batch * t.epochs;
  r.metric = t.keep ? "val." + t.keep->metric : data.splits.val ? "val.loss" : "train.loss";
  r.maximize = t.keep && t.keep->maximize;
  r.started = runtime::utc_now(), r.status = "running";
  return r;
}

void print_start(const Arguments& a, const Compiled& c, const LoadedData& data, const runtime::Runner& runner,
                 const std::string& run) {
  const frontend::TrainSpec& t = *c.unit.train;
  fmt::print("{} · {} parameters · arena {} · compiled in {:.2f} s · {} threads{}\n", t.name,
             parameters(c.program), bytes_text(runner.arena_bytes()), c.timing.total() / 1e3,
             runner.threads(), threads_of(a) == 0 && runner.threads() > 1 ? " at most" : "");
  fmt::print("data    train {}  val {}  test {}  batch {}  seed {}  run {}\n", data.splits.train.rows.size(),
             data.splits.val.rows.size(), data.splits.test.rows.size(), t.batch, t.seed, run);
}

void print_end(const Arguments& a, const Compiled& c, const runtime::TrainOptions& o,
               const runtime::TrainResult& r) {
  for (const std::string& w : r.warnings) std::cerr << "warning: " << printable(w) << "\n";
  if (!a.save.empty() && !r.saved_chosen)
    std::cerr << "warning: " << printable(a.save)
              << " was not written: the training was interrupted in its first epoch\n";
  if (!a.quiet)
    fmt::print("saved   {}/best.safetensors, {}/last.safetensors at step {}{}{}\n", o.run_dir, o.run_dir,
               r.step, r.saved_chosen ? ", " + o.save : "", r.interrupted ? " (interrupted)" : "");
  if (r.interrupted) return;
  if (!r.test.empty())
    fmt::print("test  {}\n", runtime::metrics_text(c.program, r.test));
  else
    fmt::print("{}  {}\n", r.val.empty() ? "train" : "val",
               runtime::metrics_text(c.program, r.val.empty() ? r.train : r.val));
}

runtime::TrainResult train_logged(runtime::Runner& runner, const LoadedData& data,
                                  const runtime::TrainOptions& o, RunLog& log) {
  try {
    runtime::TrainResult r = runtime::train(runner, data.splits, o, stdout);
    log.end(r);
    return r;
  } catch (const std::exception& e) {
    const auto* known = dynamic_cast<const runtime::Error*>(&e);
    const bool diverged = known != nullptr && known->kind == runtime::Failure::Diverged;
    try {
      log.end(diverged ? "diverged" : "failed", e.what());
    } catch (const runtime::Error&) {  // what ended the training is what is told
    }
    throw;
  }
}

}  // namespace

int train(const Arguments& a, const Compiled& c, const Sources& sources) {
  const frontend::TrainSpec& t = trained(c);
  const LoadedData data = load_data(c.unit, places_of(a), sources);
  if ((t.keep || t.stop) && !data.splits.val)
    throw CompileError(t.loc, "keep and stop read metrics of 'val', and the data has no such split");
  if (!a.save.empty()) {
    const std::filesystem::path target = runtime::check_target(a.save);
    runtime::clear_leftovers(target.has_parent_path() ? target.parent_path().string() : ".",
                             target.filename().string());
    runtime::check_writable(a.save);
  }
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
  runtime::Runner runner(c.program, threads_of(a));
  const runtime::RunFolder folder(runs_of(a.file), a.run_dir, a.overwrite);
  folder.write("model.grad", c.unit.rendered);
  RunLog log(folder, c.program, record_of(a, t, data, runner));
  if (!a.quiet) print_start(a, c, data, runner, folder.path());
  runtime::TrainOptions o = train_options(a, t, data);
  o.run_dir = folder.path();
  o.saved = [&](const runtime::TrainResult& r) { log.saved(r); };
  const runtime::TrainResult r = train_logged(runner, data, o, log);
  print_end(a, c, o, r);
  return r.interrupted ? 128 + signal_seen.load() : kOk;
}

}  // namespace gradc
