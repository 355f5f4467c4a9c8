#include "passes/lower/lower_order.h"

#include <utility>

namespace gradc::passes {

using namespace kernel;

namespace {

class Merge {
 public:
  Merge(const graph::OrderSpec& o, const Type& t, int level, bool fma) : o_(o), t_(t), level_(level) {
    k_.fma = fma;
    k_.buffers = {{"x", t.dtype, t.shape, Space::In, {}}};
    if (level > 0) k_.buffers.push_back({"runs", DType::I32, t.shape, Space::In, {}});
    k_.buffers.push_back({"to", DType::I32, t.shape, Space::Out, {}});
    k_.vars = t.rank();
    for (int a = 0; a < t.rank(); ++a) at_.push_back(Index::var(a));
  }

  Kernel run() {
    const Index w = int64_t{1} << level_, n = t_.shape[o_.axis], place = at_[o_.axis];
    const Index first = place.floor_div(w * 2) * w * 2, done = place - first;  // places of the result before
    const Index left = Index::min(w, n - first), right = Index::max(0, Index::min(w, n - first - w));
    // How many of them the left run fills: between low and high, which a bisection brings together.
    const int low_at = tile("low"), high_at = tile("high");
    store(low_at, axis(Index::max(0, done - right))), store(high_at, axis(Index::min(done, left)));
    Body before = std::exchange(body_, {});
    {
      const Value one = constant(1), low = load_tile(low_at), high = load_tile(high_at);
      const Value middle = op(ScalarOp::ShiftRight, op(ScalarOp::Add, low, high), one);
      const Index m = bound(middle);
      const Value stays = precedes(element(first + m), element(place + w - 1 - m));
      const Value up = truth(ScalarOp::And, truth(ScalarOp::Lt, low, high), stays);
      store(low_at, choose(DType::I64, up, op(ScalarOp::Add, middle, one), low));
      store(high_at, choose(DType::I64, up, high, middle));
    }
    // Without a right run there is nothing to find. The branch also keeps this loop out of register tiles,
    // which would unroll its loads by number: seconds of compilation, and no faster.
    Body search{make_for({k_.vars++, level_ + 1, LoopKind::Serial, std::exchange(body_, {})})};
    before.push_back(make_if({{right - 1}, std::move(search)}));
    body_ = std::move(before);
    const Value low = load_tile(low_at);
    const Index i = bound(low);
    const Element a = element(first + i), b = element(place + w - i);
    const Value in_left = truth(ScalarOp::Lt, low, axis(left));
    const Value in_right = truth(ScalarOp::Lt, op(ScalarOp::Sub, axis(done), low), axis(right));
    const Value takes_left =
        truth(ScalarOp::And, in_left, truth(ScalarOp::Or, truth(ScalarOp::Not, in_right), precedes(a, b)));
    const Value number = choose(DType::I32, takes_left, a.number, b.number);
    body_.push_back(Store{level_ > 0 ? 2 : 1, at_, number});
    for (int v = t_.rank(); v-- > 0;)
      body_ = {make_for({v, t_.shape[static_cast<size_t>(v)], LoopKind::Axis, std::move(body_)})};
    k_.body = std::move(body_);
    return std::move(k_);
  }

 private:
  struct Element {
    Value key, number;
  };

  Value compute(ScalarOp op, DType t, Value a, Value b = -1, Value c = -1) {
    body_.push_back(Compute{k_.values, op, t, {a, b, c}, {}, {}});
    return k_.values++;
  }
  Value op(ScalarOp o, Value a, Value b) { return compute(o, DType::I64, a, b); }
  Value truth(ScalarOp o, Value a, Value b = -1) { return compute(o, DType::Bool, a, b); }
  Value choose(DType t, Value p, Value a, Value b) { return compute(ScalarOp::Select, t, p, a, b); }
  Value constant(double v) {
    body_.push_back(
        Compute{k_.values, ScalarOp::Const, DType::I64, {-1, -1, -1}, literal(DType::I64, v), {}});
    return k_.values++;
  }
  int tile(const char* name) {
    k_.buffers.push_back({name, DType::I64, {}, Space::Tile, {}});
    return static_cast<int>(k_.buffers.size()) - 1;
  }
  void store(int tile, Value v) { body_.push_back(Store{tile, {}, v}); }
  Value load_tile(int tile) {
    body_.push_back(Load{k_.values, tile, {}, {}, {}});
    return k_.values++;
  }
  Value axis(const Index& e) {
    body_.push_back(Compute{k_.values, ScalarOp::Axis, DType::I64, {-1, -1, -1}, {}, e});
    return k_.values++;
  }
  Index bound(Value v) {
    body_.push_back(Bind{k_.vars, v});
    return Index::var(k_.vars++);
  }
  Value load(int buffer, const Index& along) {
    std::vector<Index> at = at_;
    at[o_.axis] = along;
    body_.push_back(Load{k_.values, buffer, at, {}, {}});
    return k_.values++;
  }
  Index inside(const Index& e) const { return Index::max(0, Index::min(e, t_.shape[o_.axis] - 1)); }

  // The element at a place of the runs, or at the nearest that there is: what lies outside is not chosen.
  Element element(const Index& place) {
    if (level_ == 0) {
      const Value number = compute(ScalarOp::Convert, DType::I32, axis(inside(place)));
      return {load(0, inside(place)), number};
    }
    const Value number = load(1, inside(place));
    return {load(0, inside(bound(compute(ScalarOp::Convert, DType::I64, number)))), number};
  }

  // Whether a of the left run comes before b of the right one: unless b is before it, as equals stay.
  Value precedes(const Element& a, const Element& b) {
    return truth(ScalarOp::Not, o_.descending ? less(a.key, b.key) : less(b.key, a.key));
  }
  Value less(Value a, Value b) {
    const Value smaller = truth(ScalarOp::Lt, a, b);
    if (!is_float(t_.dtype)) return smaller;
    const Value number = truth(ScalarOp::Eq, a, a), nan = truth(ScalarOp::Ne, b, b);
    return truth(ScalarOp::Or, smaller, truth(ScalarOp::And, number, nan));
  }

  const graph::OrderSpec& o_;
  const Type& t_;
  const int level_;
  Kernel k_;
  Body body_;
  std::vector<Index> at_;
};

}  // namespace

Kernel merge_kernel(const graph::OrderSpec& o, const Type& t, int level, bool fma) {
  return Merge(o, t, level, fma).run();
}

}  // namespace gradc::passes
