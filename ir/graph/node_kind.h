// What nodes are alike in: op, attributes and types, by the lists that builders share among equal nodes of a
// function. Equal kinds are alike; unequal ones may be, of nodes whose lists are equal but not one.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <unordered_map>

#include "ir/graph/graph.h"
#include "ir/meaning.h"

namespace gradc::graph {

struct NodeKind {
  const void *op = nullptr, *attrs = nullptr, *types = nullptr;
  std::array<const void*, 3> operands{};  // their types

  bool operator==(const NodeKind&) const = default;
  size_t hash() const {
    size_t h = 0;
    for (const void* p : {op, attrs, types, operands[0], operands[1], operands[2]})
      h = (h ^ reinterpret_cast<size_t>(p) >> 4) * 0x9E3779B97F4A7C15ULL;
    return h;
  }
};

// None of a node with more operands.
inline std::optional<NodeKind> kind_of(const Function& f, const Node& n) {
  NodeKind kind{n.op, n.attrs.identity(), n.types.identity(), {}};
  if (n.operands.size() > kind.operands.size()) return std::nullopt;
  for (size_t i = 0; i < n.operands.size(); ++i) kind.operands[i] = f[n.operands[i]].types.identity();
  return kind;
}

// The meanings of one function's nodes, of which alike ones share theirs.
class Meanings {
 public:
  explicit Meanings(const Function& f) : f_(f) {}
  std::shared_ptr<const Meaning> of(NodeId n);

 private:
  struct Hash {
    size_t operator()(const NodeKind& k) const { return k.hash() >> 20; }
  };
  const Function& f_;
  std::unordered_map<NodeKind, std::shared_ptr<const Meaning>, Hash> known_;
};

}  // namespace gradc::graph
