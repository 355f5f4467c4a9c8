// Mechanisms on kernel bodies: substitution and the questions that schedules ask of statements. They know no
// policy; choose_schedule.cpp decides, these carry out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "ir/kernel/kernel.h"

namespace gradc::passes {

// Every index expression of a statement (not of nested bodies) mapped.
kernel::Stmt map_indices(const kernel::Stmt& s, const std::function<Index(const Index&)>& f);
// The same through nested bodies.
kernel::Body map_all_indices(const kernel::Body& body, const std::function<Index(const Index&)>& f);
kernel::Body substitute(const kernel::Body& body, int var, const Index& by);
// A copy whose loop variables, bound variables and values are new.
kernel::Body renumber(const kernel::Body& body, kernel::Kernel& k);

// The values that a statement uses, not those that are used in its body.
template <class F>
void for_each_use(const kernel::Stmt& s, F&& f) {
  if (auto* c = std::get_if<kernel::Compute>(&s)) {
    for (kernel::Value a : c->args)
      if (a >= 0) f(a);
  } else if (auto* w = std::get_if<kernel::Store>(&s)) {
    f(w->value);
  } else if (auto* b = std::get_if<kernel::Bind>(&s)) {
    f(b->value);
  }
}
// The value that it defines, or -1.
kernel::Value defined_by(const kernel::Stmt& s);

// Takes from a loop's body what is the same in each iteration: numbers, what is read from what nobody writes,
// what they are bound to. It is to stand in front of a loop that has iterations.
kernel::Body take_invariant(kernel::Body& body, int var, const kernel::Kernel& k);

// What computes a number again, outside of loops, is left out.
kernel::Body without_repeats(const kernel::Body& body);

// The element offset of an access.
Index address(const kernel::Buffer& b, const std::vector<Index>& at);
// The same as it moves within a block of the layout: what schedules ask, whose vectors cross none.
Index near_address(const kernel::Buffer& b, const std::vector<Index>& at);

// Where guards that depend on nothing but `var` change between 0 and `extent`, in order.
std::vector<int64_t> guard_changes(const kernel::Body& body, int var, int64_t extent);
// The body with `var` moved by `from`, for 0 <= var < size: guards that are known there are gone, and so are
// loads that they forbid.
kernel::Body within(const kernel::Body& body, int var, int64_t from, int64_t size, const kernel::Kernel& k);

// A body of one sum: what comes before its loop, the loop, what comes after. The parts share nothing but
// accumulators (tiles of no axes) and constants.
struct SumParts {
  kernel::Body before, after, constants;
  std::shared_ptr<const kernel::For> loop;
  std::vector<int> tiles;
};
std::optional<SumParts> parts_of_sum(const kernel::Body& body, const kernel::Kernel& k);

// Moves the loops of a register tile inwards. Each loop is (variable to replace, its new variable, extent).
struct TileLoop {
  int var = -1;    // the variable in the body; -1: no such loop
  int inner = -1;  // the tile's own variable, 0 .. extent-1
  int64_t extent = 1;
  Index position;  // what `var` becomes: base + inner
  Index clamped;   // the same, kept inside the axis: for loads of rows that may not exist
  Index valid;     // >= 0 where the row exists; constant 0 when all do
};
// Distributes the body's statements over rows x columns: runs of simple statements are wrapped in
// `unroll rows { vector columns { ... } }`, serial loops stay outside, rank-0 tiles become [rows, columns].
kernel::Body sink(const kernel::Body& body, const TileLoop& rows, const TileLoop& columns, kernel::Kernel& k,
                  std::map<int, int>& expanded);

}  // namespace gradc::passes
