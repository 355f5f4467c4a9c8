// Contractions leave out the terms that padding or a mask of places makes zero, where they are many: the
// conditions of the sum
// (`where`) say which remain. They are no terms at all from here on: zero times infinity is not among them.
// The interpreters skip them, and loops over what is summed begin and end where the conditions say.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "ir/graph/node_kind.h"
#include "ir/ops/einsum_spec.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr size_t kMostConditions = 8;
constexpr double kPays = 0.75;  // of the terms remain at most
constexpr int64_t kFewest = 4;  // iterations of a loop that lanes or rows of a tile run along
// Elements of an output axis that have the same terms. Fewer leave out more, and have shorter loops.
constexpr int64_t block_of(int64_t extent) { return extent <= 64 ? 8 : 16; }
constexpr int64_t kMostPairs = int64_t(1) << 16;
constexpr double kSmall = 0x1p30;

// Conditions over a tensor's axes (variable a is axis a): an element for which one is negative has this
// value.
struct Region {
  std::vector<Index> within;
  double outside = 0;
  bool masked = false;  // by a comparison of places, not by padding alone
};

// A sum of axes times constants, and a constant.
bool is_affine(const Index& e) {
  return std::all_of(e.terms().begin(), e.terms().end(), [](const Index::Term& t) {
    return t.factors.size() == 1 && t.factors[0].kind == Atom::Kind::Var;
  });
}

// What is known of the elements of a function's tensors by where they stand.
class Survey {
 public:
  explicit Survey(const Function& f)
      : f_(f), meanings_(f), regions_(f.nodes.size()), numbers_(f.nodes.size()) {}

  void note(NodeId n) {
    const std::string_view op = f_[n].op->name;
    count(n, op);
    if (const auto m = moved(n)) return move(n, m->reads[0]);
    const auto& o = f_[n].operands;
    if (op == "le" || op == "lt" || op == "ge" || op == "gt")
      return compare(n, op[0] == 'l' ? o[0] : o[1], op[0] == 'l' ? o[1] : o[0], op[1] == 't');
    if (op == "and" || op == "mul") return either(n);
    if (op == "select") return select(n);
    const Region& first = o.empty() ? none_ : regions_[o[0]];
    if (first.within.empty()) return;
    // A masked score is no score: what is subtracted from it, or divides its weight, moves nothing.
    const bool low = std::isinf(first.outside) && first.outside < 0;
    if (low && op == "exp") regions_[n] = {first.within, 0, first.masked};
    if (low && op == "sub") regions_[n] = first;
    if (first.outside == 0 && (op == "div" || op == "neg" || op == "convert")) regions_[n] = first;
  }
  const Region& of(NodeId n) const { return regions_[n]; }
  // Whether anything is known of what a node reads.
  bool knows(const Node& n) const {
    return std::any_of(n.operands.begin(), n.operands.end(),
                       [&](NodeId q) { return !regions_[q].within.empty(); });
  }

 private:
  // Places, constants, and sums of them.
  void count(NodeId n, std::string_view op) {
    const auto& o = f_[n].operands;
    const DType t = f_[n].types.empty() ? DType::Bool : f_.type(n).dtype;
    if (t != DType::I32 && t != DType::I64) return;
    std::optional<Index> e;
    if (op == "iota") e = Index::var(static_cast<int>(f_[n].attrs.integer("axis")));
    if (op == "constant" && std::fabs(f_[n].attrs.number("value")) < kSmall)
      e = Index(static_cast<int64_t>(f_[n].attrs.number("value")));
    if ((op == "add" || op == "sub") && numbers_[o[0]] && numbers_[o[1]])
      e = op == "add" ? *numbers_[o[0]] + *numbers_[o[1]] : *numbers_[o[0]] - *numbers_[o[1]];
    if (e && is_small(*e, f_.type(n).shape)) numbers_[n] = std::move(e);
  }
  // Whether it is what the tensor holds, which wraps around where numbers grow large.
  static bool is_small(const Index& e, const Shape& shape) {
    if (!is_affine(e)) return false;
    double most = std::fabs(static_cast<double>(e.constant_part()));
    for (const Index::Term& term : e.terms()) {
      const Dim& extent = shape[static_cast<size_t>(term.factors[0].var)];
      if (!extent.is_constant()) return false;
      most += std::fabs(static_cast<double>(term.coefficient)) * static_cast<double>(extent.constant_part());
    }
    return most < kSmall;
  }

  std::shared_ptr<const Meaning> moved(NodeId n) {
    if (!has_meaning(f_[n]) || f_[n].operands.size() != 1) return nullptr;
    const std::shared_ptr<const Meaning> m = meanings_.of(n);
    return m->combine == Combiner::None && m->reads.size() == 1 && m->body.size() == 1 ? m : nullptr;
  }
  // Values that are moved from what is known, or from padding.
  void move(NodeId n, const Read& read) {
    const NodeId from = f_[n].operands[0];
    const auto there = [&](const Index& e) {
      return e.substitute([&](int a) { return read.at[static_cast<size_t>(a)]; });
    };
    if (numbers_[from] && read.guards.empty()) numbers_[n] = there(*numbers_[from]);
    Region out = regions_[from];
    for (Index& e : out.within) e = there(e);
    if (out.within.empty()) out.outside = read.fill;
    if (read.fill == out.outside)
      out.within.insert(out.within.begin(), read.guards.begin(), read.guards.end());
    else if (!read.guards.empty())
      return;
    if (out.within.size() <= kMostConditions) regions_[n] = std::move(out);
  }

  // Numbers of places, a < b or a <= b: false where b - a is negative.
  void compare(NodeId n, NodeId a, NodeId b, bool strict) {
    if (numbers_[a] && numbers_[b])
      regions_[n] = {{*numbers_[b] - *numbers_[a] - Index(strict ? 1 : 0)}, 0, true};
  }

  // 0, or false, where one of both is.
  void either(NodeId n) {
    Region out;
    for (const NodeId o : f_[n].operands)
      if (const Region& r = regions_[o]; r.outside == 0) {
        out.within.insert(out.within.end(), r.within.begin(), r.within.end());
        out.masked |= r.masked;
      }
    if (out.within.size() <= kMostConditions) regions_[n] = std::move(out);
  }

  // The other value where the mask is false, and where what it lets through is that value too.
  void select(NodeId n) {
    const auto& o = f_[n].operands;
    const std::optional<double> other = constant(o[2]);
    if (!other) return;
    Region out = regions_[o[0]].outside == 0 ? regions_[o[0]] : Region{};
    out.outside = *other;
    if (const Region& chosen = regions_[o[1]]; chosen.outside == *other) {
      out.within.insert(out.within.end(), chosen.within.begin(), chosen.within.end());
      out.masked |= chosen.masked;
    }
    if (out.within.size() <= kMostConditions) regions_[n] = std::move(out);
  }
  std::optional<double> constant(NodeId n) const {
    while (f_[n].op->name == "broadcast") n = f_[n].operands[0];
    if (f_[n].op->name != "constant") return {};
    return f_[n].attrs.number("value");
  }

  const Function& f_;
  Meanings meanings_;
  std::vector<Region> regions_;
  std::vector<std::optional<Index>> numbers_;  // of tensors of whole numbers, what each element is
  const Region none_;
};

class Skipper {
 public:
  Skipper(const Function& f, const Survey& survey, NodeId e)
      : f_(f), e_(e), spec_(parse_einsum(f[e].attrs.text("spec"))), labels_(spec_.out + spec_.reduced()) {
    for (const char c : labels_) extents_.push_back(extent(c));
    for (int side = 0; side < 2; ++side)
      if (const Region& r = survey.of(f[e].operands[static_cast<size_t>(side)]); r.outside == 0) {
        for (const Index& condition : r.within) add(condition, side ? spec_.b : spec_.a);
        masked_ |= r.masked;
      }
  }

  // The conditions, if they pay.
  std::optional<std::string> where() {
    if (conditions_.empty() || free_outputs() < 2) return {};
    if (masked_ && !by_blocks()) return {};
    if (kept() > kPays) return {};
    return where_text(conditions_, labels_);
  }

 private:
  const Dim& extent(char label) const {
    const size_t in_a = spec_.a.find(label);
    const int side = in_a == std::string::npos ? 1 : 0;
    return f_.type(f_[e_].operands[static_cast<size_t>(side)]).shape[side ? spec_.b.find(label) : in_a];
  }

  void add(const Index& of_operand, const std::string& labels) {
    const Index e = of_operand.substitute([&](int axis) {
      return Index::var(static_cast<int>(labels_.find(labels[static_cast<size_t>(axis)])));
    });
    if (!is_affine(e) || e.max_var() < static_cast<int>(spec_.out.size())) return;
    const auto bound = [&](int v) { return extents_[static_cast<size_t>(v)]; };
    const bool known = std::find(conditions_.begin(), conditions_.end(), e) != conditions_.end();
    if (!known && !provably_nonnegative(e, bound)) conditions_.push_back(e);
  }

  bool used(size_t label) const {
    return std::any_of(conditions_.begin(), conditions_.end(),
                       [&](const Index& e) { return e.uses_var(static_cast<int>(label)); });
  }

  // Output axes along which all elements have the same terms: those that lanes and rows of a tile may run
  // along.
  int free_outputs() const {
    int n = 0;
    for (size_t i = 0; i < spec_.out.size(); ++i)
      n += !used(i) && (!extents_[i].is_constant() || extents_[i].constant_part() >= kFewest);
    return n;
  }

  // Blocks of elements take the terms that one of them has, so that tiles of them share their loop. Of few
  // pairs, whose rows lie near the core as a whole: larger ones are computed block by block.
  bool by_blocks() {
    int64_t pairs = 1;
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (!used(i)) continue;
      if (!extents_[i].is_constant()) return false;
      pairs *= extents_[i].constant_part();
      if (i < spec_.out.size() && extents_[i].constant_part() % block_of(extents_[i].constant_part()) != 0)
        return false;
    }
    if (pairs > kMostPairs) return false;
    for (Index& e : conditions_) {
      const Index whole = e;
      e = e.substitute([&](int v) {
        if (v >= static_cast<int>(spec_.out.size())) return Index::var(v);
        const std::optional<Index> c = whole.coefficient_of(v);
        const int64_t block = block_of(extents_[static_cast<size_t>(v)].constant_part());
        return Index::var(v).floor_div(block) * block + (c && c->constant_part() > 0 ? block - 1 : 0);
      });
    }
    return true;
  }

  // The part of the terms that remain; 1 where that is not known.
  double kept() const {
    std::vector<int64_t> extents;
    for (size_t i = 0; i < labels_.size(); ++i) {
      if (used(i) && !extents_[i].is_constant()) return 1;
      extents.push_back(extents_[i].constant_part());
    }
    return share_within(conditions_, extents);
  }

  const Function& f_;
  NodeId e_;
  EinsumSpec spec_;
  std::string labels_;
  std::vector<Dim> extents_;
  std::vector<Index> conditions_;
  bool masked_ = false;
};

Function skip_in(const Function& f, const Module& m) {
  Survey survey(f);
  std::map<NodeId, std::string> found;
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    survey.note(i);
    if (!is_plain_contraction(f[i]) || !survey.knows(f[i])) continue;
    if (std::optional<std::string> where = Skipper(f, survey, i).where()) found[i] = std::move(*where);
  }
  if (found.empty()) return f;
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    const auto where = found.find(i);
    if (where == found.end()) return std::nullopt;
    return std::vector<NodeId>{b.make(*f[i].op, {made[f[i].operands[0]], made[f[i].operands[1]]},
                                      f[i].attrs.with("where", where->second))};
  });
}

}  // namespace

Module skip(const Module& m) { return each_function(m, skip_in); }

}  // namespace gradc::passes
