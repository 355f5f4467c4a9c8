// Makes a failing graph small: drops results, and reads nodes as one of their operands or as new parameters,
// while it still fails in the same way.
#pragma once

#include <chrono>

#include "ir/graph/builder.h"

namespace gradc::test {

// `f` with `cut` read as `with` (kNone: as a new parameter), without result `dropped`, without what is dead.
inline graph::Function reduced(const graph::Module& m, const graph::Function& f, graph::NodeId cut,
                               graph::NodeId with, size_t dropped) {
  using graph::kNone, graph::NodeId;
  std::vector<bool> live(f.nodes.size(), false);
  auto source = [&](NodeId n) { return n == cut && with != kNone ? with : n; };
  for (size_t r = 0; r < f.results.size(); ++r)
    if (r != dropped) live[source(f.results[r].node)] = true;
  for (NodeId i = static_cast<NodeId>(f.nodes.size()); i-- > 0;)
    if (live[i] && i != cut)
      for (NodeId q : f[i].operands) live[source(q)] = true;
  for (size_t r = 0; r < f.results.size(); ++r)
    if (r != dropped && f.results[r].into != kNone) live[f.results[r].into] = true;
  graph::Builder b(f.name, &m);
  for (const auto& [name, info] : f.dims) b.dim(name, info);
  std::vector<NodeId> map(f.nodes.size(), kNone);
  for (NodeId p : f.params)
    if (live[p] || f.name != "f" || f.names.at(p) == "symbolic") map[p] = b.param(f.names.at(p), f.type(p));
  if (with != kNone) map[cut] = map[with];
  for (NodeId i = 0; i < f.nodes.size(); ++i) {
    if (!live[i] || map[i] != kNone) continue;
    map[i] = i == cut ? b.param(fmt::format("cut{}", i), f.type(i)) : copy_node(b, f, i, map);
    if (with == i) map[cut] = map[i];
  }
  for (size_t r = 0; r < f.results.size(); ++r)
    if (r != dropped)
      b.result(map[f.results[r].node], f.results[r].name,
               f.results[r].into == kNone ? kNone : map[f.results[r].into]);
  return b.finish();
}

class Shrinker {
 public:
  using Fails = std::function<bool(const std::string&)>;  // in the same way

  Shrinker(graph::Module m, Fails fails) : m_(std::move(m)), fails_(std::move(fails)) {}

  std::string run(int seconds) {
    end_ = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    for (bool smaller = true; smaller;) {
      smaller = false;
      std::vector<std::string> names;
      for (const auto& [name, f] : m_.functions) names.push_back(name);
      for (const std::string& name : names)
        if (m_.find(name)) smaller |= one_round(name);
    }
    return graph::print(m_);
  }

 private:
  static constexpr size_t kAll = ~size_t{0};

  bool one_round(const std::string& name) {
    bool smaller = false;
    for (size_t r = m_.at(name).results.size(); name == "f" && r-- > 0;)
      smaller |= m_.at(name).results.size() > 1 && attempt(name, graph::kNone, graph::kNone, r);
    for (graph::NodeId i = static_cast<graph::NodeId>(m_.at(name).nodes.size()); i-- > 0;)
      if (i < m_.at(name).nodes.size()) smaller |= cut(name, i);
    return smaller;
  }
  bool cut(const std::string& name, graph::NodeId i) {
    const graph::Function& f = m_.at(name);
    if (f[i].op->name == "parameter" || f[i].types.size() != 1) return false;
    const graph::Operands operands = f[i].operands;
    for (graph::NodeId q : operands)
      if (f[q].types == f[i].types && attempt(name, i, q, kAll)) return true;
    return name == "f" && !f[i].operands.empty() && attempt(name, i, graph::kNone, kAll);
  }
  bool attempt(const std::string& name, graph::NodeId cut, graph::NodeId with, size_t dropped) {
    if (std::chrono::steady_clock::now() > end_) return false;
    graph::Module now = m_;
    now.functions.insert_or_assign(name, reduced(m_, m_.at(name), cut, with, dropped));
    drop_unused(now);
    if (!fails_(graph::print(now))) return false;
    m_ = std::move(now);
    return true;
  }
  static void drop_unused(graph::Module& m) {
    std::vector<std::string> reached{"f"};
    for (size_t i = 0; i < reached.size(); ++i)
      for (const graph::Node& n : m.at(reached[i]).nodes)
        for (const auto& [attr, value] : n.attrs.list())
          if (auto* r = std::get_if<graph::FunctionRef>(&value))
            if (std::find(reached.begin(), reached.end(), r->name) == reached.end())
              reached.push_back(r->name);
    std::erase_if(m.functions, [&](const auto& f) {
      return std::find(reached.begin(), reached.end(), f.first) == reached.end();
    });
  }

  graph::Module m_;
  Fails fails_;
  std::chrono::steady_clock::time_point end_;
};

}  // namespace gradc::test
