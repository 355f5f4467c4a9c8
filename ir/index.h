// Integer expressions in one canonical form: polynomials with integer coefficients over axis variables, named
// dimensions and opaque atoms (floor division, modulo, minimum, maximum). Dimensions, index maps, loop bounds
// and addresses are all this class; two expressions are equal exactly when they print equal. The terms are
// immutable and shared: a copy is a pointer, and expressions that differ are told apart by a stored hash.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gradc {

class Index;

// What a term multiplies: a variable (axis or loop, by number), a dimension (by name), or an opaque function.
struct Atom {
  enum class Kind : uint8_t { Dim, Var, FloorDiv, Mod, Min, Max };
  Kind kind = Kind::Var;
  int var = 0;
  std::string name;
  std::shared_ptr<const std::pair<Index, Index>> args;

  std::strong_ordering operator<=>(const Atom& o) const;
  bool operator==(const Atom& o) const { return (*this <=> o) == 0; }
};

class Index {
 public:
  struct Term {
    int64_t coefficient;
    std::vector<Atom> factors;  // sorted, not empty
  };

  Index(int64_t constant = 0) : constant_(constant) {}  // NOLINT: a number is an expression
  static Index var(int id);
  static Index dim(std::string_view name);
  static Index of(const Term& term);

  // Sorted by factors, coefficients not zero.
  const std::vector<Term>& terms() const { return polynomial_ ? polynomial_->terms : no_terms(); }
  int64_t constant_part() const { return constant_; }
  bool is_constant() const { return !polynomial_; }
  std::optional<int64_t> constant() const { return is_constant() ? std::optional(constant_) : std::nullopt; }
  bool is(int64_t value) const { return is_constant() && constant_ == value; }

  // Arithmetic throws CompileError when a coefficient leaves 64 bits.
  Index operator+(const Index& o) const;
  Index operator-(const Index& o) const {
    return o.is_constant() ? *this + -o.constant_ : *this + o * Index(-1);
  }
  Index operator*(const Index& o) const;
  Index& operator+=(const Index& o) { return *this = *this + o; }
  // Rounds towards minus infinity; the divisor is positive. Exact multiples of the divisor are split off.
  Index floor_div(const Index& divisor) const;
  Index ceil_div(const Index& divisor) const { return (*this + divisor - Index(1)).floor_div(divisor); }
  Index mod(const Index& divisor) const;
  static Index min(const Index& a, const Index& b);
  static Index max(const Index& a, const Index& b);
  // The exact quotient by a monomial or constant, if every term is a multiple.
  std::optional<Index> exact_div(const Index& divisor) const;

  std::strong_ordering operator<=>(const Index& o) const;
  bool operator==(const Index& o) const;
  size_t hash() const;

  bool uses_var(int id) const;
  int max_var() const { return polynomial_ ? polynomial_->max_var : -1; }      // -1 when there is none
  bool is_polynomial() const { return !polynomial_ || !polynomial_->opaque; }  // no divisions, minima, ...
  // The variable that the expression is, or -1.
  int as_var() const;
  bool has_vars() const { return max_var() >= 0; }
  // Every variable replaced; opaque atoms are rebuilt (and fold when they become constant).
  Index substitute(const std::function<Index(int)>& var) const;
  Index substitute_dims(const std::function<Index(const std::string&)>& dim) const;
  // The coefficient c of `id` where the expression is c * id + rest, rest free of id; nothing if not affine.
  std::optional<Index> coefficient_of(int id) const;

  int64_t evaluate(const std::function<int64_t(int)>& var,
                   const std::function<int64_t(const std::string&)>& dim) const;
  void collect_dims(std::map<std::string, int>& names) const;

  // "784", "B*28 + 3", "floordiv(%i, 4)"; variables print through `name` (default %0, %1, ...).
  std::string str(const std::function<std::string(int)>& name = {}) const;

 private:
  struct Polynomial {
    std::vector<Term> terms;  // not empty
    size_t hash = 0;
    int max_var = -1;
    bool opaque = false;
  };
  using Shared = std::shared_ptr<const Polynomial>;

  static const std::vector<Term>& no_terms();
  static Shared freeze(std::vector<Term> terms);
  static Index make(int64_t constant, std::vector<Term> terms);
  static Index atom(Atom a);
  static Index opaque(Atom::Kind kind, const Index& a, const Index& b);
  Index rebuild(const std::function<Index(const Atom&)>& leaf) const;

  int64_t constant_ = 0;
  Shared polynomial_;
};

using Dim = Index;

// Removes divisions, modulos, minima and maxima that the bounds decide: variable v is in [0, extent(v)).
// Named dimensions are taken to be at least 1, which holds wherever the expression is evaluated in a loop.
Index simplify(const Index& e, const std::function<Index(int)>& extent);
// Joins quotients and remainders: c * m * floordiv(q, m) + c * mod(q, m) is c * q, also where the quotient is
// written floordiv(e, d * m) with q = floordiv(e, d). So a row of a reshaped tensor is seen to be contiguous.
Index rejoin(Index e);
// Whether e >= 0 is proven for all values within the bounds.
bool provably_nonnegative(const Index& e, const std::function<Index(int)>& extent);

// Reads what str() prints, as far as it is an expression; advances `text`. Variables are resolved by `var`.
Index parse_index(std::string_view& text, const std::function<int(std::string_view)>& var);

}  // namespace gradc
