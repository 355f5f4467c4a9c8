// LLVM's view of a target, shared by the JIT and the object emitter.
#pragma once

#include <llvm/Target/TargetMachine.h>

#include <memory>

#include "codegen/codegen.h"

namespace gradc::codegen {

// All that machine code depends on but the build of the compiler.
std::string key_of(std::span<const step::Step> steps, const TargetInfo& t);
// Throws CompileError when the target's code may hold instructions that this machine lacks.
void check_runs_here(const TargetInfo& t);
std::unique_ptr<llvm::TargetMachine> make_machine(const TargetInfo& t, bool position_independent);

}  // namespace gradc::codegen
