// Reads and writes of buffers, for one element or for all lanes.
#include <fmt/format.h>

#include "codegen/emit_scalar.h"
#include "codegen/kernel_emitter.h"

namespace gradc::codegen {

Index KernelEmitter::element_offset(int buffer, const std::vector<Index>& at) {
  const Buffer& d = k_.buffers[buffer];
  std::vector<Index> folded;
  for (const Index& e : at) folded.push_back(index_.fold(e));
  return d.layout.address(d.shape, folded);
}

LValue KernelEmitter::pointer(int buffer, const Index& e) {
  llvm::Type* t = memory_type(c_, k_.buffers[buffer].dtype);
  LValue p = bases_[buffer];
  const Index moving = e - e.constant_part();
  // Not in bounds: what a guard or a mask forbids to touch may lie before the buffer.
  if (!moving.is(0)) p = b_.CreateGEP(t, p, index_.value(moving));
  if (e.constant_part()) p = b_.CreateGEP(t, p, b_.getInt64(static_cast<uint64_t>(e.constant_part())));
  return p;
}

llvm::Align KernelEmitter::align(int buffer) const {
  return llvm::Align(static_cast<uint64_t>(size_of(k_.buffers[buffer].dtype)));
}

LValue KernelEmitter::from_memory(LValue v, DType t) {
  return t == DType::Bool ? b_.CreateICmpNE(v, llvm::Constant::getNullValue(v->getType())) : v;
}

LValue KernelEmitter::to_memory(LValue v, DType t) {
  if (t != DType::Bool) return v;
  llvm::Type* i8 = b_.getInt8Ty();
  return b_.CreateZExt(v, is_vector(v) ? vector_of(i8) : i8);
}

void KernelEmitter::emit(const Load& l) {
  const DType t = k_.buffers[l.buffer].dtype;
  if (k_.buffers[l.buffer].space == Space::Tile) return define(l.result, t, load_tile(l));
  const Index e = element_offset(l.buffer, l.at);
  const std::string key = key_of(l, e);
  if (auto it = known_.find(key); it != known_.end()) return define(l.result, t, it->second);
  LValue v = load_memory(l, e, t);
  known_[key] = v;
  define(l.result, t, v);
}

// What tells a load from others; the same where the same is read.
std::string KernelEmitter::key_of(const Load& l, const Index& e) const {
  std::string key = fmt::format("{}:{}", l.buffer, e.str());
  for (const Index& g : l.guards) key += "?" + index_.fold(g).str();
  if (varies(e) || lane_guards(l)) key += fmt::format("@{}", lanes_->base.str());
  return key;
}

bool KernelEmitter::lane_guards(const Load& l) const {
  for (const Index& g : l.guards)
    if (varies(index_.fold(g))) return true;
  return false;
}

LValue KernelEmitter::load_memory(const Load& l, const Index& e, DType t) {
  if (!varies(e) && !lane_guards(l)) return load_scalar(l, e, t, [](const Index& g) { return g; });
  if (const std::optional<Index> first = side_by_side(e)) return load_contiguous(l, *first, t);
  return load_lanes(l, e, t);
}

// The coefficient of the lane, unless a lane's own variables are involved.
std::optional<Index> KernelEmitter::stride(const Index& e) const {
  for (const auto& [var, v] : lane_vars_)
    if (e.uses_var(var)) return std::nullopt;
  return e.coefficient_of(lanes_->var);
}

// An atom over variable `lane` instead of the loop's: the chunk begins at a multiple of the width, so a block
// of whole vectors holds all of its lanes where the rest of the index begins at such a multiple too.
std::optional<Index> KernelEmitter::at_lane_variable(const Atom& a, int lane) const {
  const Index alone = Index::of({1, {a}});
  if (!alone.uses_var(lanes_->var)) return alone;
  if (a.kind == Atom::Kind::Var) return lanes_->base + Index::var(lane);
  if (a.kind != Atom::Kind::FloorDiv && a.kind != Atom::Kind::Mod) return std::nullopt;
  const auto& [x, size] = *a.args;
  const std::optional<Index> step = x.coefficient_of(lanes_->var);
  if (!step || !step->is(1) || !size.is_constant() || size.constant_part() % width_ != 0) return std::nullopt;
  const std::optional<Index> vector =
      x.substitute([&](int v) { return v == lanes_->var ? lanes_->base : Index::var(v); }).exact_div(width_);
  const int64_t vectors = size.constant_part() / width_;
  if (!vector) return std::nullopt;
  if (a.kind == Atom::Kind::FloorDiv) return vector->floor_div(vectors);
  return vector->mod(vectors) * width_ + Index::var(lane);
}

// The place of the first lane where the others follow it.
std::optional<Index> KernelEmitter::side_by_side(const Index& e) {
  if (const std::optional<Index> step = stride(e)) {
    if (!step->is(1)) return std::nullopt;
    return e.substitute([&](int v) { return v == lanes_->var ? lanes_->base : Index::var(v); });
  }
  for (const auto& [var, v] : lane_vars_)
    if (e.uses_var(var)) return std::nullopt;
  const int lane = fresh_var_++;
  Index sum(e.constant_part());
  for (const Index::Term& t : e.terms()) {
    Index product(t.coefficient);
    for (const Atom& a : t.factors) {
      const std::optional<Index> factor = at_lane_variable(a, lane);
      if (!factor) return std::nullopt;
      product = product * *factor;
    }
    sum += product;
  }
  const std::optional<Index> step = sum.coefficient_of(lane);
  if (!step || !step->is(1)) return std::nullopt;
  return sum.substitute([&](int v) { return v == lane ? Index(0) : Index::var(v); });
}

LValue KernelEmitter::guard_of(const std::vector<Index>& guards,
                               const std::function<Index(const Index&)>& place) {
  LValue all = nullptr;
  for (const Index& g : guards) {
    const Index e = place(index_.fold(g));
    if (e.is_constant() && e.constant_part() >= 0) continue;
    LValue ok = b_.CreateICmpSGE(index_.value(e), b_.getInt64(0));
    all = all ? b_.CreateAnd(all, ok) : ok;
  }
  return all;
}

LValue KernelEmitter::load_scalar(const Load& l, const Index& e, DType t,
                                  const std::function<Index(const Index&)>& place) {
  LValue ok = guard_of(l.guards, place);
  LValue p = pointer(l.buffer, e);
  if (ok) p = b_.CreateSelect(ok, p, nowhere_);
  LValue v = from_memory(b_.CreateAlignedLoad(memory_type(c_, t), p, align(l.buffer)), t);
  return ok ? b_.CreateSelect(ok, v, emit_literal(c_, t, l.fill)) : v;
}

LValue KernelEmitter::load_contiguous(const Load& l, const Index& first, DType t) {
  LValue p = pointer(l.buffer, first);
  llvm::Type* type = vector_of(memory_type(c_, t));
  LValue mask = mask_;
  if (!l.guards.empty()) {
    LValue ok = guard_vector(l.guards);
    mask = mask && ok ? b_.CreateAnd(mask, ok) : ok ? ok : mask;
  }
  if (!mask) return from_memory(b_.CreateAlignedLoad(type, p, align(l.buffer)), t);
  Literal fill = l.fill;
  LValue other = llvm::ConstantInt::get(b_.getInt8Ty(), static_cast<uint64_t>(fill.i));
  if (t != DType::Bool) other = emit_literal(c_, t, fill);
  return from_memory(b_.CreateMaskedLoad(type, p, align(l.buffer), mask, splat(other)), t);
}

// One test for those that hold for all lanes or none.
LValue KernelEmitter::guard_vector(const std::vector<Index>& guards) {
  std::vector<Index> shared, own;
  for (const Index& g : guards) (varies(index_.fold(g)) ? own : shared).push_back(g);
  LValue all = guard_of(shared, [](const Index& g) { return g; });
  if (all) {
    all = b_.CreateSExt(all, b_.getIntNTy(static_cast<unsigned>(width_)));
    all = b_.CreateBitCast(all, vector_of(b_.getInt1Ty()));
  }
  for (const Index& g : own) {
    LValue e = splat(index_value(index_.fold(g)));
    LValue ok = b_.CreateICmpSGE(e, llvm::Constant::getNullValue(e->getType()));
    all = all ? b_.CreateAnd(all, ok) : ok;
  }
  return all;
}

LValue KernelEmitter::load_lanes(const Load& l, const Index& e, DType t) {
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

void KernelEmitter::emit(const Store& s) {
  LValue v = values_.at(s.value);
  if (k_.buffers[s.buffer].space == Space::Tile) return store_tile(s, v);
  const DType t = k_.buffers[s.buffer].dtype;
  const Index e = element_offset(s.buffer, s.at);
  LValue stored = lanes_ ? to_memory(splat(v), t) : nullptr;
  if (lanes_ && hold(s, stored)) return;
  forget(s.buffer);
  if (!lanes_) {
    b_.CreateAlignedStore(to_memory(v, t), pointer(s.buffer, e), align(s.buffer));
    return;
  }
  if (const std::optional<Index> first = side_by_side(e)) {
    LValue p = pointer(s.buffer, *first);
    if (mask_)
      b_.CreateMaskedStore(stored, p, align(s.buffer), mask_);
    else if (k_.buffers[s.buffer].far && first->exact_div(width_))
      store_past_caches(stored, p);
    else
      b_.CreateAlignedStore(stored, p, align(s.buffer));
    return;
  }
  store_lanes(s, e, stored);
}

// Whole vectors at places that are multiples of their size. The fence at the end of the kernel orders them.
void KernelEmitter::store_past_caches(LValue stored, LValue place) {
  const auto bytes = stored->getType()->getPrimitiveSizeInBits() / 8;
  auto* store = b_.CreateAlignedStore(stored, place, llvm::Align(std::min<uint64_t>(64, bytes)));
  auto* one = llvm::ConstantAsMetadata::get(b_.getInt32(1));
  store->setMetadata(llvm::LLVMContext::MD_nontemporal, llvm::MDNode::get(c_, {one}));
  stores_past_caches_ = true;
}

void KernelEmitter::store_lanes(const Store& s, const Index& e, LValue stored) {
  const int64_t n = lanes_->active < 0 ? width_ : lanes_->active;
  for (int lane = 0; lane < n; ++lane) {
    LValue p = pointer(s.buffer, at_lane(e, lane));
    if (lanes_->active < 0)
      p = b_.CreateSelect(b_.CreateExtractElement(mask_, static_cast<uint64_t>(lane)), p, nowhere_);
    b_.CreateAlignedStore(b_.CreateExtractElement(stored, static_cast<uint64_t>(lane)), p, align(s.buffer));
  }
}

}  // namespace gradc::codegen
