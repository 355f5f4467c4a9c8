#include "tools/start_point.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/run_folder.h"
#include "support/diagnostic.h"
#include "tools/model_options.h"
#include "tools/weights.h"

namespace gradc {
namespace {

using runtime::Error;
using runtime::Failure;

const std::string* metadata(const runtime::SafeTensors& f, const char* key) {
  const auto it = f.metadata.find(key);
  return it == f.metadata.end() ? nullptr : &it->second;
}

bool same_training(const runtime::SafeTensors& a, const runtime::SafeTensors& b) {
  const std::string *x = metadata(a, "gradc.run"), *y = metadata(b, "gradc.run");
  return x != nullptr && y != nullptr && *x == *y;
}

int64_t step_of(const runtime::SafeTensors& f, const std::string& path) {
  return runtime::moment_of(f, path).step;
}

// The best beside a checkpoint, where it is of the same training and may be the best that the checkpoint
// means.
void add_best(runtime::TrainOptions::Start& s, const std::string& best) {
  if (!runtime::is_file(best)) return;
  runtime::SafeTensors file = runtime::read_safetensors(best);
  if (!same_training(file, s.state)) return;
  const runtime::Kept k = runtime::moment_of(s.state, s.file);
  if (!k.standing.best || step_of(file, best) != k.standing.best_step) return;
  s.best = std::move(file), s.best_file = best;
}

runtime::TrainOptions::Start start_in(const std::string& run, const std::string& run_id) {
  runtime::TrainOptions::Start s;
  const std::string last = run + "/last.safetensors", best = run + "/best.safetensors";
  if (!runtime::is_file(last)) {
    throw Error(Failure::Data, run + ": holds no checkpoint yet; train first");
  }
  s.file = last, s.state = runtime::read_safetensors(last);
  if (const std::string* id = metadata(s.state, "gradc.run");
      id != nullptr && !run_id.empty() && *id != run_id)
    throw Error(Failure::Data, last +
                                   ": is of an earlier training; the one that overwrote it ended before its "
                                   "first checkpoint; --resume=" +
                                   last + " goes on with the earlier one");
  add_best(s, best);
  // A best found after the last checkpoint is a whole state too.
  if (!s.best && runtime::is_file(best)) {
    runtime::SafeTensors later = runtime::read_safetensors(best);
    if (same_training(later, s.state) && step_of(later, best) > step_of(s.state, last))
      s.file = s.best_file = best, s.best = later, s.state = std::move(later);
  }
  return s;
}

std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::strchr("_-./=:,+@%", c) != nullptr;
  });
  if (plain) return word;
  std::string out = "'";
  for (char c : word) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

// The words of the command without those that say where the training begins and where it ends.
std::string command_elsewhere(const Arguments& a) {
  std::string out;
  bool value_follows = false;
  for (size_t i = 0; i < a.command.size(); ++i) {
    const std::string& word = a.command[i];
    if (std::exchange(value_follows, false)) continue;
    const std::string name = word.substr(0, word.find('='));
    const bool flag = name == "--overwrite" || name == "--allow-partial" || name == "--resume" ||
                      name == "--from-scratch" || name == "--detect-anomaly";
    const bool valued = name == "--run" || name == "--init-from" || name == "--map" ||
                        name == "--max-steps" || name == "--max-time" || name == "--bad-step";
    value_follows = valued && name == word;
    if (!flag && !valued) out += (out.empty() ? "" : " ") + quoted(word);
  }
  return out;
}

std::string trimmed(const std::string& s) {
  const size_t from = s.find_first_not_of(" \t\r"), to = s.find_last_not_of(" \t\r");
  return from == std::string::npos ? "" : s.substr(from, to - from + 1);
}

// The matrix with its axes swapped: PyTorch keeps those of linear layers so.
runtime::Array transposed(const runtime::Array& a, const std::string& place) {
  if (a.shape.size() != 2) throw Error(Failure::Data, place + ": transpose() is for two axes");
  runtime::Array out = runtime::make_array(a.dtype, {a.shape[1], a.shape[0]});
  const auto size = static_cast<size_t>(runtime::size_of(a.dtype));
  const auto rows = static_cast<size_t>(a.shape[0]), columns = static_cast<size_t>(a.shape[1]);
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j)
      std::memcpy(out.bytes.data() + (j * rows + i) * size, a.bytes.data() + (i * columns + j) * size, size);
  return out;
}

// Lines `ours = theirs` or `ours = transpose(theirs)`; # begins a comment. Other names stay as they are.
runtime::SafeTensors mapped(const runtime::SafeTensors& from, const std::string& map,
                            const std::string& file) {
  runtime::SafeTensors out = from;
  std::map<std::string, runtime::Array> renamed;
  std::istringstream lines(runtime::read_file(map));
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string place = map + ":" + std::to_string(++number);
    line = trimmed(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const size_t equals = line.find('=');
    if (equals == std::string::npos) throw Error(Failure::Data, place + ": write OURS = THEIRS");
    const std::string ours = trimmed(line.substr(0, equals));
    std::string theirs = trimmed(line.substr(equals + 1));
    const bool swap = theirs.starts_with("transpose(") && theirs.ends_with(")");
    if (swap) theirs = trimmed(theirs.substr(10, theirs.size() - 11));
    const auto it = from.tensors.find(theirs);
    if (it == from.tensors.end())
      throw Error(Failure::Data, place + ": " + file + " has no '" + theirs + "'");
    if (!renamed.emplace(ours, swap ? transposed(it->second, place) : it->second).second)
      throw Error(Failure::Data, place + ": '" + ours + "' is given twice");
    out.tensors.erase(theirs);
    if (const auto n = from.narrow.find(theirs); n != from.narrow.end()) out.narrow[ours] = n->second;
  }
  for (auto& [name, a] : renamed) out.tensors.insert_or_assign(name, std::move(a));
  return out;
}

void keep_rows(runtime::Split& s, int64_t n) {
  if (s && static_cast<int64_t>(s.rows.size()) > n) s.rows.resize(static_cast<size_t>(n));
}

}  // namespace

std::optional<ResumePoint> resume_point(const Arguments& a) {
  if (a.resume.empty()) return std::nullopt;
  const std::string run = run_folder_of(a.file, a.resume);
  if (!runtime::is_folder(run) && runtime::is_file(a.resume)) return ResumePoint{"", a.resume};
  if (!runtime::is_folder(run)) throw Error(Failure::Data, run + ": there is no such run; nothing to resume");
  if (!a.run_dir.empty())
    throw Error(Failure::Usage, "--run: " + run + " goes on in its folder; --resume=FILE goes on in another");
  return ResumePoint{run, ""};
}

runtime::TrainOptions::Start read_start(const ResumePoint& p, const std::string& run_id) {
  if (!p.run.empty()) return start_in(p.run, run_id);
  runtime::TrainOptions::Start s;
  s.file = p.file, s.state = runtime::read_safetensors(p.file);
  const std::filesystem::path beside = std::filesystem::path(p.file).parent_path() / "best.safetensors";
  add_best(s, beside.string());
  return s;
}

std::string bad_step_command(const Arguments& a, const std::string& path) {
  return command_elsewhere(a) + " --bad-step " + quoted(path);
}

std::string resume_command(const Arguments& a, const std::string& run) {
  const std::string root = runs_of(a.file) + "/";
  const bool below = run.starts_with(root) && run.find('/', root.size()) == std::string::npos;
  return command_elsewhere(a) + " --resume=" + quoted(below ? run.substr(root.size()) : run);
}

std::optional<InitialWeights> initial_weights_of(const Arguments& a, const frontend::Unit& unit) {
  auto in = [](const std::string& path) {
    return runtime::is_folder(path) ? runtime::weights_in(path) : path;
  };
  if (!a.init_from.empty()) return InitialWeights{in(a.init_from), a.allow_partial};
  if (!unit.init && (a.allow_partial || !a.map.empty()))
    throw Error(Failure::Usage,
                "--map and --allow-partial are about the weights of --init-from, or of the "
                "file's init; there are none");
  if (!unit.init || !a.resume.empty() || a.from_scratch) return std::nullopt;
  const frontend::InitSpec& init = *unit.init;
  const DataPlaces places = places_of(a);
  const std::string root = data_root(places.root);
  std::string looked;
  for (const std::string& folder : {places.model_folder, std::string(), root}) {
    const std::string path = (std::filesystem::path(folder) / init.path).lexically_normal().string();
    if (folder.empty() && !looked.empty() && places.model_folder.empty()) continue;
    if (runtime::is_file(path) || runtime::is_folder(path))
      return InitialWeights{in(path), init.partial || a.allow_partial};
    looked += (looked.empty() ? "" : ", ") + path;
  }
  throw CompileError(init.loc,
                     fmt::format("cannot find the weights '{}': there is none of {}; train what makes "
                                 "them first, or begin anew with --from-scratch",
                                 init.path, looked));
}

runtime::SafeTensors initial_weights(const Arguments& a, const InitialWeights& from,
                                     runtime::Runner& runner) {
  using Wanted = runtime::Runner::Wanted;
  const std::string& path = from.path;
  runtime::SafeTensors file = runtime::read_safetensors(path);
  if (const std::string nan = runtime::nan_text(file); !nan.empty())
    std::cerr << "warning: " << printable(path + ": " + nan) << "\n";
  if (!a.map.empty()) file = mapped(file, a.map, path);
  std::erase_if(file.tensors, [](const auto& t) { return t.first.starts_with("__opt__/"); });
  try {
    const std::string rest = runner.load(file, path, from.partial ? Wanted::Fitting : Wanted::Weights);
    if (!rest.empty()) std::cerr << "warning: " << printable(path + ": not taken: " + rest) << "\n";
  } catch (const Error& e) {
    if (e.kind != Failure::Mismatch) throw;
    throw Error(e.kind, std::string(e.what()) + "; --allow-partial takes what fits, --map FILE gives names");
  }
  return file;
}

void limit_data(const Arguments& a, int64_t batch, LoadedData& data) {
  runtime::Splits& s = data.splits;
  if (a.limit_train > 0) keep_rows(s.train, a.limit_train);
  if (a.overfit > 0 && !s.train.rows.empty()) {
    // As many steps as before, on few rows: they come again and again, and unchanged, to be learnt by heart.
    s.train.changes.clear();
    const size_t all = s.train.rows.size(), few = std::min(all, static_cast<size_t>(a.overfit));
    for (size_t i = few; i < all; ++i) s.train.rows[i] = s.train.rows[i % few];
    runtime::Split once = s.train;
    once.rows.resize(few);
    if (s.val) s.val = once;
    if (s.test) s.test = once;
  }
  if (a.dry_run)
    for (runtime::Split* split : {&s.train, &s.val, &s.test}) keep_rows(*split, batch);
}

std::optional<double> seconds_of(const std::string& text) {
  double total = 0;
  const char* at = text.c_str();
  if (*at == 0) return std::nullopt;
  while (*at != 0) {
    char* end = nullptr;
    if (*at < '0' || *at > '9') return std::nullopt;
    const double n = std::strtod(at, &end);
    double unit = 1;
    if (*end != 0) {
      const char* known = std::strchr("smhd", *end);
      if (known == nullptr) return std::nullopt;
      unit = *known == 's' ? 1 : *known == 'm' ? 60 : *known == 'h' ? 3600 : 86400;
      ++end;
    }
    total += n * unit, at = end;
  }
  return total > 0 && total < 1e12 ? std::optional(total) : std::nullopt;
}

}  // namespace gradc
