#include "codegen/sanitize.h"

#if defined(__SANITIZE_ADDRESS__)
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Transforms/Instrumentation/AddressSanitizer.h>
#endif

namespace gradc::codegen {

void check_addresses([[maybe_unused]] llvm::Module& m) {
#if defined(__SANITIZE_ADDRESS__)
  for (llvm::Function& f : m)
    if (!f.isDeclaration()) f.addFnAttr(llvm::Attribute::SanitizeAddress);
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager calls;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder;
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(calls);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, calls, modules);
  llvm::AddressSanitizerOptions o;
  o.InsertVersionCheck = false;
  // No constructor runs in code that is linked here, and none is needed: the runtime is this program's.
  llvm::AddressSanitizerPass(o, true, false, llvm::AsanDtorKind::None, llvm::AsanCtorKind::None)
      .run(m, modules);
#endif
}

}  // namespace gradc::codegen
