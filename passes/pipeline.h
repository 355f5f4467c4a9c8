// The pipeline: every pass in order with the reason for its place, as data. A pass takes an IR and gives an
// IR that is printed, read back and verified; its name is its flag in `gradc opt` and `--without`.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/step/step.h"
#include "passes/lower/lower_function.h"
#include "passes/report.h"
#include "passes/step/panels.h"
#include "passes/step/step_passes.h"
#include "support/check.h"

namespace gradc::passes {

struct StepOptions {
  FuseOptions fuse;
  ScheduleOptions schedule;
  BufferLayouts layouts;  // instead of what `pad` chooses, for tests
  std::vector<std::string> without;
  std::string from, after;
};

// What a pass takes: all functions of a module, one of them with what it names, its groups, the steps of all
// entries together, or a step.
enum class Stage : uint8_t { Graph, Fuse, Lower, Program, Step };

struct PassInfo {
  std::string_view name;
  Stage stage;
  bool switchable;  // exact: without it the bits are the same
  std::string_view why;
  graph::Module (*graph)(const graph::Module&) = nullptr;                          // Stage::Graph
  void (*step)(step::Step&, const StepOptions&, StepReport*, bool off) = nullptr;  // Stage::Step
};
std::span<const PassInfo> all_passes();
const PassInfo* find_pass(std::string_view name);
// Throws CompileError that lists what there is, for a pass that does not exist or cannot be switched off.
void check_without(const std::vector<std::string>& without);

// A pass broke its own rules. `input` is what it was given, as text that `gradc opt --from=PASS` reads;
// `function` is which one of it was on its way to a step, "" where the text says so or the pass takes all.
struct PassFailure : InternalError {
  PassFailure(std::string_view pass_name, std::string text, std::string function_name, const std::string& why)
      : InternalError(fmt::format("pass {}: {}", pass_name, why)),
        pass(pass_name),
        input(std::move(text)),
        function(std::move(function_name)) {}
  std::string pass, input, function;
  int64_t segments = 0;  // of --memory, for passes on steps
};

struct PipelineOptions {
  std::string from, after;           // names; "" for the first and the last
  std::vector<std::string> without;  // left out, where what follows knows the form before alone
};

// Every function made primitive: no calls, no value_and_grad; dead nodes gone; every rounding decided.
graph::Module run_graph_passes(const graph::Module& m, const PipelineOptions& o = {});
// The pass `fuse` on a primitive function, and `lower` on what it gives.
FusedStep run_fuse(const graph::Module& m, const graph::Function& f, const StepOptions& o,
                   StepReport* report = nullptr);
step::Step run_lower(const graph::Module& m, const FusedStep& fused, StepReport* report = nullptr);
// The passes on all entries of a program, whose kernels are naive yet.
void run_program_passes(std::vector<step::Step>& entries, const StepOptions& o,
                        std::vector<StepReport>* reports = nullptr);
// The passes on steps alone.
void run_step_passes(step::Step& s, const StepOptions& o, StepReport* report = nullptr);
// One primitive function to a step that can be compiled.
step::Step build_step(const graph::Module& m, const graph::Function& f, const StepOptions& o,
                      StepReport* report = nullptr);

// Whether a function is compiled to a step of its own: init, train_step, eval_step, finish, predict, fit_N,
// ...
bool is_entry(std::string_view function);

}  // namespace gradc::passes
