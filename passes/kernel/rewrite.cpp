#include "passes/kernel/rewrite.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

#include "support/check.h"

namespace gradc::passes {

using namespace kernel;

Stmt map_indices(const Stmt& s, const std::function<Index(const Index&)>& f) {
  auto all = [&](std::vector<Index> list) {
    for (Index& e : list) e = f(e);
    return list;
  };
  if (auto* c = std::get_if<Compute>(&s)) {
    Compute n = *c;
    if (n.op == ScalarOp::Axis) n.index = f(n.index);
    return n;
  }
  if (auto* l = std::get_if<Load>(&s)) return Load{l->result, l->buffer, all(l->at), all(l->guards), l->fill};
  if (auto* w = std::get_if<Store>(&s)) return Store{w->buffer, all(w->at), w->value};
  if (auto* t = std::get_if<Tree>(&s)) return Tree{t->result, t->tile, all(t->at), t->combine};
  return s;
}

Body map_all_indices(const Body& body, const std::function<Index(const Index&)>& f) {
  Body out;
  for (const Stmt& s : body) {
    if (auto* l = std::get_if<std::shared_ptr<const For>>(&s)) {
      out.push_back(make_for({(*l)->var, f((*l)->extent), (*l)->kind, map_all_indices((*l)->body, f)}));
    } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
      If n{{}, map_all_indices((*i)->body, f)};
      for (const Index& c : (*i)->conditions) n.conditions.push_back(f(c));
      out.push_back(make_if(std::move(n)));
    } else {
      out.push_back(map_indices(s, f));
    }
  }
  return out;
}

Body take_invariant(Body& body, int var, const Kernel& k) {
  std::set<int> inside{var};
  std::set<Value> values;
  const auto varies = [&](const Index& e) {
    return std::any_of(inside.begin(), inside.end(), [&](int v) { return e.uses_var(v); });
  };
  Body front, rest;
  for (Stmt& s : body) {
    auto* load = std::get_if<Load>(&s);
    auto* bind = std::get_if<Bind>(&s);
    auto* compute = std::get_if<Compute>(&s);
    bool moves = compute || bind || (load && k.buffers[load->buffer].space == Space::In);
    for_each_use(s, [&](Value v) { moves = moves && !values.count(v); });
    if (load) moves = moves && std::none_of(load->at.begin(), load->at.end(), varies);
    if (load) moves = moves && std::none_of(load->guards.begin(), load->guards.end(), varies);
    if (compute) moves = moves && !varies(compute->index);
    if (!moves && bind) inside.insert(bind->var);
    if (!moves && defined_by(s) >= 0) values.insert(defined_by(s));
    (moves ? front : rest).push_back(std::move(s));
  }
  body = std::move(rest);
  return front;
}

Body substitute(const Body& body, int var, const Index& by) {
  return map_all_indices(body, [&](const Index& e) {
    if (!e.uses_var(var)) return e;
    return e.substitute([&](int v) { return v == var ? by : Index::var(v); });
  });
}

namespace {

// The guard's sign along `var` (1 or -1) and the rest, where that is all it depends on.
struct Edge {
  int64_t sign, rest;
};
std::optional<Edge> edge_of(const Index& guard, int var) {
  const std::optional<Index> c = guard.coefficient_of(var);
  if (!c || (!c->is(1) && !c->is(-1))) return {};
  const std::optional<int64_t> rest = (guard - *c * Index::var(var)).constant();
  if (!rest) return {};
  return Edge{*c->constant(), *rest};
}

}  // namespace

std::vector<int64_t> guard_changes(const Body& body, int var, int64_t extent) {
  std::set<int64_t> at;
  for (const Stmt& s : body)
    if (auto* l = std::get_if<Load>(&s))
      for (const Index& g : l->guards)
        if (const std::optional<Edge> e = edge_of(g, var)) {
          const int64_t change = e->sign > 0 ? -e->rest : e->rest + 1;
          if (change > 0 && change < extent) at.insert(change);
        }
  return {at.begin(), at.end()};
}

Body within(const Body& body, int var, int64_t from, int64_t size, const Kernel& k) {
  Body out;
  for (Stmt s : substitute(body, var, Index::var(var) + Index(from))) {
    auto* l = std::get_if<Load>(&s);
    bool forbidden = false;
    if (l)
      std::erase_if(l->guards, [&](const Index& g) {
        const std::optional<Edge> e = edge_of(g, var);
        if (!e) return false;
        const int64_t first = e->rest, last = e->rest + e->sign * (size - 1);
        forbidden |= std::max(first, last) < 0;
        return std::min(first, last) >= 0;
      });
    if (forbidden) {
      const DType t = k.buffers[l->buffer].dtype;
      s = Compute{l->result, ScalarOp::Const, t, {-1, -1, -1}, l->fill, {}};
    }
    out.push_back(std::move(s));
  }
  return out;
}

namespace {

// Copies statements with fresh numbers for everything defined inside.
class Renumber {
 public:
  explicit Renumber(Kernel& k) : k_(k) {}
  Body copy(const Body& body) {
    Body out;
    for (const Stmt& s : body) out.push_back(statement(s));
    return out;
  }

 private:
  Index index(const Index& e) const {
    return e.substitute([&](int v) {
      auto it = vars_.find(v);
      return Index::var(it == vars_.end() ? v : it->second);
    });
  }
  std::vector<Index> indices(const std::vector<Index>& list) const {
    std::vector<Index> out;
    out.reserve(list.size());
    for (const Index& e : list) out.push_back(index(e));
    return out;
  }
  Value value(Value v) const {
    auto it = values_.find(v);
    return it == values_.end() ? v : it->second;
  }
  Value define(Value v) { return values_[v] = k_.values++; }
  int define_var(int v) { return vars_[v] = k_.vars++; }

  Stmt statement(const Stmt& s) {
    if (auto* c = std::get_if<Compute>(&s)) {
      Compute n = *c;
      for (Value& a : n.args) a = value(a);
      n.index = index(n.index);
      n.result = define(c->result);
      return n;
    }
    if (auto* l = std::get_if<Load>(&s)) {
      Load n{-1, l->buffer, indices(l->at), indices(l->guards), l->fill};
      n.result = define(l->result);
      return n;
    }
    if (auto* w = std::get_if<Store>(&s)) return Store{w->buffer, indices(w->at), value(w->value)};
    if (auto* b = std::get_if<Bind>(&s)) return Bind{define_var(b->var), value(b->value)};
    if (auto* t = std::get_if<Tree>(&s)) return Tree{define(t->result), t->tile, indices(t->at), t->combine};
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
      const Index extent = index((*f)->extent);
      const int var = define_var((*f)->var);
      return make_for({var, extent, (*f)->kind, copy((*f)->body)});
    }
    const If& i = *std::get<std::shared_ptr<const If>>(s);
    return make_if({indices(i.conditions), copy(i.body)});
  }

  Kernel& k_;
  std::map<int, int> vars_;
  std::map<Value, Value> values_;
};

}  // namespace

Body renumber(const Body& body, Kernel& k) { return Renumber(k).copy(body); }

Value defined_by(const Stmt& s) {
  if (auto* c = std::get_if<Compute>(&s)) return c->result;
  if (auto* l = std::get_if<Load>(&s)) return l->result;
  if (auto* t = std::get_if<Tree>(&s)) return t->result;
  return -1;
}

namespace {

Body with_values(const Body& body, const std::map<Value, Value>& by) {
  const auto rename = [&](Value& v) {
    if (const auto it = by.find(v); it != by.end()) v = it->second;
  };
  Body out;
  for (Stmt s : body) {
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
      s = make_for({(*f)->var, (*f)->extent, (*f)->kind, with_values((*f)->body, by)});
    else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s))
      s = make_if({(*i)->conditions, with_values((*i)->body, by)});
    else if (auto* c = std::get_if<Compute>(&s))
      std::for_each(c->args.begin(), c->args.end(), rename);
    else if (auto* w = std::get_if<Store>(&s))
      rename(w->value);
    else if (auto* b = std::get_if<Bind>(&s))
      rename(b->value);
    out.push_back(std::move(s));
  }
  return out;
}

}  // namespace

Body without_repeats(const Body& body) {
  std::map<std::string, Value> known;
  std::map<Value, Value> same;
  Body out;
  for (const Stmt& s : body) {
    const Stmt renamed = with_values({s}, same)[0];
    if (auto* c = std::get_if<Compute>(&renamed)) {
      const auto [it, first] =
          known.try_emplace(fmt::format("{} {} {} {:x} {} {}", static_cast<int>(c->op),
                                        static_cast<int>(c->dtype), fmt::join(c->args, " "),
                                        std::bit_cast<uint64_t>(c->value.f), c->value.i, c->index.str()),
                            c->result);
      if (!first) {
        same[c->result] = it->second;
        continue;
      }
    }
    out.push_back(renamed);
  }
  return out;
}

std::optional<SumParts> parts_of_sum(const Body& body, const Kernel& k) {
  SumParts sum;
  std::set<int> tiles, begun;
  bool apart = true;
  for (const Stmt& s : body) {
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
      apart &= !sum.loop && (*f)->kind == LoopKind::Serial;
      sum.loop = *f;
      continue;
    }
    apart &= !std::holds_alternative<std::shared_ptr<const If>>(s);
    apart &= sum.loop || !std::holds_alternative<Bind>(s);
    if (auto* c = std::get_if<Compute>(&s); c && c->op == ScalarOp::Const && !sum.loop)
      sum.constants.push_back(s);
    else
      (sum.loop ? sum.after : sum.before).push_back(s);
  }
  if (!sum.loop || !apart) return {};
  // Values of the first part must not be used in the others.
  Body later{sum.loop};
  later.insert(later.end(), sum.after.begin(), sum.after.end());
  std::set<Value> first;
  walk(sum.before, [&](const Stmt& s) {
    if (const Value v = defined_by(s); v >= 0) first.insert(v);
    if (auto* w = std::get_if<Store>(&s)) begun.insert(w->buffer);
  });
  walk(later, [&](const Stmt& s) {
    for_each_use(s, [&](Value v) { apart &= !first.count(v); });
    auto* l = std::get_if<Load>(&s);
    if (l && k.buffers[l->buffer].space == Space::Tile) apart &= l->at.empty(), tiles.insert(l->buffer);
  });
  walk({sum.loop}, [&](const Stmt& s) {
    if (auto* w = std::get_if<Store>(&s)) apart &= tiles.count(w->buffer) > 0;
  });
  if (!apart || tiles != begun) return {};
  sum.tiles.assign(tiles.begin(), tiles.end());
  return sum;
}

Index address(const Buffer& b, const std::vector<Index>& at) { return b.layout.address(b.shape, at); }
Index near_address(const Buffer& b, const std::vector<Index>& at) { return b.layout.within(b.shape, at); }

}  // namespace gradc::passes
