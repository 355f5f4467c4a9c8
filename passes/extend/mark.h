// What is known of elements that stand behind the new place along an axis, and what a scalar body makes of
// it.
#pragma once

#include <span>

#include "ir/scalar.h"

namespace gradc::passes {

struct Mark {
  enum class Kind : uint8_t {
    Settled,   // nothing behind the new place moves them
    Stale,     // they are made of what stands there, which may be anything finite
    Constant,  // they are `value`
  };
  Kind kind = Kind::Settled;
  Literal value;
  bool exact =
      true;  // else it may be NaN instead, for a reason before the new place, or a zero of either sign

  static Mark stale() { return {Kind::Stale, {}, true}; }
  static Mark constant(Literal v, bool exact = true) { return {Kind::Constant, v, exact}; }
  bool is_stale() const { return kind == Kind::Stale; }
  bool is_constant() const { return kind == Kind::Constant; }
  // The same among elements of which some are settled.
  Mark among_settled() const { return is_constant() ? Mark{} : *this; }
};

// The body's result by the marks of its reads. `fma`: as for the function.
Mark mark_of(const ScalarBody& body, std::span<const Mark> reads, bool fma);

}  // namespace gradc::passes
