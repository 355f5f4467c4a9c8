#include "passes/kernel/rows_in_turn.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "passes/kernel/rewrite.h"

namespace gradc::passes {
namespace {

using namespace kernel;

Body with_own_tiles(const Body& body, Kernel& k) {
  std::map<int, int> own;
  const auto move = [&](int& buffer) {
    if (k.buffers[buffer].space != Space::Tile) return;
    const auto [it, added] = own.try_emplace(buffer, static_cast<int>(k.buffers.size()));
    if (added) {
      Buffer copy = k.buffers[buffer];
      copy.name = fmt::format("{}{}", copy.name[0], it->second);
      k.buffers.push_back(std::move(copy));
    }
    buffer = it->second;
  };
  return map_statements(body, [&](Stmt s) {
    if (auto* l = std::get_if<Load>(&s)) move(l->buffer);
    if (auto* w = std::get_if<Store>(&s)) move(w->buffer);
    if (auto* t = std::get_if<Tree>(&s)) move(t->tile);
    return s;
  });
}

Body take_turns(const Body& body, int var, const Index& first, int64_t rows, Kernel& k) {
  std::vector<Body> each;
  for (int64_t r = 0; r < rows; ++r) {
    Body row = renumber(substitute(body, var, first + r), k);
    each.push_back(r == 0 ? row : with_own_tiles(row, k));
  }
  Body out;
  for (size_t i = 0; i < body.size(); ++i)
    for (const Body& row : each) out.push_back(row[i]);
  return out;
}

// Scratch with a place for each row; its rows start at whole vectors.
Body with_rows_of_scratch(const Body& body, const Index& row, int64_t rows, Kernel& k,
                          std::map<int, int>& expanded) {
  constexpr int64_t kVector = 16;
  const auto place = [&](int buffer) {
    const auto [it, added] = expanded.try_emplace(buffer, static_cast<int>(k.buffers.size()));
    if (!added) return it->second;
    Buffer copy = k.buffers[buffer];
    copy.name = fmt::format("{}{}", copy.name[0], k.buffers.size());
    if (!copy.shape.empty()) copy.shape.back() = copy.shape.back().ceil_div(kVector) * kVector;
    copy.shape.insert(copy.shape.begin(), Index(rows));
    k.buffers.push_back(std::move(copy));
    return it->second;
  };
  return map_statements(body, [&](Stmt s) {
    const auto move = [&](int& buffer, std::vector<Index>& at) {
      if (k.buffers[buffer].space != Space::Scratch) return;
      buffer = place(buffer);
      at.insert(at.begin(), row);
    };
    if (auto* l = std::get_if<Load>(&s)) move(l->buffer, l->at);
    if (auto* w = std::get_if<Store>(&s)) move(w->buffer, w->at);
    return s;
  });
}

class Distribution {
 public:
  Distribution(const Body& body, const BlockOfRows& rows, Kernel& k)
      : rows_(rows), k_(k), local_(k.vars++), whole_(body) {
    body_ = with_rows_of_scratch(substitute(body, rows.var, rows.first + Index::var(local_)),
                                 Index::var(local_), rows.most, k, scratch_);
    for (size_t i = 0; i < body_.size(); ++i) {
      if (auto* b = std::get_if<Bind>(&body_[i])) bound_[b->var] = i;
      if (defined_by(body_[i]) >= 0) defined_[defined_by(body_[i])] = i;
    }
  }

  Body run() {
    for (size_t i = 0; i < body_.size(); ++i) needs_.push_back(needs_of(i));
    divide_into_stages();
    find_what_crosses();
    Body out;
    for (const Stage& s : stages_) out.push_back(loop_over(s));
    if (!rows_.rest.is(0)) out.push_back(rest());
    return out;
  }

 private:
  enum class Kind : uint8_t { Numbers, Sums, Columns };
  struct Stage {
    Kind kind;
    std::vector<size_t> members;  // statements, in order
    std::set<Value> in, out;      // what crosses its borders
  };
  struct Needs {
    std::set<Value> values;  // of other statements than the copied ones
    std::set<size_t> copied;
  };

  // What costs no more than to read it from where a stage left it.
  bool is_copied(size_t i) const {
    auto* c = std::get_if<Compute>(&body_[i]);
    auto* l = std::get_if<Load>(&body_[i]);
    return std::holds_alternative<Bind>(body_[i]) ||
           (c && (c->op == ScalarOp::Const || c->op == ScalarOp::Axis)) ||
           (l && k_.buffers[l->buffer].space == Space::In && l->guards.empty());
  }
  bool is_number(size_t i) const {
    const auto plain = [&](int buffer) { return k_.buffers[buffer].space != Space::Tile; };
    if (auto* l = std::get_if<Load>(&body_[i])) return plain(l->buffer);
    if (auto* w = std::get_if<Store>(&body_[i])) return plain(w->buffer);
    return std::holds_alternative<Compute>(body_[i]);
  }
  bool is_pure(size_t i) const {
    auto* l = std::get_if<Load>(&body_[i]);
    return std::holds_alternative<Compute>(body_[i]) || (l && k_.buffers[l->buffer].space == Space::In);
  }

  Needs needs_of(size_t i) const {
    Needs out;
    const auto use = [&](Value v) {
      const auto it = defined_.find(v);
      if (it == defined_.end()) return;  // of its own body
      if (is_copied(it->second))
        add(out, it->second);
      else
        out.values.insert(v);
    };
    const auto each = [&](const Stmt& s) { for_each_use(s, use); };
    const Body one{body_[i]};
    walk(one, each);
    map_all_indices(one, [&](const Index& e) {
      for (const auto& [var, bind] : bound_)
        if (bind != i && e.uses_var(var)) add(out, bind);
      return e;
    });
    return out;
  }
  // What is copied stands before what needs it, so that its own needs are known.
  void add(Needs& out, size_t copied) const {
    const Needs& its = needs_[copied];
    out.copied.insert(copied);
    out.copied.insert(its.copied.begin(), its.copied.end());
    out.values.insert(its.values.begin(), its.values.end());
  }

  // From the first to the last statement that a tile is in, and those of other loops; without overlaps.
  std::vector<std::pair<size_t, size_t>> spans() const {
    std::map<int, std::pair<size_t, size_t>> of_tile;
    std::vector<std::pair<size_t, size_t>> all;
    for (size_t i = 0; i < body_.size(); ++i) {
      if (!is_copied(i) && !is_number(i)) all.emplace_back(i, i);
      const auto note = [&](int buffer) {
        if (k_.buffers[buffer].space == Space::Tile)
          of_tile.try_emplace(buffer, i, i).first->second.second = i;
      };
      walk(Body{body_[i]}, [&](const Stmt& s) {
        if (auto* l = std::get_if<Load>(&s)) note(l->buffer);
        if (auto* w = std::get_if<Store>(&s)) note(w->buffer);
        if (auto* t = std::get_if<Tree>(&s)) note(t->tile);
      });
    }
    for (const auto& [tile, span] : of_tile) all.push_back(span);
    std::sort(all.begin(), all.end());
    std::vector<std::pair<size_t, size_t>> out;
    for (const auto& s : all) {
      if (!out.empty() && s.first <= out.back().second)
        out.back().second = std::max(out.back().second, s.second);
      else
        out.push_back(s);
    }
    return out;
  }

  // Numbers within a span that wait for nothing in it stand before it.
  void divide_into_stages() {
    size_t at = 0;
    for (const auto& [first, last] : spans()) {
      Stage before{Kind::Numbers, {}, {}, {}}, stage{Kind::Columns, {}, {}, {}};
      for (; at < first; ++at)
        if (!is_copied(at)) before.members.push_back(at);
      std::set<Value> inside;
      for (; at <= last; ++at) {
        if (is_copied(at)) continue;
        const bool waits = std::any_of(needs_[at].values.begin(), needs_[at].values.end(),
                                       [&](Value v) { return inside.count(v) > 0; });
        if (is_number(at) && is_pure(at) && !waits) {
          before.members.push_back(at);
          continue;
        }
        if (defined_by(body_[at]) >= 0) inside.insert(defined_by(body_[at]));
        if (std::holds_alternative<Tree>(body_[at])) stage.kind = Kind::Sums;
        stage.members.push_back(at);
      }
      add_stage(std::move(before));
      add_stage(std::move(stage));
    }
    Stage end{Kind::Numbers, {}, {}, {}};
    for (; at < body_.size(); ++at)
      if (!is_copied(at)) end.members.push_back(at);
    add_stage(std::move(end));
  }

  // Of two stages of a kind, the second of which waits for nothing in the first, one.
  void add_stage(Stage s) {
    if (s.members.empty()) return;
    const auto waits = [&](size_t i) {
      return std::any_of(needs_[i].values.begin(), needs_[i].values.end(), [&](Value v) {
        const auto& last = stages_.back().members;
        return std::find(last.begin(), last.end(), defined_.at(v)) != last.end();
      });
    };
    if (stages_.empty() || stages_.back().kind != s.kind ||
        std::any_of(s.members.begin(), s.members.end(), waits))
      stages_.push_back(std::move(s));
    else
      stages_.back().members.insert(stages_.back().members.end(), s.members.begin(), s.members.end());
  }

  void find_what_crosses() {
    std::map<Value, size_t> stage_of;
    for (size_t s = 0; s < stages_.size(); ++s)
      for (const size_t i : stages_[s].members)
        if (defined_by(body_[i]) >= 0) stage_of[defined_by(body_[i])] = s;
    for (size_t s = 0; s < stages_.size(); ++s)
      for (const size_t i : stages_[s].members)
        for (const Value v : needs_[i].values)
          if (stage_of.at(v) != s) stages_[s].in.insert(v), stages_[stage_of.at(v)].out.insert(v);
  }

  int array_of(Value v) {
    const auto [it, added] = arrays_.try_emplace(v, static_cast<int>(k_.buffers.size()));
    if (added)
      k_.buffers.push_back(
          {fmt::format("n{}", it->second), type_of(v), {Index(rows_.most)}, Space::Scratch, {}});
    return it->second;
  }
  DType type_of(Value v) const {
    const Stmt& s = body_[defined_.at(v)];
    if (auto* l = std::get_if<Load>(&s)) return k_.buffers[l->buffer].dtype;
    if (auto* t = std::get_if<Tree>(&s)) return k_.buffers[t->tile].dtype;
    return std::get<Compute>(s).dtype;
  }

  // The rows that are too few to take turns, one after another.
  Stmt rest() {
    const int row = k_.vars++;
    Body body = substitute(whole_, rows_.var, rows_.first + rows_.groups * rows_.turns + Index::var(row));
    body = with_rows_of_scratch(body, Index(0), rows_.most, k_, scratch_);
    return renumber({make_for({row, rows_.rest, LoopKind::Serial, std::move(body)})}, k_)[0];
  }

  Stmt loop_over(const Stage& s) {
    std::set<size_t> statements(s.members.begin(), s.members.end());
    for (const size_t i : s.members) statements.insert(needs_[i].copied.begin(), needs_[i].copied.end());
    Body body;
    for (const Value v : s.in) body.push_back(Load{v, array_of(v), {Index::var(local_)}, {}, {}});
    for (const size_t i : statements) body.push_back(body_[i]);
    for (const Value v : s.out) body.push_back(Store{array_of(v), {Index::var(local_)}, v});
    if (s.kind != Kind::Sums) {
      const LoopKind kind = s.kind == Kind::Numbers ? LoopKind::Vector : LoopKind::Serial;
      const Index count = rows_.groups * rows_.turns;
      return renumber({make_for({local_, count, kind, std::move(body)})}, k_)[0];
    }
    const int group = k_.vars++;
    body = take_turns(body, local_, Index::var(group) * rows_.turns, rows_.turns, k_);
    return make_for({group, rows_.groups, LoopKind::Serial, std::move(body)});
  }

  const BlockOfRows& rows_;
  Kernel& k_;
  int local_;  // a row's number in the block
  Body whole_, body_;
  std::map<int, int> scratch_;       // with a place for each row, by the one of a row
  std::map<Value, size_t> defined_;  // by which statement
  std::map<int, size_t> bound_;      // variables, by which
  std::vector<Needs> needs_;         // of each statement
  std::vector<Stage> stages_;
  std::map<Value, int> arrays_;
};

}  // namespace

Body interleave(const Body& body, int var, const Index& first, int64_t rows, Kernel& k) {
  const int row = k.vars++;
  std::map<int, int> scratch;
  const Body own =
      with_rows_of_scratch(substitute(body, var, first + Index::var(row)), Index::var(row), rows, k, scratch);
  return take_turns(own, row, Index(0), rows, k);
}

Body distribute(const Body& body, const BlockOfRows& rows, Kernel& k) {
  return Distribution(body, rows, k).run();
}

}  // namespace gradc::passes
