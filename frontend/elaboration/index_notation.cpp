// Index notation: y[b, o] = sum[i] x[b, i] * w[i, o]. Every subexpression is a tensor whose axes carry the
// names of indices; operands are aligned by name, a sum of a product of two tensors is a contraction.
#include <algorithm>
#include <map>

#include "frontend/elaboration/elaborator.h"
#include "frontend/elaboration/index_sum.h"
#include "support/check.h"

namespace gradc::frontend {

using Kind = Value::Kind;

namespace {

struct Indexed {
  Value value;
  std::vector<std::string> axes;  // "i", "...0" for the dimensions of an ellipsis, ":0" for those of a colon
};

bool contains(const std::vector<std::string>& list, const std::string& s) {
  return std::find(list.begin(), list.end(), s) != list.end();
}

}  // namespace

class IndexNotation {
 public:
  IndexNotation(Elaborator& e, Scope& scope) : e_(e), scope_(scope) {}

  void open(const std::string& name, Loc loc) {
    if (e_.is_known(name, scope_) && scope_.find(name) != nullptr)
      e_.fail(loc, fmt::format("{} is {} ({}); an index needs a new name", name,
                               e_.describe(*scope_.find(name)), at(e_.session(), scope_.find(name)->loc)));
    const auto v = e_.find_value(name, scope_);
    if (v && v->is_number())
      e_.fail(loc, fmt::format("{} is the constant {} ({}); an index needs a new name", name, e_.describe(*v),
                               at(e_.session(), v->loc)));
    active_.push_back(name);
  }

  // The extent of every index: from the plain positions where it stands, else from the sums.
  void collect_all(const Expr& x) {
    collect(x);
    for (bool found = true; found;) {
      found = false;
      for (const SumSite& s : sums_) found |= resolve(s);
    }
    for (const SumSite& s : sums_) check_range(s);
  }

  void collect(const Expr& x) {
    if (x.is(Expr::Kind::Reduce)) {
      for (size_t i = 0; i < x.indices.size(); ++i)
        if (!contains(active_, x.indices[i])) {
          open(x.indices[i], x.index_locs[i]);
          reduced_.push_back(x.indices[i]);
        }
    }
    if (x.is(Expr::Kind::Subscript)) collect_subscript(x);
    for (const Expr& k : x.kids)
      if (!(x.is(Expr::Kind::Subscript))) collect(k);
    for (const Argument& a : x.arguments) collect(a.value);
  }

  // Every expression is evaluated once, however often it is looked at: it may make layers and draw numbers.
  Indexed eval(const Expr& x) {
    if (auto it = known_.find(&x); it != known_.end()) return it->second;
    return known_[&x] = eval_new(x);
  }

  // The value with its axes in the order that the left side names.
  Value arrange(const Indexed& v, const std::vector<std::string>& order, Loc loc) {
    for (const std::string& a : v.axes)
      if (!contains(order, a)) {
        if (contains(reduced_, a))
          e_.fail(loc,
                  fmt::format("index {0} used outside sum[{0}](...); the parentheses end the reduction", a));
        e_.fail(loc, fmt::format("index {0} is only on the right; to sum over it write sum[{0}] ...", a));
      }
    for (const std::string& a : order)
      if (ranges_.count(a) == 0)
        e_.fail(loc, fmt::format("index {} is only on the left: nothing says how far it runs", a));
    Value r = align(v, order, loc);
    Shape to;
    for (const std::string& a : order) to.push_back(ranges_.at(a));
    if (!r.is_tensor()) r = e_.tensor(r, e_.float_type(), loc);
    return e_.broadcast(r, to, loc);
  }

  std::vector<std::string> left(const std::vector<Subscript>& subs) {
    std::vector<std::string> names;
    for (const Subscript& s : subs) {
      if (s.kind == Subscript::Kind::Ellipsis) {
        for (size_t i = 0; i < rest_; ++i) names.push_back("..." + std::to_string(i));
      } else if (s.kind == Subscript::Kind::Index && s.low->is(Expr::Kind::Name)) {
        if (contains(names, s.low->text))
          e_.fail(s.loc, fmt::format("index {} stands twice on the left", s.low->text));
        names.push_back(s.low->text);
      } else {
        e_.fail(s.loc, "the left side of an index statement names indices");
      }
    }
    return names;
  }

 private:
  Value evaluate(const Expr& x) {
    if (auto it = evaluated_.find(&x); it != evaluated_.end()) return it->second;
    return evaluated_[&x] = e_.evaluate(x, scope_);
  }

  Indexed eval_new(const Expr& x) {
    const Elaborator::Level level(e_, x.loc, 2);
    e_.builder().set_location(x.loc);
    switch (x.kind) {
      case Expr::Kind::Name:
        return contains(active_, x.text) ? position(x.text, x.loc) : whole(x);
      case Expr::Kind::Subscript:
        return operand(x);
      case Expr::Kind::Reduce:
        return reduce(x);
      case Expr::Kind::Binary: {
        Indexed a = eval(x.kids[0]), b = eval(x.kids[1]);
        const auto axes = unite({&a, &b});
        return {e_.binary(x.text, align(a, axes, x.loc), align(b, axes, x.loc), x.loc), axes};
      }
      case Expr::Kind::Unary: {
        Indexed a = eval(x.kids[0]);
        return {x.text == "-" ? e_.negate(a.value, x.loc) : e_.unary("not", a.value, x.loc), a.axes};
      }
      case Expr::Kind::Choose: {
        Indexed a = eval(x.kids[0]), c = eval(x.kids[1]), b = eval(x.kids[2]);
        if (c.value.is(Kind::Bool)) return c.value.truth ? a : b;
        const auto axes = unite({&a, &b, &c});
        return {e_.choose(align(c, axes, x.loc), align(a, axes, x.loc), align(b, axes, x.loc), x.loc), axes};
      }
      case Expr::Kind::Call:
        return call(x);
      default:
        return whole(x);
    }
  }

  void collect_subscript(const Expr& x) {
    const Value v = evaluate(x.kids[0]);
    if (!v.is_tensor()) return;
    const Shape shape = e_.shape(v);
    size_t axis = 0, plain = 0;
    for (const Subscript& s : x.subscripts) plain += s.kind != Subscript::Kind::Ellipsis;
    for (const Subscript& s : x.subscripts) {
      if (s.kind == Subscript::Kind::Ellipsis) {
        if (plain > shape.size()) continue;
        rest_ = shape.size() - plain;
        for (size_t i = 0; i < rest_; ++i) note("..." + std::to_string(i), shape[axis++], s.loc, v);
        continue;
      }
      if (axis >= shape.size()) e_.fail(x.loc, fmt::format("{} subscripts for {}", plain, e_.describe(v)));
      if (s.kind == Subscript::Kind::Index && s.low->is(Expr::Kind::Name) &&
          (contains(active_, s.low->text) || !e_.is_known(s.low->text, scope_))) {
        if (!contains(active_, s.low->text)) active_.push_back(s.low->text);
        note(s.low->text, shape[axis], s.loc, v);
      } else if (s.kind == Subscript::Kind::Index && mentions_index(*s.low)) {
        sums_.push_back({index_sum(*s.low), shape[axis], s.loc});
      }
      ++axis;
    }
    if (axis != shape.size()) e_.fail(x.loc, fmt::format("{} subscripts for {}", plain, e_.describe(v)));
  }

  // ---- sums of indices
  bool is_index(const Expr& x) const {
    return x.is(Expr::Kind::Name) && (contains(active_, x.text) || !e_.is_known(x.text, scope_));
  }
  bool mentions_index(const Expr& x) const {
    return is_index(x) ||
           ((x.is(Expr::Kind::Binary) || x.is(Expr::Kind::Unary)) &&
            std::any_of(x.kids.begin(), x.kids.end(), [&](const Expr& k) { return mentions_index(k); }));
  }

  IndexSum index_sum(const Expr& x) {
    IndexSum s;
    add_terms(x, 1, s);
    std::erase_if(s.terms, [](const auto& t) { return t.second == 0; });
    return s;
  }
  // A factor of an index; a window's stride and dilation are no larger.
  int64_t bounded(int64_t factor, Loc loc) const {
    if (factor < -graph::kMaxWindow || factor > graph::kMaxWindow)
      e_.fail(loc, fmt::format("an index times {}; at most {}", factor, graph::kMaxWindow));
    return factor;
  }
  void add_terms(const Expr& x, int64_t times, IndexSum& s) {
    bounded(times, x.loc);
    if (!mentions_index(x)) {
      const Value part = e_.binary("*", Value::of(subscript_number(x)), Value::of(Index(times)), x.loc);
      s.offset = e_.binary("+", Value::of(s.offset), part, x.loc).integer;
    } else if (is_index(x)) {
      if (!contains(active_, x.text)) active_.push_back(x.text);
      s.add(x.text, times);
    } else if (x.is(Expr::Kind::Unary) && x.text == "-") {
      add_terms(x.kids[0], -times, s);
    } else if (x.is(Expr::Kind::Binary) && (x.text == "+" || x.text == "-")) {
      add_terms(x.kids[0], times, s);
      add_terms(x.kids[1], x.text == "-" ? -times : times, s);
    } else if (x.is(Expr::Kind::Binary) && x.text == "*" &&
               mentions_index(x.kids[0]) != mentions_index(x.kids[1])) {
      const int number = mentions_index(x.kids[0]) ? 1 : 0;
      const Index by = subscript_number(x.kids[number]);
      if (!by.is_constant())
        e_.fail(x.kids[number].loc, fmt::format("an index is multiplied by a constant, not by {}", by.str()));
      add_terms(x.kids[1 - number], bounded(by.constant_part(), x.loc) * times, s);
    } else {
      e_.fail(x.loc, "a subscript is an index, or a sum of indices times constants such as 2*i + u - 1");
    }
  }
  Index subscript_number(const Expr& x) {
    const Value v = e_.evaluate(x, scope_);
    if (!v.is(Kind::Integer))
      e_.fail(x.loc, fmt::format("a subscript is a number or an index, not {}", e_.describe(v)));
    return v.integer;
  }

  // The largest value of a sum without one of its indices, or of that part of it which grows or falls.
  std::optional<Index> reach(const IndexSum& s, const std::string& without, bool largest) const {
    Index most = s.offset;
    for (const auto& [name, c] : s.terms) {
      if (name == without) continue;
      auto it = ranges_.find(name);
      if (it == ranges_.end()) return std::nullopt;
      if ((c > 0) == largest) most += (it->second - 1) * Index(c);
    }
    return most;
  }

  // Where all but one index of a sum have ranges, and it is counted upwards, it runs as far as the axis goes.
  bool resolve(const SumSite& s) {
    const std::string* open = nullptr;
    int64_t step = 0;
    for (const auto& [name, c] : s.sum.terms) {
      if (ranges_.count(name)) continue;
      if (open) return false;
      open = &name, step = c;
    }
    if (!open || step < 1) return false;
    const Index room = s.extent - 1 - *reach(s.sum, *open, true);
    if (room.is_constant() && room.constant_part() < 0)
      e_.fail(s.loc,
              fmt::format(
                  "this subscript reaches {} in an axis of {}; pad the tensor, or make the window smaller",
                  (*reach(s.sum, *open, true)).str(), s.extent.str()));
    ranges_.emplace(*open, room.floor_div(step) + 1);
    return true;
  }

  void check_range(const SumSite& s) const {
    for (const auto& [name, c] : s.sum.terms)
      if (!ranges_.count(name))
        e_.fail(s.loc,
                fmt::format("nothing says how far the index {0} runs; it runs as far as an axis at which "
                            "it stands alone, as in w[{0}], or is a sum's of a window: sum[u] x[i+u] * w[u]",
                            name));
    const Index low = *reach(s.sum, "", false), high = *reach(s.sum, "", true);
    if (graph::can_be_negative(low) || graph::can_be_negative(s.extent - 1 - high))
      e_.fail(s.loc, fmt::format("this subscript runs from {} to {} in an axis of {}; pad the tensor before",
                                 low.str(), high.str(), s.extent.str()));
  }

  void note(const std::string& index, const Dim& extent, Loc loc, const Value& v) {
    auto [it, fresh] = ranges_.emplace(index, extent);
    if (fresh) first_[index] = v;
    if (it->second == extent) return;
    e_.fail(loc, fmt::format("index '{}' is {} in {} and {} in {}", index, it->second.str(),
                             e_.describe(first_[index]), extent.str(), e_.describe(v)));
  }

  Indexed position(const std::string& index, Loc loc) {
    auto it = ranges_.find(index);
    if (it == ranges_.end()) e_.fail(loc, fmt::format("nothing says how far the index {} runs", index));
    return {e_.wrap(e_.builder().iota({it->second}, 0, DType::I32)), {index}};
  }

  // A value without subscripts: a scalar, or one that has exactly the axes of the colons.
  Indexed whole(const Expr& x) {
    Value v = evaluate(x);
    if (!v.is_tensor() || e_.shape(v).empty()) return {v, {}};
    std::vector<std::string> axes;
    for (const auto& [n, d] : ranges_)
      if (n[0] == ':') axes.push_back(n);
    const Shape& s = e_.shape(v);
    if (axes.size() != s.size())
      e_.fail(x.loc, fmt::format("{} needs its subscripts in an index expression", e_.describe(v)));
    return {v, axes};
  }

  Indexed operand(const Expr& x) {
    Value v = evaluate(x.kids[0]);
    if (!v.is_tensor()) return {e_.subscript(v, x, scope_), {}};
    const Shape from = e_.shape(v);
    Cut cut{Shape(from.size(), Dim(0)), from, {}, std::vector<int64_t>(from.size(), 1), {}, {}, {}};
    size_t axis = 0, colons = 0;
    for (const Subscript& s : x.subscripts) {
      if (s.kind == Subscript::Kind::Ellipsis) {
        for (size_t i = 0; i < rest_; ++i) keep(cut, "..." + std::to_string(i), from[axis++]);
        continue;
      }
      if (s.kind == Subscript::Kind::Slice) {
        if (s.low || s.high)
          e_.fail(s.loc, "a part of an axis in index notation is not available yet; slice before");
        const std::string name = ":" + std::to_string(colons++);
        ranges_.emplace(name, from[axis]);
        keep(cut, name, from[axis]);
      } else if (s.low->is(Expr::Kind::Name) && contains(active_, s.low->text)) {
        unique(cut, s.low->text, s.loc);
        keep(cut, s.low->text, from[axis]);
      } else if (mentions_index(*s.low)) {
        cut_sum(cut, axis, s);
      } else {
        cut_position(cut, axis, from[axis], s);
      }
      ++axis;
    }
    graph::Builder& b = e_.of(v);
    if (!cut.whole(from)) v.node = b.slice(v.node, cut.start, cut.limit, cut.stride);
    if (cut.kept.size() != from.size()) v.node = b.reshape(v.node, cut.kept);
    if (!cut.windows.axes.empty()) v.node = graph::windows(b, v.node, cut.windows);
    if (!cut.reversed.empty()) v.node = b.make("reverse", {v.node}, {{"axes", graph::ints(cut.reversed)}});
    return {v, cut.axes};
  }

  static void keep(Cut& cut, const std::string& name, const Dim& extent) {
    cut.axes.push_back(name);
    cut.kept.push_back(extent);
  }
  void unique(const Cut& cut, const std::string& index, Loc loc) const {
    if (contains(cut.axes, index))
      e_.fail(loc, fmt::format("index {} twice in one operand is not available yet", index));
  }

  void cut_position(Cut& cut, size_t axis, const Dim& extent, const Subscript& s) {
    const Value at = e_.evaluate(*s.low, scope_);
    if (!at.is(Kind::Integer))
      e_.fail(s.loc, fmt::format("a subscript is an index, a sum of indices, a constant or ':', not {}",
                                 e_.describe(at)));
    const bool from_end = at.integer.is_constant() && at.integer.constant_part() < 0;
    cut.start[axis] = from_end ? extent + at.integer : at.integer;
    cut.limit[axis] = cut.start[axis] + 1;
    const Dim room = extent - cut.limit[axis];
    if ((room.is_constant() && room.constant_part() < 0) ||
        (cut.start[axis].is_constant() && cut.start[axis].constant_part() < 0))
      e_.fail(s.loc, fmt::format("position {} of an axis of {}", at.integer.str(), extent.str()));
  }

  // s*i + d*u + c: the part of the axis that it reaches, and for two indices the windows of that part, of
  // which the shorter constant range is the inside. What is counted down is read in reverse.
  void cut_sum(Cut& cut, size_t axis, const Subscript& s) {
    IndexSum sum = index_sum(*s.low);
    if (sum.terms.size() > 2)
      e_.fail(s.loc, "sums of more than two indices in one subscript are not available yet");
    cut.start[axis] = *reach(sum, "", false);
    cut.limit[axis] = *reach(sum, "", true) + 1;
    if (sum.terms.empty()) return;  // the indices cancel: a position
    if (sum.terms.size() == 2 && inside(sum.terms[0].first, sum.terms[1].first))
      std::swap(sum.terms[0], sum.terms[1]);
    const auto& [index, step] = sum.terms[0];
    unique(cut, index, s.loc);
    if (step < 0) cut.reversed.push_back(static_cast<int64_t>(cut.axes.size()));
    if (sum.terms.size() == 1) {
      cut.stride[axis] = std::abs(step);
      return keep(cut, index, ranges_.at(index));
    }
    const auto& [tap, apart] = sum.terms[1];
    unique(cut, tap, s.loc);
    if (!ranges_.at(tap).is_constant())
      e_.fail(
          s.loc,
          fmt::format("of two indices in one subscript one has a constant range: {} runs over {}, {} over {}",
                      index, ranges_.at(index).str(), tap, ranges_.at(tap).str()));
    cut.windows.axes.push_back(static_cast<int64_t>(cut.kept.size()));
    cut.windows.sizes.push_back(ranges_.at(tap).constant_part());
    cut.windows.strides.push_back(std::abs(step));
    cut.windows.dilations.push_back(std::abs(apart));
    keep(cut, index, cut.limit[axis] - cut.start[axis]);
    if (apart < 0) cut.reversed.push_back(static_cast<int64_t>(cut.axes.size()));
    cut.axes.push_back(tap);
  }
  // Whether a runs inside b's windows.
  bool inside(const std::string& a, const std::string& b) const {
    const Dim &x = ranges_.at(a), &y = ranges_.at(b);
    return x.is_constant() && (!y.is_constant() || x.constant_part() < y.constant_part());
  }

  static std::vector<std::string> unite(std::initializer_list<const Indexed*> list) {
    std::vector<std::string> axes;
    for (const Indexed* v : list)
      for (const std::string& a : v->axes)
        if (!contains(axes, a)) axes.push_back(a);
    return axes;
  }

  // The tensor with all of `axes`, in that order; numbers stay numbers.
  Value align(const Indexed& v, const std::vector<std::string>& axes, Loc) {
    if (v.axes.empty() || v.axes == axes) return v.value;
    graph::Builder& b = e_.of(v.value);
    std::vector<int64_t> perm, places;
    Shape to;
    for (size_t i = 0; i < axes.size(); ++i) {
      to.push_back(ranges_.at(axes[i]));
      auto it = std::find(v.axes.begin(), v.axes.end(), axes[i]);
      if (it == v.axes.end()) continue;
      perm.push_back(it - v.axes.begin());
      places.push_back(static_cast<int64_t>(i));
    }
    graph::NodeId n = v.value.node;
    if (!std::is_sorted(perm.begin(), perm.end())) n = b.transpose(n, perm);
    if (perm.size() != axes.size()) n = b.broadcast(n, to, places);
    return e_.wrap(n, v.value.is(Kind::Deferred));
  }

  Indexed call(const Expr& x) {
    const Value f = evaluate(x.kids[0]);
    std::vector<Indexed> args;
    std::vector<std::string> axes;
    for (const Argument& a : x.arguments) {
      args.push_back(eval(a.value));
      for (const std::string& n : args.back().axes)
        if (!contains(axes, n)) axes.push_back(n);
    }
    std::vector<Value> positional;
    std::map<std::string, Value> named;
    for (size_t i = 0; i < args.size(); ++i) {
      Value v = align(args[i], axes, x.loc);
      x.arguments[i].name.empty() ? positional.push_back(v) : void(named[x.arguments[i].name] = v);
    }
    const Value r = e_.call(f, positional, named, &x, x.loc, false);
    if (r.is_tensor() && e_.shape(r).size() != axes.size())
      e_.fail(x.loc, fmt::format("{} does not work element by element; call it outside index notation",
                                 e_.session().sources.text(x.kids[0].loc)));
    return {r, r.is_tensor() ? axes : std::vector<std::string>{}};
  }

  // Factors of a product: scalars apart from tensors.
  void factors(const Expr& x, bool divides, std::vector<std::pair<const Expr*, bool>>& out) {
    if (x.is(Expr::Kind::Binary) && (x.text == "*" || x.text == "/")) {
      factors(x.kids[0], divides, out);
      factors(x.kids[1], divides != (x.text == "/"), out);
    } else {
      out.push_back({&x, divides});
    }
  }

  // sum[i] a * b / c with two tensors a and b becomes one contraction.
  std::optional<Indexed> contraction(const Expr& x) {
    if (x.text != "sum" || x.kids.size() > 1 || e_.deferring) return std::nullopt;
    std::vector<std::pair<const Expr*, bool>> list;
    factors(x.kids[0], false, list);
    std::vector<Indexed> tensors;
    std::vector<std::pair<Indexed, bool>> scalars;
    for (const auto& [f, divides] : list) {
      Indexed v = eval(*f);
      if (v.axes.empty())
        scalars.push_back({v, divides});
      else if (divides || !is_float(e_.dtype(v.value)) || v.value.is(Kind::Deferred))
        return std::nullopt;
      else
        tensors.push_back(v);
    }
    if (tensors.size() != 2 || e_.dtype(tensors[0].value) != e_.dtype(tensors[1].value)) return std::nullopt;
    std::map<std::string, char> letter;
    std::string spec[2], out;
    std::vector<std::string> axes;
    for (int t = 0; t < 2; ++t)
      for (const std::string& a : tensors[t].axes) {
        if (letter.size() == 26 && letter.count(a) == 0) return std::nullopt;
        auto [it, fresh] = letter.emplace(a, static_cast<char>('a' + letter.size()));
        spec[t] += it->second;
        if (fresh && !contains(x.indices, a)) axes.push_back(a), out += it->second;
      }
    for (const std::string& i : x.indices)
      if (letter.count(i) == 0) return std::nullopt;
    Value r = e_.wrap(e_.builder().einsum(tensors[0].value.node, tensors[1].value.node,
                                          spec[0] + "," + spec[1] + "->" + out));
    for (const auto& [s, divides] : scalars) r = e_.binary(divides ? "/" : "*", r, s.value, x.loc);
    return Indexed{r, axes};
  }

  Indexed reduce(const Expr& x) {
    if (auto c = contraction(x)) return *c;
    Indexed body = eval(x.kids[0]);
    std::optional<Indexed> mask;
    if (x.kids.size() > 1) mask = eval(x.kids[1]);
    std::vector<std::string> axes = body.axes;
    if (mask)
      for (const std::string& a : mask->axes)
        if (!contains(axes, a)) axes.push_back(a);
    for (const std::string& i : x.indices)
      if (!contains(axes, i))
        e_.fail(x.loc, fmt::format("index {} of {}[...] does not occur in what it reduces", i, x.text));
    Value v = align(body, axes, x.loc);
    if (!v.is_tensor() || e_.shape(v).size() != axes.size()) {
      Shape to;
      for (const std::string& a : axes) to.push_back(ranges_.at(a));
      v = e_.broadcast(e_.tensor(v, e_.float_type(), x.loc), to, x.loc);
    }
    std::vector<int64_t> places;
    std::vector<std::string> kept;
    for (size_t i = 0; i < axes.size(); ++i)
      contains(x.indices, axes[i]) ? places.push_back(static_cast<int64_t>(i)) : kept.push_back(axes[i]);
    std::optional<Value> m;
    if (mask) m = align(*mask, axes, x.loc);
    return finish(x, v, m, places, axes, kept);
  }

  Indexed finish(const Expr& x, Value v, const std::optional<Value>& mask, const std::vector<int64_t>& places,
                 const std::vector<std::string>& axes, const std::vector<std::string>& kept) {
    const Loc loc = x.loc;
    auto keep = [&](const Value& y, const Value& otherwise) {
      return mask ? e_.choose(*mask, y, otherwise, loc) : y;
    };
    const Value zero = Value::of(Index(0)), one = Value::of(Index(1));
    auto over = [&](const char* op, const Value& y, bool ones) {
      return e_.reduce(op, y, places, ones, loc);
    };
    if (x.text == "sum") return {over("sum", keep(v, zero), false), kept};
    if (x.text == "prod") return {over("prod", keep(v, one), false), kept};
    if (x.text == "max" || x.text == "min")
      return {over(x.text.c_str(), keep(v, e_.limit(v, x.text == "max")), false), kept};
    if (x.text == "any" || x.text == "all") {
      if (mask)
        v = x.text == "any" ? e_.binary("and", v, *mask, loc)
                            : e_.binary("or", v, e_.unary("not", *mask, loc), loc);
      return {over(x.text.c_str(), v, false), kept};
    }
    if (x.text == "mean") {
      if (!mask) return {over("mean", v, false), kept};
      const Value n = over("sum", e_.convert(*mask, e_.float_type(), loc), false);
      const Value some = e_.call_builtin("maximum", {n, Value::of(1.0)}, {}, loc);
      return {e_.binary("/", over("sum", keep(v, zero), false), some, loc), kept};
    }
    if (x.text == "argmax" || x.text == "argmin") {
      if (places.size() != 1) e_.fail(loc, fmt::format("{} runs over one index", x.text));
      return {e_.reduce(x.text, keep(v, e_.limit(v, x.text == "argmax")), places, false, loc), kept};
    }
    if (x.text == "cumsum" || x.text == "cumprod") {
      if (places.size() != 1) e_.fail(loc, fmt::format("{} runs over one index", x.text));
      const Value r = e_.call_builtin(x.text, {keep(v, x.text == "cumsum" ? zero : one)},
                                      {{"over", Value::of(Index(places[0]))}}, loc);
      return {r, axes};
    }
    if (x.text == "softmax" || x.text == "logsumexp") {
      // What is masked is -inf, with derivative 0. The standard library has the formulas.
      if (!is_float(e_.dtype(v))) v = e_.convert(v, e_.float_type(), loc);
      Value axes_of_rows = Value::list({});
      for (int64_t i : places) axes_of_rows.items.push_back(Value::of(Index(i)));
      const Value r = e_.call_standard(x.text, {keep(v, e_.limit(v, true)), axes_of_rows}, loc);
      return {r, x.text == "softmax" ? axes : kept};
    }
    e_.fail(loc, fmt::format("'{}[...]' is not available yet", x.text));
  }

  Elaborator& e_;
  Scope& scope_;
  std::vector<std::string> active_, reduced_;
  std::map<std::string, Dim> ranges_;
  std::map<std::string, Value> first_;
  std::map<const Expr*, Indexed> known_;
  std::map<const Expr*, Value> evaluated_;
  std::vector<SumSite> sums_;
  size_t rest_ = 0;
};

Value Elaborator::index_assignment(const Target& t, const Expr& e, Scope& scope) {
  IndexNotation notation(*this, scope);
  for (const Subscript& s : *t.subscripts)
    if (s.kind == Subscript::Kind::Index && s.low->is(Expr::Kind::Name)) notation.open(s.low->text, s.loc);
  notation.collect_all(e);
  const Indexed v = notation.eval(e);
  return notation.arrange(v, notation.left(*t.subscripts), e.loc);
}

Value Elaborator::reduction(const Expr& e, Scope& scope) {
  IndexNotation notation(*this, scope);
  notation.collect_all(e);
  Indexed v = notation.eval(e);
  for (const std::string& a : v.axes)
    if (a[0] != ':' && a[0] != '.')
      fail(e.loc, fmt::format("index {0} is only on the right; to sum over it write sum[{0}] ...", a));
  return v.value;
}

}  // namespace gradc::frontend
