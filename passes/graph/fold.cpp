// Constants folded by the meaning: what a node computes from constants is computed here, by the graph
// interpreter, which is what its bits are. It stands behind `numerics`: before, a product of constants may
// still become a half of a multiply-add, and the order of a sum is open.
#include <cmath>
#include <cstring>
#include <map>
#include <memory>

#include "ir/interp/interpret.h"
#include "passes/graph/expand.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using namespace graph;

constexpr int64_t kMostElements = 64;    // of a value that is kept as a list of elements
constexpr int64_t kMostSteps = 1 << 12;  // of the evaluation of one node

// The value of a node: one for all elements, of rank 0, or every element.
struct Known {
  Tensor value;
  bool everywhere = false;
};

std::optional<int64_t> count(const Shape& shape, int64_t most) {
  const Dim n = element_count(shape);
  if (!n.is_constant() || n.constant_part() > most) return std::nullopt;
  return n.constant_part();
}

class Folder {
 public:
  Folder(const Function& f, const Module& m) : f_(f), m_(m), known_(f.nodes.size()) {}

  Function run() {
    for (NodeId i = 0; i < f_.nodes.size(); ++i) learn(i);
    bool any = false;
    for (NodeId i = 0; i < f_.nodes.size(); ++i) any |= folds(i);
    if (!any) return f_;
    const Function folded =
        rebuild(f_, m_, [&](Builder& b, NodeId i, const auto&) { return constant(b, i); });
    return prune_function(folded, m_);
  }

 private:
  void learn(NodeId i) {
    const Node& n = f_[i];
    if (!has_meaning(n) || n.attrs.has("again")) return;
    bool everywhere = true;
    for (NodeId q : n.operands) {
      if (!known_[q]) return;
      everywhere &= known_[q]->everywhere;
    }
    Meaning m = meaning_of(f_, i);
    if (everywhere && is_uniform(m)) {
      m.axes.clear(), m.outputs = 0;
      for (Read& r : m.reads) r.at.clear();
      known_[i] = std::make_unique<const Known>(Known{evaluate(i, m, false), true});
    } else if (is_small(i, m)) {
      known_[i] = std::make_unique<const Known>(tidied(evaluate(i, m, true)));
    }
  }

  // The same for all elements if its reads are.
  static bool is_uniform(const Meaning& m) {
    if (m.combine != Combiner::None) return false;
    for (const Read& r : m.reads)
      if (!r.guards.empty()) return false;
    return std::none_of(m.body.begin(), m.body.end(),
                        [](const ScalarNode& s) { return s.op == ScalarOp::Axis; });
  }

  // Of a few elements, and of no dimension that is known at run time alone.
  bool is_small(NodeId i, const Meaning& m) const {
    if (!count(f_.type(i).shape, kMostElements) || !count(m.axes, kMostSteps)) return false;
    for (NodeId q : f_[i].operands)
      if (!count(f_.type(q).shape, kMostElements)) return false;
    std::map<std::string, int> dims;
    for (const Dim& d : m.axes) d.collect_dims(dims);
    for (const Index& e : m.values) e.collect_dims(dims);
    for (const Read& r : m.reads) {
      for (const Index& e : r.at) e.collect_dims(dims);
      for (const Index& e : r.guards) e.collect_dims(dims);
    }
    return dims.empty();
  }

  Tensor evaluate(NodeId i, const Meaning& m, bool elements) const {
    std::vector<Tensor> made;
    std::vector<const Tensor*> operands;
    made.reserve(f_[i].operands.size());
    for (NodeId q : f_[i].operands) {
      const Known& k = *known_[q];
      if (elements && k.everywhere) made.push_back(spread(k.value, concrete(f_.type(q).shape, {})));
      operands.push_back(elements && k.everywhere ? &made.back() : &k.value);
    }
    return evaluate_meaning(m, f_.type(i).dtype, operands, f_.fuses(), {});
  }
  static Tensor spread(const Tensor& one, const std::vector<int64_t>& shape) {
    Tensor t(one.dtype(), shape);
    for (int64_t i = 0; i < t.count(); ++i)
      std::memcpy(t.data() + i * one.bytes(), one.data(), bytes_of(one));
    return t;
  }
  static Known tidied(Tensor t) {
    const int64_t size = size_of(t.dtype());
    for (int64_t i = 1; i < t.count(); ++i)
      if (std::memcmp(t.data(), t.data() + i * size, static_cast<size_t>(size)) != 0)
        return {std::move(t), false};
    if (t.count() == 0) return {std::move(t), false};
    Tensor one(t.dtype(), {});
    std::memcpy(one.data(), t.data(), static_cast<size_t>(size));
    return {std::move(one), true};
  }
  static size_t bytes_of(const Tensor& t) { return static_cast<size_t>(t.bytes()); }

  bool folds(NodeId n) const { return known_[n] && known_[n]->everywhere && f_[n].op->name != "constant"; }
  Results constant(Builder& b, NodeId i) const {
    if (!folds(i)) return std::nullopt;
    const Tensor& v = known_[i]->value;
    AttrValue value;
    if (!is_float(v.dtype()))
      value = v.dtype() == DType::I64 ? v.as<int64_t>()[0] : static_cast<int64_t>(v.at(0));
    else
      value = std::isnan(v.at(0)) ? std::nan("") : v.at(0);
    if (const Loc* loc = f_.locs.find(i)) b.set_location(*loc);
    const NodeId n =
        b.make("constant", {}, {{"value", value}, {"dtype", v.dtype()}, {"shape", f_.type(i).shape}});
    if (const std::string* name = f_.names.find(i)) b.name(n, *name);
    return std::vector<NodeId>{n};
  }

  const Function& f_;
  const Module& m_;
  std::vector<std::unique_ptr<const Known>> known_;  // by node; none of what is not known
};

}  // namespace

Module fold(const Module& m) {
  // The elementary functions of a loop's body follow the caller's setting; where it may be another one
  // nothing is folded.
  bool same = true;
  for (const auto& [name, f] : m.functions) same &= f.fuses() == m.functions.begin()->second.fuses();
  if (!same) return m;
  return each_function(m, [](const Function& f, const Module& all) { return Folder(f, all).run(); });
}

}  // namespace gradc::passes
