#include "passes/lower/group_key.h"

namespace gradc::passes {

uint64_t GroupKeys::attributes(const graph::Attrs& a) {
  return attributes_.emplace(a, attributes_.size()).first->second;
}
uint64_t GroupKeys::layout(const Layout& l) { return layouts_.emplace(l, layouts_.size()).first->second; }
uint64_t GroupKeys::shape(const Shape& s) { return shapes_.emplace(s, shapes_.size()).first->second; }

GroupKeys::Key GroupKeys::key(const LowerInput& in, const Group& group,
                              const std::function<Place(NodeId)>& storage_place) {
  Key k;
  const graph::Function& f = in.function;
  std::unordered_map<NodeId, uint64_t> number;  // places in k.nodes
  auto storage = [&](NodeId n) {
    auto it = in.storage_of.find(n);
    return it == in.storage_of.end() ? n : it->second;
  };
  std::vector<NodeId> stack;
  auto place_of = [&](NodeId n) {
    auto [it, fresh] = number.emplace(n, k.nodes.size());
    if (fresh) k.nodes.push_back(n), stack.push_back(n);
    return it->second;
  };
  std::unordered_map<NodeId, const Member*> members;
  k.numbers = {group.axes.size(), group.members.size()};
  for (const Member& m : group.members) {
    members[m.node] = &m;
    k.numbers.push_back(place_of(m.node) << 8 | static_cast<uint64_t>(m.storage) << 1 | (m.memory ? 1 : 0));
  }
  auto buffer = [&](NodeId n) {  // the buffer of a node and its layout
    const NodeId s = storage(n);
    const Place p = storage_place(s);
    for (uint64_t v : {place_of(s), shape(p.shape), layout(p.layout), static_cast<uint64_t>(p.prefix),
                       static_cast<uint64_t>(p.shift)})
      k.numbers.push_back(v);
  };
  for (size_t i = 0; i < stack.size(); ++i) {
    const NodeId n = stack[i];
    const graph::Node& node = f[n];
    auto member = members.find(n);
    k.numbers.push_back(static_cast<uint64_t>(node.type().dtype));
    k.numbers.push_back(shape(node.type().shape));
    if (member == members.end() && !in.fusion.in_place[n]) {
      buffer(n);
      continue;
    }
    if (member != members.end() && member->second->memory) buffer(n);
    k.numbers.push_back(reinterpret_cast<uint64_t>(node.op));
    k.numbers.push_back(attributes(node.attrs));
    k.numbers.push_back(node.operands.size());
    for (NodeId q : node.operands) k.numbers.push_back(place_of(q));
  }
  return k;
}

}  // namespace gradc::passes
