#include "passes/lower/lower_running.h"

#include <utility>

namespace gradc::passes {

using namespace kernel;

namespace {

// Statements with fresh values.
class Writer {
 public:
  explicit Writer(Kernel& k) : k_(k) {}

  void constant(DType t, const Literal& v) {
    body_.push_back(Compute{next(), ScalarOp::Const, t, {-1, -1, -1}, v, {}});
  }
  Value load(int buffer, const std::vector<Index>& at) {
    body_.push_back(Load{next(), buffer, at, {}, {}});
    return last_;
  }
  Value compute(ScalarOp op, DType t, Value a, Value b = -1) {
    body_.push_back(Compute{next(), op, t, {a, b, -1}, {}, {}});
    return last_;
  }
  Value converted(Value v, DType from, DType to) {
    return from == to ? v : compute(ScalarOp::Convert, to, v);
  }
  void store(int buffer, const std::vector<Index>& at, Value v) { body_.push_back(Store{buffer, at, v}); }
  Value last() const { return last_; }
  Body take() { return std::exchange(body_, {}); }

 private:
  Value next() { return last_ = k_.values++; }

  Kernel& k_;
  Body body_;
  Value last_ = -1;
};

}  // namespace

Kernel lower_running(const graph::RunningSpec& r, const Type& t, bool fma) {
  Kernel k;
  k.fma = fma;
  k.buffers = {{"from", t.dtype, t.shape, Space::In, {}},
               {"to", t.dtype, t.shape, Space::Out, {}},
               {"so_far", r.accumulator, {}, Space::Tile, {}}};
  k.vars = t.rank();
  std::vector<Index> at;
  for (int a = 0; a < t.rank(); ++a) at.push_back(Index::var(a));
  const int axis = static_cast<int>(r.axis);
  if (r.reverse) at[r.axis] = t.shape[r.axis] - 1 - Index::var(axis);

  Writer w(k);
  w.constant(r.accumulator, identity_of(r.combine, r.accumulator));
  w.store(2, {}, w.last());
  Body start = w.take();
  const Value before = w.load(2, {});
  const Value x = w.converted(w.load(0, at), t.dtype, r.accumulator);
  const Value after = w.compute(joining(r.combine), r.accumulator, before, x);
  w.store(2, {}, after);
  w.store(1, at, w.converted(r.exclusive ? before : after, r.accumulator, t.dtype));
  start.push_back(make_for({axis, t.shape[r.axis], LoopKind::Serial, w.take()}));
  k.body = std::move(start);
  for (int a = t.rank(); a-- > 0;)
    if (a != axis)
      k.body = {make_for({a, t.shape[static_cast<size_t>(a)], LoopKind::Axis, std::move(k.body)})};
  return k;
}

}  // namespace gradc::passes
