// On which places of a sequence a value depends, told from the meanings of ops alone.
#pragma once

#include <map>
#include <optional>

#include "ir/graph/graph.h"
#include "ir/meaning.h"

namespace gradc::passes {

// Element i along an axis of `last` depends on places up to i + last[axis], with several such axes on those
// up to the largest of them. Tokens and no such axis: it may depend on every place.
struct Places {
  bool tokens = false;  // whether it depends on the tokens at all
  std::map<int, int64_t> last;
  bool everywhere() const { return tokens && last.empty(); }
};

// The same with index 0 along every axis of one element but `except`.
Meaning without_unit_axes(Meaning m, int except = -1);

// An index as an axis and what is added to it, at most `shift`.
struct Reach {
  int axis = 0;
  int64_t shift = 0;
  bool exact = true;  // always so much
};
// The axis is `preferred`, else the first of an output, else a reduction's; nothing where the index follows
// none.
std::optional<Reach> reach_of(const Index& at, const Meaning& m, int preferred = -1);
// The largest value of an index over the axes' extents, if they are known and it is a sum of them.
std::optional<int64_t> largest(const Index& at, const Meaning& m);

// Whether the meaning only moves elements: what a value is made of, none computed.
bool is_move(const Meaning& m);

// The places of a node by those of its operands. A reduction over places is taken to join those alone that
// its result may depend on; that has to be proven where it matters (stale.h).
Places places_after(const Meaning& m, std::span<const Places> operands);

}  // namespace gradc::passes
