// Targets: what the host can do by its feature bits (its name is not to be trusted), and named processors.
#include "codegen/target.h"

#include <llvm/MC/MCSubtargetInfo.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/TargetParser/SubtargetFeature.h>
#include <llvm/TargetParser/X86TargetParser.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <mutex>

#include "support/diagnostic.h"

namespace gradc::codegen {
namespace {

void initialize() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
  });
}

const llvm::Target& lookup(const std::string& triple) {
  initialize();
  std::string error;
  const llvm::Target* t = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!t) throw CompileError({}, fmt::format("unknown target '{}'", triple));
  return *t;
}

// Asked once: on a virtual machine the hypervisor answers each of its questions.
const llvm::StringMap<bool>& features_here() {
  static const llvm::StringMap<bool> known = llvm::sys::getHostCPUFeatures();
  return known;
}

std::string host_features() {
  llvm::SubtargetFeatures f;
  for (const auto& kv : features_here()) f.AddFeature(kv.first(), kv.second);
  return f.getString();
}

// A processor name that says the same as the feature bits, for tuning only.
std::string host_cpu(const std::string& features) {
  auto has = [&](const char* name) {
    return ("," + features + ",").find(std::string(",+") + name + ",") != std::string::npos;
  };
  if (has("amx-tile")) return "sapphirerapids";
  if (has("avx512f") && has("avx512vl")) return has("avx512bf16") ? "znver4" : "icelake-server";
  if (has("avx2") && has("fma")) return "x86-64-v3";
  return "x86-64-v2";
}

using Subtarget = std::unique_ptr<llvm::MCSubtargetInfo>;

// x86 names whose processors have 64 bits; LLVM aborts on the others.
std::vector<std::string> x86_names() {
  llvm::SmallVector<llvm::StringRef> names;
  llvm::X86::fillValidCPUArchList(names, true);
  std::vector<std::string> known{"native", "generic"};
  for (llvm::StringRef n : names) known.push_back(n.str());
  return known;
}

constexpr const char* kTry = "try native, x86-64, x86-64-v2, x86-64-v3 or x86-64-v4";

void check_cpu(const std::string& cpu, const llvm::Target& target, const std::string& triple) {
  const Subtarget info(target.createMCSubtargetInfo(triple, "", ""));
  const bool x86 = llvm::Triple(triple).isX86();
  if (!info->isCPUStringValid(cpu)) {
    const std::string near = x86 ? nearest(cpu, x86_names()) : "";
    throw CompileError({}, fmt::format("unknown cpu '{}'{}", cpu,
                                       near.empty() ? fmt::format("; {}", kTry)
                                                    : fmt::format("; did you mean '{}'?", near)));
  }
  if (x86 && !Subtarget(target.createMCSubtargetInfo(triple, cpu, ""))->checkFeatures("+64bit"))
    throw CompileError({}, fmt::format("the cpu '{}' has 32 bits, code is made for 64; {}", cpu, kTry));
}

// Instructions that the code generator picks by itself; others (key stores, prefetching) it leaves alone.
bool picked_by_itself(llvm::StringRef feature) {
  constexpr llvm::StringRef kFamilies[] = {"sse",   "ssse",   "avx",   "fma",  "xop",       "tbm",  "bmi",
                                           "lzcnt", "popcnt", "movbe", "f16c", "gfni",      "cx16", "sahf",
                                           "egpr",  "ndd",    "nf",    "ppx",  "push2pop2", "zu",   "ccmp"};
  return std::any_of(std::begin(kFamilies), std::end(kFamilies),
                     [&](llvm::StringRef f) { return feature.starts_with(f); });
}

// Of the instructions that code for this target may hold, those that this machine lacks.
std::vector<std::string> missing_here(const Subtarget& info) {
  std::vector<std::string> out;
  for (const auto& kv : features_here())
    if (!kv.second && picked_by_itself(kv.first()) && info->checkFeatures("+" + kv.first().str()))
      out.push_back(kv.first().str());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

TargetInfo resolve(const Target& t) {
  TargetInfo r;
  const std::string host = llvm::sys::getProcessTriple();
  r.triple = t.triple.empty() ? host : t.triple;
  const llvm::Target& target = lookup(r.triple);
  r.native = (t.cpu.empty() || t.cpu == "native") && t.triple.empty();
  if (r.native) {
    r.features = host_features();
    r.cpu = host_cpu(r.features);
  } else {
    r.cpu = t.cpu.empty() ? "generic" : t.cpu;
    check_cpu(r.cpu, target, r.triple);
  }
  if (!t.features.empty()) r.features += (r.features.empty() ? "" : ",") + t.features;
  std::unique_ptr<llvm::MCSubtargetInfo> info(target.createMCSubtargetInfo(r.triple, r.cpu, r.features));
  const bool x86 = llvm::Triple(r.triple).isX86();
  const bool avx512 = x86 && info->checkFeatures("+avx512f"), avx2 = x86 && info->checkFeatures("+avx2");
  r.fma = !x86 || info->checkFeatures("+fma") || info->checkFeatures("+fma4");
  r.lanes = t.lanes ? t.lanes : avx512 ? 16 : avx2 ? 8 : 4;
  if (r.lanes != 4 && r.lanes != 8 && r.lanes != 16)
    throw CompileError({}, fmt::format("--lanes is 4, 8 or 16, not {}", t.lanes));
  r.vector_registers = avx512 || !x86 ? 32 : 16;
  return r;
}

void check_runs_here(const TargetInfo& t) {
  const llvm::Triple host(llvm::sys::getProcessTriple());
  if (llvm::Triple(t.triple).getArch() != host.getArch())
    throw CompileError(
        {}, fmt::format("code for {} does not run on this machine, which is {}", t.triple, host.str()));
  const llvm::Target& target = lookup(t.triple);
  const Subtarget info(target.createMCSubtargetInfo(t.triple, t.cpu, t.features));
  const std::vector<std::string> missing = missing_here(info);
  if (missing.empty()) return;
  std::vector<std::string> names{"native"};
  for (const char* n : {"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"})
    if (host.isX86() && missing_here(Subtarget(target.createMCSubtargetInfo(t.triple, n, ""))).empty())
      names.push_back(n);
  throw CompileError({},
                     fmt::format("code for the cpu '{}' does not run on this machine, which lacks {}; here "
                                 "run {}",
                                 t.cpu, fmt::join(missing, ", "), fmt::join(names, ", ")));
}

std::unique_ptr<llvm::TargetMachine> make_machine(const TargetInfo& t, bool position_independent) {
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(lookup(t.triple).createTargetMachine(
      t.triple, t.cpu, t.features, options,
      position_independent ? std::optional(llvm::Reloc::PIC_) : std::nullopt, std::nullopt,
      llvm::CodeGenOptLevel::Default));
}

std::string version() { return "LLVM " LLVM_VERSION_STRING; }

}  // namespace gradc::codegen
