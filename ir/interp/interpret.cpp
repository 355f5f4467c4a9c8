// Element by element: for each output element the body is evaluated in the order that the node states, each
// scalar operation by the shared strips with one element. The dumb version, until strips replace it.
#include "ir/interp/interpret.h"

#include <cmath>

#include "ir/interp/scalar_strips.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using namespace graph;

union Cell {
  int64_t i = 0;
  double d;
  float f;
  int32_t w;
  uint8_t b;
};

void put(Cell& c, DType t, const Literal& l) { interp::fill_strip(t, l, &c, 1); }
int64_t as_integer(const Cell& c, DType t) {
  if (t == DType::I64) return c.i;
  if (t == DType::I32) return c.w;
  return c.b;
}

class Element {
 public:
  Element(const Meaning& m, std::span<const Tensor* const> operands, bool fma, const interp::Dims& dims)
      : m_(m), operands_(operands), fma_(fma), dims_(dims), axes(m.axes.size()), reads_(m.reads.size()), cells_(m.body.size()) {}

  // The value of body node `last` with the axes where they stand.
  Cell body(size_t last) {
    for (size_t r = 0; r < m_.reads.size(); ++r)
      if (static_cast<int>(r) != m_.initial) reads_[r] = read(r);
    for (size_t n = 0; n <= last; ++n) node(n);
    return cells_[last];
  }
  Cell read(size_t r) {
    const Read& read = m_.reads[r];
    const Tensor& x = *operands_[read.operand];
    Cell c;
    for (const Index& g : read.guards)
      if (value(g) < 0) {
        put(c, x.dtype(), literal(x.dtype(), read.fill));
        return c;
      }
    int64_t at = 0;
    for (size_t d = 0; d < read.at.size(); ++d) {
      const int64_t i = value(read.at[d]);
      GRADC_CHECK(i >= 0 && i < x.shape()[d], "index {} of axis {} is outside {}", i, d, x.shape()[d]);
      at = at * x.shape()[d] + i;
    }
    std::memcpy(&c, x.data() + at * size_of(x.dtype()), static_cast<size_t>(size_of(x.dtype())));
    return c;
  }
  const Cell& at(int node) const { return cells_[node]; }

 private:
  int64_t value(const Index& e) const {
    return e.evaluate(
        [&](int v) {
          if (v < static_cast<int>(axes.size())) return axes[v];
          const size_t r = static_cast<size_t>(v) - axes.size();
          return as_integer(reads_[r], operands_[m_.reads[r].operand]->dtype());
        },
        [&](const std::string& d) { return dims_.at(d); });
  }
  void node(size_t n) {
    const ScalarNode& s = m_.body[n];
    if (s.op == ScalarOp::Read) {
      cells_[n] = reads_[s.index];
    } else if (s.op == ScalarOp::Const) {
      put(cells_[n], s.dtype, s.value);
    } else if (s.op == ScalarOp::Axis) {
      Cell position;
      const size_t axis = static_cast<size_t>(s.index);
      position.i = axis < axes.size() ? axes[axis] : value(m_.values[axis - axes.size()]);
      interp::eval_strip(ScalarOp::Convert, s.dtype, DType::I64, &position, nullptr, nullptr, &cells_[n], 1, fma_);
    } else {
      const int arity = def_of(s.op).arity;
      const Cell* a[3] = {&cells_[s.args[0]], arity > 1 ? &cells_[s.args[1]] : nullptr, arity > 2 ? &cells_[s.args[2]] : nullptr};
      interp::eval_strip(s.op, s.dtype, type_of(s.args[s.op == ScalarOp::Select ? 1 : 0]), a[0], a[1], a[2], &cells_[n], 1, fma_);
    }
  }
  DType type_of(int n) const {
    const ScalarNode& s = m_.body[n];
    return s.op == ScalarOp::Read ? operands_[m_.reads[s.index].operand]->dtype() : s.dtype;
  }

  const Meaning& m_;
  std::span<const Tensor* const> operands_;
  bool fma_;
  const interp::Dims& dims_;

 public:
  std::vector<int64_t> axes;

 private:
  std::vector<Cell> reads_, cells_;
};

constexpr ScalarOp kCombine[] = {ScalarOp::Add, ScalarOp::Add, ScalarOp::Mul, ScalarOp::Max, ScalarOp::Min, ScalarOp::And, ScalarOp::Or};

class Reducer {
 public:
  Reducer(Element& e, const Meaning& m, DType t, const std::vector<int64_t>& extents, Order order, bool fma)
      : e_(e), m_(m), t_(t), extents_(extents), order_(order), fma_(fma) {}

  Cell run() {
    if (m_.combine == Combiner::ArgMax || m_.combine == Combiner::ArgMin) return position();
    Cell first;
    put(first, t_, identity_of(m_.combine, t_));
    if (m_.initial >= 0) first = e_.read(static_cast<size_t>(m_.initial));
    std::vector<Cell> lanes(order_ == Order::Lanes ? kLanes : 1, first);
    each(static_cast<size_t>(m_.outputs), [&] { add(lanes[order_ == Order::Lanes ? e_.axes.back() % kLanes : 0]); });
    for (size_t stride = lanes.size() / 2; stride >= 1; stride /= 2)
      for (size_t l = 0; l < stride; ++l) combine(lanes[l], lanes[l + stride]);
    return lanes[0];
  }

 private:
  template <class F>
  void each(size_t axis, F&& f) {
    if (axis == extents_.size()) return f();
    for (int64_t i = 0; i < extents_[axis]; ++i) {
      e_.axes[axis] = i;
      each(axis + 1, f);
    }
  }
  void combine(Cell& a, const Cell& b) {
    interp::eval_strip(kCombine[static_cast<int>(m_.combine)], t_, t_, &a, &b, nullptr, &a, 1, fma_);
  }
  void add(Cell& acc) {
    const size_t last = m_.body.size() - 1;
    if (!m_.fma) return combine(acc, e_.body(last));
    e_.body(last - 1);
    interp::eval_strip(ScalarOp::Fma, t_, t_, &e_.at(m_.body[last].args[0]), &e_.at(m_.body[last].args[1]), &acc, &acc, 1, fma_);
  }
  Cell position() {
    const DType x = m_.body.back().dtype;
    const bool max = m_.combine == Combiner::ArgMax;
    Cell best, where;
    put(best, x, identity_of(max ? Combiner::Max : Combiner::Min, x));
    each(static_cast<size_t>(m_.outputs), [&] {
      const Cell v = e_.body(m_.body.size() - 1);
      if (better(v, best, x, max)) best = v, where.i = e_.axes.back();
    });
    Cell out;
    interp::eval_strip(ScalarOp::Convert, t_, DType::I64, &where, nullptr, nullptr, &out, 1, fma_);
    return out;
  }
  static bool better(const Cell& v, const Cell& best, DType t, bool max) {
    Cell yes, nan, fine;
    interp::eval_strip(max ? ScalarOp::Gt : ScalarOp::Lt, DType::Bool, t, &v, &best, nullptr, &yes, 1, true);
    interp::eval_strip(ScalarOp::Ne, DType::Bool, t, &v, &v, nullptr, &nan, 1, true);
    interp::eval_strip(ScalarOp::Eq, DType::Bool, t, &best, &best, nullptr, &fine, 1, true);
    return yes.b || (nan.b && fine.b);
  }

  Element& e_;
  const Meaning& m_;
  DType t_;
  const std::vector<int64_t>& extents_;
  Order order_;
  bool fma_;
};

// --- functions -----------------------------------------------------------------------------------------------

class FunctionInterpreter {
 public:
  FunctionInterpreter(const Module& m, const Function& f, const InterpretOptions& o) : m_(m), f_(f), o_(o) {
    auto it = f.notes.find("fma");
    fma_ = it == f.notes.end() || it->second != "off";
  }

  std::vector<Tensor> run(std::span<const Tensor> args) {
    std::vector<const Tensor*> pointers;
    for (const Tensor& t : args) pointers.push_back(&t);
    const std::vector<Type> types = f_.param_types();
    if (types.size() != args.size()) throw CompileError({}, fmt::format("@{} takes {} arguments, not {}", f_.name, types.size(), args.size()));
    dims_ = bind_dims(types, pointers);
    dims_.insert(o_.dims.begin(), o_.dims.end());
    values_.resize(f_.nodes.size());
    for (size_t p = 0; p < args.size(); ++p) values_[f_.params[p]].push_back(args[p].clone());
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      if (f_[i].op->name != "parameter") values_[i] = evaluate(i);
      if (o_.observe) o_.observe(f_, i, values_[i][0]);
    }
    std::vector<Tensor> out;
    for (const Result& r : f_.results) out.push_back(value(r.node).clone());
    return out;
  }

 private:
  const Tensor& value(NodeId n) const { return values_[n][0]; }
  std::vector<Tensor> list(Tensor t) {
    std::vector<Tensor> v;
    v.push_back(std::move(t));
    return v;
  }
  std::vector<Tensor> arguments(NodeId i, size_t from) const {
    std::vector<Tensor> v;
    for (size_t q = from; q < f_[i].operands.size(); ++q) v.push_back(value(f_[i].operands[q]).clone());
    return v;
  }
  std::vector<Tensor> call(const std::string& name, std::span<const Tensor> args) const {
    InterpretOptions o = o_;
    o.dims = dims_;
    return interpret(m_, m_.at(name), args, o);
  }

  std::vector<Tensor> evaluate(NodeId i) {
    const Node& n = f_[i];
    if (graph::has_meaning(n)) {
      std::vector<const Tensor*> operands;
      for (NodeId q : n.operands) operands.push_back(&value(q));
      return list(evaluate_meaning(meaning_of(f_, i), n.type().dtype, operands, order_of(n), fma_, dims_));
    }
    if (n.op->name == "get") return list(values_[n.operands[0]][n.attrs.integer("index")].clone());
    if (n.op->name == "call") return call(n.attrs.function("function"), arguments(i, 0));
    if (n.op->name == "cond") return call(n.attrs.function(value(n.operands[0]).at(0) != 0 ? "then" : "otherwise"), arguments(i, 1));
    if (n.op->name == "while") return run_while(i);
    if (n.op->name == "scan") return run_scan(i);
    if (n.op->name == "scatter_add") return list(scatter_add(n));
    throw CompileError({}, fmt::format("{} must be expanded before it is interpreted", n.op->name));
  }

  std::vector<Tensor> run_while(NodeId i) {
    std::vector<Tensor> state = arguments(i, 0);
    for (int64_t k = 0; k < f_[i].attrs.integer("bound"); ++k) {
      if (call(f_[i].attrs.function("condition"), state)[0].at(0) == 0) break;
      state = call(f_[i].attrs.function("body"), state);
    }
    return state;
  }

  static Tensor slice(const Tensor& t, int64_t at) {
    Tensor s(t.dtype(), {t.shape().begin() + 1, t.shape().end()});
    if (s.bytes() > 0) std::memcpy(s.data(), t.data() + at * s.bytes(), static_cast<size_t>(s.bytes()));
    return s;
  }
  std::vector<Tensor> run_scan(NodeId i) {
    const Node& n = f_[i];
    const size_t consts = static_cast<size_t>(n.attrs.integer("consts")), carries = static_cast<size_t>(n.attrs.integer("carries"));
    const int64_t length = concrete(n.attrs.shape("length"), dims_)[0];
    std::vector<Tensor> out, args = arguments(i, 0);
    for (size_t r = carries; r < n.types.size(); ++r) out.emplace_back(n.types[r].dtype, concrete(n.types[r].shape, dims_));
    for (int64_t t = 0; t < length; ++t) {
      std::vector<Tensor> inside;
      for (size_t a = 0; a < args.size(); ++a) inside.push_back(a < consts + carries ? args[a].clone() : slice(args[a], t));
      std::vector<Tensor> got = call(n.attrs.function("function"), inside);
      for (size_t c = 0; c < carries; ++c) args[consts + c] = std::move(got[c]);
      for (size_t y = carries; y < got.size(); ++y)
        if (got[y].bytes() > 0) std::memcpy(out[y - carries].data() + t * got[y].bytes(), got[y].data(), static_cast<size_t>(got[y].bytes()));
    }
    std::vector<Tensor> all;
    for (size_t c = 0; c < carries; ++c) all.push_back(std::move(args[consts + c]));
    for (Tensor& y : out) all.push_back(std::move(y));
    return all;
  }

  Tensor scatter_add(const Node& n) {
    Tensor out = value(n.operands[0]).clone();
    const Tensor &ids = value(n.operands[1]), &u = value(n.operands[2]);
    const int64_t rows = out.shape()[0], row = rows ? out.count() / rows : 0, size = size_of(out.dtype());
    for (int64_t i = 0; i < ids.count() && rows > 0; ++i) {
      const int64_t to = std::max<int64_t>(0, std::min<int64_t>(static_cast<int64_t>(ids.at(i)), rows - 1));
      std::byte* at = out.data() + to * row * size;
      interp::eval_strip(ScalarOp::Add, out.dtype(), out.dtype(), at, u.data() + i * row * size, nullptr, at, static_cast<int>(row), fma_);
    }
    return out;
  }

  const Module& m_;
  const Function& f_;
  const InterpretOptions& o_;
  bool fma_ = true;
  interp::Dims dims_;
  std::vector<std::vector<Tensor>> values_;
};

}  // namespace

Tensor evaluate_meaning(const Meaning& m, DType result, std::span<const Tensor* const> operands, Order order, bool fma,
                        const interp::Dims& dims) {
  const std::vector<int64_t> extents = concrete(m.axes, dims);
  Tensor out(result, {extents.begin(), extents.begin() + m.outputs});
  Element e(m, operands, fma, dims);
  for (int64_t i = 0; i < out.count(); ++i) {
    int64_t rest = i;
    for (int a = m.outputs; a-- > 0; rest /= extents[a]) e.axes[a] = rest % extents[a];
    const Cell c = m.combine == Combiner::None ? e.body(m.body.size() - 1) : Reducer(e, m, result, extents, order, fma).run();
    std::memcpy(out.data() + i * size_of(result), &c, static_cast<size_t>(size_of(result)));
  }
  return out;
}

std::vector<Tensor> interpret(const Module& m, const Function& f, std::span<const Tensor> args, const InterpretOptions& o) {
  return FunctionInterpreter(m, f, o).run(args);
}

}  // namespace gradc
