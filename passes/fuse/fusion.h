// Fused groups: which nodes are computed together, over which shared outer axes, and where each value lives.
// A group becomes one kernel. Nothing here or in fuse.cpp names an op: legality comes from meanings alone.
#pragma once

#include <map>
#include <set>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/graph/op_def.h"

namespace gradc::passes {

using graph::NodeId;

// Where the value of a node lives.
enum class Storage : uint8_t {
  Inline,    // recomputed where it is read
  Register,  // one value for each iteration of the group's axes
  Scratch,   // an array over the node's inner axes, of one thread, for each iteration of the group's axes
  Memory,    // a buffer; possibly besides one of the above
  Opaque,    // computed by an own kernel or by control flow into buffers
};

struct Member {
  NodeId node;
  Storage storage;      // how the group's other members read it: Register or Scratch
  bool memory = false;  // also written to its buffer
};

// Members are in execution order. Every member's leading axes are the group's axes; what remains are its
// inner axes and its reduction axes. `opaque` groups hold one node without a meaning.
struct Group {
  std::vector<Dim> axes;
  std::vector<Member> members;
  bool opaque = false;
};

struct Fusion {
  std::vector<Group> groups;         // in an order that respects data and donation
  std::vector<Storage> storage;      // by node; Memory for parameters
  std::vector<int> group_of;         // by node; -1 for inline nodes and parameters
  std::set<NodeId> copied;           // donated parameters whose new value needs a copy at the end
  std::map<std::string, int> moves;  // how often each kind of placement was made, for tests and `explain`
};

struct FuseOptions {
  bool enabled = true;  // off: every node that is not free becomes a group of its own
};
Fusion fuse(const graph::Module& m, const graph::Function& f, const FuseOptions& o = {});

// A one-line account of each group, for `--emit=schedule` and tests.
std::string describe(const Fusion& fusion, const graph::Function& f);

}  // namespace gradc::passes
