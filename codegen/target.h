// LLVM's view of a target, shared by the JIT and the object emitter.
#pragma once

#include <llvm/Target/TargetMachine.h>

#include <memory>

#include "codegen/codegen.h"

namespace gradc::codegen {

std::unique_ptr<llvm::TargetMachine> make_machine(const TargetInfo& t, bool position_independent);

}  // namespace gradc::codegen
