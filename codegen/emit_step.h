// Steps as LLVM modules: kernels, each once, and one exported entry function for each step.
#pragma once

#include <llvm/IR/Module.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/step/step.h"

namespace gradc::codegen {

struct TargetInfo;

// The distinct kernels of all steps, and which module each is written to, so that several threads can
// compile.
struct Division {
  struct Part {
    std::vector<const kernel::Kernel*> kernels;
    std::vector<int> numbers;  // of the kernels
  };
  std::vector<Part> parts;                   // the first also holds the entries
  std::vector<std::vector<int>> numbers_of;  // kernels of each step
};
// For so many cores, into parts that LLVM takes about equally long for.
Division divide(std::span<const step::Step> steps, size_t cores);

// One part. In a single one kernels are internal; in several they find each other by names.
std::unique_ptr<llvm::Module> emit_module(llvm::LLVMContext& c, std::span<const step::Step> steps,
                                          const Division& division, size_t part, const std::string& prefix,
                                          const TargetInfo& t);

}  // namespace gradc::codegen
