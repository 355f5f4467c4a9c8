#include "passes/pipeline.h"

#include <algorithm>
#include <array>
#include <optional>

#include "ir/graph/text.h"
#include "passes/graph/expand.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

// One line a pass.
constexpr std::array kPasses{
    PassInfo{"inline", Stage::Graph, false, "bits may not depend on whether the user wrote a function",
             inline_calls},
    PassInfo{"simplify", Stage::Graph, false,
             "before differentiation: simple forms have the better derivatives", simplify},
    PassInfo{"chunk", Stage::Graph, false,
             "over simple forms, and before derivatives, which are then made of chunks too", chunk},
    PassInfo{"differentiate", Stage::Graph, false, "over inlined bodies, which hold primitives alone",
             differentiate},
    PassInfo{"hoist", Stage::Graph, false,
             "when gradients of loops stand: theirs are the contractions that gain most", hoist},
    PassInfo{"siblings", Stage::Graph, false,
             "of the products that stay in loops; their constants are joined before those", siblings},
    PassInfo{"algebra", Stage::Graph, false, "over values and cotangents alike, before roundings are decided",
             algebra},
    PassInfo{"skip", Stage::Graph, false,
             "when contractions have their last form: it removes terms, which numerics must not see", skip},
    PassInfo{"prune", Stage::Graph, false,
             "drops what differentiation built in vain: numerics sees one canonical graph", prune},
    PassInfo{"numerics", Stage::Graph, false,
             "last of those that may change a rounding; all after it are exact", numerics},
    PassInfo{"fold", Stage::Graph, false,
             "when the text says every rounding: what is computed here is what the program would compute",
             fold},
    PassInfo{"inputs", Stage::Graph, false,
             "exact, so after numerics; when bodies of loops read no more than they will", inputs},
    PassInfo{"arrange", Stage::Graph, false,
             "exact, so after numerics; what it leaves without readers but one, fuse computes in place",
             arrange},
    PassInfo{"fuse", Stage::Fuse, true, "over whole functions, while every value is still a node"},
    PassInfo{"lower", Stage::Lower, false,
             "groups to kernels, control flow to step loops, results to copies"},
    PassInfo{"panels", Stage::Program, true,
             "over all entries at once, whose naive kernels say who reads a weight and how"},
    PassInfo{"recompute", Stage::Step, true,
             "when the order of runs is known, and who reads what how much later", nullptr,
             [](step::Step& s, const StepOptions& o, StepReport* report, bool off) {
               if (!off) recompute(s, o.schedule, report);
             }},
    PassInfo{"checkpoint", Stage::Step, true, "when what costs little is made again already; for --memory",
             nullptr,
             [](step::Step& s, const StepOptions& o, StepReport* report, bool off) {
               if (!off) checkpoint(s, o.schedule, report);
             }},
    PassInfo{"block", Stage::Step, true, "over naive kernels, whose loops still stand for their indices",
             nullptr,
             [](step::Step& s, const StepOptions& o, StepReport* report, bool off) {
               if (!off) block_runs(s, o.schedule, report);
             }},
    PassInfo{"pad", Stage::Step, true, "when all buffers are known; schedules look at pitches", nullptr,
             [](step::Step& s, const StepOptions& o, StepReport* report, bool off) {
               if (!off) pad_rows(s, o.layouts, o.schedule.machine, report);
             }},
    PassInfo{"merge", Stage::Step, true, "when layouts say what is contiguous, before loops are split",
             nullptr,
             [](step::Step& s, const StepOptions& o, StepReport*, bool off) {
               if (!off) merge_loops(s, o.schedule.machine);
             }},
    PassInfo{"plan", Stage::Step, false, "once a distinct kernel, when layouts are known", nullptr,
             [](step::Step& s, const StepOptions& o, StepReport* report, bool) {
               plan_kernels(s, o.schedule, report);
             }},
    PassInfo{"schedule", Stage::Step, true, "what is planned, carried out", nullptr,
             [](step::Step& s, const StepOptions&, StepReport*, bool off) {
               if (off) s.schedules.clear();
               schedule_kernels(s);
             }},
    PassInfo{"stream", Stage::Step, true, "when kernels and the order of runs are final", nullptr,
             [](step::Step& s, const StepOptions& o, StepReport*, bool off) {
               if (!off) stream_results(s, o.schedule.machine);
             }},
    PassInfo{"barriers", Stage::Step, true, "when schedules have said which kernels threads share", nullptr,
             [](step::Step& s, const StepOptions&, StepReport*, bool off) { insert_barriers(s, off); }},
    PassInfo{"memory", Stage::Step, true, "last: barriers bound lifetimes", nullptr,
             [](step::Step& s, const StepOptions&, StepReport*, bool off) { plan_memory(s, !off); }},
};

// Whether a pass lies within [from, after].
class Window {
 public:
  Window(std::string_view from, std::string_view after)
      : from_(place(from, 0)), after_(place(after, kPasses.size())) {}
  bool holds(const PassInfo& p) const {
    const size_t at = static_cast<size_t>(&p - kPasses.data());
    return at >= from_ && at <= after_;
  }

 private:
  static size_t place(std::string_view name, size_t otherwise) {
    const PassInfo* p = find_pass(name);
    return p ? static_cast<size_t>(p - kPasses.data()) : otherwise;
  }
  size_t from_, after_;
};

// Runs `work`; what goes wrong inside is told with the pass and its input.
template <class Print, class F>
void guarded(std::string_view pass, Print&& input, F&& work, const std::string& function = "") {
  try {
    work();
  } catch (const InternalError& e) {
    throw PassFailure(pass, input(), function, e.what());
  }
}

// The text of a function and of those that it names.
std::string print_reached(const graph::Module& m, const graph::Function& f) {
  std::string out;
  for (const graph::Function* g : graph::reached(m, f)) out += (out.empty() ? "" : "\n") + graph::print(*g);
  return out;
}

}  // namespace

std::span<const PassInfo> all_passes() { return kPasses; }

const PassInfo* find_pass(std::string_view name) {
  auto it = std::find_if(kPasses.begin(), kPasses.end(), [&](const PassInfo& p) { return p.name == name; });
  return it == kPasses.end() ? nullptr : &*it;
}

void check_without(const std::vector<std::string>& without) {
  std::string list;
  for (const PassInfo& p : kPasses)
    if (p.switchable) list += (list.empty() ? "" : ", ") + std::string(p.name);
  for (const std::string& name : without) {
    const PassInfo* p = find_pass(name);
    if (!p)
      throw CompileError({}, fmt::format("unknown pass '{}'; these can be switched off: {}", name, list));
    if (!p->switchable)
      throw CompileError(
          {}, fmt::format("pass {} cannot be switched off ({}); these can: {}", name, p->why, list));
  }
}

graph::Module run_graph_passes(const graph::Module& m, const PipelineOptions& o) {
  const Window window(o.from, o.after);
  std::optional<graph::Module> made;
  for (const PassInfo& p : kPasses) {
    if (p.stage != Stage::Graph || !window.holds(p) || contains(o.without, p.name)) continue;
    const graph::Module& now = made ? *made : m;
    graph::Module next;
    guarded(
        p.name, [&] { return graph::print(now); },
        [&] {
          next = p.graph(now);
          next.drop_unnamed();
          graph::verify(next);
        });
    made = std::move(next);
  }
  return made ? std::move(*made) : m;
}

void run_step_passes(step::Step& s, const StepOptions& o, StepReport* report) {
  const Window window(o.from, o.after);
  const step::Step first = s;
  auto apply = [&](const PassInfo& p, step::Step& to, StepReport* told) {
    p.step(to, o, told, contains(o.without, p.name));
  };
  // A pass works in place: what it was given is made once more.
  auto given = [&](const PassInfo& failed) {
    step::Step before = first;
    for (const PassInfo& p : kPasses)
      if (p.stage == Stage::Step && window.holds(p) && &p < &failed) apply(p, before, nullptr);
    return step::print(before);
  };
  for (const PassInfo& p : kPasses) {
    if (p.stage != Stage::Step || !window.holds(p)) continue;
    try {
      guarded(
          p.name, [&] { return given(p); },
          [&] {
            apply(p, s, report);
            step::verify(s);
          });
    } catch (PassFailure& e) {
      e.segments = o.schedule.segments;
      throw;
    }
  }
}

FusedStep run_fuse(const graph::Module& m, const graph::Function& f, const StepOptions& o,
                   StepReport* report) {
  FuseOptions options = o.fuse;
  options.enabled = !contains(o.without, "fuse");
  FusedStep fused;
  guarded(
      "fuse", [&] { return print_reached(m, f); },
      [&] {
        fused = fuse(m, f, options, report ? &report->fusion_moves : nullptr);
        verify(m, fused);
      },
      f.name);
  return fused;
}

step::Step run_lower(const graph::Module& m, const FusedStep& fused, StepReport* report) {
  step::Step s;
  guarded(
      "lower", [&] { return print(m, fused); },
      [&] {
        s = lower_function(m, fused, report);
        step::verify(s);
      });
  return s;
}

void run_program_passes(std::vector<step::Step>& entries, const StepOptions& o,
                        std::vector<StepReport>* reports) {
  if (contains(o.without, "panels")) return;
  guarded(
      "panels",
      [&] {
        std::string texts;
        for (const step::Step& s : entries) texts += (texts.empty() ? "" : "\n") + step::print(s);
        return texts;
      },
      [&] {
        const StateLayouts layouts = choose_panels(entries, o.schedule.machine);
        for (size_t i = 0; i < entries.size(); ++i) {
          lay_out_states(entries[i], layouts, reports ? &(*reports)[i] : nullptr);
          step::verify(entries[i]);
        }
      });
}

step::Step build_step(const graph::Module& m, const graph::Function& f, const StepOptions& o,
                      StepReport* report) {
  step::Step s = run_lower(m, run_fuse(m, f, o, report), report);
  run_step_passes(s, o, report);
  return s;
}

bool is_entry(std::string_view f) {
  for (std::string_view e : {"init", "train_step", "gather_step", "eval_step", "finish", "predict", "extend"})
    if (f == e) return true;
  return f.starts_with("fit_");
}

}  // namespace gradc::passes
