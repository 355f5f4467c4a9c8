// The primitives of the language: functions that are not written in it.
#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "frontend/elaboration/builtin_args.h"
#include "ir/math/functions.h"
#include "support/check.h"
#include "support/pattern.h"

namespace gradc::frontend {
namespace {

using Kind = Value::Kind;

using Function = std::function<Value(Args&)>;
struct Row {
  std::vector<std::string> arguments;  // "...": any number
  Function run;
};

Row scalar_op(std::string op, double (*now)(double) = nullptr) {
  return {{"x"}, [op, now](Args& a) {
            const Value& x = a["x"];
            if (now != nullptr && x.is_number() && (x.is(Kind::Real) || x.integer.is_constant()))
              return Value::of(now(a.e.constant_real(x, "x", a.loc)));
            Value v = x;
            if (x.is(Kind::Integer)) v = a.e.tensor(x, DType::F64, a.loc), v.scalar = true;
            return a.e.unary(op, v, a.loc);
          }};
}

Row extreme(std::string op, bool larger) {
  return {{"a", "b"}, [op, larger](Args& a) {
            Value x = a["a"], y = a["b"];
            if (x.is_constant() && y.is_constant())
              return a.e.binary(larger ? ">=" : "<=", x, y, a.loc).truth ? x : y;
            const bool scalar = (!x.is_tensor() || x.scalar) && (!y.is_tensor() || y.scalar);
            a.e.unify(x, y, op, a.loc);
            const auto to = a.e.common_shape({&x, &y});
            if (!to)
              a.e.fail(a.loc, fmt::format("{}imum cannot combine {} and {}: only a literal 1 stretches", op,
                                          a.e.describe(a["a"]), a.e.describe(a["b"])));
            x = a.e.broadcast(x, *to, a.loc), y = a.e.broadcast(y, *to, a.loc);
            Value r = a.wrap(a.e.of(x).make(op, {x.node, y.node}), x);
            r.scalar = scalar;
            return r;
          }};
}

Row reduction(std::string op) {
  return {{"x", "over", "keep"}, [op](Args& a) {
            const Value x = a.tensor("x");
            std::vector<int64_t> axes;
            const int64_t rank = static_cast<int64_t>(a.e.shape(x).size());
            if (a.has("over") && a["over"].is(Kind::List))
              for (const Value& v : a["over"].items) axes.push_back(a.axis(v, rank));
            else if (a.has("over") || op == "argmax" || op == "argmin")
              axes = {a.axis(rank)};
            return a.e.reduce(op, x, axes, a.flag("keep"), a.loc);
          }};
}

// matches(param.path, "encoder.*"): one pattern, or a list of which one may fit.
Value matches(Args& a) {
  const Value &text = a["text"], &pattern = a["pattern"];
  if (!text.is(Kind::String))
    a.e.fail(a.loc,
             fmt::format("matches looks at a text, such as param.path, not at {}", a.e.describe(text)));
  bool any = false;
  for (const Value& p : pattern.is(Kind::List) ? pattern.items : std::vector<Value>{pattern}) {
    if (!p.is(Kind::String))
      a.e.fail(a.loc, fmt::format("a pattern is a text, in which * is any text, not {}", a.e.describe(p)));
    any = any || fits_pattern(text.text, p.text);
  }
  return Value::of(any);
}

Row cast(DType t) {
  return {{"x"},
          [t](Args& a) { return a.e.convert(a["x"], a.e.wide && is_float(t) ? DType::F64 : t, a.loc); }};
}

Value reshape(Args& a) {
  const Value x = a.tensor("x");
  Shape to = a.shape(a["shape"], true);
  const Dim have = element_count(a.e.shape(x));
  if (std::count_if(to.begin(), to.end(), [](const Dim& d) { return d.is(-1); }) > 1)
    a.e.fail(a.loc, fmt::format("reshape to {}: one dimension may be -1", str(to)));
  for (size_t i = 0; i < to.size(); ++i) {
    if (!to[i].is(-1)) continue;
    Dim others = 1;
    for (size_t j = 0; j < to.size(); ++j)
      if (j != i) others = others * to[j];
    const auto q = have.exact_div(others);
    if (!q)
      a.e.fail(a.loc, fmt::format("reshape of {} to {}: {} is no multiple of {}", a.e.describe(x), str(to),
                                  have.str(), others.str()));
    to[i] = *q;
    break;
  }
  if (!(element_count(to) == have))
    a.e.fail(a.loc, fmt::format("reshape of {} to {}: {} elements against {}", a.e.describe(x), str(to),
                                have.str(), element_count(to).str()));
  return a.wrap(a.e.of(x).reshape(x.node, to), x);
}

Value squeeze(Args& a) {
  const Value x = a.tensor("x");
  const Shape from = a.e.shape(x);
  Shape to;
  const int64_t only = a.has("over") ? a.axis(static_cast<int64_t>(from.size())) : -1;
  for (size_t i = 0; i < from.size(); ++i)
    if (!from[i].is(1) || (only >= 0 && static_cast<int64_t>(i) != only)) to.push_back(from[i]);
  return a.wrap(a.e.of(x).reshape(x.node, to), x);
}

Value concat(Args& a) {
  if (a.rest.empty()) a.e.fail(a.loc, "concat needs tensors");
  std::vector<graph::NodeId> nodes;
  const Value first = a.e.tensor(a.rest[0], a.e.float_type(), a.loc);
  const int64_t rank = static_cast<int64_t>(a.e.shape(first).size()), axis = a.axis(rank);
  for (const Value& v : a.rest) {
    const Value x = a.e.tensor(v, a.e.dtype(first), a.loc);
    Shape want = a.e.shape(first), have = a.e.shape(x);
    if (have.size() == want.size()) want[axis] = have[axis];
    if (have != want || a.e.dtype(x) != a.e.dtype(first))
      a.e.fail(a.loc, fmt::format("concat of {} and {}: only axis {} may differ", a.e.describe(first),
                                  a.e.describe(x), axis));
    nodes.push_back(x.node);
  }
  return a.wrap(a.e.of(first).concat(nodes, static_cast<int>(axis)), first);
}

// k equal parts along an axis; `unstack` drops the axis as well.
Value parts(Args& a, bool unstack) {
  const Value x = a.tensor("x");
  const Shape from = a.e.shape(x);
  const int64_t axis = a.axis(static_cast<int64_t>(from.size()));
  const int64_t k = unstack ? a.e.constant_int(Value::of(from[axis]), "the number of parts", a.loc)
                            : a.e.constant_int(a["k"], "the number of parts", a.loc);
  if (k > 4096) a.e.fail(a.loc, fmt::format("{} into {} parts; at most 4096", a.function, k));
  const auto size = from[axis].exact_div(Dim(std::max<int64_t>(1, k)));
  if (k < 1 || !size)
    a.e.fail(a.loc,
             fmt::format("{} does not split into {} equal parts along axis {}", a.e.describe(x), k, axis));
  std::vector<Value> out;
  for (int64_t i = 0; i < k; ++i) {
    Shape start(from.size(), Dim(0)), limit = from, kept = from;
    start[axis] = *size * Dim(i), limit[axis] = *size * Dim(i + 1);
    graph::NodeId n = a.e.of(x).slice(x.node, start, limit);
    kept.erase(kept.begin() + axis);
    if (unstack) n = a.e.of(x).reshape(n, kept);
    out.push_back(a.wrap(n, x));
  }
  return Value::list(std::move(out));
}

Value transpose(Args& a) {
  const Value x = a.tensor("x");
  const int64_t rank = static_cast<int64_t>(a.e.shape(x).size());
  std::vector<int64_t> perm;
  for (int64_t i = 0; i < rank; ++i) perm.push_back(a.has("axes") ? 0 : rank - 1 - i);
  if (a.has("axes")) {
    const Value& axes = a["axes"];
    std::vector<char> seen(static_cast<size_t>(rank), 0);
    if (!axes.is(Kind::List) || axes.items.size() != perm.size())
      a.e.fail(a.loc, "transpose takes a list of all axes");
    for (size_t i = 0; i < perm.size(); ++i) {
      perm[i] = a.axis(axes.items[i], rank);
      if (std::exchange(seen[static_cast<size_t>(perm[i])], 1) != 0)
        a.e.fail(a.loc, fmt::format("axis {} occurs twice", perm[i]));
    }
  }
  return a.wrap(a.e.of(x).transpose(x.node, perm), x);
}

Value filled(Args& a, double value) {
  return a.e.wrap(a.e.builder().constant(value, a.e.float_type(), a.shape(a["shape"])));
}

// What is read by number is of one batch, as the numbers are; or both are of the whole split.
void refuse_mixed(Args& a, const Value& x, const Value& numbers) {
  if (x.kind != numbers.kind)
    a.e.fail(a.loc, fmt::format("{} reads by numbers of {}, {} is of {}", a.function,
                                x.is(Kind::Deferred) ? "one batch" : "the whole split", a.e.describe(x),
                                x.is(Kind::Deferred) ? "the whole split" : "one batch"));
}

// Rows of a table by number: table[i], for an embedding.
Value take(Args& a) {
  const Value x = a.tensor("table"), i = a["index"];
  if (!i.is_tensor() || !is_integer(a.e.dtype(i)))
    a.e.fail(a.loc, fmt::format("take needs integer numbers, {} is not", a.e.describe(i)));
  refuse_mixed(a, x, i);
  const Shape s = a.e.shape(x);
  if (s.empty()) a.e.fail(a.loc, "take from a scalar");
  const graph::NodeId rows = a.e.of(x).make("gather", {x.node, i.node});
  if (x.is(Kind::Tensor))
    a.e.note_index(i.node, s[0], rows, "index", a.loc);
  else if (!always_in_range(a.e.of(x), i.node, s[0]))  // the end of a split checks nothing
    a.e.fail(a.loc, fmt::format("take of {}, which are all rows of the split: numbers are those of argsort",
                                a.e.describe(x)));
  return a.wrap(rows, x);
}

// The element of the last axis that a label names: x[..., y[...]].
Value pick(Args& a) {
  const Value x = a.tensor("x"), y = a["y"];
  if (!y.is(Kind::Tensor) || !is_integer(a.e.dtype(y)))
    a.e.fail(a.loc,
             fmt::format("class numbers are integers, {} is not; use column(\"...\", i32)", a.e.describe(y)));
  refuse_mixed(a, x, y);
  const Shape sx = a.e.shape(x), sy = a.e.shape(y);
  if (sx.size() != sy.size() + 1 || !std::equal(sy.begin(), sy.end(), sx.begin()))
    a.e.fail(a.loc, fmt::format("{} and {}: the classes are the last axis of the first", a.e.describe(x),
                                a.e.describe(y)));
  graph::Builder& b = a.e.builder();
  std::vector<int64_t> axes;
  for (size_t i = 0; i < sy.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  const DType t = a.e.dtype(y) == DType::I64 ? DType::I64 : DType::I32;
  const graph::NodeId number = b.iota(sx, static_cast<int>(sy.size()), t);
  const graph::NodeId hit = b.compare("eq", number, b.broadcast(b.convert(y.node, t), sx, axes));
  const graph::NodeId picked =
      b.sum(b.select(hit, x.node, b.zeros_like(x.node)), {static_cast<int64_t>(sy.size())});
  a.e.note_index(y.node, sx.back(), picked, "label", a.loc);
  return a.e.wrap(picked);
}

Value one_hot(Args& a) {
  const Value y = a["y"];
  const int64_t n = a.e.constant_int(a["n"], "the number of classes", a.loc);
  if (n < 1) a.e.fail(a.loc, fmt::format("one_hot with {} classes", n));
  if (!y.is(Kind::Tensor) || !is_integer(a.e.dtype(y)))
    a.e.fail(a.loc, fmt::format("class numbers are integers, {} is not", a.e.describe(y)));
  Shape to = a.e.shape(y);
  std::vector<int64_t> axes;
  for (size_t i = 0; i < to.size(); ++i) axes.push_back(static_cast<int64_t>(i));
  to.push_back(Dim(n));
  graph::Builder& b = a.e.builder();
  const DType t = a.e.dtype(y) == DType::I64 ? DType::I64 : DType::I32;
  const graph::NodeId hit = b.compare("eq", b.iota(to, static_cast<int>(axes.size()), t),
                                      b.broadcast(b.convert(y.node, t), to, axes));
  return a.e.convert(a.e.wrap(hit), a.e.float_type(), a.loc);
}

Value random(Args& a) {
  const Value key = a.e.random_key(a.flag("always"), a.loc);
  graph::Builder& b = a.e.builder();
  return a.e.wrap(b.make("uniform", {b.make("rng_bits", {key.node}, {{"shape", a.shape(a["shape"])}})},
                         {{"dtype", a.e.float_type()}}));
}

// The last axis in equal blocks, each filled with one number: gates of a recurrent cell.
Value blocks(Args& a) {
  const Shape to = a.shape(a["shape"]);
  const int64_t k = static_cast<int64_t>(a.rest.size());
  const auto size = to.empty() || k == 0 ? std::nullopt : to.back().exact_div(Dim(k));
  if (!size) a.e.fail(a.loc, fmt::format("blocks: {} does not split into {} equal parts", str(to), k));
  Shape part = to;
  part.back() = *size;
  std::vector<graph::NodeId> nodes;
  for (const Value& v : a.rest)
    nodes.push_back(a.e.builder().constant(a.e.constant_real(v, "a block", a.loc), a.e.float_type(), part));
  return a.e.wrap(a.e.builder().concat(nodes, static_cast<int>(to.size()) - 1));
}

std::map<std::string, Row> make_table() {
  std::map<std::string, Row> t = {
      {"exp", scalar_op("exp", std::exp)},
      {"log", scalar_op("log", std::log)},
      {"ln", scalar_op("log", std::log)},
      {"sqrt", scalar_op("sqrt", std::sqrt)},
      {"sin", scalar_op("sin", std::sin)},
      {"cos", scalar_op("cos", std::cos)},
      {"tanh", scalar_op("tanh", std::tanh)},
      {"erf", scalar_op("erf", std::erf)},
      {"abs", scalar_op("abs", std::fabs)},
      {"floor", scalar_op("floor", std::floor)},
      {"ceil", scalar_op("ceil", std::ceil)},
      {"round", scalar_op("round_even")},
      {"sign", scalar_op("sign")},
      {"maximum", extreme("max", true)},
      {"minimum", extreme("min", false)},
      {"f32", cast(DType::F32)},
      {"f64", cast(DType::F64)},
      {"i32", cast(DType::I32)},
      {"i64", cast(DType::I64)},
      {"u8", cast(DType::U8)},
      {"float", {{"x"}, [](Args& a) { return a.e.convert(a["x"], a.e.float_type(), a.loc); }}},
      {"bool", {{"x"}, [](Args& a) { return a.e.binary("!=", a["x"], Value::of(Index(0)), a.loc); }}},
      {"reshape", {{"x", "shape"}, reshape}},
      {"squeeze", {{"x", "over"}, squeeze}},
      {"concat", {{"...", "over"}, concat}},
      {"split", {{"x", "k", "over"}, [](Args& a) { return parts(a, false); }}},
      {"unstack", {{"x", "over"}, [](Args& a) { return parts(a, true); }}},
      {"transpose", {{"x", "axes"}, transpose}},
      {"pad", {{"x", "low", "high", "over", "value"}, pad}},
      {"windows", {{"x", "size", "stride", "dilation", "over"}, windows}},
      {"overlap_add", {{"x", "extent", "stride", "dilation", "over"}, overlap_add}},
      {"cumsum", {{"x", "over", "reverse", "exclusive"}, [](Args& a) { return running(a, "cumsum"); }}},
      {"cumprod", {{"x", "over", "reverse", "exclusive"}, [](Args& a) { return running(a, "cumprod"); }}},
      {"sort", {{"x", "over", "descending"}, sort}},
      {"argsort", {{"x", "over", "descending"}, argsort}},
      {"top_k", {{"x", "k"}, top_k}},
      {"zeros", {{"shape"}, [](Args& a) { return filled(a, 0); }}},
      {"ones", {{"shape"}, [](Args& a) { return filled(a, 1); }}},
      {"take", {{"table", "index"}, take}},
      {"pick", {{"x", "y"}, pick}},
      {"one_hot", {{"y", "n"}, one_hot}},
      {"all_rows", {{"x"}, [](Args& a) { return a.e.all_rows(a.tensor("x"), a.loc); }}},
      {"first_number", {{"x"}, [](Args& a) { return a.e.first_number(a.tensor("x"), a.loc); }}},
      {"random", {{"shape", "always"}, random}},
      {"grad", {{"loss", "x"}, [](Args& a) { return a.e.gradient(a["loss"], a["x"], a.loc); }}},
      {"blocks", {{"...", "shape"}, blocks}},
      {"stop_gradient",
       {{"x"},
        [](Args& a) {
          const Value x = a.tensor("x");
          return a.wrap(a.e.of(x).unary("stop_gradient", x.node), x);
        }}},
      {"arange",
       {{"n"}, [](Args& a) { return a.e.wrap(a.e.builder().iota(a.shape(a["n"]), 0, DType::I32)); }}},
      {"matches", {{"text", "pattern"}, [](Args& a) { return matches(a); }}},
      {"rank",
       {{"x"},
        [](Args& a) { return Value::of(Index(static_cast<int64_t>(a.e.shape(a.tensor("x")).size()))); }}},
      {"shape",
       {{"x"},
        [](Args& a) {
          std::vector<Value> d;
          const Value x = a.tensor("x");
          for (const Dim& n : a.e.shape(x)) {
            if (x.is(Kind::Deferred) && !n.is_constant())
              a.e.fail(a.loc, fmt::format("how many rows {} has is known at the end of the split: count(x)",
                                          a.e.describe(x)));
            d.push_back(Value::of(n));
          }
          return Value::list(d);
        }}},
  };
// Elementary functions that are not known for numbers are called by their rows.
#define GRADC_ROW(Op, name, operands, ...) \
  if (operands == 1) t.try_emplace(#name, scalar_op(#name));
  GRADC_ELEMENTARY_FUNCTIONS(GRADC_ROW)
#undef GRADC_ROW
  for (const char* op : {"sum", "mean", "max", "min", "prod", "any", "all", "argmax", "argmin", "count"})
    t[op] = reduction(op);
  return t;
}

const std::map<std::string, Row>& table() {
  static const std::map<std::string, Row> t = make_table();
  return t;
}

}  // namespace

bool is_builtin(const std::string& name) { return table().count(name) != 0; }

std::vector<std::string> builtin_names() {
  std::vector<std::string> names;
  for (const auto& [n, r] : table()) names.push_back(n);
  return names;
}

Value Elaborator::call_builtin(const std::string& name, std::vector<Value> positional,
                               std::map<std::string, Value> named, Loc loc) {
  const Row& row = table().at(name);
  Args a{*this, name, std::move(named), {}, loc};
  for (const auto& [n, v] : a.by_name)
    if (std::find(row.arguments.begin(), row.arguments.end(), n) == row.arguments.end())
      fail(loc, fmt::format("{} has no argument '{}'", name, n));
  const bool any = row.arguments[0] == "...";
  if (any)
    a.rest = std::move(positional);
  else if (positional.size() > row.arguments.size())
    fail(loc, fmt::format("{} takes {} arguments, not {}", name, row.arguments.size(), positional.size()));
  for (size_t i = 0; !any && i < positional.size(); ++i)
    a.by_name[row.arguments[i]] = std::move(positional[i]);
  return row.run(a);
}

void Elaborator::note_index(graph::NodeId index, const Dim& limit, graph::NodeId value, std::string what,
                            Loc loc) {
  const bool loaded =
      limit.is_constant() && on_labels && on_labels(source_of(b_, index), limit.constant_part());
  if (loaded || always_in_range(b_, index, limit)) return;
  index_sites.push_back({index, value, limit, std::move(what), user_place(loc)});
}

// A key of its own for every place where random numbers are drawn: hash(path, place in the body, call), then
// the step. Outside training the seed is 0 and the hash another, so that no draw is one of the training.
Value Elaborator::random_key(bool always, Loc loc) {
  auto constant = [&](uint64_t h) {
    return b_.constant(static_cast<double>(h & ((uint64_t(1) << 52) - 1)), DType::I64);
  };
  if (key_node_ != graph::kNone)
    return wrap(b_.make("rng_fold", {key_node_, constant(static_cast<uint64_t>(++key_draws_))}));
  if (!in_model || stack_.empty() || !(training() || always))
    fail(loc,
         "random numbers are drawn by layers while training, and by initialisers; write `if training { ... "
         "}`, or random(shape, always=true) to draw in evaluation and prediction too");
  draws_always = draws_always || always;
  auto given = [&](graph::NodeId n) { return n == graph::kNone ? b_.constant(0, DType::I64) : n; };
  Instance& owner = *stack_.back();
  std::string site =
      fmt::format("{}{}:{}:{}", training() ? "" : "always:", owner.path, owner.draws++, owner.calls);
  for (int64_t i : iterations_) site += fmt::format(":{}", i);
  uint64_t h = 14695981039346656037ULL;
  for (char c : site) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  const graph::NodeId place = b_.make("rng_fold", {given(seed_node), constant(h ^ (h >> 52))});
  graph::NodeId key = b_.make("rng_fold", {place, given(step_node)});
  for (graph::NodeId step : loop_steps_) key = b_.make("rng_fold", {key, step});
  return wrap(key);
}

Value Elaborator::initial_value(const Value& init, const Type& type, const std::string& path, Loc loc) {
  Value v = init;
  if (init.is(Kind::Fn)) {
    uint64_t h = 14695981039346656037ULL;
    for (char c : path) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    if (seed_node != graph::kNone)
      key_node_ = b_.make(
          "rng_fold",
          {seed_node,
           b_.constant(static_cast<double>((h ^ (h >> 52)) & ((uint64_t(1) << 52) - 1)), DType::I64)});
    key_draws_ = 0;
    std::vector<Value> dims;
    for (const Dim& d : type.shape) dims.push_back(Value::of(d));
    v = call(init, {}, {{"shape", Value::list(dims)}}, nullptr, loc, false);
    key_node_ = graph::kNone;
  }
  v = convert(tensor(v, type.dtype, loc), type.dtype, loc);
  if (shape(v).empty()) return broadcast(v, type.shape, loc);
  if (shape(v) != type.shape)
    fail(loc, fmt::format("the initial value of {} is {}, declared {}", path, str(shape(v)), type.str()));
  return v;
}

}  // namespace gradc::frontend
