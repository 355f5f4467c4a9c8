#include "codegen/emit_step.h"

#include <llvm/IR/IntrinsicsX86.h>
#include <llvm/IR/Verifier.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/TargetParser/Triple.h>

#include <fmt/format.h>

#include <algorithm>

#include "codegen/call_frame.h"
#include "codegen/codegen.h"
#include "codegen/emit_index.h"
#include "codegen/emit_kernel.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

using namespace step;
using LValue = llvm::Value*;

llvm::FunctionType* kernel_type(llvm::LLVMContext& c) {
  llvm::Type* ptr = llvm::PointerType::getUnqual(c);
  return llvm::FunctionType::get(llvm::Type::getVoidTy(c), {ptr, ptr}, false);
}

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
    number_params(s_.body);
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
  void set_member(unsigned m, LValue v) {
    b_.CreateAlignedStore(v, b_.CreateConstInBoundsGEP1_64(b_.getInt64Ty(), frame_, m), llvm::Align(8));
  }

  // Each parameter that a run computes has a place of its own in the frame.
  void number_params(const Body& body) {
    for (const Stmt& s : body) {
      if (auto* r = std::get_if<Run>(&s))
        for (const Index& p : r->params) {
          if (!p.is_constant()) param_place_[&p] = members_++;
        }
      else if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
        number_params((*f)->body);
      else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s))
        number_params((*i)->then_body), number_params((*i)->else_body);
    }
  }

  void prepare() {
    llvm::Type* i64 = b_.getInt64Ty();
    frame_ = b_.CreateAlloca(llvm::ArrayType::get(i64, members_));
    LValue tid = b_.CreateZExt(f_->getArg(4), i64);
    for (size_t d = 0; d < s_.dims.size(); ++d) {
      dim_place_[s_.dims[d].name] = static_cast<uint32_t>(d);
      index_.set_dim(s_.dims[d].name, table(d));
    }
    for (unsigned r = 0; r < 3; ++r) set_member(kRegions + r, f_->getArg(r));
    set_member(kTable, f_->getArg(3));
    const size_t areas = s_.dims.size() + s_.buffers.size();
    LValue area = b_.CreateAdd(table(areas), b_.CreateMul(tid, table(areas + 1)));
    set_member(kThreadArea, b_.CreateInBoundsGEP(b_.getInt8Ty(), f_->getArg(2), area));
    set_member(kTid, tid);
    set_member(kThreads, b_.CreateZExt(f_->getArg(5), i64));
    set_member(kBarrier, f_->getArg(6));
  }

  // Runs and barriers that follow one another are rows of a table.
  void emit_body(const Body& body) {
    std::vector<Row> rows;
    for (const Stmt& s : body) {
      if (auto* r = std::get_if<Run>(&s)) {
        rows.push_back({kernels_[r->kernel], r});
      } else if (std::holds_alternative<step::Barrier>(s)) {
        rows.push_back({wait(), nullptr});
      } else {
        emit_rows(rows);
        rows.clear();
        if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
          emit(**f);
        else
          emit(*std::get<std::shared_ptr<const If>>(s));
      }
    }
    emit_rows(rows);
  }

  struct Row {
    llvm::Function* function;
    const Run* run;  // null for a barrier
  };

  void emit_rows(const std::vector<Row>& rows) {
    if (rows.empty()) return;
    llvm::Type* ptr = llvm::PointerType::getUnqual(c_);
    auto* row = llvm::StructType::get(ptr, ptr);
    std::vector<llvm::Constant*> table;
    for (const Row& r : rows) {
      if (r.run)
        for (const Index& p : r.run->params)
          if (!p.is_constant()) set_member(param_place_.at(&p), index_.value(p));
      table.push_back(llvm::ConstantStruct::get(row, {r.function, arguments(r.run)}));
    }
    auto* type = llvm::ArrayType::get(row, table.size());
    auto* data = new llvm::GlobalVariable(m_, type, true, llvm::GlobalValue::InternalLinkage,
                                          llvm::ConstantArray::get(type, table), s_.name + ".runs");
    loop(b_.getInt64(table.size()), -1, [&](LValue i) {
      LValue at = b_.CreateInBoundsGEP(row, data, i);
      LValue function = b_.CreateLoad(ptr, at);
      LValue args = b_.CreateLoad(ptr, b_.CreateConstInBoundsGEP1_64(ptr, at, 1));
      b_.CreateCall(kernel_type(c_), function, {frame_, args});
    });
  }

  llvm::Constant* arguments(const Run* r) {
    llvm::Type* ptr = llvm::PointerType::getUnqual(c_);
    std::vector<uint32_t> list;
    if (r) {
      const uint32_t dims = static_cast<uint32_t>(s_.dims.size());
      for (int b : r->buffers)
        list.push_back(
            buffer_argument(static_cast<uint32_t>(s_.buffers[b].region), dims + static_cast<uint32_t>(b)));
      for (const std::string& d : kernel_dims(r->kernel)) list.push_back(dim_place_.at(d));
      const bool little = llvm::Triple(m_.getTargetTriple()).isLittleEndian();
      uint32_t constants = static_cast<uint32_t>(list.size() + r->params.size());
      for (const Index& p : r->params)
        list.push_back(p.is_constant() ? constant_parameter(std::exchange(constants, constants + 2))
                                       : frame_parameter(param_place_.at(&p)));
      for (const Index& p : r->params)
        if (p.is_constant())
          for (int shift : {little ? 0 : 32, little ? 32 : 0})
            list.push_back(static_cast<uint32_t>(static_cast<uint64_t>(p.constant_part()) >> shift));
    }
    if (list.empty()) return llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(ptr));
    llvm::Constant* data = llvm::ConstantDataArray::get(c_, list);
    return new llvm::GlobalVariable(m_, data->getType(), true, llvm::GlobalValue::PrivateLinkage, data,
                                    "args");
  }
  const std::vector<std::string>& kernel_dims(int kernel) {
    auto [it, fresh] = kernel_dims_.try_emplace(kernel);
    if (fresh) it->second = dims_of(s_.kernels[kernel]);
    return it->second;
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

  // A barrier looks like a kernel. gradc_barrier: { u32 struct_size; void (*wait)(void*, u32); void* context
  // }
  llvm::Function* wait() {
    if (llvm::Function* known = m_.getFunction("gradc.wait")) return known;
    auto* f = llvm::Function::Create(kernel_type(c_), llvm::GlobalValue::InternalLinkage, "gradc.wait", m_);
    f->addFnAttr(llvm::Attribute::NoUnwind);
    llvm::IRBuilder<> b(llvm::BasicBlock::Create(c_, "entry", f));
    auto* team = llvm::BasicBlock::Create(c_, "team", f);
    auto* done = llvm::BasicBlock::Create(c_, "done", f);
    llvm::Type *ptr = llvm::PointerType::getUnqual(c_), *i64 = b.getInt64Ty();
    b.CreateCondBr(b.CreateICmpUGT(frame_member(b, f->getArg(0), kThreads, i64), b.getInt64(1)), team, done);
    b.SetInsertPoint(team);
    LValue barrier = frame_member(b, f->getArg(0), kBarrier, ptr);
    LValue call = b.CreateLoad(ptr, b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), barrier, 8));
    LValue context = b.CreateLoad(ptr, b.CreateConstInBoundsGEP1_64(b.getInt8Ty(), barrier, 16));
    LValue tid = b.CreateTrunc(frame_member(b, f->getArg(0), kTid, i64), b.getInt32Ty());
    b.CreateCall(llvm::FunctionType::get(b.getVoidTy(), {ptr, b.getInt32Ty()}, false), call, {context, tid});
    b.CreateBr(done);
    b.SetInsertPoint(done);
    b.CreateRetVoid();
    return f;
  }

  // `fill(i)` for i in 0 .. extent-1, while the condition, if any, holds.
  template <class F>
  void loop(LValue extent, int condition, F&& fill) {
    auto* head = b_.GetInsertBlock();
    auto* body = llvm::BasicBlock::Create(c_, "body", f_);
    auto* exit = llvm::BasicBlock::Create(c_, "exit", f_);
    auto goes_on = [&](LValue i) {
      LValue below = b_.CreateICmpSLT(i, extent);
      return condition < 0 ? below : b_.CreateAnd(below, holds(condition));
    };
    llvm::Instruction* jump = b_.CreateCondBr(goes_on(b_.getInt64(0)), body, exit);
    b_.SetInsertPoint(body);
    llvm::PHINode* phi = b_.CreatePHI(b_.getInt64Ty(), 2);
    phi->addIncoming(b_.getInt64(0), head);
    index_.enter(jump);
    fill(phi);
    LValue next = b_.CreateAdd(phi, b_.getInt64(1));
    LValue more = goes_on(next);
    phi->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(more, body, exit);
    index_.leave();
    b_.SetInsertPoint(exit);
  }

  void emit(const For& f) {
    if (f.tasks) return emit_tasks(f);
    loop(index_.value(f.extent), f.condition, [&](LValue i) {
      index_.set_var(f.var, i);
      emit_body(f.body);
    });
  }

  // What this thread runs of the iterations, each as the only thread of a team.
  void emit_tasks(const For& f) {
    LValue tid = b_.CreateZExt(f_->getArg(4), b_.getInt64Ty());
    LValue threads = b_.CreateZExt(f_->getArg(5), b_.getInt64Ty());
    const ThreadRange range = thread_range(b_, tid, threads, index_.value(f.extent));
    set_member(kTid, b_.getInt64(0));
    set_member(kThreads, b_.getInt64(1));
    loop(b_.CreateSub(range.end, range.begin), -1, [&](LValue i) {
      index_.set_var(f.var, b_.CreateAdd(range.begin, i));
      emit_body(f.body);
    });
    set_member(kTid, tid);
    set_member(kThreads, threads);
  }

  LValue holds(int condition) {
    const size_t place = s_.dims.size() + static_cast<size_t>(condition);
    LValue base = f_->getArg(static_cast<unsigned>(s_.buffers[condition].region));
    LValue flag = b_.CreateInBoundsGEP(b_.getInt8Ty(), base, table(place));
    return b_.CreateICmpNE(b_.CreateLoad(b_.getInt8Ty(), flag), b_.getInt8(0));
  }

  void emit(const If& i) {
    LValue c = holds(i.condition);
    when(c, [&] { emit_body(i.then_body); });
    when(b_.CreateNot(c), [&] { emit_body(i.else_body); });
  }

  llvm::LLVMContext& c_;
  llvm::Module& m_;
  llvm::IRBuilder<> b_;
  IndexEmitter index_;
  const Step& s_;
  const std::vector<llvm::Function*>& kernels_;
  bool x86_;
  llvm::Function* f_ = nullptr;
  LValue frame_ = nullptr;
  unsigned members_ = kParams;
  std::map<const Index*, unsigned> param_place_;
  std::map<std::string, uint32_t> dim_place_;
  std::map<int, std::vector<std::string>> kernel_dims_;
};

// Statements that a body becomes: what is unrolled, each time, what lanes run along, once a vector.
double emitted(const kernel::Body& body) {
  constexpr double kLanes = 8, kFunction = 24;
  double n = 0;
  for (const kernel::Stmt& s : body) {
    auto* c = std::get_if<kernel::Compute>(&s);
    n += c && def_of(c->op).elementary ? kFunction : 1;
    if (auto* f = std::get_if<std::shared_ptr<const kernel::For>>(&s)) {
      const double times = static_cast<double>((*f)->extent.constant().value_or(1));
      const double inside = emitted((*f)->body);
      n += (*f)->kind == kernel::LoopKind::Unroll   ? times * inside
           : (*f)->kind == kernel::LoopKind::Vector ? std::max(1.0, std::min(times, 64.0) / kLanes) * inside
                                                    : inside;
    } else if (auto* i = std::get_if<std::shared_ptr<const kernel::If>>(&s)) {
      n += emitted((*i)->body);
    }
  }
  return n;
}

// Of work for so many threads: fewer parts where they are not worth one, else as many for each, and more than
// one, as nobody knows how long LLVM takes for it.
size_t parts_of(double work, size_t cores) {
  constexpr double kWorthAThread = 1600;  // some 20 ms
  constexpr size_t kMostOfACore = 3;
  const auto n = static_cast<size_t>(work / kWorthAThread);
  return cores == 1 || n <= cores ? std::clamp<size_t>(n, 1, cores)
                                  : std::min((n + cores - 1) / cores, kMostOfACore) * cores;
}

}  // namespace

Division divide(std::span<const Step> steps, size_t cores) {
  constexpr double kCharacters = 10;  // of a kernel's text, that cost as much as a statement
  Division d;
  struct Distinct {
    const kernel::Kernel* kernel;
    int number;
    double cost;
  };
  std::vector<Distinct> all;
  std::map<std::string, int> known;
  double total = 0;
  for (const Step& s : steps) {
    d.numbers_of.emplace_back();
    for (const kernel::Kernel& k : s.kernels) {
      std::string text = kernel::canonical_text(k);
      const double cost = emitted(k.body) + static_cast<double>(text.size()) / kCharacters;
      const auto [it, fresh] = known.try_emplace(std::move(text), static_cast<int>(all.size()));
      if (fresh) all.push_back({&k, it->second, cost}), total += cost;
      d.numbers_of.back().push_back(it->second);
    }
  }
  d.parts.resize(parts_of(total, cores));
  // The longest first, each to the part that has least.
  if (d.parts.size() > 1)
    std::stable_sort(all.begin(), all.end(), [](auto& a, auto& b) { return a.cost > b.cost; });
  std::vector<double> load(d.parts.size());
  for (const Distinct& k : all) {
    const size_t p = static_cast<size_t>(std::min_element(load.begin(), load.end()) - load.begin());
    load[p] += k.cost;
    d.parts[p].kernels.push_back(k.kernel);
    d.parts[p].numbers.push_back(k.number);
  }
  return d;
}

std::unique_ptr<llvm::Module> emit_module(llvm::LLVMContext& c, std::span<const Step> steps,
                                          const Division& division, size_t part, const std::string& prefix,
                                          const TargetInfo& t) {
  auto m = std::make_unique<llvm::Module>("gradc", c);
  m->setTargetTriple(t.triple);
  const bool alone = division.parts.size() == 1;
  const Division::Part& mine = division.parts[part];
  std::map<int, llvm::Function*> functions;
  for (size_t i = 0; i < mine.kernels.size(); ++i) {
    const kernel::Kernel& k = *mine.kernels[i];
    const int number = mine.numbers[i];
    functions[number] = emit_kernel(*m, k, alone ? k.name : fmt::format("gradc.kernel.{}", number), t.lanes);
    if (!alone) functions[number]->setLinkage(llvm::GlobalValue::ExternalLinkage);
  }
  if (part == 0) {
    for (size_t s = 0; s < steps.size(); ++s) {
      std::vector<llvm::Function*> kernels;
      for (int number : division.numbers_of[s]) {
        llvm::Function*& f = functions[number];
        if (!f)
          f = llvm::Function::Create(kernel_type(c), llvm::GlobalValue::ExternalLinkage,
                                     fmt::format("gradc.kernel.{}", number), *m);
        kernels.push_back(f);
      }
      StepEmitter(*m, steps[s], kernels, prefix + steps[s].name, llvm::Triple(t.triple).isX86()).run();
    }
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
  const int64_t own = kernel_scratch_bytes(s);
  for (const Buffer& b : s.buffers) table.push_back(b.offset + (b.region == Region::Thread ? own : 0));
  table.push_back((s.scratch_bytes + 63) / 64 * 64);
  table.push_back(thread_area_bytes(s));
  return table;
}

int64_t scratch_bytes(const Step& s, int threads) {
  return (s.scratch_bytes + 63) / 64 * 64 + thread_area_bytes(s) * threads;
}

}  // namespace gradc::codegen
