// Unrolled rows whose elements lie side by side in memory while the lanes lie apart: a block of rows times
// lanes is read as one vector for each lane, or written so, and transposed in registers.
#include <algorithm>

#include "codegen/emit_scalar.h"
#include "codegen/kernel_emitter.h"

namespace gradc::codegen {
namespace {

// Exchanges in vectors of `n` elements, that number of them, by shuffles that a processor has as one
// instruction: first within pieces of 16 bytes, then of whole pieces.
class Transposition {
 public:
  Transposition(llvm::IRBuilder<>& b, std::vector<LValue> v, int64_t piece)
      : b_(b),
        v_(std::move(v)),
        n_(static_cast<int>(v_.size())),
        piece_(static_cast<int>(std::min<int64_t>(piece, n_))) {}

  std::vector<LValue> run() {
    for (int round = 1; round < piece_; round *= 2) interleave();
    // Now vector g * piece + j holds in piece p the column p * piece + j of rows g * piece and on.
    for (int s = 1; s < n_ / piece_; s *= 2) exchange(s);
    return v_;
  }

 private:
  // In each group of as many vectors as a piece has elements, vector i with the one half a group on.
  void interleave() {
    std::vector<int> low, high;
    for (int p = 0; p < n_; p += piece_)
      for (int i = 0; i < piece_; ++i) {
        low.push_back(p + i / 2 + (i % 2) * n_);
        high.push_back(low.back() + piece_ / 2);
      }
    std::vector<LValue> next(v_.size());
    for (int g = 0; g < n_; g += piece_)
      for (int i = 0; i < piece_ / 2; ++i) {
        LValue a = v_[g + i], c = v_[g + i + piece_ / 2];
        next[g + 2 * i] = b_.CreateShuffleVector(a, c, low);
        next[g + 2 * i + 1] = b_.CreateShuffleVector(a, c, high);
      }
    v_ = std::move(next);
  }

  // Pieces of vectors `s` groups apart change places where they are on the wrong side.
  void exchange(int s) {
    std::vector<int> first, second;
    for (int i = 0; i < n_; ++i) {
      const int p = i / piece_;
      const bool far = (p / s) % 2 != 0;
      first.push_back(far ? i - s * piece_ + n_ : i);
      second.push_back(far ? i + n_ : i + s * piece_);
    }
    for (int g = 0; g < n_ / piece_; ++g) {
      if ((g / s) % 2 != 0) continue;
      for (int j = 0; j < piece_; ++j) {
        LValue &a = v_[g * piece_ + j], &c = v_[(g + s) * piece_ + j];
        LValue upper = b_.CreateShuffleVector(a, c, first);
        c = b_.CreateShuffleVector(a, c, second);
        a = upper;
      }
    }
  }

  llvm::IRBuilder<>& b_;
  std::vector<LValue> v_;
  int n_, piece_;
};

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

std::vector<LValue> KernelEmitter::transposed(std::vector<LValue> v, DType t) {
  std::vector<int> widen(static_cast<size_t>(width_));
  for (int i = 0; i < width_; ++i) {
    const auto n = llvm::cast<llvm::FixedVectorType>(v[0]->getType())->getNumElements();
    widen[i] = i < static_cast<int>(n) ? i : -1;
  }
  for (LValue& x : v) x = b_.CreateShuffleVector(x, widen);
  v.resize(static_cast<size_t>(width_), llvm::PoisonValue::get(vector_of(memory_type(c_, t))));
  constexpr int64_t kPiece = 16;  // bytes that an instruction can shuffle at will
  return Transposition(b_, std::move(v), kPiece / size_of(t)).run();
}

// Reads blocks before the rows do, which then find their vectors among what is known.
void KernelEmitter::read_blocks(const For& rows) {
  if (!fills_block(rows)) return;
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
          read_block(rows, *load);
      }
      lanes_.reset();
    }
  }
}

void KernelEmitter::read_block(const For& rows, const Load& l) {
  const DType t = k_.buffers[l.buffer].dtype;
  const auto n = static_cast<unsigned>(rows.extent.constant_part());
  index_.set_constant(rows.var, 0);
  const Index first = element_offset(l.buffer, l.at);
  auto* type = llvm::FixedVectorType::get(memory_type(c_, t), n);
  std::vector<LValue> lanes;
  for (int lane = 0; lane < lanes_->active; ++lane)
    lanes.push_back(b_.CreateAlignedLoad(type, pointer(l.buffer, at_lane(first, lane)), align(l.buffer)));
  const std::vector<LValue> of_row = transposed(std::move(lanes), t);
  for (unsigned r = 0; r < n; ++r) {
    index_.set_constant(rows.var, r);
    known_[key_of(l, element_offset(l.buffer, l.at))] = from_memory(of_row[r], t);
  }
  index_.clear_constant(rows.var);
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
      if (lies_transposed(w->buffer, w->at, rows)) held_[w];
      lanes_.reset();
    }
  }
}

void KernelEmitter::write_blocks(const For& rows) {
  index_.set_constant(rows.var, 0);
  for (const auto& [store, blocks] : held_)
    for (const auto& [l, values] : blocks) {
      lanes_ = l;
      const DType t = k_.buffers[store->buffer].dtype;
      const Index first = element_offset(store->buffer, store->at);
      const std::vector<LValue> of_lane = transposed(values, t);
      std::vector<int> narrow;
      for (int r = 0; r < static_cast<int>(values.size()); ++r) narrow.push_back(r);
      for (int lane = 0; lane < l.active; ++lane)
        b_.CreateAlignedStore(b_.CreateShuffleVector(of_lane[static_cast<size_t>(lane)], narrow),
                              pointer(store->buffer, at_lane(first, lane)), align(store->buffer));
      lanes_.reset();
    }
  index_.clear_constant(rows.var);
  held_.clear();
}

bool KernelEmitter::hold(const Store& s, LValue v) {
  const auto it = held_.find(&s);
  if (it == held_.end()) return false;
  auto& blocks = it->second;
  auto same = [&](const auto& b) { return b.first.base == lanes_->base; };
  auto block = std::find_if(blocks.begin(), blocks.end(), same);
  if (block == blocks.end()) block = blocks.insert(blocks.end(), {*lanes_, {}});
  block->second.push_back(v);
  return true;
}

}  // namespace gradc::codegen
