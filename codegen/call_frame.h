// How a step calls its kernels: every kernel is void (ptr frame, ptr args). The frame is made once a call of
// the step and thread; the arguments are constant data, so that one kernel serves every run and the order of
// runs is a table instead of code.
#pragma once

#include <llvm/IR/DerivedTypes.h>
#include <llvm/IR/IRBuilder.h>

namespace gradc::codegen {

// The members of a frame, eight bytes each.
enum Frame : unsigned {
  kRegions = 0,  // state, io, scratch, and the thread's own area, where its kernels' scratch lies first
  kThreadArea = 3,
  kTable = 4,  // the entry's table: dimensions, then offsets of buffers
  kTid = 5,
  kThreads = 6,
  kBarrier = 7,
  kParams = 8,  // values of kernel parameters, one for each that some run of the step computes
};

// The arguments of a run, 32 bits each: for a buffer its region and the place of its offset in the table,
// then the places of the kernel's dimensions in the table, then where its parameters lie, then parameters
// that are constants, two words each.
inline uint32_t buffer_argument(uint32_t region, uint32_t place) { return place << 2 | region; }
inline uint32_t frame_parameter(uint32_t member) { return 8 * member << 1; }
inline uint32_t constant_parameter(uint32_t argument) { return 4 * argument << 1 | 1; }

inline llvm::Value* frame_member(llvm::IRBuilder<>& b, llvm::Value* frame, unsigned member,
                                 llvm::Type* type) {
  return b.CreateAlignedLoad(type, b.CreateConstInBoundsGEP1_64(b.getInt64Ty(), frame, member),
                             llvm::Align(8));
}

// The iterations of one thread, as step::range_of gives them.
struct ThreadRange {
  llvm::Value *begin, *end;
};
inline ThreadRange thread_range(llvm::IRBuilder<>& b, llvm::Value* tid, llvm::Value* threads,
                                llvm::Value* extent) {
  llvm::Value* each = b.CreateUDiv(extent, threads);
  llvm::Value* rest = b.CreateSub(extent, b.CreateMul(each, threads));
  llvm::Value* begin =
      b.CreateAdd(b.CreateMul(tid, each), b.CreateBinaryIntrinsic(llvm::Intrinsic::smin, tid, rest));
  llvm::Value* more = b.CreateZExt(b.CreateICmpSLT(tid, rest), b.getInt64Ty());
  return {begin, b.CreateAdd(begin, b.CreateAdd(each, more))};
}

}  // namespace gradc::codegen
