// The whole compiler on one page: model text to a program that can be called. What the command line, hosts and
// tests use; everything below it is an implementation detail.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "ir/step/step.h"
#include "passes/step/build_step.h"
#include "runtime/program.h"
#include "support/machine.h"

namespace gradc {

struct CompileOptions {
  frontend::Options frontend;
  codegen::Options codegen;
  std::vector<std::string> without;      // names of exact passes that are switched off (fuse, tile, reuse, ...)
  std::vector<std::string> only;         // entries to compile; empty: all
  std::vector<std::pair<std::string, std::string>> dumps;  // filled when `dump` is set: stage name, text
  bool dump = false;
};

struct Timing {
  double frontend_ms = 0, passes_ms = 0, lower_ms = 0, codegen_ms = 0;
  double total() const { return frontend_ms + passes_ms + lower_ms + codegen_ms; }
};

// A compiled model. `program` points into `code`, so they live together.
struct Compiled {
  frontend::Unit unit;
  graph::Module primitive;                     // the functions after the graph passes
  std::vector<step::Step> steps;               // one for each entry
  std::vector<passes::StepReport> reports;
  std::unique_ptr<codegen::Jit> code;          // null when only lowered
  runtime::Program program;
  Timing timing;
  bool from_cache = false;

  const step::Step& step(const std::string& name) const;
};

// Text to tables and primitive functions and steps, without machine code. Errors are thrown as CompileError once
// they have been added to `diagnostics`.
Compiled lower_model(Sources& sources, uint32_t file, CompileOptions& o, Diagnostics& diagnostics);
// The same, with machine code in this process.
Compiled compile_model(Sources& sources, uint32_t file, CompileOptions& o, Diagnostics& diagnostics);

// One function of an IR module to a step; used by `gradc run`, tests and compile_model.
step::Step lower_function(const graph::Module& primitive, const graph::Function& f, const CompileOptions& o,
                          const std::map<std::string, int64_t>& state_offsets, int64_t state_bytes,
                          passes::StepReport* report = nullptr);
Machine machine_of(const codegen::Target& t);

// The Program's table for one step.
runtime::Entry make_entry(const step::Step& s);
runtime::DType runtime_dtype(DType t);

}  // namespace gradc
