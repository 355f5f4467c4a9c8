// From step IR to machine code: in memory (JIT) or as an object file. LLVM is an implementation detail behind
// this header. One code path serves all vector widths; the width is a field here, never in a kernel's text.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/step/step.h"
#include "runtime/abi.h"

namespace gradc::codegen {

struct Target {
  std::string triple;    // "" for the host
  std::string cpu;       // "" or "native" for the host; any name LLVM knows, x86-64-v2, -v3, -v4
  std::string features;  // added to those of the cpu, "+avx512f,-fma"
  int lanes = 0;         // f32 lanes of a vector: 4, 8, 16; 0 for the target's natural width
};

// What is known of a target once resolved; throws CompileError for an unknown cpu, or one of 32 bits, with
// names that work.
struct TargetInfo {
  std::string triple, cpu, features;
  int lanes = 4;
  int vector_registers = 16;
  bool fma = false;
  bool native = false;  // the machine that this runs on, whatever that is
};
TargetInfo resolve(const Target& t);

struct Options {
  Target target;
};

// Code in this process. The functions live as long as the object.
class Jit {
 public:
  virtual ~Jit() = default;
  // The entry of step `name`; internal error if absent.
  virtual gradc_entry_v1 entry(const std::string& name) const = 0;
};
std::unique_ptr<Jit> jit(std::span<const step::Step> steps, const Options& o);
// Of parts that emit_objects gave for a target that runs here.
std::unique_ptr<Jit> link(const std::vector<std::string>& objects);
// Throws CompileError when the target's code may hold instructions that this machine lacks.
void check_runs_here(const TargetInfo& t);

// An object file whose exported functions are <prefix><step name>, and a constant 0 called build_symbol: what
// refers to it links with the object of this very build alone.
std::string emit_object(std::span<const step::Step> steps, const std::string& prefix, const Options& o);
// The same in parts that are linked together in this process, without the prefix, compiled on all cores.
std::vector<std::string> emit_objects(std::span<const step::Step> steps, const Options& o);
std::string build_symbol(std::span<const step::Step> steps, const std::string& prefix, const Options& o);
std::string emit_assembly(std::span<const step::Step> steps, const Options& o);
std::string emit_llvm(std::span<const step::Step> steps, const Options& o);

// The table argument of a step: dims in order, the offsets of its buffers at these dimensions' planned
// maximum, then the offset of the threads' scratch within the scratch region.
std::vector<int64_t> make_table(const step::Step& s, std::span<const int64_t> dims);
// Bytes of the scratch region for a team: shared buffers, then 64-byte aligned areas of the threads.
int64_t scratch_bytes(const step::Step& s, int threads);

std::string version();  // "LLVM 19.1.7"

}  // namespace gradc::codegen
