// Tiles: small arrays whose elements are registers.
#include "codegen/emit_scalar.h"
#include "codegen/kernel_emitter.h"
#include "support/check.h"

namespace gradc::codegen {

// A tile is kept in vectors along its last axis when a vector loop walks that axis.
void KernelEmitter::find_vector_tiles(const Body& body, std::optional<int> lane) {
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

bool KernelEmitter::uses_tile(const For& f) const {
  bool found = false;
  for (const Stmt& s : f.body) {
    if (auto* l = std::get_if<Load>(&s)) found |= k_.buffers[l->buffer].space == Space::Tile;
    if (auto* w = std::get_if<Store>(&s)) found |= k_.buffers[w->buffer].space == Space::Tile;
    if (auto* u = std::get_if<std::shared_ptr<const For>>(&s)) found |= uses_tile(**u);
  }
  return found;
}

llvm::AllocaInst* KernelEmitter::tile_register(int buffer, int64_t number) {
  llvm::AllocaInst*& r = tiles_[{buffer, number}];
  if (r) return r;
  llvm::IRBuilderBase::InsertPointGuard guard(b_);
  b_.SetInsertPoint(entry_, entry_->begin());
  llvm::Type* t = scalar_type(c_, k_.buffers[buffer].dtype);
  r = b_.CreateAlloca(vector_tiles_.count(buffer) ? vector_of(t) : t);
  registers_.push_back(r);
  return r;
}

KernelEmitter::Element KernelEmitter::tile_element(int buffer, const std::vector<Index>& at) {
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

LValue KernelEmitter::load_tile(const Load& l) {
  const Element e = tile_element(l.buffer, l.at);
  LValue v = b_.CreateLoad(e.reg->getAllocatedType(), e.reg);
  return e.lane >= 0 ? b_.CreateExtractElement(v, static_cast<uint64_t>(e.lane)) : v;
}

void KernelEmitter::store_tile(const Store& s, LValue v) {
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

bool KernelEmitter::ends_with_tile(const Store& s) const {
  const Index last = index_.fold(s.at.back()).substitute([&](int v) {
    return v == lanes_->var ? lanes_->base : Index::var(v);
  });
  return last.constant_part() + lanes_->active == k_.buffers[s.buffer].shape.back().constant_part();
}

// The first levels of a tree, which join whole vectors.
LValue KernelEmitter::one_vector(const Tree& t) {
  const DType type = k_.buffers[t.tile].dtype;
  const int64_t n = k_.buffers[t.tile].shape.back().constant_part();
  std::vector<LValue> regs;
  for (int64_t i = 0; i < n; i += width_) {
    std::vector<Index> at = t.at;
    at.push_back(i);
    const Element e = tile_element(t.tile, at);
    regs.push_back(b_.CreateLoad(e.reg->getAllocatedType(), e.reg));
  }
  for (; regs.size() > 1; regs.resize(regs.size() / 2))
    for (size_t i = 0; i < regs.size() / 2; ++i)
      regs[i] = emit_scalar(b_, joining(t.combine), type, type, {regs[i], regs[i + regs.size() / 2]}, k_.fma);
  return regs[0];
}

void KernelEmitter::emit(const Tree& t) {
  const DType type = k_.buffers[t.tile].dtype;
  LValue v = one_vector(t);
  for (int stride = width_ / 2; stride >= 1; stride /= 2) {
    std::vector<int> high(static_cast<size_t>(width_));
    for (int i = 0; i < width_; ++i) high[static_cast<size_t>(i)] = i < stride ? i + stride : i;
    v = emit_scalar(b_, joining(t.combine), type, type, {v, b_.CreateShuffleVector(v, high)}, k_.fma);
  }
  define(t.result, type, b_.CreateExtractElement(v, uint64_t{0}));
}

}  // namespace gradc::codegen
