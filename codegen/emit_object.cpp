// Object files, assembly and LLVM text of steps.
#include <llvm/CodeGen/MachineFunctionPass.h>
#include <llvm/CodeGen/MachineModuleInfo.h>
#include <llvm/CodeGen/Passes.h>
#include <llvm/CodeGen/TargetPassConfig.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Support/xxhash.h>

#include <algorithm>
#include <thread>

#include "codegen/emit_step.h"
#include "codegen/program_cache.h"
#include "codegen/sanitize.h"
#include "codegen/target.h"
#include "support/check.h"
#include "support/parallel.h"

namespace gradc::codegen {
namespace {

// Without the passes that find nothing to do in kernels, or nothing that is worth their time. Addresses are
// written as they are to be computed: what does not change in a loop stands before it, and the constants of
// unrolled loops are displacements. Strength reduction, with what it asks for, gained nothing on any of the
// twelve steps, and took a fifth of the time.
class Passes : public llvm::legacy::PassManager {
 public:
  void add(llvm::Pass* p) override {
    static constexpr llvm::StringRef kLeftOut[] = {
        "Loop Strength Reduction", "Canonicalize Freeze Instructions in Loops",
        "Module Verifier",         "Expand large div/rem",
        "Expand large fp convert", "X86 Domain Reassignment Pass"};
    if (std::find(std::begin(kLeftOut), std::end(kLeftOut), p->getPassName()) == std::end(kLeftOut))
      llvm::legacy::PassManager::add(p);
    else
      delete p;
  }
};

// As addPassesToEmitFile, without the two instruction schedulers and the pass that moves instructions down to
// their uses: kernels are written in the order that they are to run in, rows in turn for one, the processors
// reorder hundreds of instructions, and in long unrolled blocks the schedulers took two thirds of the time of
// a compilation.
void add_code_generation(llvm::legacy::PassManager& passes, llvm::LLVMTargetMachine& machine,
                         llvm::raw_pwrite_stream& out, llvm::CodeGenFileType kind) {
  llvm::TargetPassConfig* config = machine.createPassConfig(passes);
  config->disablePass(&llvm::MachineSchedulerID);
  config->disablePass(&llvm::PostRASchedulerID);
  config->disablePass(&llvm::MachineSinkingID);
  auto* info = new llvm::MachineModuleInfoWrapperPass(&machine);
  passes.add(config);
  passes.add(info);
  const bool refused = config->addISelPasses();
  if (!refused) {
    config->addMachinePasses();
    config->setInitialized();
  }
  GRADC_CHECK(!refused && !machine.addAsmPrinter(passes, out, nullptr, kind, info->getMMI().getContext()),
              "the target {} has no object files", machine.getTargetTriple().str());
  passes.add(llvm::createFreeMachineFunctionPass());
}

std::string emit_file(std::span<const step::Step> steps, const Division& division, size_t part,
                      const std::string& prefix, const Options& o, llvm::CodeGenFileType kind,
                      bool runs_here = false) {
  const TargetInfo t = resolve(o.target);
  llvm::LLVMContext c;
  auto machine = make_machine(t, true);
  auto m = emit_module(c, steps, division, part, prefix, t);
  m->setDataLayout(machine->createDataLayout());
  if (runs_here) instrument(*m);
  if (kind == llvm::CodeGenFileType::ObjectFile && part == 0) {
    llvm::Type* i64 = llvm::Type::getInt64Ty(c);
    new llvm::GlobalVariable(*m, i64, true, llvm::GlobalValue::ExternalLinkage,
                             llvm::ConstantInt::get(i64, 0), build_symbol(steps, prefix, o));
  }
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  Passes passes;
  add_code_generation(passes, static_cast<llvm::LLVMTargetMachine&>(*machine), out, kind);
  passes.run(*m);
  return {bytes.data(), bytes.size()};
}

}  // namespace

std::string build_symbol(std::span<const step::Step> steps, const std::string& prefix, const Options& o) {
  const TargetInfo t = resolve(o.target);
  std::string key = fmt::format("{} {} {} {} {}\n", version(), t.triple, t.cpu, t.features, t.lanes);
  for (const step::Step& s : steps) key += step::print(s);
  return fmt::format("{}build_{:016x}", prefix, llvm::xxh3_64bits(llvm::StringRef(key + build_identity())));
}

std::string emit_object(std::span<const step::Step> steps, const std::string& prefix, const Options& o) {
  return emit_file(steps, divide(steps, 1), 0, prefix, o, llvm::CodeGenFileType::ObjectFile);
}

std::vector<std::string> emit_objects(std::span<const step::Step> steps, const Options& o) {
  const Division division = divide(steps, std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::string> objects(division.parts.size());
  in_parallel(objects.size(), [&](size_t p) {
    objects[p] = emit_file(steps, division, p, "", o, llvm::CodeGenFileType::ObjectFile, true);
  });
  return objects;
}

std::string emit_assembly(std::span<const step::Step> steps, const Options& o) {
  return emit_file(steps, divide(steps, 1), 0, "", o, llvm::CodeGenFileType::AssemblyFile);
}
std::string emit_llvm(std::span<const step::Step> steps, const Options& o) {
  llvm::LLVMContext c;
  auto m = emit_module(c, steps, divide(steps, 1), 0, "", resolve(o.target));
  std::string text;
  llvm::raw_string_ostream out(text);
  m->print(out, nullptr);
  return text;
}

}  // namespace gradc::codegen
