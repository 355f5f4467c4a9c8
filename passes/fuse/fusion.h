// Fused groups: which nodes are computed together, over which shared outer axes, and where each value lives.
// A group is a loop tree as data and becomes one kernel. Nothing here or in fuse.cpp names an op: legality
// comes from meanings alone.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph/graph.h"
#include "ir/graph/op_def.h"
#include "passes/state_table.h"

namespace gradc::passes {

using graph::NodeId;

// How the other members of its group read a member.
enum class Storage : uint8_t {
  Register,  // one value for each iteration of the axes it lives in
  Scratch,   // an array over its inner axes, of one thread, for each iteration of the axes it lives in
  Memory,    // not at all: it is in its buffer alone
};

struct Axis {
  std::string name;
  Dim extent;
};

struct Member {
  NodeId node = graph::kNone;
  int depth = 0;  // in how many of the group's axes it lives, outermost first; so far in all of them
  Storage storage = Storage::Register;
  bool memory = false;  // written to its buffer
};

// Members are in execution order. Every member's leading axes are the axes it lives in; what remains are its
// inner axes and its reduction axes. An `opaque` group holds one node without a meaning and has no axes.
struct Group {
  std::vector<Axis> axes;
  std::vector<Member> members;
  bool opaque = false;
};

struct Fusion {
  std::vector<Group> groups;   // in an order that respects data and donation
  std::vector<bool> in_place;  // by node: recomputed where it is read; neither a parameter nor a member
  std::set<NodeId> copied;     // donated parameters whose new value needs a copy at the end
};

// Where a parameter that is state lies, and the copies of it.
struct FusedState {
  StatePlace place;
  std::vector<StatePlace> copies = {};
};

// A function on its way to a step: its groups, and those of the functions that its control flow names.
struct FusedStep {
  std::string entry;
  std::map<std::string, Fusion> functions;
  std::map<NodeId, FusedState> state;  // parameters of the entry in the state region
  int64_t state_bytes = 0;
};

struct FuseOptions {
  bool enabled = true;  // off: every node that is not free becomes a group of its own
  StateBinding state;
};
// `moves`: how often each kind of placement was made is added to it, for tests and reports.
FusedStep fuse(const graph::Module& m, const graph::Function& f, const FuseOptions& o,
               std::map<std::string, int>* moves = nullptr);

// The functions' graph text, each followed by its groups; the entry is the last.
std::string print(const graph::Module& m, const FusedStep& s);
// Reads what print gives; throws CompileError with the place of a mistake. That values are where their
// readers look for them is left to verify.
struct ParsedStep {
  graph::Module module;
  FusedStep fused;
};
ParsedStep parse_fused(std::string_view text, uint32_t file = 0);
// Invariants are listed at the top of verify_fusion.cpp; throws InternalError.
void verify(const graph::Module& m, const FusedStep& s);

}  // namespace gradc::passes
