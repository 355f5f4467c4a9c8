#include "passes/step/task_kernel.h"

#include <bit>

#include "passes/kernel/rewrite.h"

namespace gradc::passes {
namespace {

using step::Run;

// A kernel as one task runs it: its shared loops over a block, which begins where a parameter says, and inner
// buffers as small as a block.
class TaskKernel {
 public:
  TaskKernel(const kernel::Kernel& k, const Chain& c, size_t member, const Cut& cut,
             const std::set<int>& inner)
      : k_(k), c_(c), member_(member), cut_(cut) {
    const Run& r = *c.runs()[member];
    for (size_t i = 0; i < r.buffers.size(); ++i) inner_.push_back(inner.count(r.buffers[i]) > 0);
  }

  kernel::Kernel run() {
    const Nest nest = nest_of(k_);
    const bool goes_on = share_loops(nest);
    finish(nest, goes_on ? going_on(*sum_of(nest)) : statements(*nest.body));
    return std::move(k_);
  }
  // For a sum over blocks: sets to zero what they add to, the kernel's only buffer.
  kernel::Kernel start() {
    const Nest nest = nest_of(k_);
    share_loops(nest);
    const Sum sum = *sum_of(nest);
    const size_t out = static_cast<size_t>(sum.store->buffer);
    const auto& zero = std::get<kernel::Compute>(nest.body->front());
    finish(nest, {zero, kernel::Store{0, at(sum.store->at, sum.store->buffer), zero.result}});
    k_.buffers = {k_.buffers[out]};
    k_.buffers[0].space = kernel::Space::Out;
    k_.name += "_start";
    return std::move(k_);
  }

 private:
  // Whether one of them is the sum's own.
  bool share_loops(const Nest& nest) {
    const std::optional<Sum> sum = sum_of(nest);
    bool goes_on = false;
    for (size_t i = 0; i < cut_.indices; ++i) {
      const SharedIndex& s = c_.shared()[i];
      const size_t loop = s.loops[member_];
      const bool is_sum = loop == nest.loops.size();
      goes_on |= is_sum;
      Loop l{is_sum ? sum->loop->var : nest.loops[loop]->var, k_.vars++, -1, s.extent};
      l.block = i + 1 == cut_.indices ? cut_.block : 1;
      if (l.block > 1 || is_sum) l.inner = k_.vars++;
      k_.params.push_back(l.start);
      loops_.push_back(l);
    }
    return goes_on;
  }

  void finish(const Nest& nest, kernel::Body body) {
    const std::vector<const kernel::For*> old = nest.loops;
    for (size_t d = old.size(); d-- > 0;) {
      kernel::For f{old[d]->var, old[d]->extent, old[d]->kind, std::move(body)};
      const Loop* l = loop_of(f.var);
      body.clear();
      if (l && l->block == 1) {
        body = std::move(f.body);
        continue;
      }
      if (l) f.var = l->inner, f.extent = block_extent(*l);
      body.push_back(kernel::make_for(std::move(f)));
    }
    k_.body = std::move(body);
    for (size_t i = 0; i < inner_.size(); ++i)
      if (inner_[i]) k_.buffers[i].shape = shape(k_.buffers[i].shape, i);
  }

  struct Loop {
    int var, start, inner;  // the kernel's, the parameter, the new one within a block
    Index extent;
    int64_t block = 1;
  };
  const Loop* loop_of(int var) const {
    for (const Loop& l : loops_)
      if (l.var == var) return &l;
    return nullptr;
  }
  static Index block_extent(const Loop& l) {
    if (l.block == 1 || (l.extent.is_constant() && l.extent.constant_part() % l.block == 0)) return l.block;
    return Index::min(Index(l.block), l.extent - Index::var(l.start));
  }
  Index within(const Loop& l) const { return l.inner < 0 ? Index(0) : Index::var(l.inner); }
  Index placed(const Index& e) const {
    return e.substitute([&](int v) {
      const Loop* l = loop_of(v);
      return l ? Index::var(l->start) + within(*l) : Index::var(v);
    });
  }

  // Where shared indices stand in an inner buffer; in one that sums over an index, that index does not.
  template <class F>
  void each_position(size_t parameter, F&& f) const {
    for (size_t i = 0; i < loops_.size(); ++i)
      if (const uint64_t at = c_.shared()[i].positions.at(c_.runs()[member_]->buffers[parameter]))
        f(static_cast<size_t>(std::countr_zero(at)), loops_[i]);
  }
  Shape shape(Shape s, size_t parameter) const {
    each_position(parameter, [&](size_t d, const Loop& l) { s[d] = l.block; });
    return s;
  }
  std::vector<Index> at(const std::vector<Index>& list, int buffer) const {
    std::vector<Index> out;
    for (const Index& e : list) out.push_back(placed(e));
    if (static_cast<size_t>(buffer) < inner_.size() && inner_[static_cast<size_t>(buffer)])
      each_position(static_cast<size_t>(buffer), [&](size_t d, const Loop& l) { out[d] = within(l); });
    return out;
  }

  // A sum over one block, which begins with what the blocks before it left.
  kernel::Body going_on(const Sum& sum) {
    const Loop& l = *loop_of(sum.loop->var);
    const std::vector<Index> place = at(sum.store->at, sum.store->buffer);
    const kernel::Value before = k_.values++, after = k_.values++;
    const int tile = sum.first->buffer, out = sum.store->buffer;
    k_.buffers[static_cast<size_t>(out)].space = kernel::Space::InOut;
    return {
        kernel::Load{before, out, place, {}, {}}, kernel::Store{tile, {}, before},
        kernel::make_for({l.inner, block_extent(l), kernel::LoopKind::Serial, statements(sum.loop->body)}),
        kernel::Load{after, tile, {}, {}, {}}, kernel::Store{out, place, after}};
  }

  kernel::Body statements(const kernel::Body& body) const {
    kernel::Body out;
    for (const kernel::Stmt& s : body) {
      if (auto* l = std::get_if<kernel::Load>(&s)) {
        kernel::Load n = std::get<kernel::Load>(map_indices(s, [&](const Index& e) { return placed(e); }));
        n.at = at(l->at, l->buffer);
        out.push_back(std::move(n));
      } else if (auto* w = std::get_if<kernel::Store>(&s)) {
        out.push_back(kernel::Store{w->buffer, at(w->at, w->buffer), w->value});
      } else if (auto* f = std::get_if<std::shared_ptr<const kernel::For>>(&s)) {
        out.push_back(
            kernel::make_for({(*f)->var, placed((*f)->extent), (*f)->kind, statements((*f)->body)}));
      } else if (auto* i = std::get_if<std::shared_ptr<const kernel::If>>(&s)) {
        kernel::If n{{}, statements((*i)->body)};
        for (const Index& c : (*i)->conditions) n.conditions.push_back(placed(c));
        out.push_back(kernel::make_if(std::move(n)));
      } else {
        out.push_back(map_indices(s, [&](const Index& e) { return placed(e); }));
      }
    }
    return out;
  }

  kernel::Kernel k_;
  const Chain& c_;
  size_t member_;
  const Cut& cut_;
  std::vector<bool> inner_;  // by parameter
  std::vector<Loop> loops_;
};

}  // namespace

kernel::Kernel task_kernel(const kernel::Kernel& k, const Chain& c, size_t member, const Cut& cut,
                           const std::set<int>& inner) {
  return TaskKernel(k, c, member, cut, inner).run();
}

kernel::Kernel start_kernel(const kernel::Kernel& k, const Chain& c, size_t member, const Cut& cut,
                            const std::set<int>& inner) {
  return TaskKernel(k, c, member, cut, inner).start();
}

}  // namespace gradc::passes
