// Values come from eval_strip, tangents from forward_rule. Reductions run as chains over single outputs:
// tangents are compared with a tolerance, so their order is free.
#include "ir/interp/dual.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "ir/interp/argsort.h"
#include "ir/interp/meaning_plan.h"
#include "ir/ops/running_spec.h"
#include "support/check.h"

namespace gradc {
namespace {

using namespace interp;
using graph::Function;
using graph::Module;
using graph::Node;
using graph::NodeId;

struct Number {
  double v = 0, t = 0;
};

// The slope of an elementary function of one operand: a difference quotient of fourth order of its algorithm,
// so that a new function needs no rule here and its gradient is still checked against something else.
double difference_quotient(ScalarOp op, double x) {
  const double h = 1e-3 * std::max(0.01, std::fabs(x));
  const double at[] = {x - 2 * h, x - h, x + h, x + 2 * h};
  double y[4];
  eval_strip(op, DType::F64, DType::F64, at, nullptr, nullptr, y, 4, true);
  return (8 * (y[2] - y[1]) - (y[3] - y[0])) / (12 * h);
}

// The tangent of op at operands x, y, z whose value is r. Values at kinks are those that
// tests/ir/dual_test.cpp pins.
double forward_rule(ScalarOp op, Number x, Number y, Number z, double r) {
  using enum ScalarOp;
  switch (op) {
    case Neg:
      return -x.t;
    case Abs:
      return x.v > 0 ? x.t : x.v < 0 ? -x.t : 0;
    case Exp:
      return x.t * r;
    case Expm1:
      return x.t * std::exp(x.v);
    case Log:
      return x.t / x.v;
    case Log1p:
      return x.t / (1 + x.v);
    case Sqrt:
      return x.t / (2 * r);
    case Rsqrt:
      return -x.t * r / (2 * x.v);
    case Sin:
      return x.t * std::cos(x.v);
    case Cos:
      return -x.t * std::sin(x.v);
    case Tanh:
      return x.t / (std::cosh(x.v) * std::cosh(x.v));
    case Sigmoid:
      return x.t * r / (1 + std::exp(x.v));
    case Erf:
      return x.t * 1.1283791670955126 * std::exp(-x.v * x.v);
    case Convert:
      return x.t;
    case Add:
      return x.t + y.t;
    case Sub:
      return x.t - y.t;
    case Mul:
      return x.t * y.v + x.v * y.t;
    case Div:
      return (x.t - r * y.t) / y.v;
    case Pow: {
      const double base = y.v == 0 ? 0 : y.v * std::pow(x.v, y.v - 1);
      return (x.t == 0 ? 0 : x.t * base) + (x.v > 0 ? y.t * r * std::log(x.v) : 0);
    }
    case Max:
      return x.v == y.v ? (x.t + y.t) / 2 : x.v > y.v ? x.t : y.t;
    case Min:
      return x.v == y.v ? (x.t + y.t) / 2 : x.v < y.v ? x.t : y.t;
    case Rem:
      return x.t - y.t * std::trunc(x.v / y.v);
    case Fma:
      return x.t * y.v + x.v * y.t + z.t;
    case Select:
      return x.v != 0 ? y.t : z.t;
    default:
      if (def_of(op).elementary && def_of(op).arity == 1) return x.t * difference_quotient(op, x.v);
      return 0;  // steps, comparisons, bits
  }
}

// One accumulator of a reduction. Ties of an extremum share evenly: their tangents are averaged.
struct Accumulator {
  Number n;
  int ties = 0;

  void join(Combiner c, Number x) {
    switch (c) {
      case Combiner::Add:
        n = {n.v + x.v, n.t + x.t};
        return;
      case Combiner::Mul:
        n = {n.v * x.v, n.t * x.v + n.v * x.t};
        return;
      case Combiner::Max:
        extremum(x, x.v > n.v);
        return;
      case Combiner::Min:
        extremum(x, x.v < n.v);
        return;
      default:
        return;
    }
  }
  void extremum(Number x, bool better) {
    if (better || (ties == 0 && x.v == n.v))
      n = x, ties = 1;
    else if (x.v == n.v)
      n.t += x.t, ++ties;
  }
  double tangent() const { return ties > 1 ? n.t / ties : n.t; }
};

class DualEvaluation {
 public:
  DualEvaluation(const Meaning& m, std::span<const Dual* const> operands,
                 std::span<const Tensor* const> values, const Dims& dims)
      : m_(m), operands_(operands), plan_(m, values, dims, true), body_(m.body.size()) {
    p_.at.assign(plan_.extents.size(), 0);
    p_.reads.assign(m.reads.size(), nullptr);
    read_.resize(m.reads.size());
    indices_.resize(m.reads.size());
  }

  // Tangents of all elements, into `out` (f64). The values are known from the plain evaluation.
  void run(Tensor& out) {
    if (out.count() == 0 || m_.body.empty() || !is_float(m_.body.back().dtype)) return;
    if (m_.combine == Combiner::ArgMax || m_.combine == Combiner::ArgMin) return;
    plan_.each(p_, 0, plan_.outputs, [&] {
      int64_t at = 0;
      for (int a = 0; a < plan_.outputs; ++a) at += p_.at[a] * plan_.out_strides[a];
      out.as<double>()[at] = element();
    });
  }

 private:
  double element() {
    if (m_.combine == Combiner::None) return body().t;
    Accumulator acc;
    acc.n.v = identity_of(m_.combine, DType::F64).f;
    std::fill(p_.at.begin() + plan_.outputs, p_.at.end(), 0);
    if (m_.initial >= 0) read(m_.initial), acc.n = read_[m_.initial];
    plan_.each(p_, plan_.outputs, static_cast<int>(plan_.extents.size()), [&] {
      if (plan_.joins(p_)) acc.join(m_.combine, body());
    });
    return acc.tangent();
  }

  void read(int r) {
    const Located where = plan_.locate(r, p_);
    const bool hit = where.from < where.to && (!where.mask || where.mask[0]);
    const Dual& from = *operands_[m_.reads[r].operand];
    const int64_t at = hit ? where.address[0] : 0;
    read_[r] = hit ? Number{from.value.at(at), is_float(from.value.dtype()) ? from.tangent.at(at) : 0}
                   : Number{m_.reads[r].fill, 0};
    if (!plan_.is_index(r)) return;
    indices_[r] = static_cast<int64_t>(read_[r].v);
    p_.reads[r] = &indices_[r];
  }

  Number body() {
    for (size_t r = 0; r < m_.reads.size(); ++r)
      if (static_cast<int>(r) != m_.initial) read(static_cast<int>(r));
    for (size_t i = 0; i < m_.body.size(); ++i) body_[i] = node(m_.body[i]);
    return body_.back();
  }

  Number node(const ScalarNode& n) {
    if (n.op == ScalarOp::Read) return read_[n.index];
    if (n.op == ScalarOp::Const) return {is_float(n.dtype) ? n.value.f : static_cast<double>(n.value.i), 0};
    if (n.op == ScalarOp::Axis) return {static_cast<double>(plan_.axis_value(n.index, p_)[0]), 0};
    std::array<Number, 3> x;
    std::array<const void*, 3> at{nullptr, nullptr, nullptr};
    for (int a = 0; a < def_of(n.op).arity; ++a) {
      x[a] = body_[n.args[a]];
      store(m_.body[n.args[a]].dtype, x[a].v, room_[a]);
      at[a] = room_[a];
    }
    const int typed = n.op == ScalarOp::Select ? 1 : 0;
    alignas(8) std::byte out[8];
    eval_strip(n.op, n.dtype, m_.body[n.args[typed]].dtype, at[0], at[1], at[2], out, 1, true);
    Number r{load(n.dtype, out), 0};
    if (is_float(n.dtype)) r.t = forward_rule(n.op, x[0], x[1], x[2], r.v);
    return r;
  }

  // i64 beyond 2^53 (random bits) loses low bits here; no tangent depends on them.
  static void store(DType t, double v, std::byte* out) {
    eval_strip(ScalarOp::Convert, t, DType::F64, &v, nullptr, nullptr, out, 1, true);
  }
  static double load(DType t, const std::byte* from) {
    double v = 0;
    eval_strip(ScalarOp::Convert, DType::F64, t, from, nullptr, nullptr, &v, 1, true);
    return v;
  }

  const Meaning& m_;
  std::span<const Dual* const> operands_;
  MeaningPlan plan_;
  std::vector<Number> body_, read_;
  std::vector<int64_t> indices_;
  Position p_;
  alignas(8) std::byte room_[3][8];
};

using Value = std::shared_ptr<const Dual>;
using Values = std::vector<Value>;

Value share(Dual d) { return std::make_shared<const Dual>(std::move(d)); }

Tensor row_of(const Tensor& x, int64_t i) {
  Tensor row(x.dtype(), {x.shape().begin() + 1, x.shape().end()});
  std::memcpy(row.data(), x.data() + i * row.bytes(), static_cast<size_t>(row.bytes()));
  return row;
}
void set_row(Tensor& x, int64_t i, const Tensor& row) {
  std::memcpy(x.data() + i * row.bytes(), row.data(), static_cast<size_t>(row.bytes()));
}

class DualRun {
 public:
  DualRun(const Module& m, const InterpretOptions& o) : m_(m), o_(o) {}

  Values function(const Function& f, const Values& args, const Dims& outer) const {
    std::vector<const Tensor*> tensors;
    for (const Value& v : args) tensors.push_back(&v->value);
    Dims dims = bind_dims(f.param_types(), tensors);
    dims.insert(outer.begin(), outer.end());
    std::vector<Values> values(f.nodes.size());
    for (size_t i = 0; i < args.size(); ++i) values[f.params[i]] = {args[i]};
    for (NodeId id = 0; id < f.nodes.size(); ++id)
      if (f[id].op->form != graph::Form::Parameter) values[id] = node(f, id, values, dims);
    Values out;
    for (const graph::Result& r : f.results) out.push_back(values[r.node].at(0));
    return out;
  }

 private:
  Values node(const Function& f, NodeId id, const std::vector<Values>& values, const Dims& dims) const {
    const Node& n = f[id];
    if (n.op->form == graph::Form::Get)
      return {values[n.operands[0]].at(static_cast<size_t>(n.attrs.integer("index")))};
    Values x;
    for (NodeId q : n.operands) x.push_back(values[q].at(0));
    switch (n.op->form) {
      case graph::Form::Call:
        return function(m_.at(n.attrs.function("function")), x, dims);
      case graph::Form::Scan:
        return scan(n, x, dims);
      case graph::Form::While:
        return while_loop(n, x, dims);
      case graph::Form::Cond:
        return function(m_.at(n.attrs.function(x[0]->value.at(0) != 0 ? "then" : "otherwise")),
                        {x.begin() + 1, x.end()}, dims);
      case graph::Form::AddRows:
        return {scatter_add(x)};
      case graph::Form::Order:
        return {share(
            {argsort(graph::order_spec(n.attrs), x[0]->value), Tensor(DType::F64, x[0]->value.shape())})};
      case graph::Form::Running:
        return {running(graph::running_spec(*n.op, n.attrs, x[0]->value.dtype()), *x[0])};
      default:
        return {evaluate(f, id, x, dims)};
    }
  }

  Value evaluate(const Function& f, NodeId id, const Values& x, const Dims& dims) const {
    const Meaning m = graph::meaning_of(f, id);
    std::vector<const Tensor*> values;
    std::vector<const Dual*> duals;
    for (const Value& v : x) values.push_back(&v->value), duals.push_back(v.get());
    Dual out;
    out.value = evaluate_meaning(m, f.type(id).dtype, values, true, dims);
    out.tangent = Tensor(DType::F64, out.value.shape());
    if (f[id].op->name != "stop_gradient") DualEvaluation(m, duals, values, dims).run(out.tangent);
    return share(std::move(out));
  }

  // Linear in x and u, so values and tangents are treated alike.
  Value scatter_add(const Values& x) const {
    Dual out{x[0]->value.clone(), x[0]->tangent.clone()};
    if (out.value.count() == 0) return share(std::move(out));
    const int64_t rows = out.value.shape()[0], width = out.value.count() / rows;
    for (int64_t i = 0; i < x[1]->value.count(); ++i) {
      const int64_t to = std::clamp<int64_t>(static_cast<int64_t>(x[1]->value.at(i)), 0, rows - 1) * width;
      for (int64_t j = 0; j < width; ++j) {
        out.value.set(to + j, out.value.at(to + j) + x[2]->value.at(i * width + j));
        out.tangent.set(to + j, out.tangent.at(to + j) + x[2]->tangent.at(i * width + j));
      }
    }
    return share(std::move(out));
  }

  static Value running(const graph::RunningSpec& r, const Dual& x) {
    Dual out{x.value.clone(), x.tangent.clone()};
    if (out.value.count() == 0) return share(std::move(out));
    const int64_t n = x.value.shape()[r.axis];
    int64_t width = 1;
    for (size_t a = r.axis + 1; a < x.value.shape().size(); ++a) width *= x.value.shape()[a];
    for (int64_t chain = 0; chain < x.value.count() / n; ++chain) {
      Accumulator acc;
      acc.n.v = identity_of(r.combine, DType::F64).f;
      for (int64_t i = 0; i < n; ++i) {
        const int64_t row = r.reverse ? n - 1 - i : i;
        const int64_t at = (chain / width * n + row) * width + chain % width;
        const Number before = acc.n;
        acc.join(r.combine, {x.value.at(at), x.tangent.at(at)});
        out.value.set(at, r.exclusive ? before.v : acc.n.v);
        out.tangent.set(at, r.exclusive ? before.t : acc.n.t);
      }
    }
    return share(std::move(out));
  }

  Values scan(const Node& n, const Values& x, const Dims& dims) const {
    const size_t consts = static_cast<size_t>(n.attrs.integer("consts")),
                 carries = static_cast<size_t>(n.attrs.integer("carries"));
    const int64_t length = concrete(n.attrs.shape("length"), dims)[0];
    std::vector<Dual> stacks;
    for (size_t i = carries; i < n.types.size(); ++i) {
      const std::vector<int64_t> shape = concrete(n.types[i].shape, dims);
      stacks.push_back({Tensor(n.types[i].dtype, shape), Tensor(DType::F64, shape)});
    }
    Values args = x;
    for (int64_t k = 0; k < length; ++k) {
      const int64_t step = n.attrs.flag("reverse") ? length - 1 - k : k;
      for (size_t i = consts + carries; i < x.size(); ++i)
        args[i] = share({row_of(x[i]->value, step), row_of(x[i]->tangent, step)});
      const Values results = function(m_.at(n.attrs.function("function")), args, dims);
      std::copy_n(results.begin(), carries, args.begin() + static_cast<long>(consts));
      for (size_t i = 0; i < stacks.size(); ++i) {
        set_row(stacks[i].value, step, results[carries + i]->value);
        set_row(stacks[i].tangent, step, results[carries + i]->tangent);
      }
    }
    Values out(args.begin() + static_cast<long>(consts), args.begin() + static_cast<long>(consts + carries));
    for (Dual& d : stacks) out.push_back(share(std::move(d)));
    return out;
  }

  Values while_loop(const Node& n, Values x, const Dims& dims) const {
    for (int64_t i = 0; i < n.attrs.integer("bound"); ++i) {
      if (function(m_.at(n.attrs.function("condition")), x, dims)[0]->value.at(0) == 0) break;
      x = function(m_.at(n.attrs.function("body")), x, dims);
    }
    return x;
  }

  const Module& m_;
  const InterpretOptions& o_;
};

}  // namespace

std::vector<Dual> interpret_dual(const Module& m, const Function& f, std::span<const Tensor> args,
                                 std::span<const Tensor> tangents, const InterpretOptions& o) {
  GRADC_CHECK(args.size() == tangents.size(), "{} arguments with {} tangents", args.size(), tangents.size());
  Values values;
  for (size_t i = 0; i < args.size(); ++i) {
    const bool moves = is_float(args[i].dtype());
    values.push_back(
        share({args[i].clone(), moves ? tangents[i].clone() : Tensor(DType::F64, args[i].shape())}));
  }
  std::vector<Dual> out;
  for (const Value& v : DualRun(m, o).function(f, values, o.dims))
    out.push_back({v->value.clone(), v->tangent.clone()});
  return out;
}

}  // namespace gradc
