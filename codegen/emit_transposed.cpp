// Unrolled rows whose elements lie side by side in memory while the lanes lie apart: a block of rows times
// lanes is read as one vector for each lane, or written so; a function of the module (transposition.h)
// exchanges the sides, by way of a place on the stack.
#include <algorithm>

#include "codegen/emit_scalar.h"
#include "codegen/kernel_emitter.h"
#include "codegen/transposition.h"

namespace gradc::codegen {
namespace {

// The vector loops right inside a body.
std::vector<const For*> vectors_in(const Body& body) {
  std::vector<const For*> out;
  for (const Stmt& s : body)
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s); f && (*f)->kind == LoopKind::Vector)
      out.push_back(f->get());
  return out;
}

int stores_to(const Body& body, int buffer) {
  int n = 0;
  walk(body, [&](const Stmt& s) {
    if (auto* w = std::get_if<Store>(&s)) n += w->buffer == buffer;
  });
  return n;
}

bool reads(const Body& body, int buffer) {
  bool any = false;
  walk(body, [&](const Stmt& s) {
    if (auto* l = std::get_if<Load>(&s)) any |= l->buffer == buffer;
  });
  return any;
}

// Whether all that the rows do with a buffer is to read an element and to store it: rows may then be read
// before any is stored, and stored when all are computed.
bool updates_elements(const Body& body, int buffer) {
  const std::vector<Index>* at = nullptr;
  bool stored = false, own = true;
  const auto meet = [&](const std::vector<Index>& place) {
    own = own && !stored && (!at || *at == place);
    at = &place;
  };
  walk(body, [&](const Stmt& s) {
    if (auto* l = std::get_if<Load>(&s); l && l->buffer == buffer) meet(l->at);
    if (auto* w = std::get_if<Store>(&s); w && w->buffer == buffer) meet(w->at), stored = true;
  });
  return own && stored;
}

}  // namespace

// Whether there is something to be gained: a lane's rows in one access, no more than there are lanes.
bool KernelEmitter::fills_block(const For& rows) const {
  return rows.extent.is_constant() && rows.extent.constant_part() >= 2 &&
         rows.extent.constant_part() <= width_;
}

// Whether the rows' elements lie side by side: within one block, of a layout that has some.
bool KernelEmitter::follow_one_another(const Buffer& b, const std::vector<Index>& at, const For& rows) {
  const int64_t n = rows.extent.constant_part();
  std::vector<Index> folded;
  for (const Index& e : at) {
    const int64_t block = b.layout.block_of(static_cast<int>(folded.size()));
    folded.push_back(index_.fold(e));
    const Index first =
        folded.back().substitute([&](int v) { return v == rows.var ? Index(0) : Index::var(v); });
    if (block > 0 && folded.back().uses_var(rows.var) && (block % n != 0 || !first.exact_div(n)))
      return false;
  }
  return b.layout.within(b.shape, folded).coefficient_of(rows.var) == Index(1);
}

// Whether what lies at `at` for the lanes of one row follows, lane by lane, what lies there for the row
// before.
bool KernelEmitter::lies_transposed(int buffer, const std::vector<Index>& at, const For& rows) {
  const Buffer& b = k_.buffers[buffer];
  if (b.space == Space::Tile) return false;
  const Index e = element_offset(buffer, at);
  const std::optional<Index> step = stride(e);
  if (!follow_one_another(b, at, rows) || !step || step->is(0) || step->is(1)) return false;
  if (b.space == Space::InOut && step->constant().value_or(0) < rows.extent.constant_part()) return false;
  bool known = true;
  e.substitute([&](int v) {
    known = known && (v == rows.var || v == lanes_->var || index_.knows(v));
    return Index::var(v);
  });
  return known;
}

// Reads blocks before the rows do, which then find their vectors among what is known.
void KernelEmitter::read_blocks(const For& rows) {
  if (!fills_block(rows)) return;
  std::vector<std::pair<const Load*, Lanes>> blocks;
  for (const For* f : vectors_in(rows.body)) {
    const Index extent = index_.fold(f->extent);
    if (!in_sight(*f, extent)) continue;
    for (const Lanes& l : chunks_of(*f, extent)) {
      lanes_ = l;
      for (const Stmt& s : f->body) {
        if (std::holds_alternative<Bind>(s)) break;
        auto* load = std::get_if<Load>(&s);
        if (load && load->guards.empty() &&
            (stores_to(rows.body, load->buffer) == 0 || updates_elements(rows.body, load->buffer)) &&
            lies_transposed(load->buffer, load->at, rows))
          blocks.emplace_back(load, l);
      }
      lanes_.reset();
    }
  }
  for (size_t from = 0; from < blocks.size(); from += kPlaces)
    read_some(rows, std::span(blocks).subspan(from, std::min(kPlaces, blocks.size() - from)));
}

// All of them to the stack before any is read from there: a call leaves no vector in its register.
void KernelEmitter::read_some(const For& rows, std::span<const std::pair<const Load*, Lanes>> blocks) {
  const auto n = static_cast<int>(rows.extent.constant_part());
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto& [l, lanes] = blocks[i];
    lanes_ = lanes;
    const Walk from = walk_of_lanes(l->buffer, l->at, rows);
    transpose(memory_type(c_, k_.buffers[l->buffer].dtype), static_cast<int>(lanes.active), n,
              {pointer(l->buffer, from.first), index_.value(from.step)},
              {exchange(i), b_.getInt64(static_cast<uint64_t>(width_))});
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto& [l, lanes] = blocks[i];
    const DType t = k_.buffers[l->buffer].dtype;
    lanes_ = lanes;
    for (int r = 0; r < n; ++r) {
      index_.set_constant(rows.var, r);
      llvm::Type* element = memory_type(c_, t);
      LValue row = b_.CreateAlignedLoad(vector_of(element), exchanged_row(element, i, r), align(l->buffer));
      known_[key_of(*l, element_offset(l->buffer, l->at))] = from_memory(row, t);
    }
    index_.clear_constant(rows.var);
  }
  lanes_.reset();
}

// The stores that wait until all rows have their vectors.
void KernelEmitter::hold_blocks(const For& rows) {
  if (!fills_block(rows)) return;
  for (const For* f : vectors_in(rows.body)) {
    const Index extent = index_.fold(f->extent);
    if (!in_sight(*f, extent)) continue;
    for (const Stmt& s : f->body) {
      auto* w = std::get_if<Store>(&s);
      if (!w || stores_to(rows.body, w->buffer) != 1 ||
          (reads(rows.body, w->buffer) && !updates_elements(rows.body, w->buffer)))
        continue;
      lanes_ = Lanes{f->var, Index(0), width_, nullptr};
      if (lies_transposed(w->buffer, w->at, rows)) held_.push_back({w, {}});
      lanes_.reset();
    }
  }
}

void KernelEmitter::write_blocks(const For& rows) {
  std::vector<std::pair<const Store*, const HeldBlock*>> blocks;
  for (const auto& [store, held] : held_)
    for (const HeldBlock& block : held) blocks.emplace_back(store, &block);
  for (size_t from = 0; from < blocks.size(); from += kPlaces) {
    const size_t n = std::min(kPlaces, blocks.size() - from);
    for (size_t i = 0; i < n; ++i) {  // as in `read_some`
      const auto& [store, block] = blocks[from + i];
      llvm::Type* element = memory_type(c_, k_.buffers[store->buffer].dtype);
      for (size_t r = 0; r < block->rows.size(); ++r)
        b_.CreateAlignedStore(block->rows[r], exchanged_row(element, i, static_cast<int>(r)),
                              align(store->buffer));
    }
    for (size_t i = 0; i < n; ++i) {
      const auto& [store, block] = blocks[from + i];
      lanes_ = block->lanes;
      const Walk to = walk_of_lanes(store->buffer, store->at, rows);
      transpose(memory_type(c_, k_.buffers[store->buffer].dtype), static_cast<int>(block->rows.size()),
                static_cast<int>(lanes_->active), {exchange(i), b_.getInt64(static_cast<uint64_t>(width_))},
                {pointer(store->buffer, to.first), index_.value(to.step)});
      lanes_.reset();
    }
  }
  held_.clear();
}

// Where a block is between memory and the rows' registers.
LValue KernelEmitter::exchange(size_t n) {
  while (exchange_.size() <= n) {
    llvm::IRBuilderBase::InsertPointGuard back(b_);
    b_.SetInsertPoint(&f_->getEntryBlock(), f_->getEntryBlock().begin());
    constexpr uint64_t kWidest = 8;  // bytes of an element
    const auto bytes = static_cast<uint64_t>(width_) * static_cast<uint64_t>(width_) * kWidest;
    llvm::AllocaInst* place =
        b_.CreateAlloca(llvm::ArrayType::get(b_.getInt8Ty(), bytes), nullptr, "exchange");
    place->setAlignment(llvm::Align(64));
    exchange_.push_back(place);
  }
  return exchange_[n];
}
LValue KernelEmitter::exchanged_row(llvm::Type* element, size_t n, int r) {
  return b_.CreateConstGEP1_64(vector_of(element), exchange(n), static_cast<uint64_t>(r));
}

void KernelEmitter::transpose(llvm::Type* element, int in, int out, std::pair<LValue, LValue> from,
                              std::pair<LValue, LValue> to) {
  b_.CreateCall(transposition(*f_->getParent(), element, width_, in, out),
                {from.first, from.second, to.first, to.second});
}

bool KernelEmitter::hold(const Store& s, LValue v) {
  const auto it = std::find_if(held_.begin(), held_.end(), [&](const auto& h) { return h.first == &s; });
  if (it == held_.end()) return false;
  auto& blocks = it->second;
  auto block = std::find_if(blocks.begin(), blocks.end(),
                            [&](const HeldBlock& b) { return b.lanes.base == lanes_->base; });
  if (block == blocks.end()) block = blocks.insert(blocks.end(), {*lanes_, {}});
  block->rows.push_back(v);
  return true;
}

}  // namespace gradc::codegen
