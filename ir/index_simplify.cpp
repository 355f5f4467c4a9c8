// Simplification of index expressions under bounds. Everything rests on one question, whether an expression
// is provably not negative, answered by interval reasoning term by term.
#include "ir/index.h"

namespace gradc {
namespace {

using Extent = std::function<Index(int)>;
constexpr int64_t kUnknown = int64_t(1) << 40;

class Simplifier {
 public:
  explicit Simplifier(const Extent& extent) : extent_(extent) {}

  Index simplify(const Index& e) const {
    if (e.is_polynomial()) return e;
    Index r(e.constant_part());
    for (const Index::Term& t : e.terms()) {
      Index term(t.coefficient);
      for (const Atom& a : t.factors) term = term * simplify_atom(a);
      r += term;
    }
    return r;
  }

  // A lower bound of e as an expression free of variables, or nothing.
  std::optional<Index> lower(const Index& e) const {
    Index low(e.constant_part());
    for (const Index::Term& t : e.terms()) {
      std::optional<Index> bound = t.coefficient > 0 ? term_low(t) : term_high(t);
      if (!bound) return std::nullopt;
      low += *bound * t.coefficient;
    }
    return low;
  }

  bool nonnegative(const Index& e) const {
    if (const std::optional<Index> low = lower(e)) return nonnegative_dims(*low);
    return false;
  }

 private:
  // Dimensions are at least 1: a polynomial in (d - 1) with coefficients >= 0 is not negative.
  static bool nonnegative_dims(const Index& e) {
    const Index shifted = e.substitute_dims([](const std::string& d) { return Index::dim(d) + 1; });
    if (shifted.constant_part() < 0) return false;
    for (const Index::Term& t : shifted.terms()) {
      if (t.coefficient < 0) return false;
      for (const Atom& a : t.factors)
        if (a.kind != Atom::Kind::Dim) return false;
    }
    return true;
  }

  struct Range {
    Index low, high;
  };
  // Bounds of an atom whose low end is known; all that occur are at least 0.
  std::optional<Range> range(const Atom& a) const {
    switch (a.kind) {
      case Atom::Kind::Dim:
        return Range{Index::dim(a.name), Index::dim(a.name)};
      case Atom::Kind::Var: {
        const Index e = extent_(a.var);
        if (e.is_constant() && e.constant_part() >= kUnknown) return std::nullopt;
        return Range{0, e - 1};
      }
      case Atom::Kind::Mod: {
        const Index& d = a.args->second;
        if (d.has_vars()) return std::nullopt;
        return Range{0, d - 1};
      }
      case Atom::Kind::FloorDiv: {
        if (!nonnegative(a.args->first)) return std::nullopt;
        const std::optional<Index> high = upper(a.args->first);
        if (!high || a.args->second.has_vars()) return std::nullopt;
        return Range{0, high->floor_div(a.args->second)};
      }
      default:
        return min_max_range(a);
    }
  }
  std::optional<Range> min_max_range(const Atom& a) const {
    const std::optional<Index> l1 = lower(a.args->first), l2 = lower(a.args->second);
    const std::optional<Index> h1 = upper(a.args->first), h2 = upper(a.args->second);
    if (!l1 || !l2 || !h1 || !h2) return std::nullopt;
    if (a.kind == Atom::Kind::Min) return Range{Index::min(*l1, *l2), Index::min(*h1, *h2)};
    return Range{Index::max(*l1, *l2), Index::max(*h1, *h2)};
  }
  std::optional<Index> upper(const Index& e) const {
    const std::optional<Index> low = lower(Index(0) - e);
    return low ? std::optional<Index>(Index(0) - *low) : std::nullopt;
  }
  std::optional<Index> term_low(const Index::Term& t) const { return term_end(t, false); }
  std::optional<Index> term_high(const Index::Term& t) const { return term_end(t, true); }
  // A product of atoms none of which is negative.
  std::optional<Index> term_end(const Index::Term& t, bool high) const {
    Index product(1);
    for (const Atom& a : t.factors) {
      const std::optional<Range> r = range(a);
      if (!r) return std::nullopt;
      if (t.factors.size() > 1 && !nonnegative_dims(r->low)) return std::nullopt;
      product = product * (high ? r->high : r->low);
    }
    return product;
  }

  Index simplify_atom(const Atom& a) const {
    if (a.kind == Atom::Kind::Var) return Index::var(a.var);
    if (a.kind == Atom::Kind::Dim) return Index::dim(a.name);
    const Index x = simplify(a.args->first), y = simplify(a.args->second);
    switch (a.kind) {
      case Atom::Kind::Min:
        if (nonnegative(y - x)) return x;
        if (nonnegative(x - y)) return y;
        return Index::min(x, y);
      case Atom::Kind::Max:
        if (nonnegative(y - x)) return y;
        if (nonnegative(x - y)) return x;
        return Index::max(x, y);
      case Atom::Kind::FloorDiv:
        return divide(x, y);
      default:
        return modulo(x, y);
    }
  }

  // x = d * q + r with 0 <= r < d gives q.
  Index divide(const Index& x, const Index& d) const {
    const Index plain = x.floor_div(d);
    const Split s = split(x, d);
    if (nonnegative(s.rest) && nonnegative(d - 1 - s.rest)) return s.quotient;
    return plain;
  }
  Index modulo(const Index& x, const Index& d) const {
    const Split s = split(x, d);
    if (nonnegative(s.rest) && nonnegative(d - 1 - s.rest)) return s.rest;
    return x.mod(d);
  }

  struct Split {
    Index quotient, rest;
  };
  static Split split(const Index& x, const Index& d) {
    Split s;
    auto put = [&](const Index& term) {
      if (std::optional<Index> q = term.exact_div(d))
        s.quotient += *q;
      else
        s.rest += term;
    };
    for (const Index::Term& t : x.terms()) put(Index::of(t));
    int64_t c = x.constant_part();
    if (d.is_constant()) {
      const int64_t k = d.constant_part();
      int64_t q = c / k;
      if (q * k > c) --q;
      s.quotient += q;
      c -= q * k;
    }
    s.rest += c;
    return s;
  }
  const Extent& extent_;
};

}  // namespace

Index simplify(const Index& e, const Extent& extent) {
  if (e.is_polynomial()) return e;
  return Simplifier(extent).simplify(e);
}

bool provably_nonnegative(const Index& e, const Extent& extent) {
  const Simplifier s(extent);
  return s.nonnegative(s.simplify(e));
}

namespace {

// The atom of the given kind, with constant second argument, that the term is a multiple of.
const Atom* only_factor(const Index::Term& t, Atom::Kind kind) {
  if (t.factors.size() != 1 || t.factors[0].kind != kind) return nullptr;
  return t.factors[0].args->second.is_constant() ? &t.factors[0] : nullptr;
}

// What the sum of the two terms is, if they are a remainder and its quotient.
std::optional<Index> rejoined(const Index::Term& remainder, const Index::Term& quotient) {
  if (remainder.factors.size() == 1 && remainder.factors[0].kind == Atom::Kind::Mod) {
    const auto& [q, m] = *remainder.factors[0].args;
    if (!m.is_constant() && Index::of(quotient) == q.floor_div(m) * m * remainder.coefficient)
      return q * remainder.coefficient;
  }
  const Atom* mod = only_factor(remainder, Atom::Kind::Mod);
  const Atom* div = only_factor(quotient, Atom::Kind::FloorDiv);
  if (!mod || !div) return std::nullopt;
  const int64_t m = mod->args->second.constant_part(), d = div->args->second.constant_part();
  if (d % m != 0 || quotient.coefficient % m != 0 || quotient.coefficient / m != remainder.coefficient)
    return std::nullopt;
  const Index& q = mod->args->first;
  if (div->args->first.floor_div(d / m) != q) return std::nullopt;
  return q * remainder.coefficient;
}

}  // namespace

Index rejoin(Index e) {
  if (e.is_polynomial()) return e;
  const auto pair = [&]() -> std::optional<Index> {
    for (const Index::Term& r : e.terms())
      for (const Index::Term& q : e.terms())
        if (const std::optional<Index> sum = rejoined(r, q)) return *sum - Index::of(r) - Index::of(q);
    return std::nullopt;
  };
  while (const std::optional<Index> change = pair()) e += *change;
  return e;
}

}  // namespace gradc
