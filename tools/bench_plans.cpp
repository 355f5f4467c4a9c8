#include "tools/bench_plans.h"

#include <algorithm>
#include <cmath>

#include "driver/state_table.h"
#include "support/check.h"
#include "tools/model_options.h"
#include "tools/plan_search.h"

namespace gradc {
namespace {

constexpr int64_t kRoom = 32 << 20;  // bytes of copies and partial sums of a plan

PlannedStep plan_again(const Compiled& c, const ModelOptions& o) {
  const graph::Function& f = c.primitive.at("train_step");
  passes::StepOptions options = step_options(o.compile);
  options.fuse.state = {c.state, state_rows(c.unit, f)};
  options.after = "plan";
  PlannedStep s{train_step(c), passes::build_step(c.primitive, f, options), options.schedule,
                o.compile.without};
  for (const step::Dim& d : s.planned.dims) s.options.plan[d.name] = d.plan;
  GRADC_CHECK(s.planned.kernels.size() == s.scheduled.kernels.size(), "the step was planned in another way");
  return s;
}

struct Row {
  SearchResult found;
  const Plan* best = nullptr;                   // confirmed in the step; null where the chosen one is best
  double chosen_in_step = 0, best_in_step = 0;  // ms of the pieces with the kernel
  bool in_loop = false;                         // the pieces hold more than the kernel
  double quotient() const {
    return best == nullptr ? 1 : in_loop ? found.chosen.ms / best->ms : chosen_in_step / best_in_step;
  }
};

std::string extents_of(const kernel::Kernel& naive) {
  std::string text;
  const passes::Nest nest = passes::nest_of(naive);
  for (size_t a = 0; a < nest.loops.size(); ++a)
    text += fmt::format("{}{}<{}", text.empty() ? "" : " ", passes::axis_name(naive, a),
                        nest.loops[a]->extent.str());
  return text;
}

void print_found(const SearchResult& r, const PlannedStep& s, const StepParts& parts, double all) {
  const LoneKernel& k = r.kernel;
  const kernel::Kernel& naive = s.planned.kernels[static_cast<size_t>(k.number)];
  const Piece& piece = parts.pieces()[k.piece];
  const auto run = std::find_if(piece.runs.begin(), piece.runs.end(),
                                [&](const auto& note) { return note.kernel == k.number; });
  fmt::print("{} {}  {:.1f} %  {}  {}{}; {} plans, {} refused{}\n", k.number, naive.name, 100 * k.ms / all,
             extents_of(naive), run->members, piece.kernel < 0 ? " " + piece.name : "", r.tried, r.refused,
             r.complete ? "" : ", out of time");
  const auto line = [&](const char* what, const Plan& p) {
    fmt::print("  {:7} {:9.4f} ms  {:.3f}  {}\n", what, p.ms / static_cast<double>(k.repeats),
               r.chosen.ms / p.ms, passes::describe(naive, p.form));
  };
  line("chosen", r.chosen);
  for (const Plan& p : r.faster) line("faster", p);
  std::fflush(stdout);
}

// A piece that holds a kernel with faster plans, once more with one of them; row -1: as it is.
struct Variant {
  int row = -1;
  size_t plan = 0;
  std::string entry;
  std::vector<double> ms;
};
using Variants = std::vector<std::vector<Variant>>;  // of each piece, as it is first

Variants variants_of(const std::vector<Row>& rows, StepParts& parts) {
  Variants out(parts.pieces().size());
  std::vector<step::Step> steps;
  for (size_t p = 0; p < out.size(); ++p) {
    const Piece& piece = parts.pieces()[p];
    out[p].push_back({.entry = piece.step.name});
    // Its barriers are those between the chosen plans.
    if (piece.kernel < 0 && parts.runner().threads() > 1) continue;
    for (size_t r = 0; r < rows.size(); ++r) {
      const SearchResult& f = rows[r].found;
      const bool here = std::any_of(piece.runs.begin(), piece.runs.end(),
                                    [&](const auto& run) { return run.kernel == f.kernel.number; });
      for (size_t i = 0; here && i < f.faster.size(); ++i) {
        step::Step s = piece.step;
        s.name = fmt::format("{}.{}", s.name, f.faster[i].entry);
        s.kernels[piece.kernel >= 0 ? 0 : static_cast<size_t>(f.kernel.number)] = f.faster[i].kernel;
        out[p].push_back({static_cast<int>(r), i, s.name, {}});
        steps.push_back(std::move(s));
      }
    }
  }
  parts.add(steps);
  return out;
}

// The plan of a row that is fastest over all pieces with its kernel, if it beats the chosen one there.
void choose_best(Row& row, int number, const Variants& variants) {
  constexpr double kBeyondNoise = 1.01;
  for (size_t i = 0; i < row.found.faster.size(); ++i) {
    double chosen = 0, other = 0;
    for (const std::vector<Variant>& piece : variants)
      for (const Variant& v : piece)
        if (v.row == number && v.plan == i) chosen += median(piece[0].ms), other += median(v.ms);
    if (other == 0 || chosen < (row.in_loop ? 1 : kBeyondNoise) * other) continue;
    if (row.best != nullptr && other >= row.best_in_step) continue;
    row.best = &row.found.faster[i];
    row.chosen_in_step = chosen, row.best_in_step = other;
  }
}

// Every kernel in its place in the step, with its plans in turns.
void time_in_step(std::vector<Row>& rows, StepParts& parts, const runtime::Dataset& data, int rounds) {
  Variants variants = variants_of(rows, parts);
  size_t most = 1;
  for (const std::vector<Variant>& piece : variants) most = std::max(most, piece.size());
  rounds *= static_cast<int>(std::min<size_t>(most, 5));
  parts.runner().init(1);
  for (size_t r = 0; r < static_cast<size_t>(rounds) + most; ++r) {
    begin_step(parts.runner(), data, rounds, static_cast<int>(r));
    for (std::vector<Variant>& piece : variants) {
      Variant& v = piece[r % piece.size()];
      const double ms = parts.time(v.entry);
      if (r >= piece.size()) v.ms.push_back(ms);  // the first call warms up
    }
    parts.check_loss();
  }
  for (size_t r = 0; r < rows.size(); ++r) {
    rows[r].in_loop = parts.pieces()[rows[r].found.kernel.piece].kernel < 0;
    choose_best(rows[r], static_cast<int>(r), variants);
  }
}

// The step with all plans that were better, barriers and memory as they are then.
step::Step rebuilt(const std::vector<Row>& rows, const PlannedStep& s) {
  step::Step better = s.planned;
  for (const Row& r : rows) {
    const auto k = static_cast<size_t>(r.found.kernel.number);
    if (r.best != nullptr) better.schedules[k] = passes::write_schedule(better.kernels[k], r.best->form);
  }
  passes::run_step_passes(better, {.without = s.without, .from = "schedule"});
  better.name = "train_step.better";
  return better;
}

// The same bits after one call, and the times in turns.
void compare_steps(const std::vector<Row>& rows, const PlannedStep& s, StepParts& parts,
                   const runtime::Dataset& data, int rounds) {
  const step::Step better = rebuilt(rows, s);
  bool same_places = better.scratch_bytes <= s.scheduled.scratch_bytes;
  for (const int b : s.scheduled.inputs)
    same_places &=
        better.buffers[static_cast<size_t>(b)].offset == s.scheduled.buffers[static_cast<size_t>(b)].offset;
  if (!same_places || !parts.fits(better)) {
    fmt::print("with the better plans the step needs other memory: it is not timed\n");
    return;
  }
  parts.add({better});
  const auto call = [&](bool chosen, int step) {
    begin_step(parts.runner(), data, rounds, step);
    return parts.time(chosen ? "train_step" : better.name);
  };
  std::vector<std::byte> state[2];
  for (const bool chosen : {false, true}) {
    parts.runner().init(1);
    call(chosen, 0);
    state[chosen] = parts.runner().snapshot();
  }
  GRADC_CHECK(state[0] == state[1], "a plan moved a bit of the training step");
  std::vector<double> ms[2];
  for (int r = 0; r < rounds; ++r)
    for (const bool chosen : {false, true}) ms[chosen].push_back(call(chosen, r));
  fmt::print("the step {:.4f} ms, with the better plans {:.4f} ms: {:.3f}; the same bits\n", median(ms[1]),
             median(ms[0]), median(ms[1]) / median(ms[0]));
}

void print_in_step(const std::vector<Row>& rows, const PlannedStep& s) {
  fmt::print("better in the step, too:\n");
  for (const Row& r : rows) {
    if (r.best == nullptr) continue;
    const auto k = static_cast<size_t>(r.found.kernel.number);
    fmt::print("{} {}  {:.3f}  {:.4f} to {:.4f} ms{}  {}\n", k, s.planned.kernels[k].name, r.quotient(),
               r.chosen_in_step, r.best_in_step, r.in_loop ? " with all of the loop" : "",
               passes::describe(s.planned.kernels[k], r.best->form));
  }
}

void print_means(const std::vector<Row>& rows, double all) {
  double logs = 0, weighted = 0, ms = 0;
  for (const Row& r : rows) {
    logs += std::log(r.quotient());
    weighted += r.found.kernel.ms * std::log(r.quotient());
    ms += r.found.kernel.ms;
  }
  fmt::print(
      "regret {:.1f} % (geometric mean of {} kernels), {:.1f} % weighted by time; {:.0f} % of the "
      "kernels' time was searched\n",
      100 * (std::exp(logs / static_cast<double>(rows.size())) - 1), rows.size(),
      100 * (std::exp(weighted / ms) - 1), 100 * ms / all);
}

}  // namespace

void bench_plans(const Arguments& a, const ModelOptions& o, const Compiled& c, const runtime::Dataset& data) {
  constexpr double kNoticeable = 0.01, kMs = 20000;  // for the rounds over the whole step
  constexpr int kFewest = 20;
  const PlannedStep s = plan_again(c, o);
  const int threads = a.threads > 0 ? threads_of(a) : 1;
  StepParts parts(c, o.compile.codegen, data, threads, kRoom, threads == 1 ? thread_ms : now_ms);
  const std::vector<LoneKernel> kernels = lone_kernels(s, parts);
  double all = 0;
  for (const LoneKernel& k : kernels) all += k.ms;
  fmt::print("{}  batch {}  {} threads; kernels alone with warm caches, {:.1f} s each\n", c.unit.model_name,
             data.rows, threads, a.seconds);
  std::vector<Row> rows;
  for (const LoneKernel& k : kernels) {
    if (k.ms < kNoticeable * all || (a.limit > 0 && static_cast<int>(rows.size()) == a.limit)) break;
    rows.push_back({.found = search_plans(s, parts, k, a.seconds)});
    print_found(rows.back().found, s, parts, all);
  }
  const int rounds = std::min(a.rounds, std::max(kFewest, static_cast<int>(kMs / all)));
  time_in_step(rows, parts, data, rounds);
  print_in_step(rows, s);
  print_means(rows, all);
  compare_steps(rows, s, parts, data, rounds);
}

}  // namespace gradc
