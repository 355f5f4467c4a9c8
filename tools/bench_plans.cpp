#include "tools/bench_plans.h"

#include <algorithm>
#include <cmath>

#include "driver/state_table.h"
#include "support/check.h"
#include "tools/model_options.h"
#include "tools/plan_search.h"

namespace gradc {
namespace {

constexpr int64_t kRoom = 8 << 20;  // bytes of staged panels of a plan

PlannedStep plan_again(const Compiled& c, const ModelOptions& o) {
  const graph::Function& f = c.primitive.at("train_step");
  passes::StepOptions options = step_options(o.compile);
  options.fuse.state = {make_state_table(c.unit, o.layouts), state_rows(c.unit, f)};
  options.after = "plan";
  PlannedStep s{train_step(c), passes::build_step(c.primitive, f, options), options.schedule};
  for (const step::Dim& d : s.planned.dims) s.options.plan[d.name] = d.plan;
  GRADC_CHECK(s.planned.kernels.size() == s.scheduled.kernels.size(), "the step was planned in another way");
  return s;
}

struct Row {
  SearchResult found;
  double chosen_in_step = 0, best_in_step = 0;  // ms of the pieces with the kernel; 0 where none is better
  double quotient() const { return found.chosen.ms / found.best.ms; }
  bool better() const { return found.best.entry != found.chosen.entry; }
};

std::string extents_of(const kernel::Kernel& naive) {
  std::string text;
  const passes::Nest nest = passes::nest_of(naive);
  for (size_t a = 0; a < nest.loops.size(); ++a)
    text += fmt::format("{}{}<{}", text.empty() ? "" : " ", passes::axis_name(naive, a),
                        nest.loops[a]->extent.str());
  return text;
}

void print_row(const Row& r, const PlannedStep& s, const StepParts& parts, double all) {
  const LoneKernel& k = r.found.kernel;
  const kernel::Kernel& naive = s.planned.kernels[static_cast<size_t>(k.number)];
  const Piece& piece = parts.pieces()[k.piece];
  std::string members = piece.members;
  for (const auto& run : piece.runs)
    if (run.kernel == k.number) members = run.members + (piece.kernel < 0 ? " " + piece.name : "");
  const double a_call = 1 / static_cast<double>(k.repeats);
  fmt::print("{} {}  {:.1f} %  {}  [{}]\n", k.number, naive.name, 100 * k.ms / all, extents_of(naive),
             members);
  fmt::print("    chosen {:9.4f} ms  {}\n", r.found.chosen.ms * a_call,
             passes::describe(naive, r.found.chosen.form));
  if (r.better())
    fmt::print("    best   {:9.4f} ms  {}\n", r.found.best.ms * a_call,
               passes::describe(naive, r.found.best.form));
  fmt::print("    {:.3f}  of {} plans, {} refused{}\n", r.quotient(), r.found.tried, r.found.refused,
             r.found.complete ? "" : ", out of time");
  std::fflush(stdout);
}

// The pieces that hold a kernel with a better plan, once more with that plan.
struct Variant {
  size_t row = 0;
  std::string entry;
  std::vector<double> ms;
};
std::vector<std::vector<Variant>> variants_of(std::vector<Row>& rows, StepParts& parts) {
  std::vector<std::vector<Variant>> out(parts.pieces().size());
  std::vector<step::Step> steps;
  for (size_t p = 0; p < out.size(); ++p) {
    const Piece& piece = parts.pieces()[p];
    out[p].push_back({0, piece.step.name, {}});
    for (size_t r = 0; r < rows.size(); ++r) {
      const int k = rows[r].found.kernel.number;
      const bool here =
          std::any_of(piece.runs.begin(), piece.runs.end(), [&](const auto& run) { return run.kernel == k; });
      if (!rows[r].better() || !here) continue;
      step::Step s = piece.step;
      s.name = fmt::format("{}.kernel{}", s.name, k);
      s.kernels[piece.kernel >= 0 ? 0 : static_cast<size_t>(k)] = rows[r].found.best.kernel;
      out[p].push_back({r, s.name, {}});
      steps.push_back(std::move(s));
    }
  }
  GRADC_CHECK(parts.add(steps), "plans that were timed no longer fit");
  return out;
}

// Every kernel in its place in the step, with its plans in turns.
void time_in_step(std::vector<Row>& rows, StepParts& parts, const runtime::Dataset& data, int rounds) {
  std::vector<std::vector<Variant>> variants = variants_of(rows, parts);
  parts.runner().init(1);
  for (int r = -3; r < rounds; ++r) {
    begin_step(parts.runner(), data, rounds, std::max(0, r));
    for (std::vector<Variant>& piece : variants) {
      Variant& v = piece[static_cast<size_t>(r + 3) % piece.size()];
      const double ms = parts.time(v.entry);
      if (r >= 0) v.ms.push_back(ms);
    }
    parts.check_loss();
  }
  for (const std::vector<Variant>& piece : variants)
    for (size_t v = 1; v < piece.size(); ++v) {
      if (piece[v].ms.empty() || piece[0].ms.empty()) continue;
      rows[piece[v].row].chosen_in_step += median(piece[0].ms);
      rows[piece[v].row].best_in_step += median(piece[v].ms);
    }
}

// The step with all plans that were better: the same bits after one call, and the times in turns.
void compare_steps(const std::vector<Row>& rows, const PlannedStep& s, StepParts& parts,
                   const runtime::Dataset& data, int rounds) {
  step::Step better = s.scheduled;
  better.name = "train_step.better";
  for (const Row& r : rows) better.kernels[static_cast<size_t>(r.found.kernel.number)] = r.found.best.kernel;
  GRADC_CHECK(parts.add({better}), "plans that were timed no longer fit together");
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
  for (const Row& r : rows)
    if (r.best_in_step > 0)
      fmt::print(
          "in the step: {} {}  alone {:.3f}; with all that runs in the same loop {:.4f} to {:.4f} ms: "
          "{:.3f}\n",
          r.found.kernel.number, s.planned.kernels[static_cast<size_t>(r.found.kernel.number)].name,
          r.quotient(), r.chosen_in_step, r.best_in_step, r.chosen_in_step / r.best_in_step);
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
  constexpr double kNoticeable = 0.01;
  const PlannedStep s = plan_again(c, o);
  StepParts parts(c, o.compile.codegen, data, a.threads > 0 ? threads_of(a) : 1, kRoom);
  const std::vector<LoneKernel> kernels = lone_kernels(s, parts);
  double all = 0;
  for (const LoneKernel& k : kernels) all += k.ms;
  fmt::print("{}  batch {}  {} threads; kernels alone with warm caches, {:.1f} s each\n", c.unit.model_name,
             data.rows, parts.runner().threads(), a.seconds);
  std::vector<Row> rows;
  for (const LoneKernel& k : kernels) {
    if (k.ms < kNoticeable * all || (a.limit > 0 && static_cast<int>(rows.size()) == a.limit)) break;
    rows.push_back({search_plans(s, parts, k, a.seconds)});
    print_row(rows.back(), s, parts, all);
  }
  time_in_step(rows, parts, data, a.rounds);
  print_in_step(rows, s);
  print_means(rows, all);
  compare_steps(rows, s, parts, data, a.rounds);
}

}  // namespace gradc
