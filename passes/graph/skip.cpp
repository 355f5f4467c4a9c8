// Contractions leave out the terms that padding or a mask of places makes zero, where they are many: the
// conditions of the sum
// (`where`) say which remain. They are no terms at all from here on: zero times infinity is not among them.
// The interpreters skip them, and loops over what is summed begin and end where the conditions say.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "ir/ops/einsum_spec.h"
#include "passes/graph/expand.h"
#include "passes/graph/regions.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr double kPays = 0.75;  // of the terms remain at most
constexpr int64_t kFewest = 4;  // iterations of a loop that lanes or rows of a tile run along
// Elements of an output axis that have the same terms. Fewer leave out more, and have shorter loops.
constexpr int64_t block_of(int64_t extent) { return extent <= 64 ? 8 : 16; }
constexpr int64_t kMostPairs = int64_t(1) << 16;

class Skipper {
 public:
  Skipper(const Function& f, const Regions& regions, NodeId e)
      : f_(f), e_(e), spec_(parse_einsum(f[e].attrs.text("spec"))), labels_(spec_.out + spec_.reduced()) {
    for (const char c : labels_) extents_.push_back(extent(c));
    for (int side = 0; side < 2; ++side)
      if (const Region& r = regions.of(f[e].operands[static_cast<size_t>(side)]); r.outside == 0) {
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
  Regions regions(f);
  std::map<NodeId, std::string> found;
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    regions.note(i);
    if (!is_plain_contraction(f[i]) || !regions.knows(f[i])) continue;
    if (std::optional<std::string> where = Skipper(f, regions, i).where()) found[i] = std::move(*where);
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
