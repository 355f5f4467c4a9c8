// Steps as LLVM modules: kernels, each once, and one exported entry function for each step.
#pragma once

#include <llvm/IR/Module.h>

#include <memory>
#include <span>
#include <string>

#include "ir/step/step.h"

namespace gradc::codegen {

struct TargetInfo;
std::unique_ptr<llvm::Module> emit_module(llvm::LLVMContext& c, std::span<const step::Step> steps,
                                          const std::string& prefix, const TargetInfo& t);

}  // namespace gradc::codegen
