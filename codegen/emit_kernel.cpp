#include "codegen/emit_kernel.h"

#include <llvm/IR/Dominators.h>
#include <llvm/Transforms/Utils/PromoteMemToReg.h>

#include "codegen/emit_scalar.h"
#include "codegen/kernel_emitter.h"
#include "ir/step/step.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

constexpr int64_t kUnrolledVectors = 6;  // of a vector loop that needs no tile

void collect(const Index& e, std::map<std::string, int>& names) { e.collect_dims(names); }
void collect(const Body& body, std::map<std::string, int>& names) {
  for (const Stmt& s : body) {
    if (auto* c = std::get_if<Compute>(&s)) collect(c->index, names);
    if (auto* l = std::get_if<Load>(&s)) {
      for (const Index& e : l->at) collect(e, names);
      for (const Index& e : l->guards) collect(e, names);
    }
    if (auto* w = std::get_if<Store>(&s))
      for (const Index& e : w->at) collect(e, names);
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
      collect((*f)->extent, names), collect((*f)->body, names);
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
      for (const Index& e : (*i)->conditions) collect(e, names);
      collect((*i)->body, names);
    }
  }
}

// The most iterations of a vector loop; nothing where that is not constant.
std::optional<int64_t> longest_vector(const Body& body) {
  int64_t most = 0;
  for (const Stmt& s : body) {
    const Body* inside = nullptr;
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
      if ((*f)->kind == LoopKind::Vector && !(*f)->extent.is_constant()) return std::nullopt;
      if ((*f)->kind == LoopKind::Vector) most = std::max(most, (*f)->extent.constant_part());
      inside = &(*f)->body;
    } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
      inside = &(*i)->body;
    }
    if (!inside) continue;
    const std::optional<int64_t> inner = longest_vector(*inside);
    if (!inner) return std::nullopt;
    most = std::max(most, *inner);
  }
  return most;
}

// Vectors that would stay half empty are halved: some processors do two short ones in the time of a long one,
// and none is slower.
int lanes_for(const Kernel& k, int lanes) {
  const std::optional<int64_t> most = longest_vector(k.body);
  while (most && *most > 0 && lanes > 4 && 2 * *most <= lanes) lanes /= 2;
  return lanes;
}

}  // namespace

llvm::Function* KernelEmitter::run() {
  find_vector_tiles(k_.body, {});
  if (const For* p = parallel_loop(k_))
    loop(p->var, begin_, end_, true, [&] { emit_iteration(*p); });
  else
    emit_body(k_.body);
  // What passes the caches by is ordered by this alone, before the barrier behind which others read it.
  if (stores_past_caches_) b_.CreateFence(llvm::AtomicOrdering::SequentiallyConsistent);
  b_.CreateRetVoid();
  llvm::DominatorTree dt(*f_);
  llvm::PromoteMemToReg(registers_, dt);
  return f_;
}

void KernelEmitter::declare(llvm::Module& m, const std::string& name) {
  llvm::Type* ptr = llvm::PointerType::getUnqual(c_);
  auto* type = llvm::FunctionType::get(b_.getVoidTy(), {ptr, ptr}, false);
  f_ = llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, name, m);
  f_->addFnAttr(llvm::Attribute::NoUnwind);
  f_->addFnAttr(llvm::Attribute::NoInline);
  if (width_ == 16) f_->addFnAttr("prefer-vector-width", "512");
  entry_ = llvm::BasicBlock::Create(c_, "entry", f_);
  auto* start = llvm::BasicBlock::Create(c_, "start", f_);
  auto* idle = llvm::BasicBlock::Create(c_, "idle", f_);
  b_.SetInsertPoint(entry_);
  read_arguments();
  // Reads that a guard forbids go here.
  nowhere_ = b_.CreateAlloca(llvm::ArrayType::get(b_.getInt64Ty(), 16), nullptr, "nowhere");
  llvm::Instruction* jump = b_.CreateCondBr(share_of_work(), start, idle);
  b_.SetInsertPoint(idle);
  b_.CreateRetVoid();
  b_.SetInsertPoint(start);
  index_.enter(jump);
}

LValue KernelEmitter::element(LValue base, LValue place, llvm::Type* t) {
  return b_.CreateAlignedLoad(t, b_.CreateInBoundsGEP(b_.getInt64Ty(), base, place), llvm::Align(8));
}

LValue KernelEmitter::argument(size_t i) {
  LValue at = b_.CreateConstInBoundsGEP1_64(b_.getInt32Ty(), f_->getArg(1), i);
  return b_.CreateZExt(b_.CreateAlignedLoad(b_.getInt32Ty(), at, llvm::Align(4)), b_.getInt64Ty());
}

void KernelEmitter::read_arguments() {
  llvm::Type *ptr = llvm::PointerType::getUnqual(c_), *i64 = b_.getInt64Ty();
  LValue table = member(kTable, ptr), scratch = member(kThreadArea, ptr);
  const step::ThreadScratch places = step::thread_scratch(k_);
  size_t a = 0, s = 0;
  for (const Buffer& b : k_.buffers) {
    if (b.space < Space::Scratch) {
      LValue packed = argument(a++);
      LValue region = element(f_->getArg(0), b_.CreateAnd(packed, b_.getInt64(3)), ptr);
      bases_.push_back(
          b_.CreateInBoundsGEP(b_.getInt8Ty(), region, element(table, b_.CreateLShr(packed, 2), i64)));
    } else {
      bases_.push_back(b.space == Space::Scratch ? offset(scratch, places.offsets[s++]) : nullptr);
    }
  }
  for (const std::string& d : dims_of(k_)) index_.set_dim(d, element(table, argument(a++), i64));
  for (int p : k_.params) index_.set_var(p, parameter(argument(a++)));
}

LValue KernelEmitter::parameter(LValue argument) {
  LValue constant = b_.CreateTrunc(argument, b_.getInt1Ty());
  LValue base = b_.CreateSelect(constant, f_->getArg(1), f_->getArg(0));
  LValue at = b_.CreateInBoundsGEP(b_.getInt8Ty(), base, b_.CreateLShr(argument, 1));
  return b_.CreateAlignedLoad(b_.getInt64Ty(), at, llvm::Align(4));
}

// The range of this thread; without a parallel loop thread 0 works alone.
LValue KernelEmitter::share_of_work() {
  LValue tid = member(kTid, b_.getInt64Ty());
  const For* p = parallel_loop(k_);
  if (!p) return b_.CreateICmpEQ(tid, b_.getInt64(0));
  const ThreadRange range = thread_range(b_, tid, member(kThreads, b_.getInt64Ty()), index_.value(p->extent));
  begin_ = range.begin, end_ = range.end;
  return b_.CreateICmpSLT(begin_, end_);
}

LValue KernelEmitter::offset(LValue base, int64_t bytes) {
  return bytes ? b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), base, static_cast<uint64_t>(bytes)) : base;
}

llvm::Type* KernelEmitter::vector_of(llvm::Type* t) const {
  return llvm::FixedVectorType::get(t, static_cast<unsigned>(width_));
}

void KernelEmitter::emit_body(const Body& body) {
  bool fetched = false;
  for (size_t i = 0; i < body.size(); ++i) {
    if (!fetched && fills_tile(body[i])) prefetch(body, i + 1), fetched = true;
    if (const size_t n = emit_pack(body, i))
      i += n - 1;
    else
      std::visit([&](const auto& x) { emit(x); }, body[i]);
  }
}

void KernelEmitter::emit(const std::shared_ptr<const For>& f) {
  const Index extent = index_.fold(f->extent);
  if (f->kind == LoopKind::Vector) {
    emit_vector(*f, extent);
  } else if (f->kind == LoopKind::Unroll) {
    if (copy_squares(*f)) return;
    read_blocks(*f);
    hold_blocks(*f);
    for (int64_t i = 0; i < extent.constant_part(); ++i) {
      index_.set_constant(f->var, i);
      emit_body(f->body);
    }
    index_.clear_constant(f->var);
    write_blocks(*f);
  } else if (extent.is(1)) {
    index_.set_constant(f->var, 0);
    emit_body(f->body);
    index_.clear_constant(f->var);
  } else if (!extent.is(0)) {
    loop(f->var, b_.getInt64(0), index_.value(extent), !extent.is_constant(), [&] { emit_iteration(*f); });
  }
}

void KernelEmitter::emit_iteration(const For& f) {
  const size_t outside = copies_.size();
  around_.push_back(&f);
  note_copies(f);
  if (walks_apart(f)) prefetch_ahead(f), prefetch_panel();
  prefetch_block(f);
  emit_body(f.body);
  around_.pop_back();
  copies_.resize(outside);
}

void KernelEmitter::emit(const std::shared_ptr<const If>& i) {
  where(*i, [&] { emit_body(i->body); });
}

void KernelEmitter::where(const If& i, const std::function<void()>& fill) {
  LValue all = nullptr;
  for (const Index& c : i.conditions) {
    const Index e = index_.fold(c);
    if (e.is_constant() && e.constant_part() >= 0) continue;
    LValue ok = b_.CreateICmpSGE(index_.value(e), b_.getInt64(0));
    all = all ? b_.CreateAnd(all, ok) : ok;
  }
  if (!all)
    fill();
  else
    branch(all, fill);
}

// Whether the chunks of a vector loop stand one after another, without a loop around them.
bool KernelEmitter::in_sight(const For& f, const Index& extent) const {
  return extent.is_constant() && (uses_tile(f) || extent.constant_part() <= kUnrolledVectors * width_);
}

std::vector<Lanes> KernelEmitter::chunks_of(const For& f, const Index& extent) const {
  std::vector<Lanes> out;
  const int64_t n = extent.constant_part();
  for (int64_t at = 0; at < n; at += width_)
    out.push_back({f.var, at, std::min<int64_t>(width_, n - at), nullptr});
  return out;
}

void KernelEmitter::emit_vector(const For& f, const Index& extent) {
  if (in_sight(f, extent)) {
    for (const Lanes& l : chunks_of(f, extent)) chunk(f, l);
    return;
  }
  const bool known = extent.is_constant();
  const int64_t n = extent.constant_part();
  GRADC_CHECK(!uses_tile(f), "@{}: a vector loop over tiles has a constant extent", k_.name);
  const int piece = fresh_var_++;
  const Index base = Index::var(piece) * width_;
  LValue count = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, index_.value(extent), b_.getInt64(0));
  LValue whole = b_.CreateAnd(count, b_.getInt64(static_cast<uint64_t>(-width_)));  // in full vectors
  const auto outside = splats_;
  splat_in_front(f.body);
  loop(
      piece, b_.getInt64(0), whole, true,
      [&] {
        chunk(f, {f.var, base, width_, nullptr});
      },
      width_);
  index_.set_var(piece, whole, width_);
  if (known) {
    if (n % width_) chunk(f, {f.var, Index(n / width_ * width_), n % width_, nullptr});
  } else {
    LValue rest = b_.CreateSub(count, whole);
    branch(b_.CreateICmpSGT(rest, b_.getInt64(0)), [&] { chunk(f, {f.var, base, -1, rest}); });
  }
  splats_ = outside;
}

// What all lanes share, once for all chunks.
void KernelEmitter::splat_in_front(const Body& body) {
  std::set<Value> inside;
  for (const Stmt& s : body) {
    if (auto* l = std::get_if<Load>(&s)) inside.insert(l->result);
    auto* c = std::get_if<Compute>(&s);
    if (!c) continue;
    inside.insert(c->result);
    for (int i = 0; i < def_of(c->op).arity; ++i)
      if (const auto it = values_.find(c->args[i]);
          it != values_.end() && !is_vector(it->second) && !inside.count(it->first))
        splats_[it->first] = splat(it->second);
  }
}

void KernelEmitter::chunk(const For& f, const Lanes& l) {
  lanes_ = l;
  mask_ = nullptr;
  if (l.active < 0) {
    LValue n =
        b_.CreateVectorSplat(static_cast<unsigned>(width_), b_.CreateTrunc(l.remaining, b_.getInt32Ty()));
    mask_ = b_.CreateICmpULT(lane_numbers(), n);
  } else if (l.active < width_) {
    mask_ = by_lane([&](int i) { return b_.getInt1(i < l.active); });
  }
  emit_body(f.body);
  lanes_.reset();
  lane_vars_.clear();
  mask_ = nullptr;
}

llvm::Constant* KernelEmitter::lane_numbers() {
  return by_lane([&](int i) { return b_.getInt32(static_cast<uint32_t>(i)); });
}

void KernelEmitter::emit(const Compute& c) {
  if (c.op == ScalarOp::Const) return define(c.result, c.dtype, emit_literal(c_, c.dtype, c.value));
  if (c.op == ScalarOp::Axis) return define(c.result, c.dtype, index_value(index_.fold(c.index)));
  std::vector<LValue> args;
  bool vector = false;
  const int arity = def_of(c.op).arity;
  for (int i = 0; i < arity; ++i) args.push_back(values_.at(c.args[i])), vector |= is_vector(args.back());
  for (int i = 0; vector && i < arity; ++i) {
    const auto known = splats_.find(c.args[i]);
    args[i] = known != splats_.end() ? known->second : splat(args[i]);
  }
  const DType operand = types_.at(c.args[c.op == ScalarOp::Select ? 1 : 0]);
  define(c.result, c.dtype, emit_scalar(b_, c.op, c.dtype, operand, args, k_.fma));
}

void KernelEmitter::emit(const Bind& b) {
  forget();  // an unrolled loop binds the same variable again
  LValue v = values_.at(b.value);
  if (is_vector(v))
    lane_vars_[b.var] = v;
  else
    index_.set_var(b.var, v);
}

bool KernelEmitter::varies(const Index& e) const {
  if (!lanes_) return false;
  if (e.uses_var(lanes_->var)) return true;
  for (const auto& [var, v] : lane_vars_)
    if (e.uses_var(var)) return true;
  return false;
}

// The expression for lane l; inactive lanes of a partial chunk stand where lane 0 does.
Index KernelEmitter::at_lane(const Index& e, int l) {
  if (lanes_->active >= 0) {
    const int64_t lane = l < lanes_->active ? l : 0;
    return lane_expression(e, lanes_->base + lane, l);
  }
  const int var = fresh_var_++;
  LValue active = b_.CreateICmpULT(b_.getInt64(static_cast<uint64_t>(l)), lanes_->remaining);
  index_.set_var(var, b_.CreateSelect(active, b_.getInt64(static_cast<uint64_t>(l)), b_.getInt64(0)));
  return lane_expression(e, lanes_->base + Index::var(var), l);
}

Index KernelEmitter::lane_expression(const Index& e, const Index& position, int l) {
  return e.substitute([&](int v) {
    if (v == lanes_->var) return position;
    auto it = lane_vars_.find(v);
    if (it == lane_vars_.end()) return Index::var(v);
    const int scalar = fresh_var_++;
    index_.set_var(scalar, b_.CreateExtractElement(it->second, static_cast<uint64_t>(l)));
    return Index::var(scalar);
  });
}

LValue KernelEmitter::index_value(const Index& e) {
  if (!varies(e)) return index_.value(e);
  const std::optional<Index> step = stride(e);
  if (step && step->is_constant() && lanes_->active >= 0) {
    llvm::Constant* from_first = by_lane([&](int l) {
      return b_.getInt64(static_cast<uint64_t>(l < lanes_->active ? l * step->constant_part() : 0));
    });
    return b_.CreateAdd(splat(index_.value(at_lane(e, 0))), from_first);
  }
  LValue v = llvm::PoisonValue::get(vector_of(b_.getInt64Ty()));
  for (int l = 0; l < width_; ++l)
    v = b_.CreateInsertElement(v, index_.value(at_lane(e, l)), static_cast<uint64_t>(l));
  return v;
}

std::vector<std::string> dims_of(const Kernel& k) {
  std::map<std::string, int> names;
  for (const Buffer& b : k.buffers)
    for (const Dim& d : b.shape) collect(d, names);
  collect(k.body, names);
  std::vector<std::string> out;
  out.reserve(names.size());
  for (const auto& [name, n] : names) out.push_back(name);
  return out;
}

llvm::Function* emit_kernel(llvm::Module& m, const Kernel& k, const std::string& name, int lanes) {
  return KernelEmitter(m, k, name, lanes_for(k, lanes)).run();
}

}  // namespace gradc::codegen
