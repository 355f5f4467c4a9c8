#include "passes/kernel/stage.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "passes/kernel/rewrite.h"

namespace gradc::passes {
namespace {

using namespace kernel;

constexpr int64_t kMaxStagedBytes = 1 << 20;
constexpr int64_t kLine = 16;  // elements: no row of copies that are written whole straddles lines

// A loop whose iterations are unrolled in blocks, which code generation transposes.
Body in_blocks(const For& f, const Body& body, int64_t rows, Kernel& k) {
  const auto some = [&](const Index& first, const Index& count, LoopKind kind) {
    const int row = k.vars++;
    return make_for({row, count, kind, substitute(body, f.var, first + Index::var(row))});
  };
  const Index whole = f.extent.floor_div(rows), rest = f.extent - whole * rows;
  Body out;
  const int block = k.vars++;
  if (!whole.is(0))
    out.push_back(
        make_for({block, whole, LoopKind::Serial, {some(Index::var(block) * rows, rows, LoopKind::Unroll)}}));
  if (!rest.is(0))
    out.push_back(some(whole * rows, rest, rest.is_constant() ? LoopKind::Unroll : LoopKind::Serial));
  return renumber(out, k);
}

class Stager {
 public:
  Stager(const StagedPieces& p, Kernel& k) : p_(p), k_(k) {}

  Body run(Body& body) {
    body = rewritten(body);
    return std::move(copies_);
  }

 private:
  Body rewritten(const Body& body) {
    Body out;
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        around_.push_back(f->get());
        out.push_back(make_for({(*f)->var, (*f)->extent, (*f)->kind, rewritten((*f)->body)}));
        around_.pop_back();
      } else if (auto* l = std::get_if<Load>(&s); l && stageable(*l)) {
        out.push_back(staged(*l));
      } else {
        out.push_back(s);
      }
    }
    return out;
  }

  bool stageable(const Load& l) const {
    const Buffer& b = k_.buffers[l.buffer];
    if (around_.empty() || b.space != Space::In || !l.guards.empty()) return false;
    const Index a = address(b, l.at);
    if (!a.uses_var(p_.var)) return false;
    for (int v : p_.apart)
      if (a.uses_var(v)) return false;
    int64_t bytes = p_.slots * row_size() * size_of(b.dtype);
    std::vector<int> known = p_.known;
    for (const For* f : around_) {
      const std::optional<int64_t> most = largest(f->extent);
      if (!most || !a.uses_var(f->var)) return false;
      bytes *= *most;
      known.push_back(f->var);
    }
    bool closed = true;  // every variable is a loop: nothing bound inside the body
    for (const Index& e : l.at)
      e.substitute([&](int v) {
        closed &= v == p_.var || std::find(known.begin(), known.end(), v) != known.end();
        return Index::var(v);
      });
    return closed && bytes <= kMaxStagedBytes;
  }

  // Elements of a row of scratch.
  int64_t row_size() const {
    if (!p_.neighbours && p_.size <= kLine) return p_.size;
    int64_t part = kLine;
    while (p_.size <= part / 2) part /= 2;
    return (p_.size + part - 1) / part * part;
  }

  Stmt staged(const Load& l) {
    const DType t = k_.buffers[l.buffer].dtype;
    Shape shape;
    std::vector<Index> from;
    if (p_.slot >= 0) shape.push_back(p_.slots), from.push_back(Index::var(p_.slot));
    for (const For* f : around_) shape.push_back(*largest(f->extent)), from.push_back(Index::var(f->var));
    shape.push_back(row_size());
    const int scratch = place({fmt::format("p{}", k_.buffers.size()), t, shape, Space::Scratch, {}});
    const int lane = k_.vars++;
    std::vector<Index> to = from;
    to.push_back(Index::var(lane));
    from.push_back(Index::var(p_.var) - p_.number * p_.size);
    Load source{k_.values++, l.buffer, l.at, {}, {}};
    const Index place = p_.number * p_.size + Index::var(lane);
    for (Index& e : source.at) e = e.substitute([&](int x) { return x == p_.var ? place : Index::var(x); });
    const Body copy{source, Store{scratch, to, source.result}};
    const Body all = renumber(loops(l, lane, copy), k_);
    copies_.insert(copies_.end(), all.begin(), all.end());
    return Load{l.result, scratch, from, {}, {}};
  }

  int place(Buffer b) {
    const size_t n = made_++;
    if (n < p_.places.size()) return p_.places[n];
    k_.buffers.push_back(std::move(b));
    return static_cast<int>(k_.buffers.size()) - 1;
  }

  Body loops(const Load& l, int lane, const Body& element) {
    const auto piece = [&](const Index& width) { return make_for({lane, width, LoopKind::Vector, element}); };
    Body copy{piece(p_.width)};
    if (p_.neighbours) {
      copy = {make_for({p_.slot, p_.count, LoopKind::Serial, std::move(copy)})};
      if (!p_.rest.is(0)) {
        const Body last = substitute({piece(p_.rest)}, p_.slot, p_.count);
        copy.insert(copy.end(), last.begin(), last.end());
      }
    }
    const bool blocks = p_.transpose > 1 && !p_.neighbours && lies_transposed(l);
    for (size_t i = around_.size(); i-- > 0;)
      copy = blocks && i + 1 == around_.size()
                 ? in_blocks(*around_[i], copy, p_.transpose, k_)
                 : Body{make_for({around_[i]->var, around_[i]->extent, LoopKind::Serial, copy})};
    if (p_.slot >= 0 && !p_.neighbours) copy = {make_for({p_.slot, p_.count, LoopKind::Serial, copy})};
    return copy;
  }

  // Whether the load's lanes lie apart and what the next iteration reads follows, lane by lane.
  bool lies_transposed(const Load& l) const {
    const Index a = near_address(k_.buffers[l.buffer], l.at);
    const std::optional<Index> step = a.coefficient_of(p_.var);
    return step && !step->is(1) && !step->is(0) && a.coefficient_of(around_.back()->var) == Index(1);
  }
  const StagedPieces& p_;
  Kernel& k_;
  std::vector<const For*> around_;
  Body copies_;
  size_t made_ = 0;
};

// The axis of a buffer that `var` alone runs along, if no other depends on it and all of them are constant.
std::optional<size_t> axis_of_pieces(const Kernel& k, int buffer, const std::vector<Index>& at, int var) {
  const Buffer& b = k.buffers[buffer];
  std::optional<size_t> axis;
  if (b.space != Space::In) return {};
  for (size_t d = 0; d < at.size(); ++d) {
    const bool here = at[d].uses_var(var);
    if (here ? axis || at[d] != Index::var(var) : !b.shape[d].is_constant()) return {};
    if (here) axis = d;
  }
  return axis;
}

class WholeStager {
 public:
  WholeStager(const StagedPieces& p, Kernel& k) : p_(p), k_(k) {}

  Body run(Body& body) {
    body = rewritten(body);
    return std::move(copies_);
  }

 private:
  Body rewritten(const Body& body, bool inside = false) {
    Body out;
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s))
        out.push_back(make_for({(*f)->var, (*f)->extent, (*f)->kind, rewritten((*f)->body, true)}));
      else if (auto* l = std::get_if<Load>(&s); l && inside && stageable(*l))
        out.push_back(staged(*l));
      else
        out.push_back(s);
    }
    return out;
  }

  bool stageable(const Load& l) const {
    return l.guards.empty() && bytes_of_all(k_, l.buffer, l.at, p_.var, p_.size);
  }

  Stmt staged(const Load& l) {
    const size_t axis = *axis_of_pieces(k_, l.buffer, l.at, p_.var);
    const auto [it, fresh] = scratch_.try_emplace({l.buffer, axis}, static_cast<int>(k_.buffers.size()));
    if (fresh) copy(l.buffer, axis);
    std::vector<Index> from = l.at;
    from.erase(from.begin() + static_cast<long>(axis));
    from.push_back(Index::var(p_.var) - p_.number * p_.size);
    return Load{l.result, it->second, std::move(from), {}, {}};
  }

  // The axes in the order of memory, the last one in blocks that are transposed.
  void copy(int buffer, size_t axis) {
    const Buffer b = k_.buffers[buffer];
    const int lane = k_.vars++;
    Shape shape;
    std::vector<Index> at, to;
    std::vector<std::pair<int, int64_t>> loops;
    for (size_t d = 0; d < b.shape.size(); ++d) {
      at.push_back(p_.number * p_.size + Index::var(lane));
      if (d == axis) continue;
      loops.emplace_back(k_.vars++, b.shape[d].constant_part());
      at.back() = Index::var(loops.back().first);
      to.push_back(at.back()), shape.push_back(b.shape[d]);
    }
    shape.push_back(p_.size), to.push_back(Index::var(lane));
    k_.buffers.push_back({fmt::format("p{}", k_.buffers.size()), b.dtype, shape, Space::Scratch, {}});
    const Value v = k_.values++;
    Body body{
        make_for({lane,
                  p_.size,
                  LoopKind::Vector,
                  {Load{v, buffer, at, {}, {}}, Store{static_cast<int>(k_.buffers.size()) - 1, to, v}}})};
    for (size_t i = loops.size(); i-- > 0;) {
      const For f{loops[i].first, loops[i].second, LoopKind::Serial, body};
      body = i + 1 == loops.size() && p_.transpose > 1 ? in_blocks(f, body, p_.transpose, k_)
                                                       : Body{make_for(f)};
    }
    body = renumber(body, k_);
    copies_.insert(copies_.end(), body.begin(), body.end());
  }

  const StagedPieces& p_;
  Kernel& k_;
  std::map<std::pair<int, size_t>, int> scratch_;  // by buffer and the axis that the lanes run along
  Body copies_;
};

}  // namespace

std::optional<int64_t> bytes_of_all(const Kernel& k, int buffer, const std::vector<Index>& at, int var,
                                    int64_t size) {
  const std::optional<size_t> axis = axis_of_pieces(k, buffer, at, var);
  if (!axis) return {};
  const Buffer& b = k.buffers[buffer];
  int64_t bytes = size * size_of(b.dtype);
  for (size_t d = 0; d < b.shape.size(); ++d)
    if (d != *axis && __builtin_mul_overflow(bytes, b.shape[d].constant_part(), &bytes)) return {};
  return bytes <= kMaxStagedBytes ? std::optional(bytes) : std::nullopt;
}

Body stage_all(Body& body, const StagedPieces& p, Kernel& k) { return WholeStager(p, k).run(body); }

Body stage(Body& body, const StagedPieces& p, Kernel& k) { return Stager(p, k).run(body); }

std::optional<int64_t> largest(const Index& extent) {
  if (extent.is_constant()) return extent.constant_part();
  if (extent.terms().size() != 1 || extent.constant_part() != 0) return {};
  const Index::Term& t = extent.terms()[0];
  if (t.coefficient != 1 || t.factors.size() != 1 || t.factors[0].kind != Atom::Kind::Min) return {};
  const auto& [a, b] = *t.factors[0].args;
  return a.is_constant() ? a.constant() : b.constant();
}

}  // namespace gradc::passes
