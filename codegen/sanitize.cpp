#include "codegen/sanitize.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/InstIterator.h>
#include <llvm/IR/IntrinsicInst.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Transforms/Instrumentation/AddressSanitizer.h>
#include <llvm/Transforms/Instrumentation/ThreadSanitizer.h>

#include <vector>
#endif

namespace gradc::codegen {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
namespace {

struct Analyses {
  Analyses() {
    llvm::PassBuilder builder;
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(calls);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, calls, modules);
  }
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager calls;
  llvm::ModuleAnalysisManager modules;
};

#if defined(__SANITIZE_ADDRESS__)
void check_addresses(llvm::Module& m) {
  for (llvm::Function& f : m)
    if (!f.isDeclaration()) f.addFnAttr(llvm::Attribute::SanitizeAddress);
  Analyses analyses;
  llvm::AddressSanitizerOptions o;
  o.InsertVersionCheck = false;
  // No constructor runs in code that is linked here, and none is needed: the runtime is this program's.
  llvm::AddressSanitizerPass(o, true, false, llvm::AsanDtorKind::None, llvm::AsanCtorKind::None)
      .run(m, analyses.modules);
}
#else
// An access that LLVM's pass passes over: it knows those of 1, 2, 4, 8 and 16 bytes, and none with a mask.
struct Access {
  llvm::Instruction* at;
  llvm::Value* pointer;
  llvm::Type* type;
  llvm::Value* mask;  // null for all lanes
  bool writes;
};

void add_access(llvm::Instruction& i, std::vector<Access>& to) {
  const llvm::DataLayout& layout = i.getModule()->getDataLayout();
  auto passed_over = [&](llvm::Type* t) {
    const uint64_t bytes = layout.getTypeStoreSize(t);
    return bytes > 16 || (bytes & (bytes - 1)) != 0;
  };
  if (auto* load = llvm::dyn_cast<llvm::LoadInst>(&i)) {
    if (passed_over(load->getType()))
      to.push_back({load, load->getPointerOperand(), load->getType(), nullptr, false});
  } else if (auto* store = llvm::dyn_cast<llvm::StoreInst>(&i)) {
    llvm::Type* t = store->getValueOperand()->getType();
    if (passed_over(t)) to.push_back({store, store->getPointerOperand(), t, nullptr, true});
  } else if (auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&i)) {
    if (call->getIntrinsicID() == llvm::Intrinsic::masked_load)
      to.push_back({call, call->getArgOperand(0), call->getType(), call->getArgOperand(2), false});
    if (call->getIntrinsicID() == llvm::Intrinsic::masked_store)
      to.push_back(
          {call, call->getArgOperand(1), call->getArgOperand(0)->getType(), call->getArgOperand(3), true});
  }
}

// Says the access to the runtime, lane by lane where a mask chooses: nothing is said of 0 bytes.
void report(llvm::Module& m, const Access& a) {
  // What lives in registers, or on this thread's stack, is nobody else's.
  if (llvm::isa<llvm::AllocaInst>(a.pointer->stripInBoundsOffsets())) return;
  llvm::IRBuilder<> b(a.at);
  const llvm::FunctionCallee say = m.getOrInsertFunction(
      a.writes ? "__tsan_write_range" : "__tsan_read_range", b.getVoidTy(), b.getPtrTy(), b.getInt64Ty());
  const llvm::DataLayout& layout = m.getDataLayout();
  if (a.mask == nullptr) {
    b.CreateCall(say, {a.pointer, b.getInt64(layout.getTypeStoreSize(a.type))});
    return;
  }
  auto* vector = llvm::cast<llvm::FixedVectorType>(a.type);
  llvm::Value* bytes = b.getInt64(layout.getTypeStoreSize(vector->getElementType()));
  for (unsigned lane = 0; lane < vector->getNumElements(); ++lane) {
    llvm::Value* size = b.CreateSelect(b.CreateExtractElement(a.mask, lane), bytes, b.getInt64(0));
    b.CreateCall(say, {b.CreateConstGEP1_64(vector->getElementType(), a.pointer, lane), size});
  }
}

void check_races(llvm::Module& m) {
  Analyses analyses;
  for (llvm::Function& f : m) {
    if (f.isDeclaration()) continue;
    std::vector<Access> accesses;
    for (llvm::Instruction& i : llvm::instructions(f)) add_access(i, accesses);
    for (const Access& a : accesses) report(m, a);
    f.addFnAttr(llvm::Attribute::SanitizeThread);
    llvm::ThreadSanitizerPass().run(f, analyses.functions);
  }
}
#endif

}  // namespace
#endif

void instrument([[maybe_unused]] llvm::Module& m) {
#if defined(__SANITIZE_ADDRESS__)
  check_addresses(m);
#elif defined(__SANITIZE_THREAD__)
  check_races(m);
#endif
}

}  // namespace gradc::codegen
