#include "codegen/emit_step.h"

#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/TargetParser/Triple.h>

#include "codegen/codegen.h"
#include "codegen/emit_index.h"
#include "codegen/emit_kernel.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

using namespace step;
using LValue = llvm::Value*;

class StepEmitter {
 public:
  StepEmitter(llvm::Module& m, const Step& s, const std::vector<llvm::Function*>& kernels,
              const std::string& name, bool x86)
      : c_(m.getContext()), m_(m), b_(c_), index_(b_), s_(s), kernels_(kernels), x86_(x86) {
    llvm::Type *ptr = llvm::PointerType::getUnqual(c_), *i32 = b_.getInt32Ty();
    auto* type = llvm::FunctionType::get(b_.getVoidTy(), {ptr, ptr, ptr, ptr, i32, i32, ptr}, false);
    f_ = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, m);
    f_->addFnAttr(llvm::Attribute::NoUnwind);
    b_.SetInsertPoint(llvm::BasicBlock::Create(c_, "entry", f_));
  }

  void run() {
    LValue saved = x86_ ? set_float_mode() : nullptr;
    prepare();
    emit_body(s_.body);
    if (saved) b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {saved});
    b_.CreateRetVoid();
  }

 private:
  // Round to nearest, denormals kept, exceptions masked; the caller's mode comes back at the end.
  LValue set_float_mode() {
    LValue saved = b_.CreateAlloca(b_.getInt32Ty()), ours = b_.CreateAlloca(b_.getInt32Ty());
    b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_stmxcsr, {}, {saved});
    b_.CreateStore(b_.getInt32(0x1F80), ours);
    b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {ours});
    return saved;
  }

  LValue table(size_t i) {
    return b_.CreateAlignedLoad(
        b_.getInt64Ty(), b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), f_->getArg(3), i), llvm::Align(8));
  }
  void prepare() {
    tid_ = b_.CreateZExt(f_->getArg(4), b_.getInt64Ty());
    threads_ = b_.CreateZExt(f_->getArg(5), b_.getInt64Ty());
    for (size_t d = 0; d < s_.dims.size(); ++d) {
      dims_[s_.dims[d].name] = table(d);
      index_.set_dim(s_.dims[d].name, dims_[s_.dims[d].name]);
    }
    for (size_t i = 0; i < s_.buffers.size(); ++i) {
      LValue base = f_->getArg(static_cast<unsigned>(s_.buffers[i].region));
      buffers_.push_back(b_.CreateInBoundsGEP(b_.getInt8Ty(), base, table(s_.dims.size() + i)));
    }
    LValue area =
        b_.CreateAdd(table(s_.dims.size() + s_.buffers.size()),
                     b_.CreateMul(tid_, b_.getInt64(static_cast<uint64_t>(thread_scratch_bytes(s_)))));
    scratch_ = b_.CreateInBoundsGEP(b_.getInt8Ty(), f_->getArg(2), area);
  }

  void emit_body(const Body& body) {
    for (const Stmt& s : body) std::visit([&](const auto& x) { emit(x); }, s);
  }

  void emit(const Run& r) {
    const kernel::Kernel& k = s_.kernels[r.kernel];
    std::vector<LValue> args;
    for (int b : r.buffers) args.push_back(buffers_[b]);
    args.push_back(scratch_);
    for (const std::string& d : dims_of(k)) args.push_back(dims_.at(d));
    std::map<int, Index> bound;
    for (size_t p = 0; p < r.params.size(); ++p) {
      args.push_back(index_.value(r.params[p]));
      bound[k.params[p]] = r.params[p];
    }
    const kernel::For* loop = kernel::parallel_loop(k);
    if (!loop) {
      args.push_back(b_.getInt64(0));
      args.push_back(b_.getInt64(1));
      when(b_.CreateICmpEQ(tid_, b_.getInt64(0)), [&] { b_.CreateCall(kernels_[r.kernel], args); });
      return;
    }
    const Index extent = loop->extent.substitute([&](int v) { return bound.at(v); });
    auto [begin, end] = range(index_.value(extent));
    args.push_back(begin);
    args.push_back(end);
    when(b_.CreateICmpSLT(begin, end), [&] { b_.CreateCall(kernels_[r.kernel], args); });
  }

  // step::range_of, as instructions.
  std::pair<LValue, LValue> range(LValue extent) {
    LValue each = b_.CreateUDiv(extent, threads_);
    LValue rest = b_.CreateSub(extent, b_.CreateMul(each, threads_));
    LValue begin =
        b_.CreateAdd(b_.CreateMul(tid_, each), b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, tid_, rest));
    LValue more = b_.CreateZExt(b_.CreateICmpSLT(tid_, rest), b_.getInt64Ty());
    return {begin, b_.CreateAdd(begin, b_.CreateAdd(each, more))};
  }

  template <class F>
  void when(LValue condition, F&& fill) {
    auto* then = llvm::BasicBlock::Create(c_, "then", f_);
    auto* after = llvm::BasicBlock::Create(c_, "after", f_);
    index_.enter(b_.CreateCondBr(condition, then, after));
    b_.SetInsertPoint(then);
    fill();
    b_.CreateBr(after);
    index_.leave();
    b_.SetInsertPoint(after);
  }

  // gradc_barrier: { u32 struct_size; void (*wait)(void*, u32); void* context }
  void emit(const step::Barrier&) {
    when(b_.CreateICmpUGT(threads_, b_.getInt64(1)), [&] {
      llvm::Type* ptr = llvm::PointerType::getUnqual(c_);
      LValue barrier = f_->getArg(6);
      LValue wait = b_.CreateLoad(ptr, b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), barrier, 8));
      LValue context = b_.CreateLoad(ptr, b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), barrier, 16));
      b_.CreateCall(llvm::FunctionType::get(b_.getVoidTy(), {ptr, b_.getInt32Ty()}, false), wait,
                    {context, f_->getArg(4)});
    });
  }

  void emit(const std::shared_ptr<const For>& f) {
    LValue extent = index_.value(f->extent);
    auto* head = b_.GetInsertBlock();
    auto* body = llvm::BasicBlock::Create(c_, "body", f_);
    auto* exit = llvm::BasicBlock::Create(c_, "exit", f_);
    llvm::Instruction* jump = b_.CreateCondBr(b_.CreateICmpSGT(extent, b_.getInt64(0)), body, exit);
    b_.SetInsertPoint(body);
    llvm::PHINode* phi = b_.CreatePHI(b_.getInt64Ty(), 2);
    phi->addIncoming(b_.getInt64(0), head);
    index_.enter(jump);
    index_.set_var(f->var, phi);
    emit_body(f->body);
    LValue next = b_.CreateAdd(phi, b_.getInt64(1));
    phi->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, extent), body, exit);
    index_.leave();
    b_.SetInsertPoint(exit);
  }

  void emit(const std::shared_ptr<const If>& i) {
    LValue c = b_.CreateICmpNE(b_.CreateLoad(b_.getInt8Ty(), buffers_[i->condition]), b_.getInt8(0));
    when(c, [&] { emit_body(i->then_body); });
    when(b_.CreateNot(c), [&] { emit_body(i->else_body); });
  }

  llvm::LLVMContext& c_;
  llvm::Module& m_;
  llvm::IRBuilder<> b_;
  IndexEmitter index_;
  const Step& s_;
  const std::vector<llvm::Function*>& kernels_;
  bool x86_;
  llvm::Function* f_ = nullptr;
  LValue tid_ = nullptr, threads_ = nullptr, scratch_ = nullptr;
  std::vector<LValue> buffers_;
  std::map<std::string, LValue> dims_;
};

}  // namespace

std::unique_ptr<llvm::Module> emit_module(llvm::LLVMContext& c, std::span<const Step> steps,
                                          const std::string& prefix, const TargetInfo& t) {
  auto m = std::make_unique<llvm::Module>("gradc", c);
  m->setTargetTriple(t.triple);
  std::map<std::string, llvm::Function*> known;  // equal kernels of all steps, once
  for (const Step& s : steps) {
    std::vector<llvm::Function*> kernels;
    for (const kernel::Kernel& k : s.kernels) {
      llvm::Function*& f = known[kernel::canonical_text(k)];
      if (!f) f = emit_kernel(*m, k, k.name, t.lanes);
      kernels.push_back(f);
    }
    StepEmitter(*m, s, kernels, prefix + s.name, llvm::Triple(t.triple).isX86()).run();
  }
  for (llvm::Function& f : *m) {
    if (f.isDeclaration()) continue;
    f.addFnAttr("target-cpu", t.cpu);
    if (!t.features.empty()) f.addFnAttr("target-features", t.features);
  }
  std::string error;
  llvm::raw_string_ostream stream(error);
  GRADC_CHECK(!llvm::verifyModule(*m, &stream), "generated code is malformed: {}", error);
  return m;
}

std::vector<int64_t> make_table(const Step& s, std::span<const int64_t> dims) {
  std::vector<int64_t> table(dims.begin(), dims.end());
  for (const Buffer& b : s.buffers) table.push_back(b.offset);
  table.push_back((s.scratch_bytes + 63) / 64 * 64);
  return table;
}

int64_t scratch_bytes(const Step& s, int threads) {
  return (s.scratch_bytes + 63) / 64 * 64 + thread_scratch_bytes(s) * threads;
}

}  // namespace gradc::codegen
