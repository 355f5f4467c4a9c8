#include "passes/fuse/donation.h"

#include <algorithm>
#include <functional>
#include <queue>

#include "support/check.h"

namespace gradc::passes {
namespace {

using graph::Function;
using graph::kNone;

class Decider {
 public:
  Decider(const Function& f, const ReadTable& reads) : f_(f), reads_(reads) {}

  Donation run() {
    d_.after.resize(f_.nodes.size());
    choose();
    order();
    return std::move(d_);
  }

 private:
  bool is_param(NodeId n) const { return f_[n].op->form == graph::Form::Parameter; }

  // Results that could be written in place, each node into one parameter.
  void choose() {
    std::set<NodeId> returned;
    for (const graph::Result& r : f_.results) returned.insert(r.node);
    for (const graph::Result& r : f_.results) {
      if (r.into == kNone || r.node == r.into) continue;
      const bool in_place = !is_param(r.node) && !d_.into.count(r.node) && !returned.count(r.into) &&
                            (reads_.meanings()[r.node] ? reads_own_element(reads_, r.node, r.into)
                                                       : updates_in_place(f_, r.node, r.into));
      if (in_place)
        d_.into[r.node] = r.into;
      else
        d_.copied.insert(r.into);
    }
    std::map<NodeId, NodeId> writer;
    for (const auto& [node, param] : d_.into) writer[param] = node;
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      if (reads_.is_inline(i)) continue;
      for (const ResolvedRead& r : reads_.of(i))
        if (auto it = writer.find(r.node); it != writer.end() && it->second != i)
          d_.after[i].push_back(it->second), readers_[it->second].push_back(i);
    }
    for (std::vector<NodeId>& list : d_.after) {
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
    }
  }

  // Node order refined by the edges. Where nothing is ready, the first node that is left has all its
  // operands: it is a writer whose readers wait for it, and is copied.
  void order() {
    const size_t n = f_.nodes.size();
    waiting_.assign(n, 0);
    std::vector<std::vector<NodeId>> next(n);
    for (NodeId i = 0; i < n; ++i) {
      for (NodeId q : f_[i].operands) next[q].push_back(i), ++waiting_[i];
      for (NodeId w : d_.after[i]) ++waiting_[w];
    }
    for (NodeId i = 0; i < n; ++i)
      if (waiting_[i] == 0) ready_.push(i);
    std::vector<bool> done(n, false);
    NodeId first = 0;
    while (d_.order.size() < n) {
      if (ready_.empty()) {
        while (done[first]) ++first;
        give_up(first, done);
      }
      const NodeId i = ready_.top();
      ready_.pop();
      done[i] = true;
      d_.order.push_back(i);
      for (NodeId w : next[i]) satisfy(w);
      for (NodeId w : d_.after[i]) satisfy(w);
    }
  }
  void satisfy(NodeId n) {
    if (--waiting_[n] == 0) ready_.push(n);
  }
  void give_up(NodeId writer, const std::vector<bool>& done) {
    auto it = d_.into.find(writer);
    GRADC_CHECK(it != d_.into.end(), "nodes of @{} wait for each other", f_.name);
    d_.copied.insert(it->second);
    d_.into.erase(it);
    for (NodeId i : readers_[writer])
      if (std::erase(d_.after[i], writer) && !done[i]) satisfy(writer);
  }

  const Function& f_;
  const ReadTable& reads_;
  Donation d_;
  std::map<NodeId, std::vector<NodeId>> readers_;  // by writer
  std::vector<int> waiting_;
  std::priority_queue<NodeId, std::vector<NodeId>, std::greater<>> ready_;
};

}  // namespace

Donation decide_donation(const Function& f, const ReadTable& reads) { return Decider(f, reads).run(); }

bool updates_in_place(const Function& f, NodeId n, NodeId param) {
  const graph::Operands& from = f[n].operands;
  return f[n].op->updates && from[0] == param && std::count(from.begin(), from.end(), param) == 1;
}

bool is_identity(const std::vector<Index>& at, size_t n) {
  if (at.size() < n) return false;
  for (size_t i = 0; i < n; ++i)
    if (!(at[i] == Index::var(static_cast<int>(i)))) return false;
  return true;
}

bool reads_own_element(const ReadTable& reads, NodeId n, NodeId param) {
  const size_t rank = static_cast<size_t>(reads.meanings()[n]->outputs);
  for (const ResolvedRead& r : reads.of(n))
    if (r.node == param && !(r.at.size() == rank && is_identity(r.at, rank))) return false;
  return true;
}

}  // namespace gradc::passes
