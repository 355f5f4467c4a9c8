// Evaluates one meaning. A strip runs along an output axis, with a strip of accumulators, where outputs are
// many; else along the innermost reduction axis, whose strip is then folded. Both follow the same order of
// rounding.
#include <algorithm>
#include <cstring>

#include "ir/interp/interpret.h"
#include "ir/interp/meaning_plan.h"
#include "support/check.h"

namespace gradc {
namespace {

using namespace interp;

class Evaluation {
 public:
  Evaluation(const Meaning& m, DType result, std::span<const Tensor* const> operands, bool fma,
             const Dims& dims)
      : m_(m),
        plan_(m, operands, dims, m.order != Order::Chain),
        fma_(fma),
        result_(result),
        partial_(m.accumulator) {
    std::vector<int64_t> shape;
    for (int a = 0; a < m.outputs; ++a) shape.push_back(concrete({m.axes[a]}, dims)[0]);
    for (int64_t& d : shape) d = std::max<int64_t>(d, 0);
    out_ = Tensor(result, shape);
    p_.at.assign(plan_.extents.size(), 0);
    p_.reads.assign(m.reads.size(), nullptr);
    for (const ScalarNode& n : m.body) values_.push_back(n.op == ScalarOp::Read ? nullptr : arena_.strip());
    for (size_t r = 0; r < m.reads.size(); ++r) {
      read_rooms_.push_back(arena_.strip());
      index_rooms_.push_back(plan_.is_index(static_cast<int>(r)) ? arena_.strip() : nullptr);
    }
    read_values_.assign(m.reads.size(), nullptr);
    narrow_ = arena_.strip();
  }

  Tensor run() {
    if (out_.count() == 0) return std::move(out_);
    if (m_.combine == Combiner::None)
      map();
    else if (m_.combine == Combiner::ArgMax || m_.combine == Combiner::ArgMin)
      arg_reduce();
    else if (m_.order == Order::Lanes && !plan_.is_empty())
      lanes();
    else if (m_.order == Order::Pairwise && !plan_.is_empty())
      pairwise();
    else
      chain();
    return std::move(out_);
  }

 private:
  // --- strips ----------------------------------------------------------------------------------------------
  // `visit()` for each strip of the outputs along `axis`, with p_ at its start and the reductions at 0.
  template <class F>
  void each_output_strip(int axis, F&& visit) {
    p_.axis = axis;
    plan_.each(p_, 0, plan_.outputs, [&] {
      for (int64_t start = 0; start < plan_.extent(axis); start += kStrip) {
        if (axis >= 0) p_.at[axis] = start;
        p_.n = static_cast<int>(std::min<int64_t>(kStrip, plan_.extent(axis) - start));
        visit();
      }
    });
  }

  int64_t out_offset() const {
    int64_t at = 0;
    for (int a = 0; a < plan_.outputs; ++a) at += p_.at[a] * plan_.out_strides[a];
    return at;
  }

  // The strip of results at p_, `n` values along the strip axis.
  void store(const void* strip) {
    const int64_t size = size_of(result_), step = p_.axis < 0 ? 1 : plan_.out_strides[p_.axis];
    std::byte* to = out_.data() + out_offset() * size;
    const std::byte* from = static_cast<const std::byte*>(strip);
    if (step == 1) {
      if (to != from) std::memcpy(to, from, static_cast<size_t>(p_.n * size));
      return;
    }
    const auto scatter = [&](auto zero) {
      using T = decltype(zero);
      for (int i = 0; i < p_.n; ++i) reinterpret_cast<T*>(to)[i * step] = reinterpret_cast<const T*>(from)[i];
    };
    if (size == 1)
      scatter(uint8_t{});
    else if (size == 4)
      scatter(uint32_t{});
    else
      scatter(uint64_t{});
  }

  void read(int r) {
    const Located where = plan_.locate(r, p_);
    const Tensor& from = plan_.operand(r);
    read_values_[r] = read_strip(from, where, m_.reads[r].fill, p_.n, read_rooms_[r]);
    if (!plan_.is_index(r)) return;
    if (from.dtype() == DType::I64) {
      p_.reads[r] = static_cast<const int64_t*>(read_values_[r]);
      return;
    }
    eval_strip(ScalarOp::Convert, DType::I64, from.dtype(), read_values_[r], nullptr, nullptr,
               index_rooms_[r], p_.n, fma_);
    p_.reads[r] = reinterpret_cast<const int64_t*>(index_rooms_[r]);
  }

  // The first `count` nodes of the body for the strip at p_; the last may be computed in place at `into`.
  void body(size_t count, std::byte* into = nullptr) {
    for (size_t r = 0; r < m_.reads.size(); ++r)
      if (static_cast<int>(r) != m_.initial) read(static_cast<int>(r));
    for (size_t i = 0; i < count; ++i) {
      const ScalarNode& n = m_.body[i];
      if (n.op == ScalarOp::Const) {
        if (filled_ < p_.n) fill_strip(n.dtype, n.value, values_[i], std::max(p_.n, filled_));
      } else if (n.op == ScalarOp::Axis) {
        index_strip(plan_.axis_value(n.index, p_), n.dtype, p_.n, values_[i]);
      } else if (n.op != ScalarOp::Read) {
        compute(n, into && i + 1 == count ? into : values_[i]);
      }
    }
    filled_ = std::max(filled_, p_.n);
  }
  void compute(const ScalarNode& n, std::byte* out) {
    const void* args[3] = {nullptr, nullptr, nullptr};
    for (int a = 0; a < def_of(n.op).arity; ++a) args[a] = value(n.args[a]);
    const int typed = n.op == ScalarOp::Select ? 1 : 0;
    eval_strip(n.op, n.dtype, m_.body[n.args[typed]].dtype, args[0], args[1], args[2], out, p_.n, fma_);
  }
  const void* value(int node) const {
    const ScalarNode& n = m_.body[node];
    return n.op == ScalarOp::Read ? read_values_[n.index] : values_[node];
  }
  const void* last() const { return value(static_cast<int>(m_.body.size()) - 1); }

  // --- maps ------------------------------------------------------------------------------------------------
  void map() {
    const int axis = plan_.strip_axis();
    const ScalarOp op = m_.body.back().op;
    const bool in_place = def_of(op).arity > 0 && (axis < 0 || plan_.out_strides[axis] == 1);
    each_output_strip(axis, [&] {
      if (in_place)
        body(m_.body.size(), out_.data() + out_offset() * size_of(result_));
      else
        body(m_.body.size()), store(last());
    });
  }

  // --- reductions ------------------------------------------------------------------------------------------
  // acc = acc (+) strip, element by element.
  void join(std::byte* acc, int n) {
    if (m_.fma)
      eval_strip(ScalarOp::Fma, partial_, partial_, factor(0), factor(1), acc, acc, n, fma_);
    else
      eval_strip(joining(m_.combine), partial_, partial_, acc, last(), nullptr, acc, n, fma_);
  }
  const void* factor(int i) const { return value(m_.body.back().args[i]); }
  // The strip of results, from partial results.
  void finish(const std::byte* acc) {
    if (result_ == partial_) return store(acc);
    eval_strip(ScalarOp::Convert, result_, partial_, acc, nullptr, nullptr, narrow_, p_.n, fma_);
    store(narrow_);
  }
  void terms() { body(m_.body.size() - (m_.fma ? 1 : 0)); }

  void start(std::byte* acc) {
    if (m_.initial < 0) {
      fill_strip(partial_, identity_of(m_.combine, partial_), acc, p_.n);
      return;
    }
    read(m_.initial);
    if (result_ == partial_)
      std::memcpy(acc, read_values_[m_.initial], static_cast<size_t>(p_.n * size_of(partial_)));
    else
      eval_strip(ScalarOp::Convert, partial_, result_, read_values_[m_.initial], nullptr, nullptr, acc, p_.n,
                 fma_);
  }

  void clear_reductions() { std::fill(p_.at.begin() + plan_.outputs, p_.at.end(), 0); }
  int rank() const { return static_cast<int>(plan_.extents.size()); }
  // Whether strips run along the innermost reduction axis rather than an output axis.
  bool folds() const {
    const int64_t out = plan_.extent(plan_.strip_axis());
    return rank() > plan_.outputs && out < 64 && plan_.extents.back() > out && m_.where.empty();
  }

  void chain() {
    std::byte* acc = arena_.strip();
    if (folds() && !plan_.is_empty()) {
      each_output_strip(-1, [&] { fold_chain(acc); });
      return;
    }
    each_output_strip(plan_.strip_axis(), [&] {
      clear_reductions();
      start(acc);
      plan_.each(p_, plan_.outputs, rank(), [&] {
        if (!plan_.joins(p_)) return;
        terms();
        join(acc, p_.n);
      });
      clear_reductions();
      finish(acc);
    });
  }

  // One output: strips along the innermost reduction axis, folded in ascending order.
  void fold_chain(std::byte* acc) {
    clear_reductions();
    start(acc);
    each_inner_strip([&] {
      terms();
      if (m_.fma)
        fold_fma_strip(partial_, acc, factor(0), factor(1), p_.n, fma_);
      else
        fold_strip(joining(m_.combine), partial_, acc, last(), p_.n);
    });
    finish(acc);
  }

  // `visit()` for the strips along the innermost reduction axis, the outer reduction axes outside.
  template <class F>
  void each_inner_strip(F&& visit) {
    const int axis = rank() - 1;
    const int64_t extent = plan_.extents.back();
    p_.axis = axis;
    plan_.each(p_, plan_.outputs, axis, [&] {
      for (int64_t start = 0; start < extent; start += kStrip) {
        p_.at[axis] = start;
        p_.n = static_cast<int>(std::min<int64_t>(kStrip, extent - start));
        visit();
      }
    });
    p_.axis = -1;
    p_.n = 1;
  }

  void lanes() {
    GRADC_CHECK(m_.initial < 0, "lanes start at the identity, not at an operand");
    if (folds()) {
      std::byte* acc = arena_.strip();
      each_output_strip(-1, [&] { fold_lanes(acc); });
      return;
    }
    std::vector<std::byte*> acc;
    const int used = static_cast<int>(std::min<int64_t>(kLanes, plan_.extents.back()));
    for (int l = 0; l < used; ++l) acc.push_back(arena_.strip());
    each_output_strip(plan_.strip_axis(), [&] { wide_lanes(acc); });
  }

  // One output: 64 lanes in one strip. Absent lanes keep the identity, which changes nothing in the tree.
  void fold_lanes(std::byte* acc) {
    const int64_t size = size_of(partial_);
    clear_reductions();
    fill_strip(partial_, identity_of(m_.combine, partial_), acc, kLanes);
    each_inner_strip([&] {
      terms();
      const auto part = [&](const void* p, int i) { return static_cast<const std::byte*>(p) + i * size; };
      for (int i = 0; i < p_.n; i += kLanes) {
        const int n = std::min(kLanes, p_.n - i);
        if (m_.fma)
          eval_strip(ScalarOp::Fma, partial_, partial_, part(factor(0), i), part(factor(1), i), acc, acc, n,
                     fma_);
        else
          eval_strip(joining(m_.combine), partial_, partial_, acc, part(last(), i), nullptr, acc, n, fma_);
      }
    });
    for (int stride = kLanes / 2; stride > 0; stride /= 2)
      eval_strip(joining(m_.combine), partial_, partial_, acc, acc + stride * size, nullptr, acc, stride,
                 fma_);
    finish(acc);
  }

  // A strip of outputs: each lane is a strip. Lanes beyond the extent would hold the identity and are left
  // out.
  void wide_lanes(std::vector<std::byte*>& acc) {
    const int used = static_cast<int>(acc.size()), axis = rank() - 1;
    clear_reductions();
    for (std::byte* lane : acc) fill_strip(partial_, identity_of(m_.combine, partial_), lane, p_.n);
    plan_.each(p_, plan_.outputs, rank(), [&] {
      terms();
      join(acc[p_.at[axis] % kLanes], p_.n);
    });
    clear_reductions();
    for (int stride = kLanes / 2; stride > 0; stride /= 2)
      for (int l = 0; l < stride && l + stride < used; ++l)
        eval_strip(joining(m_.combine), partial_, partial_, acc[l], acc[l + stride], nullptr, acc[l], p_.n,
                   fma_);
    finish(acc[0]);
  }

  // A binary counter of partial results: when two of one size stand side by side, they become one of twice
  // it.
  void pairwise() {
    GRADC_CHECK(rank() == plan_.outputs + 1 && m_.initial < 0, "a pairwise reduction has one axis");
    std::vector<std::byte*> partial;
    for (int64_t n = plan_.extents.back(); n > 0; n /= 2) partial.push_back(arena_.strip());
    std::byte* acc = arena_.strip();
    const auto add = [&](const std::byte* a) {
      eval_strip(joining(m_.combine), partial_, partial_, a, acc, nullptr, acc, p_.n, fma_);
    };
    each_output_strip(plan_.strip_axis(), [&] {
      clear_reductions();
      const size_t bytes = static_cast<size_t>(p_.n * size_of(partial_));
      uint64_t count = 0;
      plan_.each(p_, plan_.outputs, rank(), [&] {
        terms();
        std::memcpy(acc, last(), bytes);
        size_t level = 0;
        for (; count >> level & 1; ++level) add(partial[level]);
        std::memcpy(partial[level], acc, bytes);
        ++count;
      });
      clear_reductions();
      fill_strip(partial_, identity_of(m_.combine, partial_), acc, p_.n);
      for (size_t level = 0; count >> level; ++level)
        if (count >> level & 1) add(partial[level]);
      finish(acc);
    });
  }

  // The first best position; a NaN beats all that is no NaN.
  void arg_reduce() {
    using enum ScalarOp;
    const DType t = m_.body.back().dtype;
    const bool is_max = m_.combine == Combiner::ArgMax;
    std::byte *best = arena_.strip(), *where = arena_.strip(), *better = arena_.strip(),
              *nan = arena_.strip(), *fine = arena_.strip(), *here = arena_.strip();
    const auto eval = [&](ScalarOp op, DType r, DType o, const void* a, const void* b, const void* c,
                          void* out) { eval_strip(op, r, o, a, b, c, out, p_.n, fma_); };
    each_output_strip(plan_.strip_axis(), [&] {
      clear_reductions();
      fill_strip(t, identity_of(is_max ? Combiner::Max : Combiner::Min, t), best, p_.n);
      fill_strip(DType::I64, literal(DType::I64, 0), where, p_.n);
      plan_.each(p_, plan_.outputs, rank(), [&] {
        body(m_.body.size());
        eval(is_max ? Gt : Lt, DType::Bool, t, last(), best, nullptr, better);
        if (is_float(t)) {
          eval(Ne, DType::Bool, t, last(), last(), nullptr, nan);
          eval(Eq, DType::Bool, t, best, best, nullptr, fine);
          eval(And, DType::Bool, DType::Bool, nan, fine, nullptr, nan);
          eval(Or, DType::Bool, DType::Bool, better, nan, nullptr, better);
        }
        index_strip({p_.at[rank() - 1], 0, nullptr}, DType::I64, p_.n, here);
        eval(Select, t, t, better, last(), best, best);
        eval(Select, DType::I64, DType::I64, better, here, where, where);
      });
      clear_reductions();
      eval(Convert, result_, DType::I64, where, nullptr, nullptr, here);
      store(here);
    });
  }

  const Meaning& m_;
  MeaningPlan plan_;
  bool fma_;
  DType result_, partial_;
  Tensor out_;
  Position p_;
  StripArena arena_;
  std::vector<std::byte*> values_, read_rooms_, index_rooms_;
  std::vector<const void*> read_values_;
  std::byte* narrow_ = nullptr;
  int filled_ = 0;  // constants stand in the first so many elements of their strips
};

}  // namespace

Tensor evaluate_meaning(const Meaning& m, DType result, std::span<const Tensor* const> operands, bool fma,
                        const Dims& dims) {
  return Evaluation(m, result, operands, fma, dims).run();
}

}  // namespace gradc
