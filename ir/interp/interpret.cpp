// Runs a function node by node. Values are shared, immutable and dropped after their last reader.
#include "ir/interp/interpret.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "ir/interp/argsort.h"
#include "ir/interp/scalar_strips.h"
#include "ir/ops/running_spec.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using graph::Function;
using graph::Module;
using graph::Node;
using graph::NodeId;
using interp::Dims;
using Value = std::shared_ptr<const Tensor>;
using Values = std::vector<Value>;

Value share(Tensor t) { return std::make_shared<const Tensor>(std::move(t)); }

// Row i of the leading axis.
Value row_of(const Tensor& x, int64_t i) {
  Tensor row(x.dtype(), {x.shape().begin() + 1, x.shape().end()});
  std::memcpy(row.data(), x.data() + i * row.bytes(), static_cast<size_t>(row.bytes()));
  return share(std::move(row));
}

int64_t clamped(const Tensor& index, int64_t i, int64_t most) {
  int64_t v = 0;
  const std::byte* at = index.data() + i * size_of(index.dtype());
  interp::eval_strip(ScalarOp::Convert, DType::I64, index.dtype(), at, nullptr, nullptr, &v, 1, true);
  return std::clamp<int64_t>(v, 0, most);
}

// x with rows of u added, in ascending order of the rows of u.
Tensor scatter_add(const Tensor& x, const Tensor& index, const Tensor& u) {
  Tensor out = x.clone();
  if (x.count() == 0) return out;
  const int64_t rows = x.shape()[0], width = x.count() / rows, size = size_of(x.dtype());
  for (int64_t i = 0; i < index.count(); ++i) {
    std::byte* to = out.data() + clamped(index, i, rows - 1) * width * size;
    const std::byte* from = u.data() + i * width * size;
    interp::eval_strip(ScalarOp::Add, x.dtype(), x.dtype(), to, from, nullptr, to, static_cast<int>(width),
                       true);
  }
  return out;
}

// Rows of what lies behind the axis, combined one after the other.
Tensor running(const graph::RunningSpec& r, const Tensor& x, bool fma) {
  Tensor out(x.dtype(), x.shape());
  if (x.count() == 0) return out;
  const int64_t n = x.shape()[r.axis];
  int64_t width = 1;
  for (size_t a = r.axis + 1; a < x.shape().size(); ++a) width *= x.shape()[a];
  const int w = static_cast<int>(width);
  Tensor so_far(r.accumulator, {width}), term(r.accumulator, {width});
  const auto convert = [&](DType to, DType from, const std::byte* a, std::byte* b) {
    interp::eval_strip(ScalarOp::Convert, to, from, a, nullptr, nullptr, b, w, fma);
  };
  for (int64_t block = 0; block < x.count() / (n * width); ++block) {
    interp::fill_strip(r.accumulator, identity_of(r.combine, r.accumulator), so_far.data(), w);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t at = (block * n + (r.reverse ? n - 1 - i : i)) * width * size_of(x.dtype());
      if (r.exclusive) convert(x.dtype(), r.accumulator, so_far.data(), out.data() + at);
      convert(r.accumulator, x.dtype(), x.data() + at, term.data());
      interp::eval_strip(joining(r.combine), r.accumulator, r.accumulator, so_far.data(), term.data(),
                         nullptr, so_far.data(), w, fma);
      if (!r.exclusive) convert(x.dtype(), r.accumulator, so_far.data(), out.data() + at);
    }
  }
  return out;
}

class Run {
 public:
  Run(const Module& m, const InterpretOptions& o, bool fma) : m_(m), o_(o), fma_(fma) {}

  Values function(const Function& f, const Values& args, const Dims& outer) const {
    const bool fma = fma_ && f.fuses();
    if (fma != fma_) return Run(m_, o_, fma).function(f, args, outer);
    if (args.size() != f.params.size())
      throw CompileError({},
                         fmt::format("@{} takes {} arguments, not {}", f.name, f.params.size(), args.size()));
    const Dims dims = dims_of(f, args, outer);
    std::vector<Values> values(f.nodes.size());
    for (size_t i = 0; i < args.size(); ++i) values[f.params[i]] = {args[i]};
    std::vector<int> readers(f.nodes.size(), 0);
    for (const Node& n : f.nodes)
      for (NodeId q : n.operands) ++readers[q];
    for (const graph::Result& r : f.results) ++readers[r.node];
    for (NodeId id = 0; id < f.nodes.size(); ++id) {
      const bool parameter = f[id].op->form == graph::Form::Parameter;
      if (!parameter) values[id] = node(f, id, values, dims);
      if (o_.observe)
        for (const Value& v : values[id]) o_.observe(f, id, *v);
      if (parameter) continue;
      for (NodeId q : f[id].operands)
        if (--readers[q] == 0) values[q].clear();
      if (readers[id] == 0) values[id].clear();
    }
    Values out;
    for (const graph::Result& r : f.results) out.push_back(values[r.node].at(0));
    return out;
  }

 private:
  static Dims dims_of(const Function& f, const Values& args, const Dims& outer) {
    std::vector<const Tensor*> tensors;
    for (const Value& v : args) tensors.push_back(v.get());
    Dims dims = bind_dims(f.param_types(), tensors);
    dims.insert(outer.begin(), outer.end());
    return dims;
  }

  Values node(const Function& f, NodeId id, const std::vector<Values>& values, const Dims& dims) const {
    const Node& n = f[id];
    Values operands;
    if (n.op->form == graph::Form::Get)
      return {values[n.operands[0]].at(static_cast<size_t>(n.attrs.integer("index")))};
    for (NodeId q : n.operands) operands.push_back(values[q].at(0));
    if (graph::has_meaning(n)) {
      std::vector<const Tensor*> tensors;
      for (const Value& v : operands) tensors.push_back(v.get());
      return {share(evaluate_meaning(graph::meaning_of(f, id), n.type().dtype, tensors, fma_, dims))};
    }
    return without_meaning(n, operands, dims);
  }

  Values without_meaning(const Node& n, const Values& x, const Dims& dims) const {
    switch (n.op->form) {
      case graph::Form::AddRows:
        return {share(scatter_add(*x[0], *x[1], *x[2]))};
      case graph::Form::Running:
        return {share(running(graph::running_spec(*n.op, n.attrs, x[0]->dtype()), *x[0], fma_))};
      case graph::Form::Order:
        return {share(interp::argsort(graph::order_spec(n.attrs), *x[0]))};
      case graph::Form::Call:
        return function(m_.at(n.attrs.function("function")), x, dims);
      case graph::Form::Scan:
        return scan(n, x, dims);
      case graph::Form::While:
        return while_loop(n, x, dims);
      case graph::Form::Cond:
        return function(m_.at(n.attrs.function(x[0]->at(0) != 0 ? "then" : "otherwise")),
                        {x.begin() + 1, x.end()}, dims);
      default:
        GRADC_CHECK(false, "{} is interpreted once it is expanded", n.op->name);
        return {};
    }
  }

  Values scan(const Node& n, const Values& x, const Dims& dims) const {
    const Function& body = m_.at(n.attrs.function("function"));
    const size_t consts = static_cast<size_t>(n.attrs.integer("consts")),
                 carries = static_cast<size_t>(n.attrs.integer("carries"));
    const int64_t length = concrete(n.attrs.shape("length"), dims)[0];
    std::vector<Tensor> stacks;
    for (size_t i = carries; i < n.types.size(); ++i)
      stacks.emplace_back(n.types[i].dtype, concrete(n.types[i].shape, dims));
    Values args = x;
    for (int64_t k = 0; k < length; ++k) {
      const int64_t step = n.attrs.flag("reverse") ? length - 1 - k : k;
      for (size_t i = consts + carries; i < x.size(); ++i) args[i] = row_of(*x[i], step);
      const Values results = function(body, args, dims);
      std::copy_n(results.begin(), carries, args.begin() + static_cast<long>(consts));
      for (size_t i = 0; i < stacks.size(); ++i) {
        const Tensor& y = *results[carries + i];
        std::memcpy(stacks[i].data() + step * y.bytes(), y.data(), static_cast<size_t>(y.bytes()));
      }
    }
    Values out(args.begin() + static_cast<long>(consts), args.begin() + static_cast<long>(consts + carries));
    for (Tensor& t : stacks) out.push_back(share(std::move(t)));
    return out;
  }

  Values while_loop(const Node& n, Values x, const Dims& dims) const {
    const Function &condition = m_.at(n.attrs.function("condition")), &body = m_.at(n.attrs.function("body"));
    for (int64_t i = 0; i < n.attrs.integer("bound"); ++i) {
      if (function(condition, x, dims)[0]->at(0) == 0) break;
      x = function(body, x, dims);
    }
    return x;
  }

  const Module& m_;
  const InterpretOptions& o_;
  bool fma_;
};

}  // namespace

std::vector<Tensor> interpret(const Module& m, const Function& f, std::span<const Tensor> args,
                              const InterpretOptions& o) {
  Values values;
  for (const Tensor& t : args) values.push_back(Value(&t, [](const Tensor*) {}));
  Values results = Run(m, o, f.fuses()).function(f, values, o.dims);
  values.clear();
  std::vector<Tensor> out;
  for (const Value& v : results) out.push_back(v->clone());
  return out;
}

}  // namespace gradc
