// gradc runs, and which run's weights the other commands take.
#include <filesystem>
#include <iostream>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/progress.h"
#include "runtime/run_folder.h"
#include "support/check.h"
#include "tools/weights.h"

namespace gradc {
namespace {

// "2026-11-26T03:00:00Z" as "2026-11-26 03:00".
std::string date_text(const std::string& utc) {
  return utc.size() < 16 ? "?" : utc.substr(0, 10) + " " + utc.substr(11, 5);
}

// What the command line changed of the model file.
std::string changes(const std::vector<std::string>& command) {
  std::string out;
  auto add = [&](const std::string& s) { out += (out.empty() ? "" : " ") + s; };
  for (size_t i = 0; i < command.size(); ++i) {
    const std::string& s = command[i];
    if ((s == "-D" || s == "--set" || s == "--batch" || s == "--float") && i + 1 < command.size())
      add(s + " " + command[++i]);
    else if (s == "--no-fma" || s.starts_with("--set=") || s.starts_with("-D") || s.starts_with("--batch=") ||
             s.starts_with("--float="))
      add(s);
  }
  return printable(out);
}

// The best of those that are compared by the same metric.
bool leads(const runtime::ListedRun& r, const std::vector<runtime::ListedRun>& all) {
  if (!r.record.best) return false;
  int rivals = 0;
  for (const runtime::ListedRun& other : all) {
    if (&other == &r || !other.record.best || other.record.metric != r.record.metric) continue;
    if (r.record.maximize ? *other.record.best > *r.record.best : *other.record.best < *r.record.best)
      return false;
    ++rivals;
  }
  return rivals > 0;
}

void print_runs(const std::string& root) {
  const std::vector<runtime::ListedRun> all = runtime::list_runs(root);
  std::error_code error;
  const std::string latest = std::filesystem::read_symlink(root + "/latest", error).string();
  fmt::print("{}\n", root);
  fmt::print("  {:12} {:16}  {:11} {:>14} {:>7}  {:26} {:>6}  {}\n", "run", "started (UTC)", "status",
             "steps", "epochs", "best", "seed", "changed");
  for (const runtime::ListedRun& r : all) {
    const runtime::RunRecord& x = r.record;
    const std::string best =
        x.best ? x.metric + " " + runtime::number("%.4g", *x.best) + (leads(r, all) ? " *" : "") : "-";
    const std::string line =
        fmt::format("  {:12} {:16}  {:11} {:>14} {:>7}  {:26} {:>6}  {}",
                    printable(r.name) + (r.name == latest ? " <" : ""), date_text(printable(x.started)),
                    printable(x.status), fmt::format("{}/{}", x.steps, x.planned_steps), x.epochs,
                    printable(best), x.seed, changes(x.command));
    fmt::print("{}\n", line.substr(0, line.find_last_not_of(' ') + 1));
  }
}

}  // namespace

std::string runs_of(const std::string& model_file) {
  return "runs/" + std::filesystem::path(model_file).stem().string();
}

std::string run_folder_of(const std::string& model_file, const std::string& run) {
  const std::string folder = run.find('/') == std::string::npos ? runs_of(model_file) + "/" + run : run;
  std::error_code error;
  const auto to = std::filesystem::read_symlink(folder, error);
  return error ? folder : (std::filesystem::path(folder).parent_path() / to).string();
}

Weights weights_of(const Arguments& a) {
  Weights w{a.load, {}, false};
  if (a.load.empty()) {
    w.path = runtime::weights_in(run_folder_of(a.file, a.run_dir.empty() ? "latest" : a.run_dir));
  } else if (runtime::is_folder(a.load)) {
    w.path = runtime::weights_in(a.load);
  }
  w.file = runtime::read_safetensors(w.path);
  if (w.path != a.load)
    std::cerr << "weights " << printable(w.path) << " of step " << printable(w.file.metadata["gradc.step"])
              << "\n";
  if (const std::string nan = runtime::nan_text(w.file); !nan.empty()) {
    w.nan = true;
    std::cerr << "warning: " << printable(w.path + ": " + nan) << "\n";
  }
  return w;
}

int list_runs(const Arguments& a) {
  if (!a.file.empty()) {
    const std::string root =
        a.file.find('/') == std::string::npos || a.file.ends_with(".grad") ? runs_of(a.file) : a.file;
    if (!runtime::is_folder(root)) throw runtime::Error(runtime::Failure::Data, root + ": there are no runs");
    return print_runs(root), kOk;
  }
  bool any = false;
  for (const std::string& name : runtime::names_in("runs"))
    if (runtime::is_folder("runs/" + name)) print_runs("runs/" + name), any = true;
  if (!any) fmt::print("there are no runs below runs/\n");
  return kOk;
}

}  // namespace gradc
