// The whole compiler on one page: model text to a program that can be called. What the command line, hosts
// and tests use; everything below it is an implementation detail.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/extension.h"
#include "driver/lower_function.h"
#include "driver/state_table.h"
#include "frontend/frontend.h"
#include "ir/step/step.h"
#include "passes/pipeline.h"
#include "runtime/program.h"

namespace gradc {

struct ModelOptions {
  frontend::Options frontend;
  CompileOptions compile;
  std::vector<std::string> only;       // entries to compile; empty: all
  std::vector<std::string> leave_out;  // but these
  passes::PipelineOptions pipeline;
  ChooseLayout layouts;   // how states lie, for tests; else the pass `panels` chooses
  bool extend = false;    // @extend too, where @predict has one
  std::string cache_dir;  // of compiled programs; "" for none
};

struct Timing {
  double frontend_ms = 0, passes_ms = 0, lower_ms = 0, codegen_ms = 0;
  double total() const { return frontend_ms + passes_ms + lower_ms + codegen_ms; }
};

// A compiled model. `program` points into `code`, so they live together.
struct Compiled {
  frontend::Unit unit;
  // Empty where the program came from the cache: the functions after the graph passes, and what became of
  // them.
  graph::Module primitive;
  std::vector<step::Step> steps;
  std::vector<passes::StepReport> reports;
  passes::StateTable state;
  std::unique_ptr<codegen::Jit> code;  // null when only lowered
  runtime::Program program;
  Extended extended;  // what became of @extend, where it was asked for
  Timing timing;
  bool from_cache = false;
  std::string cache_problem;  // why the cache is not used; "" when it is
};

// Text to tables, primitive functions and steps, without machine code. Mistakes are in `diagnostics`; then it
// throws CompileError.
Compiled lower_model(Sources& sources, uint32_t file, const ModelOptions& o, Diagnostics& diagnostics);
// What is behind the frontend: a unit that text, an importer or a builder (frontend/assembly) made. `sources`
// are those of its places.
Compiled lower_unit(frontend::Unit unit, const ModelOptions& o, const Sources& sources);
// Machine code in this process for what was lowered.
void generate_code(Compiled& c, const ModelOptions& o);
// Text to a program that can be called. What was compiled before from equal functions with equal options, by
// this build for this instruction set, comes from the cache behind the front end.
Compiled compile_model(Sources& sources, uint32_t file, const ModelOptions& o, Diagnostics& diagnostics);

// The Program's row for one step.
runtime::Entry make_entry(const step::Step& s);

}  // namespace gradc
