// Control: ops over functions of the module. They have no meaning of their own; passes expand or lower them.
#include "ir/ops/rows.h"
#include "support/check.h"

namespace gradc::graph {
namespace {

OpDef row(std::string_view name, Form form, std::string_view doc, std::vector<std::string_view> attributes) {
  OpDef r;
  r.name = name;
  r.form = form;
  r.doc = doc;
  r.attributes = std::move(attributes);
  r.max_operands = -1;
  r.differentiable = Differentiable::Control;
  return r;
}

const Function& function_of(const NodeView& v, std::string_view attr) {
  GRADC_CHECK(v.module, "an op that names a function needs its module");
  return v.module->at(v.attrs.function(attr));
}

std::string list(const OperandTypes& types) {
  std::string s;
  for (const Type& t : types) s += (s.empty() ? "" : ", ") + t.str();
  return "(" + s + ")";
}

void check_arguments(const Function& f, const OperandTypes& given, std::string_view what) {
  const std::vector<Type> want = f.param_types();
  bool same = want.size() == given.size();
  for (size_t i = 0; same && i < want.size(); ++i) same = want[i] == given[i];
  if (!same) refuse("{} of @{} takes {}, not {}", what, f.name, list(want), list(given));
}

OpDef call() {
  OpDef r = row("call", Form::Call, "the results of a function", {"function!"});
  r.infer = [](const NodeView& v) {
    const Function& f = function_of(v, "function");
    check_arguments(f, v.operands, "call");
    return f.result_types();
  };
  return r;
}

OpDef value_and_grad() {
  OpDef r = row("value_and_grad", Form::ValueAndGrad,
                "results of a function, then the gradients of its first, a scalar, for the parameters in wrt",
                {"function!", "wrt!"});
  r.infer = [](const NodeView& v) {
    const Function& f = function_of(v, "function");
    check_arguments(f, v.operands, "value_and_grad");
    std::vector<Type> types = f.result_types();
    if (types.empty() || types[0].rank() != 0 || !is_float(types[0].dtype))
      refuse("@{} has no scalar float as its first result", f.name);
    for (int64_t w : v.attrs.integers("wrt")) {
      if (w < 0 || w >= static_cast<int64_t>(f.params.size())) refuse("@{} has no parameter {}", f.name, w);
      if (!is_float(v.operands[w].dtype))
        refuse("no gradient for {}, parameter {} of @{}", v.operands[w].str(), w, f.name);
      types.push_back(v.operands[w]);
    }
    return types;
  };
  return r;
}

// body(constants..., carries..., slices of xs...) -> (carries..., slices of ys...); with `reverse` from the
// last slice to the first
OpDef scan() {
  OpDef r = row(
      "scan", Form::Scan,
      "runs a body over the leading axis of xs, carrying values; gives the final carries and the stacked ys",
      {"function!", "consts!", "carries!", "length!", "reverse"});
  r.infer = [](const NodeView& v) {
    const Function& f = function_of(v, "function");
    const size_t consts = static_cast<size_t>(v.attrs.integer("consts")),
                 carries = static_cast<size_t>(v.attrs.integer("carries"));
    const Dim& length = v.attrs.shape("length")[0];
    if (consts > v.operands.size() || carries > v.operands.size() - consts)  // negative ones are huge
      refuse("scan has {} operands, fewer than its consts={} and carries={}", v.operands.size(),
             v.attrs.integer("consts"), v.attrs.integer("carries"));
    std::vector<Type> inside = v.operands.copy();
    for (size_t i = consts + carries; i < inside.size(); ++i) {
      if (inside[i].rank() == 0 || !(inside[i].shape[0] == length))
        refuse("scan over {} steps reads {}", length.str(), inside[i].str());
      inside[i].shape.erase(inside[i].shape.begin());
    }
    check_arguments(f, inside, "scan");
    std::vector<Type> types = f.result_types();
    if (types.size() < carries)
      refuse("the body of a scan with {} carries has {} results", carries, types.size());
    for (size_t i = 0; i < types.size(); ++i) {
      if (i >= carries)
        types[i].shape.insert(types[i].shape.begin(), length);
      else if (types[i] != inside[consts + i])
        refuse("scan carry {} is {} before and {} after a step", i, inside[consts + i].str(), types[i].str());
    }
    return types;
  };
  return r;
}

OpDef cond() {
  OpDef r = row("cond", Form::Cond, "one of two functions of the same arguments, by a bool scalar",
                {"then!", "otherwise!"});
  r.min_operands = 1;
  r.infer = [](const NodeView& v) {
    const Function &a = function_of(v, "then"), &b = function_of(v, "otherwise");
    if (v.operands[0] != Type{DType::Bool, {}}) refuse("cond chooses by {}", v.operands[0].str());
    check_arguments(a, v.operands.from(1), "cond");
    check_arguments(b, v.operands.from(1), "cond");
    if (a.result_types() != b.result_types())
      refuse("@{} gives {} and @{} gives {}", a.name, list(a.result_types()), b.name, list(b.result_types()));
    return a.result_types();
  };
  return r;
}

OpDef while_loop() {
  OpDef r = row("while", Form::While, "repeats a body while a condition holds, at most bound times",
                {"condition!", "body!", "bound!"});
  r.min_operands = 1;
  r.infer = [](const NodeView& v) {
    const Function &c = function_of(v, "condition"), &f = function_of(v, "body");
    check_arguments(c, v.operands, "while");
    check_arguments(f, v.operands, "while");
    if (v.attrs.integer("bound") < 0) refuse("while has a bound of {}", v.attrs.integer("bound"));
    const std::vector<Type> types = v.operands.copy();
    if (c.result_types() != std::vector<Type>{{DType::Bool, {}}}) refuse("@{} is no condition", c.name);
    if (f.result_types() != types)
      refuse("the body @{} maps {} to {}", f.name, list(types), list(f.result_types()));
    return types;
  };
  return r;
}

OpDef get() {
  OpDef r = row("get", Form::Get, "one result of a node with several", {"index!"});
  r.min_operands = r.max_operands = 1;
  // The builder, which sees all results of the operand, puts the type of the one that is read.
  r.infer = [](const NodeView& v) { return std::vector<Type>{v.operands[0]}; };
  return r;
}

}  // namespace

std::vector<OpDef> control_ops() { return {call(), value_and_grad(), scan(), cond(), while_loop(), get()}; }

}  // namespace gradc::graph
