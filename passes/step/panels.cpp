// Weights in panels: a matrix [k, n] of which contractions read some columns along all of k lies in blocks of
// two vectors of columns, one block behind the other, each with all of its k. What a register tile reads is
// then one stretch of memory, which arrives ahead of its use, instead of a piece of each of many pages; and
// nothing has to be copied. What keeps a weight's value up to date (gradients' epilogues: the weight itself,
// its moments) writes the same layout; where something else does, element by element, the weight stays as it
// is, since that would read a few columns of many panels.
#include "passes/step/panels.h"

#include <algorithm>
#include <optional>
#include <set>
#include <vector>

#include "passes/kernel/rewrite.h"
#include "passes/kernel/schedule.h"
#include "passes/step/kernel_layouts.h"

namespace gradc::passes {
namespace {

using namespace kernel;

constexpr int64_t kVectors = 2;           // of a panel
constexpr int64_t kFarRows = 1024;        // bytes of a row, from which on rows are far apart
constexpr double kFewBytes = 64 << 10;    // what stays near whatever its layout
constexpr double kPaysForCopies = 256.0;  // rows beyond which copying each panel costs next to nothing

// What one kernel does with a parameter.
struct Use {
  std::optional<double> rows;  // that read panels of it: the fewest
  bool written_with_sum = false, written = false;
};

class KernelUses {
 public:
  KernelUses(const Kernel& k, const step::Step& s) : nest_(nest_of(k)) {
    for (const step::Dim& d : s.dims) plan_[d.name] = d.plan;
    uses_.resize(k.buffers.size());
    for (const For* f : nest_.loops) axes_.insert(f->var);
    visit(*nest_.body, false);
    for (Use& u : uses_) u.written_with_sum = u.written && sums_;
  }
  const Use& of(size_t parameter) const { return uses_[parameter]; }

 private:
  void visit(const Body& body, bool inside) {
    for (const Stmt& s : body) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        sums_ |= (*f)->kind == LoopKind::Serial;
        visit((*f)->body, true);
      } else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) {
        visit((*i)->body, inside);
      } else if (auto* l = std::get_if<Load>(&s)) {
        if (inside && reads_panels(*l)) note_rows(*l);
      } else if (auto* w = std::get_if<Store>(&s)) {
        uses_[static_cast<size_t>(w->buffer)].written = true;
      }
    }
  }

  // a[.., n] inside a loop, n an axis and the rest moving with the loop.
  bool reads_panels(const Load& l) const {
    if (l.at.size() != 2 || !l.guards.empty()) return false;
    const bool lanes =
        std::any_of(axes_.begin(), axes_.end(), [&](int v) { return l.at[1] == Index::var(v); });
    return lanes && moves_inside(l.at[0]);
  }
  bool moves_inside(const Index& e) const {
    bool inner = false;
    e.substitute([&](int v) { return inner |= axes_.count(v) == 0, Index::var(v); });
    return inner;
  }
  void note_rows(const Load& l) {
    double rows = 1;
    for (const For* f : nest_.loops)
      if (!l.at[0].uses_var(f->var) && !l.at[1].uses_var(f->var))
        rows *= static_cast<double>(f->extent.evaluate([](int) -> int64_t { return 1; },
                                                       [&](const std::string& d) { return plan_.at(d); }));
    std::optional<double>& least = uses_[static_cast<size_t>(l.buffer)].rows;
    least = least ? std::min(*least, rows) : rows;
  }

  const Nest nest_;
  std::map<std::string, int64_t> plan_;
  std::set<int> axes_;
  bool sums_ = false;
  std::vector<Use> uses_;
};

// Of all kernels of a step, looked at once.
class StepUses {
 public:
  explicit StepUses(const step::Step& s) : s_(s), uses_(s.kernels.size()) {}
  const KernelUses& of(const step::Run& r) {
    std::optional<KernelUses>& u = uses_[static_cast<size_t>(r.kernel)];
    if (!u) u.emplace(s_.kernels[static_cast<size_t>(r.kernel)], s_);
    return *u;
  }

 private:
  const step::Step& s_;
  std::vector<std::optional<KernelUses>> uses_;
};

bool wants_panels(const Use& u) { return u.rows && *u.rows <= kPaysForCopies; }

// A matrix of whole panels that does not stay near, with rows that are far apart.
bool has_panels(const step::Buffer& b, const Machine& m) {
  if (b.dtype != DType::F32 || b.shape.size() != 2 || !b.layout.is_plain() || b.derived_from >= 0)
    return false;
  if (!b.shape[0].is_constant() || !b.shape[1].is_constant()) return false;
  constexpr int64_t kBytes = 4;
  const int64_t rows = b.shape[0].constant_part(), columns = b.shape[1].constant_part();
  return columns % (kVectors * m.lanes) == 0 && columns * kBytes >= kFarRows &&
         static_cast<double>(rows) * static_cast<double>(columns) * kBytes >= kFewBytes;
}

// States that one kernel writes beside each other lie alike.
class Choice {
 public:
  explicit Choice(const Machine& m) : m_(m) {}

  void look_at(const step::Step& s) {
    StepUses uses(s);
    step::each_run(s.body, [&](const step::Run& r) { look_at(s, r, uses.of(r)); });
  }

  StateLayouts made() {
    StateLayouts out;
    for (auto& [offset, state] : states_) {
      const State& all = states_.at(first_of(offset));
      if (all.wanted && !all.refused) out.emplace(offset, panels(m_));
    }
    return out;
  }

 private:
  struct State {
    int64_t alike = 0;  // the offset of one that lies alike, its own of the first
    bool wanted = false, refused = false;
  };

  void look_at(const step::Step& s, const step::Run& r, const KernelUses& uses) {
    const step::Buffer* beside = nullptr;
    for (size_t p = 0; p < r.buffers.size(); ++p) {
      const step::Buffer& b = s.buffers[static_cast<size_t>(r.buffers[p])];
      if (b.region != step::Region::State || !has_panels(b, m_)) continue;
      const Use& u = uses.of(p);
      State& first = states_.at(first_of(b.offset));
      first.wanted |= wants_panels(u);
      if (!u.written) continue;
      first.refused |= !u.written_with_sum;
      if (beside && beside->shape == b.shape) join(beside->offset, b.offset);
      beside = &b;
    }
  }

  int64_t first_of(int64_t offset) {
    auto [it, fresh] = states_.try_emplace(offset);
    if (fresh) it->second.alike = offset;
    return it->second.alike == offset ? offset : it->second.alike = first_of(it->second.alike);
  }
  void join(int64_t a, int64_t b) {
    a = first_of(a), b = first_of(b);
    if (a == b) return;
    State &to = states_.at(a), &from = states_.at(b);
    to.wanted |= from.wanted, to.refused |= from.refused;
    from.alike = a;
  }

  const Machine& m_;
  std::map<int64_t, State> states_;
};

// Everything that is written inside, and what is read as panels.
void collect(const step::Body& body, StepUses& uses, std::set<int>& written, std::set<int>& read) {
  step::each_run(body, [&](const step::Run& r) {
    for (size_t p = 0; p < r.buffers.size(); ++p) {
      if (uses.of(r).of(p).written) written.insert(r.buffers[p]);
      if (wants_panels(uses.of(r).of(p))) read.insert(r.buffers[p]);
    }
  });
}

}  // namespace

Layout panels(const Machine& m) { return Layout::make(2, {1, 0}, {{1, kVectors * m.lanes}}, {}); }

// The loop that a statement is, or that its tasks are all of.
static const step::For* loop_of(const step::Stmt& stmt) {
  auto* f = std::get_if<std::shared_ptr<const step::For>>(&stmt);
  if (!f) return nullptr;
  return !(*f)->tasks ? f->get() : (*f)->body.size() == 1 ? loop_of((*f)->body[0]) : nullptr;
}

std::set<int> panels_of_loops(const step::Step& s, const Machine& m) {
  std::set<int> out;
  StepUses uses(s);
  for (const step::Stmt& stmt : s.body) {
    const step::For* loop = loop_of(stmt);
    if (!loop) continue;
    std::set<int> written, read;
    collect(loop->body, uses, written, read);
    for (int b : read)
      if (const step::Buffer& buffer = s.buffers[static_cast<size_t>(b)];
          written.count(b) == 0 && buffer.region == step::Region::Scratch && has_panels(buffer, m))
        out.insert(b);
  }
  return out;
}

StateLayouts choose_panels(std::span<const step::Step> entries, const Machine& m) {
  Choice choice(m);
  for (const step::Step& s : entries)
    if (s.name != "init") choice.look_at(s);
  return choice.made();
}

void lay_out_states(step::Step& s, const StateLayouts& layouts, StepReport* report) {
  bool any = false;
  for (step::Buffer& b : s.buffers)
    if (auto it = layouts.find(b.offset); b.region == step::Region::State && it != layouts.end())
      b.layout = it->second, any = true;
  if (any) adopt_layouts(s, report);
}

}  // namespace gradc::passes
