// Invariants: values and variables are defined once and before use, in scope; indices have the rank of their
// buffer; types of operations follow the scalar table; tiles have constant shapes and no layout; copies are
// of an earlier parameter with their type and shape; parameters precede locals; in-parameters are not written
// and tiles are not guarded; loop kinds nest as kernel.h says. Not checked: that indices stay inside (the
// interpreter does), that vector and parallel iterations are independent.
#include <set>

#include "ir/kernel/kernel.h"
#include "support/check.h"

namespace gradc::kernel {
namespace {

class Verifier {
 public:
  explicit Verifier(const Kernel& k) : k_(k) {}

  void run() {
    bool local = false;
    for (const Buffer& b : k_.buffers) {
      const bool is_local = b.space == Space::Scratch || b.space == Space::Tile;
      GRADC_CHECK(is_local || !local, "@{}: parameter {} after a local buffer", k_.name, b.name);
      local |= is_local;
      for (const Dim& d : b.shape)
        GRADC_CHECK(!is_local || d.is_constant(), "@{}: {} has no constant shape", k_.name, b.name);
      layout(b, is_local);
    }
    for (int p : k_.params) vars_.insert(p);
    body(k_.body, LoopKind::Serial, true);
  }

 private:
  void layout(const Buffer& b, bool is_local) const {
    GRADC_CHECK(b.layout.fits(static_cast<int>(b.shape.size())), "@{}: the layout of {}", k_.name, b.name);
    GRADC_CHECK(b.space != Space::Tile || b.layout.is_plain(), "@{}: tile {} has a layout", k_.name, b.name);
    if (b.derived_from < 0) return;
    GRADC_CHECK(!is_local && &k_.buffers[b.derived_from] < &b, "@{}: what {} is derived from", k_.name,
                b.name);
    const Buffer& from = k_.buffers[b.derived_from];
    GRADC_CHECK(from.dtype == b.dtype && from.shape == b.shape, "@{}: {} is no copy of {}", k_.name, b.name,
                from.name);
  }
  void define(Value v, DType t) {
    GRADC_CHECK(v >= 0 && v < k_.values && !types_.count(v),
                "@{}: value {} is defined twice or out of range\n{}", k_.name, v, print(k_));
    types_[v] = t;
  }
  DType use(Value v) const {
    auto it = types_.find(v);
    GRADC_CHECK(it != types_.end(), "@{}: value {} is not in scope\n{}", k_.name, v, print(k_));
    return it->second;
  }
  void index(const Index& e) const {
    e.substitute([&](int v) {
      GRADC_CHECK(vars_.count(v), "@{}: variable {} is not in scope in {}\n{}", k_.name, v, e.str(),
                  print(k_));
      return Index::var(v);
    });
  }
  void access(int b, const std::vector<Index>& at) const {
    GRADC_CHECK(b >= 0 && b < static_cast<int>(k_.buffers.size()), "@{}: no buffer {}", k_.name, b);
    GRADC_CHECK(at.size() == k_.buffers[b].shape.size(), "@{}: {} indices for {}{}", k_.name, at.size(),
                k_.buffers[b].name, str(k_.buffers[b].shape));
    for (const Index& e : at) index(e);
  }

  void body(const Body& b, LoopKind inside, bool outermost) {
    const auto types = types_;
    const auto vars = vars_;
    for (const Stmt& s : b)
      std::visit([&](const auto& x) { statement(x, inside, outermost && b.size() == 1); }, s);
    types_ = types;
    vars_ = vars;
  }

  void statement(const Compute& c, LoopKind, bool) {
    std::vector<DType> args;
    for (int i = 0; i < def_of(c.op).arity; ++i) args.push_back(use(c.args[i]));
    GRADC_CHECK(c.op != ScalarOp::Read, "@{}: a kernel loads, it does not read", k_.name);
    if (c.op == ScalarOp::Axis) index(c.index);
    if (def_of(c.op).rule != ScalarRule::Leaf && def_of(c.op).rule != ScalarRule::Cast) {
      const std::optional<DType> t = infer_scalar(c.op, args);
      GRADC_CHECK(t && *t == c.dtype, "@{}: {} has operands of the wrong type\n{}", k_.name,
                  def_of(c.op).name, print(k_));
    }
    define(c.result, c.dtype);
  }
  void statement(const Load& l, LoopKind, bool) {
    access(l.buffer, l.at);
    for (const Index& g : l.guards) index(g);
    GRADC_CHECK(l.guards.empty() || k_.buffers[l.buffer].space != Space::Tile, "@{}: a guarded tile",
                k_.name);
    define(l.result, k_.buffers[l.buffer].dtype);
  }
  void statement(const Store& s, LoopKind, bool) {
    access(s.buffer, s.at);
    GRADC_CHECK(k_.buffers[s.buffer].space != Space::In, "@{}: {} is only read", k_.name,
                k_.buffers[s.buffer].name);
    GRADC_CHECK(use(s.value) == k_.buffers[s.buffer].dtype, "@{}: {} stored to {}", k_.name,
                name_of(use(s.value)), k_.buffers[s.buffer].name);
  }
  void statement(const Bind& b, LoopKind, bool) {
    GRADC_CHECK(use(b.value) == DType::I64, "@{}: an index is i64", k_.name);
    define_var(b.var);
  }
  void statement(const Tree& t, LoopKind inside, bool) {
    GRADC_CHECK(inside != LoopKind::Vector && k_.buffers[t.tile].space == Space::Tile, "@{}: misplaced tree",
                k_.name);
    std::vector<Index> at = t.at;
    at.push_back(0);
    access(t.tile, at);
    define(t.result, k_.buffers[t.tile].dtype);
  }
  void define_var(int v) {
    GRADC_CHECK(v >= 0 && v < k_.vars && !vars_.count(v),
                "@{}: variable {} is defined twice or out of range\n{}", k_.name, v, print(k_));
    vars_.insert(v);
  }
  void statement(const std::shared_ptr<const For>& f, LoopKind inside, bool outermost) {
    index(f->extent);
    GRADC_CHECK(f->kind != LoopKind::Parallel || outermost,
                "@{}: the parallel loop is the outermost and only statement", k_.name);
    GRADC_CHECK(f->kind != LoopKind::Axis || outermost || inside == LoopKind::Axis,
                "@{}: an axis within a loop", k_.name);
    GRADC_CHECK(f->kind != LoopKind::Unroll || f->extent.is_constant(), "@{}: an unrolled loop is constant",
                k_.name);
    GRADC_CHECK(inside != LoopKind::Vector || f->kind == LoopKind::Unroll, "@{}: a loop within a vector loop",
                k_.name);
    const auto vars = vars_;
    define_var(f->var);
    body(f->body, inside == LoopKind::Vector ? inside : f->kind, false);
    vars_ = vars;
  }
  void statement(const std::shared_ptr<const If>& i, LoopKind inside, bool) {
    GRADC_CHECK(inside != LoopKind::Vector, "@{}: a branch within a vector loop", k_.name);
    for (const Index& e : i->conditions) index(e);
    body(i->body, inside, false);
  }

  const Kernel& k_;
  std::map<Value, DType> types_;
  std::set<int> vars_;
};

}  // namespace

void verify(const Kernel& k) { Verifier(k).run(); }

}  // namespace gradc::kernel
