// Group to kernel. The lowerer walks a group's members; `value_at` evaluates any node at any index by reading
// its buffer, its register or its scratch row, or by evaluating its meaning in place.
#include "passes/lower/lower_group.h"

#include <algorithm>
#include <unordered_set>

#include "support/check.h"

namespace gradc::passes {
namespace {

using graph::Function;
using namespace kernel;

class GroupLowerer {
 public:
  GroupLowerer(const LowerInput& in, const Group& group, const std::string& name)
      : in_(in), f_(in.function), group_(group) {
    k_.name = name;
    k_.fma = in.fma;
  }

  Lowered run() {
    for (const Member& m : group_.members) members_[m.node] = m;
    declare_parameters();
    std::vector<Index> outer;
    std::vector<int> vars;
    auto axis = [&](const Index& extent) {
      vars.push_back(new_var());
      extents_[vars.back()] = extent;
      return Index::var(vars.back());
    };
    for (size_t a = 0; a < group_.axes.size(); ++a) {
      const Index& extent = group_.axes[a].extent;
      const int64_t block = block_of(a);
      if (block == 0) {
        outer.push_back(axis(extent));
        continue;
      }
      const Index blocks = axis(Index(extent.constant_part() / block));
      outer.push_back(blocks * block + axis(block));
    }
    Body body = scoped([&] {
      for (const Member& m : group_.members) lower_member(m, outer);
    });
    for (size_t v = vars.size(); v-- > 0;)
      body = {make_for({vars[v], extents_.at(vars[v]), LoopKind::Axis, body})};
    k_.body = std::move(body);
    for (Buffer& b : locals_) k_.buffers.push_back(b);
    return {std::move(k_), std::move(parameters_)};
  }

 private:
  // How many elements along a shared axis have the same terms of a sum, where that is what its conditions say
  // (pass skip): then the axis is a loop over such blocks and one over their elements. Else 0.
  int64_t block_of(size_t axis) const {
    const Index& extent = group_.axes[axis].extent;
    for (const Member& m : group_.members) {
      if (!f_[m.node].attrs.has("where")) continue;
      for (const Index& e : graph::meaning_of(f_, m.node).where)
        for (const Index::Term& t : e.terms())
          for (const Atom& atom : t.factors) {
            if (atom.kind != Atom::Kind::FloorDiv || !atom.args->second.is_constant()) continue;
            const int64_t block = atom.args->second.constant_part();
            if (atom.args->first == Index::var(static_cast<int>(axis)) && extent.is_constant() &&
                extent.constant_part() % block == 0)
              return block;
          }
    }
    return 0;
  }

  // --- buffers -------------------------------------------------------------------------------------------
  NodeId storage(NodeId n) const {
    auto it = in_.storage_of.find(n);
    return it == in_.storage_of.end() ? n : it->second;
  }

  // Parameters must be numbered before locals, so they are found by walking what the members reach.
  void declare_parameters() {
    std::vector<NodeId> writes;
    std::unordered_set<NodeId> seen;
    for (const Member& m : group_.members) {
      declare_reads(m.node, seen);
      if (m.memory) writes.push_back(storage(m.node));
    }
    for (NodeId n : writes) declare(n, Space::Out);
  }

  // Depth first, operands in order.
  void declare_reads(NodeId member, std::unordered_set<NodeId>& seen) {
    std::vector<NodeId> stack{member};
    while (!stack.empty()) {
      const NodeId n = stack.back();
      stack.pop_back();
      if (!seen.insert(n).second) continue;
      if (n != member && !members_.count(n) && !in_.fusion.in_place[n]) {
        declare(storage(n), Space::In);
        continue;
      }
      stack.insert(stack.end(), f_[n].operands.rbegin(), f_[n].operands.rend());
    }
  }

  void declare(NodeId n, Space space) {
    auto it = buffer_of_.find(n);
    if (it != buffer_of_.end()) {
      if (k_.buffers[it->second].space != space) k_.buffers[it->second].space = Space::InOut;
      return;
    }
    buffer_of_[n] = static_cast<int>(k_.buffers.size());
    parameters_.push_back(n);
    const Type& t = f_.type(n);
    k_.buffers.push_back({fmt::format("b{}", k_.buffers.size()), t.dtype, t.shape, space, {}});
  }

  int local(Space space, DType t, Shape shape) {
    const int id = static_cast<int>(k_.buffers.size() + locals_.size());
    locals_.push_back({fmt::format("{}{}", space == Space::Tile ? "t" : "s", locals_.size()),
                       t,
                       std::move(shape),
                       space,
                       {}});
    return id;
  }

  // --- emission ------------------------------------------------------------------------------------------
  int new_var() { return k_.vars++; }
  Value new_value() { return k_.values++; }
  void emit(Stmt s) { body_->push_back(std::move(s)); }

  Value compute(ScalarOp op, DType t, std::array<Value, 3> args, Literal value = {}, Index index = {}) {
    const Value v = new_value();
    emit(Compute{v, op, t, args, value, std::move(index)});
    return v;
  }
  Value constant(DType t, Literal v) { return compute(ScalarOp::Const, t, {-1, -1, -1}, v); }
  Value load(int buffer, std::vector<Index> at, std::vector<Index> guards = {}, Literal fill = {}) {
    const Value v = new_value();
    emit(Load{v, buffer, std::move(at), std::move(guards), fill});
    return v;
  }

  // Emits into a new body; values cached there are forgotten afterwards.
  template <class F>
  Body scoped(F&& fill) {
    Body body;
    Body* outer = std::exchange(body_, &body);
    auto saved = cache_;
    fill();
    cache_ = std::move(saved);
    body_ = outer;
    return body;
  }
  // A loop of `extent` around what `fill(variable)` emits.
  template <class F>
  void loop(const Index& extent, LoopKind kind, F&& fill) {
    const int v = new_var();
    extents_[v] = extent;
    Body body = scoped([&] { fill(Index::var(v)); });
    emit(make_for({v, extent, kind, std::move(body)}));
  }

  template <class F>
  void branch(const Index& condition, F&& fill) {
    Body body = scoped(fill);
    if (condition.is_constant()) {
      if (condition.constant_part() >= 0) body_->insert(body_->end(), body.begin(), body.end());
    } else {
      emit(make_if({{condition}, std::move(body)}));
    }
  }

  Index tidy(const Index& e) const {
    return simplify(e, [&](int v) {
      auto it = extents_.find(v);
      return it == extents_.end() ? Index(int64_t(1) << 40) : it->second;
    });
  }

  // --- members -------------------------------------------------------------------------------------------
  void lower_member(const Member& m, const std::vector<Index>& outer) {
    const Meaning meaning = graph::meaning_of(f_, m.node);
    const size_t n = outer.size();
    if (m.storage == Storage::Scratch) {
      Shape inner(meaning.axes.begin() + static_cast<long>(n), meaning.axes.begin() + meaning.outputs);
      scratch_[m.node] = local(Space::Scratch, f_.type(m.node).dtype, inner);
    }
    std::vector<Index> axes = outer;
    lower_inner(m, meaning, axes, n);
  }

  void lower_inner(const Member& m, const Meaning& meaning, std::vector<Index>& axes, size_t next) {
    if (next == static_cast<size_t>(meaning.outputs)) {
      finish_member(m, meaning, axes);
      return;
    }
    auto of_one = [&](size_t a) { return meaning.axes[a].is(1); };
    if (of_one(next)) {
      axes.push_back(0);
      lower_inner(m, meaning, axes, next + 1);
      axes.pop_back();
      return;
    }
    // Only the innermost axis of a map is a vector loop: it holds no further loop.
    bool innermost = meaning.combine == Combiner::None || is_written_out(meaning);
    for (size_t a = next + 1; a < static_cast<size_t>(meaning.outputs); ++a) innermost &= of_one(a);
    loop(meaning.axes[next], innermost ? LoopKind::Vector : LoopKind::Serial, [&](const Index& v) {
      axes.push_back(v);
      lower_inner(m, meaning, axes, next + 1);
      axes.pop_back();
    });
  }

  // A sum of few terms in a row kernel, where no schedule would find lanes for its loops.
  bool is_written_out(const Meaning& m) const {
    constexpr int64_t kMost = 16;
    const bool chain = m.order != Order::Lanes && m.order != Order::Pairwise;
    if (!chain || m.combine == Combiner::None || m.combine == Combiner::ArgMax ||
        m.combine == Combiner::ArgMin || m.initial >= 0 || !m.where.empty() ||
        static_cast<size_t>(m.outputs) <= group_.axes.size())
      return false;
    const std::vector<Dim> terms(m.axes.begin() + m.outputs, m.axes.end());
    const Dim count = element_count(terms);
    return count.is_constant() && count.constant_part() <= kMost;
  }

  void finish_member(const Member& m, const Meaning& meaning, const std::vector<Index>& axes) {
    const Value v = meaning.combine == Combiner::None ? evaluate(m.node, meaning, axes, {})
                                                      : reduce(m.node, meaning, axes);
    if (m.storage == Storage::Register) registers_[m.node] = v;
    if (auto it = scratch_.find(m.node); it != scratch_.end())
      emit(Store{it->second, {axes.begin() + static_cast<long>(group_.axes.size()), axes.end()}, v});
    if (m.memory) emit(Store{buffer_of_.at(storage(m.node)), axes, v});
  }

  // --- values --------------------------------------------------------------------------------------------
  Value value_at(NodeId n, const std::vector<Index>& at, const std::vector<Index>& guards, double fill) {
    std::string key = fmt::format("{}", n);
    for (const Index& e : at) key += "," + e.str();
    for (const Index& e : guards) key += "?" + e.str();
    if (!guards.empty()) key += fmt::format("={}", fill);
    if (auto it = cache_.find(key); it != cache_.end()) return it->second;
    const Value v = fresh_value_at(n, at, guards, fill);
    cache_[key] = v;
    return v;
  }

  Value fresh_value_at(NodeId n, const std::vector<Index>& at, const std::vector<Index>& guards,
                       double fill) {
    const DType t = f_.type(n).dtype;
    if (auto it = members_.find(n); it != members_.end()) {
      const size_t outer = group_.axes.size();
      Value v = it->second.storage == Storage::Register
                    ? registers_.at(n)
                    : load(scratch_.at(n), {at.begin() + static_cast<long>(outer), at.end()}, guards,
                           literal(t, fill));
      if (it->second.storage == Storage::Register && !guards.empty()) v = guarded(v, t, guards, fill);
      return v;
    }
    if (!in_.fusion.in_place[n]) return load(buffer_of_.at(storage(n)), at, guards, literal(t, fill));
    const Value v = evaluate(n, graph::meaning_of(f_, n), at, guards);
    return guards.empty() ? v : guarded(v, t, guards, fill);
  }

  // The value, or `fill` where a guard is negative.
  Value guarded(Value v, DType t, const std::vector<Index>& guards, double fill) {
    const Value zero = constant(DType::I64, literal(DType::I64, 0));
    Value ok = -1;
    for (const Index& g : guards) {
      const Value e = compute(ScalarOp::Axis, DType::I64, {-1, -1, -1}, {}, g);
      const Value c = compute(ScalarOp::Ge, DType::Bool, {e, zero, -1});
      ok = ok < 0 ? c : compute(ScalarOp::And, DType::Bool, {ok, c, -1});
    }
    return compute(ScalarOp::Select, t, {ok, v, constant(t, literal(t, fill))});
  }

  // The body of a meaning with its axes at `axes`. `guards` hold for every read within.
  Value evaluate(NodeId n, const Meaning& m, const std::vector<Index>& axes,
                 const std::vector<Index>& guards) {
    const std::vector<Value> values = evaluate_body(n, m, axes, guards);
    return values.back();
  }

  std::vector<Value> evaluate_body(NodeId n, const Meaning& m, const std::vector<Index>& axes,
                                   const std::vector<Index>& guards) {
    std::vector<Value> reads(m.reads.size(), -1);
    std::map<int, int> bound;  // read -> variable that holds its value
    auto bind = [&](int v) -> Index {
      if (v < static_cast<int>(axes.size())) return axes[v];
      return Index::var(bound.at(v - static_cast<int>(axes.size())));
    };
    for (size_t r = 0; r < m.reads.size(); ++r) {
      if (static_cast<int>(r) == m.initial) continue;
      read(n, m, r, bind, guards, reads);
      if (used_as_index(m, r)) {
        bound[static_cast<int>(r)] = new_var();
        emit(Bind{bound[static_cast<int>(r)],
                  as_i64(reads[r], f_.type(f_[n].operands[m.reads[r].operand]).dtype)});
      }
    }
    std::vector<Value> values;
    for (const ScalarNode& s : m.body) values.push_back(scalar(s, m, values, reads, axes));
    return values;
  }

  void read(NodeId n, const Meaning& m, size_t r, const std::function<Index(int)>& bind,
            const std::vector<Index>& guards, std::vector<Value>& reads) {
    std::vector<Index> at, all = guards;
    for (const Index& e : m.reads[r].at) at.push_back(tidy(e.substitute(bind)));
    for (const Index& e : m.reads[r].guards) {
      Index g = tidy(e.substitute(bind));
      if (!provably(g)) all.push_back(std::move(g));
    }
    reads[r] = value_at(f_[n].operands[m.reads[r].operand], at, all, m.reads[r].fill);
  }
  bool provably(const Index& g) const {
    return provably_nonnegative(g, [&](int v) {
      auto it = extents_.find(v);
      return it == extents_.end() ? Index(int64_t(1) << 40) : it->second;
    });
  }

  static bool used_as_index(const Meaning& m, size_t r) {
    const int var = static_cast<int>(m.axes.size() + r);
    for (size_t later = r + 1; later < m.reads.size(); ++later) {
      for (const Index& e : m.reads[later].at)
        if (e.uses_var(var)) return true;
      for (const Index& e : m.reads[later].guards)
        if (e.uses_var(var)) return true;
    }
    return false;
  }
  Value as_i64(Value v, DType t) { return converted(v, t, DType::I64); }
  Value converted(Value v, DType from, DType to) {
    return from == to ? v : compute(ScalarOp::Convert, to, {v, -1, -1});
  }

  Value scalar(const ScalarNode& s, const Meaning& m, const std::vector<Value>& values,
               const std::vector<Value>& reads, const std::vector<Index>& axes) {
    if (s.op == ScalarOp::Read) return reads[s.index];
    if (s.op == ScalarOp::Const) return constant(s.dtype, s.value);
    if (s.op == ScalarOp::Axis) {
      const size_t n = static_cast<size_t>(s.index);
      const Index e = n < m.axes.size()
                          ? axes[n]
                          : m.values[n - m.axes.size()].substitute([&](int a) { return axes[a]; });
      const Value v = compute(ScalarOp::Axis, DType::I64, {-1, -1, -1}, {}, tidy(e));
      return s.dtype == DType::I64 ? v : compute(ScalarOp::Convert, s.dtype, {v, -1, -1});
    }
    std::array<Value, 3> args{-1, -1, -1};
    for (int a = 0; a < def_of(s.op).arity; ++a) args[a] = values[s.args[a]];
    return compute(s.op, s.dtype, args);
  }

  // --- reductions ----------------------------------------------------------------------------------------
  Value reduce(NodeId n, const Meaning& m, const std::vector<Index>& axes) {
    if (m.combine == Combiner::ArgMax || m.combine == Combiner::ArgMin) return arg_reduce(n, m, axes);
    const Value partial = reduce_in_order(n, m, axes);
    return converted(partial, m.accumulator, f_.type(n).dtype);
  }
  Value reduce_in_order(NodeId n, const Meaning& m, const std::vector<Index>& axes) {
    switch (m.order) {
      case Order::Lanes:
        return reduce_lanes(n, m, axes);
      case Order::Pairwise:
        return reduce_pairwise(n, m, axes);
      default:
        return reduce_chain(n, m, axes);
    }
  }

  // acc (+) body, or fma(a, b, acc) where the body ends in a product that the meaning fuses.
  template <class Accumulator>
  Value combined(NodeId n, const Meaning& m, const std::vector<Index>& axes, Accumulator&& accumulator) {
    const DType t = m.accumulator;
    if (!m.fma) {
      const Value v = evaluate(n, m, axes, {});
      return compute(joining(m.combine), t, {accumulator(), v, -1});
    }
    Meaning factors = m;
    const ScalarNode product = factors.body.back();
    GRADC_CHECK(product.op == ScalarOp::Mul, "fma needs a product in {}", f_[n].op->name);
    factors.body.pop_back();
    const std::vector<Value> v = evaluate_body(n, factors, axes, {});
    return compute(ScalarOp::Fma, t, {v[product.args[0]], v[product.args[1]], accumulator()});
  }
  void accumulate(NodeId n, const Meaning& m, int tile, const std::vector<Index>& at,
                  const std::vector<Index>& axes) {
    const Value v = combined(n, m, axes, [&] { return load(tile, at); });
    emit(Store{tile, at, v});
  }

  Value reduce_written_out(NodeId n, const Meaning& m, Value sum, std::vector<Index>& axes) {
    if (axes.size() == m.axes.size()) return combined(n, m, axes, [&] { return sum; });
    for (int64_t i = 0; i < m.axes[axes.size()].constant_part(); ++i) {
      axes.push_back(i);
      sum = reduce_written_out(n, m, sum, axes);
      axes.pop_back();
    }
    return sum;
  }

  Value reduce_chain(NodeId n, const Meaning& m, const std::vector<Index>& axes) {
    const DType t = m.accumulator;
    std::vector<Index> all = axes;
    if (is_written_out(m)) return reduce_written_out(n, m, constant(t, identity_of(m.combine, t)), all);
    const int tile = local(Space::Tile, t, {});
    Value first = -1;
    if (m.initial >= 0) {
      std::vector<Value> reads(m.reads.size(), -1);
      read(
          n, m, static_cast<size_t>(m.initial), [&](int v) { return axes[v]; }, {}, reads);
      first = converted(reads[m.initial], f_.type(n).dtype, t);
    } else {
      first = constant(t, identity_of(m.combine, t));
    }
    emit(Store{tile, {}, first});
    chain_loops(n, m, tile, all, m.axes.size());
    return load(tile, {});
  }

  void chain_loops(NodeId n, const Meaning& m, int tile, std::vector<Index>& axes, size_t end) {
    if (axes.size() == end) {
      accumulate(n, m, tile, {}, axes);
      return;
    }
    const auto [first, extent] = bounds(m, axes);
    loop(extent, LoopKind::Serial, [&, first = first](const Index& v) {
      axes.push_back(first + v);
      chain_loops(n, m, tile, axes, end);
      axes.pop_back();
    });
  }

  // Where the loop over the next axis begins and how long it is: what the meaning's conditions leave of it
  // once the axes before it are known.
  std::pair<Index, Index> bounds(const Meaning& m, const std::vector<Index>& axes) const {
    const int next = static_cast<int>(axes.size());
    const Index& extent = m.axes[axes.size()];
    Index first = 0, end = extent;
    for (const Index& e : m.where) {
      if (e.max_var() != next) continue;
      const std::optional<Index> c = e.coefficient_of(next);
      GRADC_CHECK(c && c->is_constant(), "a condition that is not affine: {}", e.str());
      const int64_t by = c->constant_part();
      const Index rest =
          (e - *c * Index::var(next)).substitute([&](int v) { return axes[static_cast<size_t>(v)]; });
      if (by > 0)
        first = Index::max(first, (Index(0) - rest).ceil_div(by));
      else
        end = Index::min(end, rest.floor_div(-by) + 1);
    }
    first = tidy(first), end = tidy(end);
    return {first, first.is(0) && end == extent ? extent : tidy(Index::max(0, end - first))};
  }

  // 64 partial results, then the fixed tree; the innermost reduction axis is dealt to lanes.
  Value reduce_lanes(NodeId n, const Meaning& m, const std::vector<Index>& axes) {
    const DType t = m.accumulator;
    const int tile = local(Space::Tile, t, {kLanes});
    loop(kLanes, LoopKind::Vector, [&](const Index& l) {
      emit(Store{tile, {l}, constant(t, identity_of(m.combine, t))});
    });
    std::vector<Index> all = axes;
    lanes_loops(n, m, tile, all);
    const Value v = new_value();
    emit(Tree{v, tile, {}, m.combine});
    return v;
  }

  void lanes_loops(NodeId n, const Meaning& m, int tile, std::vector<Index>& axes) {
    if (axes.size() + 1 < m.axes.size()) {
      loop(m.axes[axes.size()], LoopKind::Serial, [&](const Index& v) {
        axes.push_back(v);
        lanes_loops(n, m, tile, axes);
        axes.pop_back();
      });
      return;
    }
    const Dim& extent = m.axes.back();
    GRADC_CHECK(extent.is_constant(), "lanes need a constant extent, not {}", extent.str());
    const int64_t whole = extent.constant_part() / kLanes, rest = extent.constant_part() % kLanes;
    auto strip = [&](const Index& base, int64_t count) {
      loop(count, LoopKind::Vector, [&](const Index& l) {
        axes.push_back(base * kLanes + l);
        accumulate(n, m, tile, {l}, axes);
        axes.pop_back();
      });
    };
    if (whole > 0) loop(whole, LoopKind::Serial, [&](const Index& c) { strip(c, kLanes); });
    if (rest > 0) strip(Index(whole), rest);
  }

  // A binary counter of partial results, one tile a level: when two of one size stand side by side, they
  // become one of twice it.
  Value reduce_pairwise(NodeId n, const Meaning& m, const std::vector<Index>& axes) {
    const DType t = m.accumulator;
    const Index& extent = m.axes.back();
    const int sum = local(Space::Tile, t, {});
    std::vector<int> partial;
    for (int64_t most = most_of(extent); most > 0; most /= 2) partial.push_back(local(Space::Tile, t, {}));
    auto join = [&](size_t level) {
      const Value older = load(partial[level], {}), newer = load(sum, {});
      emit(Store{sum, {}, compute(joining(m.combine), t, {older, newer, -1})});
    };
    auto bit = [](const Index& e, size_t level) { return e.floor_div(int64_t{1} << level).mod(2); };
    loop(extent, LoopKind::Serial, [&](const Index& at) {
      std::vector<Index> all = axes;
      all.push_back(at);
      emit(Store{sum, {}, evaluate(n, m, all, {})});
      std::function<void(size_t)> carry = [&](size_t level) {
        if (level == partial.size()) return;
        branch(bit(at, level) - 1, [&] { join(level), carry(level + 1); });
        branch(Index(0) - bit(at, level), [&] { emit(Store{partial[level], {}, load(sum, {})}); });
      };
      carry(0);
    });
    emit(Store{sum, {}, constant(t, identity_of(m.combine, t))});
    for (size_t level = 0; level < partial.size(); ++level)
      branch(bit(extent, level) - 1, [&] { join(level); });
    return load(sum, {});
  }
  // The largest value of an extent, 2^40 where no maximum is known.
  int64_t most_of(const Index& e) const {
    bool known = true;
    const int64_t most = e.evaluate([](int) -> int64_t { return 0; },
                                    [&](const std::string& d) {
                                      auto it = f_.dims.find(d);
                                      const int64_t max = it == f_.dims.end() ? 0 : it->second.max;
                                      known &= max > 0;
                                      return max;
                                    });
    return known ? most : int64_t{1} << 40;
  }

  // Position of the first extreme element; a NaN exceeds everything, the first NaN wins.
  Value arg_reduce(NodeId n, const Meaning& m, const std::vector<Index>& axes) {
    const DType t = m.body.back().dtype;
    const bool is_max = m.combine == Combiner::ArgMax;
    const int best = local(Space::Tile, t, {}), where = local(Space::Tile, DType::I64, {});
    emit(Store{best, {}, constant(t, identity_of(is_max ? Combiner::Max : Combiner::Min, t))});
    emit(Store{where, {}, constant(DType::I64, literal(DType::I64, 0))});
    loop(m.axes.back(), LoopKind::Serial, [&](const Index& v) {
      std::vector<Index> all = axes;
      all.push_back(v);
      const Value x = evaluate(n, m, all, {});
      const Value old = load(best, {}), at = load(where, {});
      Value better = compute(is_max ? ScalarOp::Gt : ScalarOp::Lt, DType::Bool, {x, old, -1});
      if (is_float(t)) {
        const Value nan = compute(ScalarOp::Ne, DType::Bool, {x, x, -1});
        const Value fine = compute(ScalarOp::Eq, DType::Bool, {old, old, -1});
        const Value first_nan = compute(ScalarOp::And, DType::Bool, {nan, fine, -1});
        better = compute(ScalarOp::Or, DType::Bool, {better, first_nan, -1});
      }
      const Value here = compute(ScalarOp::Axis, DType::I64, {-1, -1, -1}, {}, v);
      emit(Store{best, {}, compute(ScalarOp::Select, t, {better, x, old})});
      emit(Store{where, {}, compute(ScalarOp::Select, DType::I64, {better, here, at})});
    });
    const Value v = load(where, {});
    const DType out = f_.type(n).dtype;
    return out == DType::I64 ? v : compute(ScalarOp::Convert, out, {v, -1, -1});
  }

  const LowerInput& in_;
  const Function& f_;
  const Group& group_;
  Kernel k_;
  Body* body_ = nullptr;
  std::vector<Buffer> locals_;
  std::vector<NodeId> parameters_;
  std::map<NodeId, int> buffer_of_, scratch_;
  std::map<NodeId, Member> members_;
  std::map<NodeId, Value> registers_;
  std::map<std::string, Value> cache_;
  std::map<int, Index> extents_;
};

}  // namespace

Lowered lower_group(const LowerInput& in, const Group& group, const std::string& name) {
  return GroupLowerer(in, group, name).run();
}

}  // namespace gradc::passes
