// Contractions leave out the terms that padding makes zero, where they are many: the conditions of the sum
// (`where`) say which remain. They are no terms at all from here on: zero times infinity is not among them.
// The interpreters skip them, and loops over what is summed begin and end where the conditions say.
#include <algorithm>
#include <optional>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

// Conditions over a tensor's axes (variable a is axis a): an element for which one is negative is zero.
using Region = std::vector<Index>;

constexpr size_t kMostConditions = 8;
constexpr double kPays = 0.75;  // of the terms remain at most
constexpr int64_t kFewest = 4;  // iterations of a loop that lanes or rows of a tile run along

// What is zero because the values are moved from what is, or from padding.
Region region_of(const Function& f, NodeId n, const std::vector<Region>& known) {
  if (!has_meaning(f[n]) || f[n].operands.size() != 1) return {};
  const Meaning m = meaning_of(f, n);
  if (m.combine != Combiner::None || m.reads.size() != 1 || m.body.size() != 1) return {};
  const Read& read = m.reads[0];
  Region out;
  if (read.fill == 0) out = read.guards;
  for (const Index& e : known[f[n].operands[0]])
    out.push_back(e.substitute([&](int a) { return read.at[static_cast<size_t>(a)]; }));
  if (out.size() > kMostConditions) out.clear();
  return out;
}

// A sum of axes times constants, and a constant.
bool is_affine(const Index& e) {
  return std::all_of(e.terms().begin(), e.terms().end(), [](const Index::Term& t) {
    return t.factors.size() == 1 && t.factors[0].kind == Atom::Kind::Var;
  });
}

class Skipper {
 public:
  Skipper(const Function& f, const std::vector<Region>& regions, NodeId e)
      : f_(f), e_(e), spec_(parse_einsum(f[e].attrs.text("spec"))), labels_(spec_.out + spec_.reduced()) {
    for (const char c : labels_) extents_.push_back(extent(c));
    for (int side = 0; side < 2; ++side)
      for (const Index& condition : regions[f[e].operands[static_cast<size_t>(side)]])
        add(condition, side ? spec_.b : spec_.a);
  }

  // The conditions, if they pay.
  std::optional<std::string> where() const {
    if (conditions_.empty() || free_outputs() < 2 || kept() > kPays) return {};
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
    if (!provably_nonnegative(e, bound)) conditions_.push_back(e);
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
};

Function skip_in(const Function& f, const Module& m) {
  std::vector<Region> regions(f.nodes.size());
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    regions[i] = region_of(f, i, regions);
    if (!is_plain_contraction(f[i])) return std::nullopt;
    const std::optional<std::string> where = Skipper(f, regions, i).where();
    if (!where) return std::nullopt;
    return std::vector<NodeId>{
        b.make(*f[i].op, {made[f[i].operands[0]], made[f[i].operands[1]]}, f[i].attrs.with("where", *where))};
  });
}

}  // namespace

Module skip(const Module& m) { return each_function(m, skip_in); }

}  // namespace gradc::passes
