// The tiling mechanism: distributes a body over the rows and columns of a register tile, so that a reduction
// loop ends up outside the tile and its accumulators in registers.
#include <algorithm>

#include "passes/kernel/rewrite.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using namespace kernel;

class Sinker {
 public:
  Sinker(const TileLoop& rows, const TileLoop& columns, Kernel& k, std::map<int, int>& expanded)
      : rows_(rows), columns_(columns), k_(k), expanded_(expanded) {}

  Body run(const Body& body) {
    count_uses(body);
    return sink(body);
  }

 private:
  void count_uses(const Body& body) {
    walk(body, [&](const Stmt& s) { for_each_use(s, [&](Value v) { ++uses_[v]; }); });
  }

  bool varies(const Index& e) const {
    if ((rows_.var >= 0 && e.uses_var(rows_.var)) || (columns_.var >= 0 && e.uses_var(columns_.var)))
      return true;
    for (int v : varying_vars_)
      if (e.uses_var(v)) return true;
    return false;
  }
  bool varies(const std::vector<Index>& list) const {
    for (const Index& e : list)
      if (varies(e)) return true;
    return false;
  }
  bool is_register(int buffer) const { return k_.buffers[buffer].space == Space::Tile; }
  bool varies(const Stmt& s) const {
    bool any = false;
    for_each_use(s, [&](Value v) { any |= varying_.count(v) > 0; });
    if (any) return true;
    if (auto* c = std::get_if<Compute>(&s)) return c->op == ScalarOp::Axis && varies(c->index);
    if (auto* l = std::get_if<Load>(&s)) return is_register(l->buffer) || varies(l->at) || varies(l->guards);
    if (auto* w = std::get_if<Store>(&s)) return is_register(w->buffer) || varies(w->at);
    return false;
  }

  Body sink(const Body& body) {
    Body out, run;
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        flush(run, out);
        GRADC_CHECK((*f)->kind == LoopKind::Serial && !varies((*f)->extent),
                    "only serial loops stay outside a tile");
        ++depth_;
        out.push_back(make_for({(*f)->var, (*f)->extent, LoopKind::Serial, sink((*f)->body)}));
        --depth_;
      } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
        flush(run, out);
        GRADC_CHECK(!varies((*i)->conditions), "only what holds for a whole tile stays outside of it");
        out.push_back(make_if({(*i)->conditions, sink((*i)->body)}));
      } else if (!varies(s)) {
        out.push_back(s);  // the same for every element of the tile
      } else {
        if (const Value v = defined_by(s); v >= 0) varying_.insert(v);
        if (auto* b = std::get_if<Bind>(&s)) {
          varying_vars_.insert(b->var);
          bound_[b->var] = b->value;
        }
        run.push_back(s);
      }
    }
    flush(run, out);
    return out;
  }

  // Wraps the run in the tile's loops. Values that later runs need pass through tiles.
  void flush(Body& run, Body& out) {
    Body writes = split_writes(run);
    flush_run(run, out);
    flush_run(writes, out);
  }

  // In an edge tile a run that writes memory skips the rows outside. What later runs read in all rows is then
  // computed by a run of its own; the writes are taken from it.
  Body split_writes(Body& run) const {
    auto writes = [&](const Stmt& s) {
      auto* w = std::get_if<Store>(&s);
      return w && !is_register(w->buffer);
    };
    std::map<Value, int> inside;
    for (const Stmt& s : run) for_each_use(s, [&](Value v) { ++inside[v]; });
    const bool feeds = std::any_of(run.begin(), run.end(), [&](const Stmt& s) {
      const Value v = defined_by(s);
      return v >= 0 ? inside[v] != uses(v) || is_bound(v) : std::holds_alternative<Store>(s) && !writes(s);
    });
    Body taken;
    if (!feeds || rows_.var < 0 || rows_.valid.is_constant()) return taken;
    std::copy_if(run.begin(), run.end(), std::back_inserter(taken), writes);
    std::erase_if(run, writes);
    return taken;
  }

  void flush_run(Body& run, Body& out) {
    if (run.empty()) return;
    bool stores = false;
    for (const Stmt& s : run)
      if (auto* w = std::get_if<Store>(&s)) stores |= !is_register(w->buffer);
    reload(run);
    spill(run);
    const Index row = rows_.var < 0 ? Index() : (stores ? rows_.position : rows_.clamped);
    Body inner;
    for (const Stmt& s : run) inner.push_back(place(s, row));
    const LoopKind rows = is_long(inner) ? LoopKind::Serial : LoopKind::Unroll;
    if (rows == LoopKind::Serial) append(tiles_to_memory(inner), LoopKind::Unroll, false, out);
    append(std::move(inner), rows, stores, out);
    run.clear();
  }

  // In the loops over the tile. Each run owns their variables, and its values: none may be defined twice.
  void append(Body inner, LoopKind rows, bool stores, Body& out) {
    if (columns_.inner >= 0) inner = {make_for({columns_.inner, columns_.extent, LoopKind::Vector, inner})};
    const bool edge = stores && rows_.var >= 0 && !rows_.valid.is_constant();
    if (edge && rows == LoopKind::Unroll) inner = {make_if({{rows_.valid}, inner})};
    const Index extent = edge && rows == LoopKind::Serial ? rows_there_are() : Index(rows_.extent);
    if (rows_.inner >= 0) inner = {make_for({rows_.inner, extent, rows, inner})};
    inner = renumber(inner, k_);
    out.insert(out.end(), inner.begin(), inner.end());
  }

  // In an edge tile.
  Index rows_there_are() const {
    return rows_.valid.substitute([&](int v) { return v == rows_.inner ? Index(0) : Index::var(v); }) + 1;
  }

  // Whether what follows the reductions is so long that a copy of it for each row costs more, in code and in
  // the time to compile it, than passing the tile through memory.
  bool is_long(const Body& run) const {
    constexpr int kLong = 16;
    int instructions = 0;
    for (const Stmt& s : run) {
      if (auto* w = std::get_if<Store>(&s); w && is_register(w->buffer)) return false;
      auto* c = std::get_if<Compute>(&s);
      const bool elementary = c && is_float(c->dtype) && def_of(c->op).elementary;
      instructions += elementary ? kLong : 1;
    }
    return depth_ == 0 && rows_.inner >= 0 && rows_.extent >= 3 && instructions >= kLong;
  }

  // Makes the run read scratch instead of register tiles; the run that fills it.
  Body tiles_to_memory(Body& run) {
    std::map<int, int> memory;
    Body copies;
    for (Stmt& s : run) {
      auto* l = std::get_if<Load>(&s);
      if (!l || !is_register(l->buffer)) continue;
      const auto [it, fresh] = memory.try_emplace(l->buffer, static_cast<int>(k_.buffers.size()));
      if (fresh) {
        Buffer b = k_.buffers[l->buffer];
        b.name = fmt::format("m{}", it->second), b.space = Space::Scratch;
        k_.buffers.push_back(std::move(b));
        const Value v = k_.values++;
        copies.push_back(Load{v, l->buffer, l->at, {}, {}});
        copies.push_back(Store{it->second, l->at, v});
      }
      l->buffer = it->second;
    }
    return copies;
  }

  std::vector<Index> element() const {
    std::vector<Index> at;
    if (rows_.inner >= 0) at.push_back(Index::var(rows_.inner));
    if (columns_.inner >= 0) at.push_back(Index::var(columns_.inner));
    return at;
  }
  int tile_for(DType t) {
    Shape shape;
    if (rows_.inner >= 0) shape.push_back(rows_.extent);
    if (columns_.inner >= 0) shape.push_back(columns_.extent);
    k_.buffers.push_back({fmt::format("t{}", k_.buffers.size()), t, shape, Space::Tile, {}});
    return static_cast<int>(k_.buffers.size()) - 1;
  }

  Stmt place(const Stmt& s, const Index& row) {
    auto move = [&](const Index& e) {
      return e.substitute([&](int v) {
        if (v == rows_.var) return row;
        if (v == columns_.var) return columns_.position;
        return Index::var(v);
      });
    };
    Stmt moved = map_indices(s, move);
    if (auto* l = std::get_if<Load>(&moved); l && is_register(l->buffer)) {
      if (l->at.empty()) *l = Load{l->result, expand(l->buffer), element(), {}, {}};
    } else if (auto* w = std::get_if<Store>(&moved); w && is_register(w->buffer)) {
      if (w->at.empty()) *w = Store{expand(w->buffer), element(), w->value};
    }
    return moved;
  }

  // The [rows, columns] form of a rank-0 tile.
  int expand(int tile) {
    auto it = expanded_.find(tile);
    if (it != expanded_.end()) return it->second;
    return expanded_[tile] = tile_for(k_.buffers[tile].dtype);
  }

  void spill(Body& run) {
    std::map<Value, int> inside;
    std::map<Value, DType> defined;
    for (const Stmt& s : run) {
      for_each_use(s, [&](Value v) { ++inside[v]; });
      if (auto* c = std::get_if<Compute>(&s)) defined[c->result] = c->dtype;
      if (auto* l = std::get_if<Load>(&s)) defined[l->result] = k_.buffers[l->buffer].dtype;
    }
    for (const auto& [v, t] : defined) {
      if (spilled_.count(v) || (inside[v] == uses_[v] && !is_bound(v))) continue;
      spilled_[v] = {tile_for(t), t};
      run.push_back(Store{spilled_[v].first, element(), v});
    }
  }
  int uses(Value v) const {
    const auto it = uses_.find(v);
    return it == uses_.end() ? 0 : it->second;
  }
  bool is_bound(Value v) const {
    for (const auto& [var, value] : bound_)
      if (value == v) return true;
    return false;
  }

  // Bindings of earlier runs that this run's indices use.
  Body rebind(const Body& run) const {
    std::set<int> here;
    Body binds;
    auto need = [&](const Index& e) {
      for (const auto& [var, value] : bound_)
        if (e.uses_var(var) && here.insert(var).second) binds.push_back(Bind{var, value});
      return e;
    };
    for (const Stmt& s : run) {
      if (auto* b = std::get_if<Bind>(&s)) here.insert(b->var);
      map_indices(s, need);
    }
    return binds;
  }

  void reload(Body& run) {
    const Body binds = rebind(run);
    run.insert(run.begin(), binds.begin(), binds.end());
    std::set<Value> defined, needed;
    for (const Stmt& s : run) {
      for_each_use(s, [&](Value v) {
        if (!defined.count(v) && spilled_.count(v)) needed.insert(v);
      });
      if (const Value v = defined_by(s); v >= 0) defined.insert(v);
    }
    Body loads;
    for (Value v : needed) loads.push_back(Load{v, spilled_[v].first, element(), {}, {}});
    run.insert(run.begin(), loads.begin(), loads.end());
  }

  TileLoop rows_, columns_;
  int depth_ = 0;  // of loops around what is being distributed
  Kernel& k_;
  std::map<int, int>& expanded_;
  std::map<Value, int> uses_;
  std::set<Value> varying_;
  std::set<int> varying_vars_;
  std::map<int, Value> bound_;
  std::map<Value, std::pair<int, DType>> spilled_;
};

}  // namespace

Body sink(const Body& body, const TileLoop& rows, const TileLoop& columns, Kernel& k,
          std::map<int, int>& expanded) {
  return Sinker(rows, columns, k, expanded).run(body);
}

}  // namespace gradc::passes
