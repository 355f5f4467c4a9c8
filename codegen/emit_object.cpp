// Object files, assembly and LLVM text of steps.
#include <llvm/IR/Constants.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/SmallVectorMemoryBuffer.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Support/xxhash.h>

#include "codegen/emit_step.h"
#include "codegen/object_cache.h"
#include "codegen/target.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

std::string emit_file(std::span<const step::Step> steps, const std::string& prefix, const Options& o,
                      llvm::CodeGenFileType kind) {
  const TargetInfo t = resolve(o.target);
  llvm::LLVMContext c;
  auto machine = make_machine(t, true);
  auto m = emit_module(c, steps, prefix, t);
  m->setDataLayout(machine->createDataLayout());
  if (kind == llvm::CodeGenFileType::ObjectFile) {
    llvm::Type* i64 = llvm::Type::getInt64Ty(c);
    new llvm::GlobalVariable(*m, i64, true, llvm::GlobalValue::ExternalLinkage,
                             llvm::ConstantInt::get(i64, 0), build_symbol(steps, prefix, o));
  }
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream out(bytes);
  llvm::legacy::PassManager passes;
  GRADC_CHECK(!machine->addPassesToEmitFile(passes, out, nullptr, kind), "the target {} has no object files",
              t.triple);
  passes.run(*m);
  return {bytes.data(), bytes.size()};
}

}  // namespace

std::string key_of(std::span<const step::Step> steps, const TargetInfo& t) {
  std::string key = fmt::format("{} {} {} {} {}\n", version(), t.triple, t.cpu, t.features, t.lanes);
  for (const step::Step& s : steps) key += step::print(s);
  return key;
}

std::string build_symbol(std::span<const step::Step> steps, const std::string& prefix, const Options& o) {
  const std::string key = key_of(steps, resolve(o.target)) + build_identity();
  return fmt::format("{}build_{:016x}", prefix, llvm::xxh3_64bits(llvm::StringRef(key)));
}

std::string emit_object(std::span<const step::Step> steps, const std::string& prefix, const Options& o) {
  return emit_file(steps, prefix, o, llvm::CodeGenFileType::ObjectFile);
}
std::string emit_assembly(std::span<const step::Step> steps, const Options& o) {
  return emit_file(steps, "", o, llvm::CodeGenFileType::AssemblyFile);
}
std::string emit_llvm(std::span<const step::Step> steps, const Options& o) {
  llvm::LLVMContext c;
  auto m = emit_module(c, steps, "", resolve(o.target));
  std::string text;
  llvm::raw_string_ostream out(text);
  m->print(out, nullptr);
  return text;
}

}  // namespace gradc::codegen
