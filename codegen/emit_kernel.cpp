#include "codegen/emit_kernel.h"

#include <llvm/IR/Dominators.h>
#include <llvm/Transforms/Utils/PromoteMemToReg.h>

#include <optional>

#include "codegen/call_frame.h"
#include "codegen/emit_index.h"
#include "codegen/emit_scalar.h"
#include "ir/step/step.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

using namespace kernel;
using LValue = llvm::Value*;

constexpr int64_t kUnrolledVectors = 4;  // of a vector loop that needs no tile

// Where the iterations of a vector loop stand: lane l of this chunk is iteration `base` + l.
struct Lanes {
  int var = -1;
  Index base;                  // over loop variables and `chunk`, or constant
  int64_t active = 0;          // lanes in use when known, else -1
  LValue remaining = nullptr;  // lanes in use when not known
};

class KernelEmitter {
 public:
  KernelEmitter(llvm::Module& m, const Kernel& k, const std::string& name, int lanes)
      : c_(m.getContext()), b_(c_), index_(b_), k_(k), width_(lanes) {
    declare(m, name);
  }

  llvm::Function* run() {
    find_vector_tiles(k_.body, {});
    if (const For* p = parallel_loop(k_))
      loop(p->var, begin_, end_, true, [&] { emit_body(p->body); });
    else
      emit_body(k_.body);
    b_.CreateRetVoid();
    llvm::DominatorTree dt(*f_);
    llvm::PromoteMemToReg(registers_, dt);
    return f_;
  }

 private:
  // --- the function ---------------------------------------------------------------------------------------
  void declare(llvm::Module& m, const std::string& name) {
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

  LValue member(unsigned m, llvm::Type* t) { return frame_member(b_, f_->getArg(0), m, t); }
  LValue element(LValue base, LValue place, llvm::Type* t) {
    return b_.CreateAlignedLoad(t, b_.CreateInBoundsGEP(b_.getInt64Ty(), base, place), llvm::Align(8));
  }
  LValue argument(size_t i) {
    LValue at = b_.CreateConstInBoundsGEP1_64(b_.getInt32Ty(), f_->getArg(1), i);
    return b_.CreateZExt(b_.CreateAlignedLoad(b_.getInt32Ty(), at, llvm::Align(4)), b_.getInt64Ty());
  }

  void read_arguments() {
    llvm::Type *ptr = llvm::PointerType::getUnqual(c_), *i64 = b_.getInt64Ty();
    LValue table = member(kTable, ptr), scratch = member(kThreadScratch, ptr);
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
    for (int p : k_.params) index_.set_var(p, element(f_->getArg(0), argument(a++), i64));
  }

  // The range of this thread, as step::range_of; without a parallel loop thread 0 works alone.
  LValue share_of_work() {
    LValue tid = member(kTid, b_.getInt64Ty());
    const For* p = parallel_loop(k_);
    if (!p) return b_.CreateICmpEQ(tid, b_.getInt64(0));
    LValue threads = member(kThreads, b_.getInt64Ty()), extent = index_.value(p->extent);
    LValue each = b_.CreateUDiv(extent, threads);
    LValue rest = b_.CreateSub(extent, b_.CreateMul(each, threads));
    begin_ =
        b_.CreateAdd(b_.CreateMul(tid, each), b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, tid, rest));
    LValue more = b_.CreateZExt(b_.CreateICmpSLT(tid, rest), b_.getInt64Ty());
    end_ = b_.CreateAdd(begin_, b_.CreateAdd(each, more));
    return b_.CreateICmpSLT(begin_, end_);
  }
  LValue offset(LValue base, int64_t bytes) {
    return bytes ? b_.CreateConstInBoundsGEP1_64(b_.getInt8Ty(), base, static_cast<uint64_t>(bytes)) : base;
  }

  llvm::Type* vector_of(llvm::Type* t) const {
    return llvm::FixedVectorType::get(t, static_cast<unsigned>(width_));
  }

  // --- loops ----------------------------------------------------------------------------------------------
  void emit_body(const Body& body) {
    for (const Stmt& s : body) std::visit([&](const auto& x) { emit(x); }, s);
  }

  // `for v in from..to`; `fill` emits one iteration.
  template <class F>
  void loop(int var, LValue from, LValue to, bool may_be_empty, F&& fill) {
    auto* head = b_.GetInsertBlock();
    auto* body = llvm::BasicBlock::Create(c_, "body", f_);
    auto* exit = llvm::BasicBlock::Create(c_, "exit", f_);
    llvm::Instruction* jump =
        may_be_empty ? b_.CreateCondBr(b_.CreateICmpSLT(from, to), body, exit) : b_.CreateBr(body);
    b_.SetInsertPoint(body);
    llvm::PHINode* phi = b_.CreatePHI(b_.getInt64Ty(), 2);
    phi->addIncoming(from, head);
    index_.enter(jump);
    index_.set_var(var, phi);
    forget();
    fill();
    LValue next = b_.CreateAdd(phi, b_.getInt64(1));
    phi->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, to), body, exit);
    index_.leave();
    b_.SetInsertPoint(exit);
    forget();
  }

  template <class F>
  void branch(LValue condition, F&& fill) {
    auto* then = llvm::BasicBlock::Create(c_, "then", f_);
    auto* after = llvm::BasicBlock::Create(c_, "after", f_);
    llvm::Instruction* jump = b_.CreateCondBr(condition, then, after);
    b_.SetInsertPoint(then);
    index_.enter(jump);
    forget();
    fill();
    b_.CreateBr(after);
    index_.leave();
    b_.SetInsertPoint(after);
    forget();
  }

  void emit(const std::shared_ptr<const For>& f) {
    const Index extent = index_.fold(f->extent);
    if (f->kind == LoopKind::Vector) {
      emit_vector(*f, extent);
    } else if (f->kind == LoopKind::Unroll) {
      for (int64_t i = 0; i < extent.constant_part(); ++i) {
        index_.set_constant(f->var, i);
        emit_body(f->body);
      }
      index_.clear_constant(f->var);
    } else if (!extent.is(0)) {
      loop(f->var, b_.getInt64(0), index_.value(extent), !extent.is_constant(), [&] { emit_body(f->body); });
    }
  }

  void emit(const std::shared_ptr<const If>& i) {
    LValue all = nullptr;
    for (const Index& c : i->conditions) {
      const Index e = index_.fold(c);
      if (e.is_constant() && e.constant_part() >= 0) continue;
      LValue ok = b_.CreateICmpSGE(index_.value(e), b_.getInt64(0));
      all = all ? b_.CreateAnd(all, ok) : ok;
    }
    if (!all)
      emit_body(i->body);
    else
      branch(all, [&] { emit_body(i->body); });
  }

  // --- vector loops ---------------------------------------------------------------------------------------
  void emit_vector(const For& f, const Index& extent) {
    const bool known = extent.is_constant();
    const int64_t n = extent.constant_part();
    if (known && (uses_tile(f) || n <= kUnrolledVectors * width_)) {
      for (int64_t at = 0; at < n; at += width_)
        chunk(f, {f.var, at, std::min<int64_t>(width_, n - at), nullptr});
      return;
    }
    GRADC_CHECK(!uses_tile(f), "@{}: a vector loop over tiles has a constant extent", k_.name);
    const int piece = fresh_var_++;
    const Index base = Index::var(piece) * width_;
    LValue count = index_.value(extent);
    LValue whole = b_.CreateUDiv(b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, count, b_.getInt64(0)),
                                 b_.getInt64(static_cast<uint64_t>(width_)));
    loop(piece, b_.getInt64(0), whole, true, [&] { chunk(f, {f.var, base, width_, nullptr}); });
    index_.set_var(piece, whole);
    if (known) {
      if (n % width_) chunk(f, {f.var, Index(n / width_ * width_), n % width_, nullptr});
      return;
    }
    LValue rest = b_.CreateSub(count, b_.CreateMul(whole, b_.getInt64(static_cast<uint64_t>(width_))));
    branch(b_.CreateICmpSGT(rest, b_.getInt64(0)), [&] { chunk(f, {f.var, base, -1, rest}); });
  }

  void chunk(const For& f, const Lanes& l) {
    lanes_ = l;
    mask_ = nullptr;
    if (l.active < 0) {
      LValue n =
          b_.CreateVectorSplat(static_cast<unsigned>(width_), b_.CreateTrunc(l.remaining, b_.getInt32Ty()));
      mask_ = b_.CreateICmpULT(lane_numbers(), n);
    } else if (l.active < width_) {
      std::vector<llvm::Constant*> bits;
      for (int i = 0; i < width_; ++i) bits.push_back(b_.getInt1(i < l.active));
      mask_ = llvm::ConstantVector::get(bits);
    }
    emit_body(f.body);
    lanes_.reset();
    lane_vars_.clear();
    mask_ = nullptr;
  }
  llvm::Constant* lane_numbers() {
    std::vector<llvm::Constant*> n;
    for (int i = 0; i < width_; ++i) n.push_back(b_.getInt32(static_cast<uint32_t>(i)));
    return llvm::ConstantVector::get(n);
  }

  // --- values ---------------------------------------------------------------------------------------------
  bool is_vector(LValue v) const { return v->getType()->isVectorTy(); }
  LValue splat(LValue v) { return is_vector(v) ? v : b_.CreateVectorSplat(static_cast<unsigned>(width_), v); }
  void define(Value v, DType t, LValue x) { values_[v] = x, types_[v] = t; }

  void emit(const Compute& c) {
    if (c.op == ScalarOp::Const) return define(c.result, c.dtype, emit_literal(c_, c.dtype, c.value));
    if (c.op == ScalarOp::Axis) return define(c.result, c.dtype, index_value(index_.fold(c.index)));
    std::vector<LValue> args;
    bool vector = false;
    for (int i = 0; i < def_of(c.op).arity; ++i)
      args.push_back(values_.at(c.args[i])), vector |= is_vector(args.back());
    if (vector)
      for (LValue& a : args) a = splat(a);
    const DType operand = types_.at(c.args[c.op == ScalarOp::Select ? 1 : 0]);
    define(c.result, c.dtype, emit_scalar(b_, c.op, c.dtype, operand, args, k_.fma));
  }

  void emit(const Bind& b) {
    forget();  // an unrolled loop binds the same variable again
    LValue v = values_.at(b.value);
    if (is_vector(v))
      lane_vars_[b.var] = v;
    else
      index_.set_var(b.var, v);
  }

  bool varies(const Index& e) const {
    if (!lanes_) return false;
    if (e.uses_var(lanes_->var)) return true;
    for (const auto& [var, v] : lane_vars_)
      if (e.uses_var(var)) return true;
    return false;
  }

  // The expression for lane l; inactive lanes of a partial chunk stand where lane 0 does.
  Index at_lane(const Index& e, int l) {
    if (lanes_->active >= 0) {
      const int64_t lane = l < lanes_->active ? l : 0;
      return lane_expression(e, lanes_->base + lane, l);
    }
    const int var = fresh_var_++;
    LValue active = b_.CreateICmpULT(b_.getInt64(static_cast<uint64_t>(l)), lanes_->remaining);
    index_.set_var(var, b_.CreateSelect(active, b_.getInt64(static_cast<uint64_t>(l)), b_.getInt64(0)));
    return lane_expression(e, lanes_->base + Index::var(var), l);
  }
  Index lane_expression(const Index& e, const Index& position, int l) {
    return e.substitute([&](int v) {
      if (v == lanes_->var) return position;
      auto it = lane_vars_.find(v);
      if (it == lane_vars_.end()) return Index::var(v);
      const int scalar = fresh_var_++;
      index_.set_var(scalar, b_.CreateExtractElement(it->second, static_cast<uint64_t>(l)));
      return Index::var(scalar);
    });
  }

  LValue index_value(const Index& e) {
    if (!varies(e)) return index_.value(e);
    LValue v = llvm::PoisonValue::get(vector_of(b_.getInt64Ty()));
    for (int l = 0; l < width_; ++l)
      v = b_.CreateInsertElement(v, index_.value(at_lane(e, l)), static_cast<uint64_t>(l));
    return v;
  }

  // --- tiles ----------------------------------------------------------------------------------------------
  // A tile is kept in vectors along its last axis when a vector loop walks that axis.
  void find_vector_tiles(const Body& body, std::optional<int> lane) {
    auto note = [&](int buffer, const std::vector<Index>& at) {
      if (k_.buffers[buffer].space == Space::Tile && lane && !at.empty() && at.back().uses_var(*lane))
        vector_tiles_[buffer] = true;
    };
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
        find_vector_tiles((*f)->body, (*f)->kind == LoopKind::Vector ? std::optional<int>((*f)->var) : lane);
      if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) find_vector_tiles((*i)->body, lane);
      if (auto* l = std::get_if<Load>(&s)) note(l->buffer, l->at);
      if (auto* w = std::get_if<Store>(&s)) note(w->buffer, w->at);
      if (auto* t = std::get_if<Tree>(&s)) vector_tiles_[t->tile] = true;
    }
  }
  bool uses_tile(const For& f) const {
    bool found = false;
    for (const Stmt& s : f.body) {
      if (auto* l = std::get_if<Load>(&s)) found |= k_.buffers[l->buffer].space == Space::Tile;
      if (auto* w = std::get_if<Store>(&s)) found |= k_.buffers[w->buffer].space == Space::Tile;
      if (auto* u = std::get_if<std::shared_ptr<const For>>(&s)) found |= uses_tile(**u);
    }
    return found;
  }

  llvm::AllocaInst* tile_register(int buffer, int64_t number) {
    llvm::AllocaInst*& r = tiles_[{buffer, number}];
    if (r) return r;
    llvm::IRBuilderBase::InsertPointGuard guard(b_);
    b_.SetInsertPoint(entry_, entry_->begin());
    llvm::Type* t = scalar_type(c_, k_.buffers[buffer].dtype);
    r = b_.CreateAlloca(vector_tiles_.count(buffer) ? vector_of(t) : t);
    registers_.push_back(r);
    return r;
  }

  struct Element {
    llvm::AllocaInst* reg;
    int lane;  // of a vector register; -1 for all
  };
  Element tile_element(int buffer, const std::vector<Index>& at) {
    const Buffer& t = k_.buffers[buffer];
    int64_t number = 0;
    for (size_t i = 0; i < at.size(); ++i) {
      Index e = index_.fold(at[i]);
      const bool last = i + 1 == at.size();
      const bool lane = last && lanes_ && e.uses_var(lanes_->var);
      const std::optional<Index> step = lane ? e.coefficient_of(lanes_->var) : Index(1);
      GRADC_CHECK(step && step->is(1), "@{}: lanes walk {} of %{}", k_.name, e.str(), t.name);
      if (lane) e = e.substitute([&](int v) { return v == lanes_->var ? lanes_->base : Index::var(v); });
      GRADC_CHECK(e.is_constant(), "@{}: a tile index is {}", k_.name, e.str());
      if (!last || !vector_tiles_.count(buffer)) {
        number = number * t.shape[i].constant_part() + e.constant_part();
        continue;
      }
      const int64_t per_row = (t.shape[i].constant_part() + width_ - 1) / width_;
      GRADC_CHECK(!lane || e.constant_part() % width_ == 0, "@{}: tile columns start at lane {}", k_.name,
                  e.constant_part() % width_);
      number = number * per_row + e.constant_part() / width_;
      return {tile_register(buffer, number), lane ? -1 : static_cast<int>(e.constant_part() % width_)};
    }
    return {tile_register(buffer, number), -1};
  }

  LValue load_tile(const Load& l) {
    const Element e = tile_element(l.buffer, l.at);
    LValue v = b_.CreateLoad(e.reg->getAllocatedType(), e.reg);
    return e.lane >= 0 ? b_.CreateExtractElement(v, static_cast<uint64_t>(e.lane)) : v;
  }
  void store_tile(const Store& s, LValue v) {
    const Element e = tile_element(s.buffer, s.at);
    if (e.reg->getAllocatedType()->isVectorTy()) {
      if (e.lane >= 0) {
        v = b_.CreateInsertElement(b_.CreateLoad(e.reg->getAllocatedType(), e.reg), v,
                                   static_cast<uint64_t>(e.lane));
      } else {
        v = splat(v);
        // Lanes that this chunk does not use keep what they hold, unless the tile ends here too.
        if (mask_ && !ends_with_tile(s))
          v = b_.CreateSelect(mask_, v, b_.CreateLoad(e.reg->getAllocatedType(), e.reg));
      }
    }
    b_.CreateStore(v, e.reg);
  }
  bool ends_with_tile(const Store& s) const {
    const Index last = index_.fold(s.at.back()).substitute([&](int v) {
      return v == lanes_->var ? lanes_->base : Index::var(v);
    });
    return last.constant_part() + lanes_->active == k_.buffers[s.buffer].shape.back().constant_part();
  }

  void emit(const Tree& t) {
    const DType type = k_.buffers[t.tile].dtype;
    const int64_t n = k_.buffers[t.tile].shape.back().constant_part();
    std::vector<LValue> regs;
    for (int64_t i = 0; i < n; i += width_) {
      std::vector<Index> at = t.at;
      at.push_back(i);
      const Element e = tile_element(t.tile, at);
      regs.push_back(b_.CreateLoad(e.reg->getAllocatedType(), e.reg));
    }
    const ScalarOp op = joining(t.combine);
    auto combine = [&](LValue a, LValue b) { return emit_scalar(b_, op, type, type, {a, b}, k_.fma); };
    for (; regs.size() > 1; regs.resize(regs.size() / 2))
      for (size_t i = 0; i < regs.size() / 2; ++i) regs[i] = combine(regs[i], regs[i + regs.size() / 2]);
    LValue v = regs[0];
    for (int stride = width_ / 2; stride >= 1; stride /= 2) {
      std::vector<int> high;
      for (int i = 0; i < width_; ++i) high.push_back(i < stride ? i + stride : i);
      v = combine(v, b_.CreateShuffleVector(v, high));
    }
    define(t.result, type, b_.CreateExtractElement(v, uint64_t{0}));
  }

  // --- memory ---------------------------------------------------------------------------------------------
  void forget() { known_.clear(); }

  Index element_offset(int buffer, const std::vector<Index>& at) {
    const Buffer& d = k_.buffers[buffer];
    Index sum, stride(1);
    for (size_t i = at.size(); i-- > 0;) {
      sum += index_.fold(at[i]) * (d.strides.empty() ? stride : d.strides[i]);
      stride = stride * d.shape[i];
    }
    return sum;
  }
  LValue pointer(int buffer, const Index& e) {
    llvm::Type* t = memory_type(c_, k_.buffers[buffer].dtype);
    LValue p = bases_[buffer];
    const Index moving = e - e.constant_part();
    if (!moving.is(0)) p = b_.CreateInBoundsGEP(t, p, index_.value(moving));
    if (e.constant_part())
      p = b_.CreateInBoundsGEP(t, p, b_.getInt64(static_cast<uint64_t>(e.constant_part())));
    return p;
  }
  llvm::Align align(int buffer) const {
    return llvm::Align(static_cast<uint64_t>(size_of(k_.buffers[buffer].dtype)));
  }
  LValue from_memory(LValue v, DType t) {
    return t == DType::Bool ? b_.CreateICmpNE(v, llvm::Constant::getNullValue(v->getType())) : v;
  }
  LValue to_memory(LValue v, DType t) {
    if (t != DType::Bool) return v;
    llvm::Type* i8 = b_.getInt8Ty();
    return b_.CreateZExt(v, is_vector(v) ? vector_of(i8) : i8);
  }

  void emit(const Load& l) {
    const DType t = k_.buffers[l.buffer].dtype;
    if (k_.buffers[l.buffer].space == Space::Tile) return define(l.result, t, load_tile(l));
    const Index e = element_offset(l.buffer, l.at);
    std::string key = fmt::format("{}:{}", l.buffer, e.str());
    for (const Index& g : l.guards) key += "?" + index_.fold(g).str();
    if (varies(e) || lane_guards(l)) key += fmt::format("@{}", lanes_->base.str());
    if (auto it = known_.find(key); it != known_.end()) return define(l.result, t, it->second);
    LValue v = load_memory(l, e, t);
    known_[key] = v;
    define(l.result, t, v);
  }

  bool lane_guards(const Load& l) const {
    for (const Index& g : l.guards)
      if (varies(index_.fold(g))) return true;
    return false;
  }

  LValue load_memory(const Load& l, const Index& e, DType t) {
    if (!varies(e) && !lane_guards(l)) return load_scalar(l, e, t, [](const Index& g) { return g; });
    std::optional<Index> step = stride(e);
    if (step && step->is(1)) return load_contiguous(l, e, t);
    return load_lanes(l, e, t);
  }

  // The coefficient of the lane, unless a lane's own variables are involved.
  std::optional<Index> stride(const Index& e) const {
    for (const auto& [var, v] : lane_vars_)
      if (e.uses_var(var)) return std::nullopt;
    return e.coefficient_of(lanes_->var);
  }

  LValue guard_of(const std::vector<Index>& guards, const std::function<Index(const Index&)>& place) {
    LValue all = nullptr;
    for (const Index& g : guards) {
      const Index e = place(index_.fold(g));
      if (e.is_constant() && e.constant_part() >= 0) continue;
      LValue ok = b_.CreateICmpSGE(index_.value(e), b_.getInt64(0));
      all = all ? b_.CreateAnd(all, ok) : ok;
    }
    return all;
  }

  LValue load_scalar(const Load& l, const Index& e, DType t,
                     const std::function<Index(const Index&)>& place) {
    LValue ok = guard_of(l.guards, place);
    LValue p = pointer(l.buffer, e);
    if (ok) p = b_.CreateSelect(ok, p, nowhere_);
    LValue v = from_memory(b_.CreateAlignedLoad(memory_type(c_, t), p, align(l.buffer)), t);
    return ok ? b_.CreateSelect(ok, v, emit_literal(c_, t, l.fill)) : v;
  }

  LValue load_contiguous(const Load& l, const Index& e, DType t) {
    const Index first = e.substitute([&](int v) { return v == lanes_->var ? lanes_->base : Index::var(v); });
    LValue p = pointer(l.buffer, first);
    llvm::Type* type = vector_of(memory_type(c_, t));
    LValue mask = mask_;
    if (!l.guards.empty()) {
      LValue ok = guard_vector(l.guards);
      mask = mask ? b_.CreateAnd(mask, ok) : ok;
    }
    if (!mask) return from_memory(b_.CreateAlignedLoad(type, p, align(l.buffer)), t);
    Literal fill = l.fill;
    LValue other = llvm::ConstantInt::get(b_.getInt8Ty(), static_cast<uint64_t>(fill.i));
    if (t != DType::Bool) other = emit_literal(c_, t, fill);
    return from_memory(b_.CreateMaskedLoad(type, p, align(l.buffer), mask, splat(other)), t);
  }
  LValue guard_vector(const std::vector<Index>& guards) {
    LValue all = nullptr;
    for (const Index& g : guards) {
      LValue e = splat(index_value(index_.fold(g)));
      LValue ok = b_.CreateICmpSGE(e, llvm::Constant::getNullValue(e->getType()));
      all = all ? b_.CreateAnd(all, ok) : ok;
    }
    return all;
  }

  LValue load_lanes(const Load& l, const Index& e, DType t) {
    LValue v = llvm::PoisonValue::get(vector_of(scalar_type(c_, t)));
    const int64_t n = lanes_->active < 0 ? width_ : lanes_->active;
    for (int lane = 0; lane < width_; ++lane) {
      LValue x = nullptr;
      if (lane < n)
        x = load_scalar(l, at_lane(e, lane), t, [&](const Index& g) { return at_lane(g, lane); });
      else
        x = emit_literal(c_, t, l.fill);
      v = b_.CreateInsertElement(v, x, static_cast<uint64_t>(lane));
    }
    return v;
  }

  void emit(const Store& s) {
    LValue v = values_.at(s.value);
    if (k_.buffers[s.buffer].space == Space::Tile) return store_tile(s, v);
    const DType t = k_.buffers[s.buffer].dtype;
    const Index e = element_offset(s.buffer, s.at);
    const std::string prefix = fmt::format("{}:", s.buffer);
    std::erase_if(known_, [&](const auto& k) { return k.first.starts_with(prefix); });
    if (!lanes_) {
      b_.CreateAlignedStore(to_memory(v, t), pointer(s.buffer, e), align(s.buffer));
      return;
    }
    LValue stored = to_memory(splat(v), t);
    std::optional<Index> step = stride(e);
    if (step && step->is(1)) {
      const Index first =
          e.substitute([&](int x) { return x == lanes_->var ? lanes_->base : Index::var(x); });
      LValue p = pointer(s.buffer, first);
      if (mask_)
        b_.CreateMaskedStore(stored, p, align(s.buffer), mask_);
      else
        b_.CreateAlignedStore(stored, p, align(s.buffer));
      return;
    }
    store_lanes(s, e, stored);
  }

  void store_lanes(const Store& s, const Index& e, LValue stored) {
    const int64_t n = lanes_->active < 0 ? width_ : lanes_->active;
    for (int lane = 0; lane < n; ++lane) {
      LValue p = pointer(s.buffer, at_lane(e, lane));
      if (lanes_->active < 0)
        p = b_.CreateSelect(b_.CreateExtractElement(mask_, static_cast<uint64_t>(lane)), p, nowhere_);
      b_.CreateAlignedStore(b_.CreateExtractElement(stored, static_cast<uint64_t>(lane)), p, align(s.buffer));
    }
  }

  llvm::LLVMContext& c_;
  llvm::IRBuilder<> b_;
  IndexEmitter index_;
  const Kernel& k_;
  int width_;
  llvm::Function* f_ = nullptr;
  llvm::BasicBlock* entry_ = nullptr;
  std::vector<LValue> bases_;
  LValue begin_ = nullptr, end_ = nullptr, nowhere_ = nullptr, mask_ = nullptr;
  std::optional<Lanes> lanes_;
  std::map<int, LValue> lane_vars_;  // bound variables that differ between lanes
  std::map<Value, LValue> values_;
  std::map<Value, DType> types_;
  std::map<int, bool> vector_tiles_;
  std::map<std::pair<int, int64_t>, llvm::AllocaInst*> tiles_;
  std::vector<llvm::AllocaInst*> registers_;
  std::map<std::string, LValue> known_;  // loads since the last store, loop edge or branch
  int fresh_var_ = 1 << 24;
};

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

}  // namespace

std::vector<std::string> dims_of(const Kernel& k) {
  std::map<std::string, int> names;
  for (const Buffer& b : k.buffers)
    for (const Shape* s : {&b.shape, &b.strides})
      for (const Dim& d : *s) collect(d, names);
  collect(k.body, names);
  std::vector<std::string> out;
  for (const auto& [name, n] : names) out.push_back(name);
  return out;
}

llvm::Function* emit_kernel(llvm::Module& m, const Kernel& k, const std::string& name, int lanes) {
  return KernelEmitter(m, k, name, lanes).run();
}

}  // namespace gradc::codegen
