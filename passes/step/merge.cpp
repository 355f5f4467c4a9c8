// Loops that walk memory as one become one: the channels of neighbouring pixels in a row of an image. They
// run longer, and lanes find more neighbours. So do few rows beside few rows that share what they read. Axes
// of one element, along which lanes would find none, are gone.
#include <algorithm>

#include "passes/kernel/rewrite.h"
#include "passes/step/step_passes.h"
#include "support/parallel.h"

namespace gradc::passes {
namespace {

using namespace kernel;

// Variables that something other than places in memory depends on: guards, ends of loops, conditions, values.
void collect_other_uses(const Body& body, std::set<int>& used) {
  const auto note = [&](const Index& e) {
    e.substitute([&](int v) { return used.insert(v), Index::var(v); });
  };
  walk(body, [&](const Stmt& s) {
    if (auto* c = std::get_if<Compute>(&s)) note(c->index);
    if (auto* l = std::get_if<Load>(&s)) std::for_each(l->guards.begin(), l->guards.end(), note);
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) note((*f)->extent);
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&s))
      std::for_each((*i)->conditions.begin(), (*i)->conditions.end(), note);
  });
}

class Merger {
 public:
  Merger(Kernel& k, const Machine& m) : k_(k), m_(m) {}

  void run() {
    collect_other_uses(k_.body, fixed_);
    k_.body = merged(k_.body);
  }

 private:
  // Loops over axes keep the outermost one, which threads share.
  Body merged(const Body& body, bool outermost = true) {
    Body out;
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        const bool axis = (*f)->kind == LoopKind::Axis;
        For inside{(*f)->var, (*f)->extent, (*f)->kind, merged((*f)->body, outermost && !axis)};
        if (axis && inside.extent.is(1) && (!outermost || holds_axis(inside))) {
          const Body once = substitute(inside.body, inside.var, 0);
          out.insert(out.end(), once.begin(), once.end());
          continue;
        }
        const std::optional<For> one = axis && outermost ? std::nullopt : with_inner(inside);
        out.push_back(make_for(one ? *one : std::move(inside)));
      } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
        out.push_back(make_if({(*i)->conditions, merged((*i)->body, outermost)}));
      } else {
        out.push_back(s);
      }
    }
    return out;
  }

  static bool holds_axis(const For& f) {
    auto* g = f.body.size() == 1 ? std::get_if<std::shared_ptr<const For>>(&f.body[0]) : nullptr;
    return g && (*g)->kind == LoopKind::Axis;
  }

  // The loop and the only one in it as one loop, if every access moves evenly through both.
  std::optional<For> with_inner(const For& outer) const {
    if (outer.body.size() != 1) return {};
    auto* f = std::get_if<std::shared_ptr<const For>>(&outer.body[0]);
    if (!f || (*f)->kind != outer.kind || (outer.kind != LoopKind::Axis && outer.kind != LoopKind::Serial))
      return {};
    const For& inner = **f;
    // Schedules split axes of constant extents alone.
    const bool constant = outer.extent.is_constant() && inner.extent.is_constant();
    if ((outer.kind == LoopKind::Axis && !constant) || inner.extent.is(0) || fixed_.count(outer.var) ||
        fixed_.count(inner.var))
      return {};
    const Index both = Index::var(outer.var);
    Body body = map_all_indices(inner.body, [&](const Index& e) {
      return e.substitute([&](int v) {
        return v == outer.var   ? both.floor_div(inner.extent)
               : v == inner.var ? both.mod(inner.extent)
                                : Index::var(v);
      });
    });
    if (!moves_evenly(body, outer.var) && !pays_as_rows(outer, inner)) return {};
    return For{outer.var, outer.extent * inner.extent, outer.kind, std::move(body)};
  }

  // Whether both make the rows of one register tile where one alone waits for every multiply-add: taps of a
  // filter, in the gradient of its weights. Unrolled, each row has its place, evenly or not.
  bool pays_as_rows(const For& outer, const For& inner) const {
    constexpr int64_t kHidden = 12;
    if (outer.kind != LoopKind::Axis || inner.body.size() != 1) return false;
    auto* lanes = std::get_if<std::shared_ptr<const For>>(&inner.body[0]);
    if (!lanes || (*lanes)->kind != LoopKind::Axis || !(*lanes)->extent.is_constant() || holds_axis(**lanes))
      return false;
    int64_t accumulators = 0, width = m_.lanes;
    for (const Buffer& b : k_.buffers)
      if (b.space == Space::Tile) ++accumulators, width = size_of(b.dtype) == 8 ? m_.lanes / 2 : width;
    const int64_t rows = (outer.extent * inner.extent).constant_part();
    return accumulators == 1 && inner.extent.constant_part() < kHidden && rows <= m_.vector_registers - 2 &&
           (*lanes)->extent.constant_part() <= width && shares_loads((*lanes)->body, outer.var, inner.var);
  }
  // Whether a load in the loops of a sum serves all rows.
  bool shares_loads(const Body& body, int a, int b) const {
    bool any = false;
    for (const Stmt& s : body)
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
        walk((*f)->body, [&](const Stmt& st) {
          auto* l = std::get_if<Load>(&st);
          if (!l || k_.buffers[l->buffer].space == Space::Tile) return;
          const Index place = address(k_.buffers[l->buffer], l->at);
          any |= !place.uses_var(a) && !place.uses_var(b);
        });
    return any;
  }

  bool moves_evenly(const Body& body, int var) const {
    bool even = true;
    const auto check = [&](int buffer, const std::vector<Index>& at) {
      const Buffer& b = k_.buffers[buffer];
      const std::optional<Index> step = address(b, at).coefficient_of(var);
      even = even && step && step->is_constant();
    };
    walk(body, [&](const Stmt& s) {
      if (auto* l = std::get_if<Load>(&s)) check(l->buffer, l->at);
      if (auto* w = std::get_if<Store>(&s)) check(w->buffer, w->at);
      if (auto* t = std::get_if<Tree>(&s)) check(t->tile, t->at);
    });
    return even;
  }

  Kernel& k_;
  const Machine& m_;
  std::set<int> fixed_;
};

}  // namespace

// Of naive kernels: `for o { for i { a[o, i] } }` becomes `for m { a[floordiv(m, I), mod(m, I)] }`, whose
// address moves evenly with m, or whose m are the rows of one register tile. Order and results stay.
void merge_loops(step::Step& s, const Machine& m) {
  in_parallel(
      s.kernels.size(), [&](size_t k) { Merger(s.kernels[k], m).run(); }, 16);
}

}  // namespace gradc::passes
