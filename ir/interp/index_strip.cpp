#include "ir/interp/index_strip.h"

#include <algorithm>

#include "support/check.h"

namespace gradc::interp {
namespace {

int64_t floor_div(int64_t a, int64_t b) {
  GRADC_CHECK(b > 0, "an index is divided by {}", b);
  return a >= 0 ? a / b : -((b - 1 - a) / b);
}

// Quotient or remainder of a ramp by a constant, stepping instead of dividing where the step is short.
void divide_ramp(const IndexStrip& a, int64_t b, bool quotient, int n, int64_t* out) {
  int64_t q = floor_div(a.base, b), r = a.base - q * b;
  if (a.step < 0 || a.step > b) {
    for (int i = 0; i < n; ++i) {
      const int64_t v = a[i], f = floor_div(v, b);
      out[i] = quotient ? f : v - f * b;
    }
    return;
  }
  for (int i = 0; i < n; ++i) {
    out[i] = quotient ? q : r;
    r += a.step;
    if (r >= b) r -= b, ++q;
  }
}

int64_t apply(Atom::Kind kind, int64_t a, int64_t b) {
  switch (kind) {
    case Atom::Kind::FloorDiv:
      return floor_div(a, b);
    case Atom::Kind::Mod:
      return a - floor_div(a, b) * b;
    case Atom::Kind::Min:
      return std::min(a, b);
    default:
      return std::max(a, b);
  }
}

}  // namespace

IndexProgram::IndexProgram(const Index& e, const Dims& dims, int axes) {
  const Index known = e.substitute_dims([&](const std::string& name) {
    auto it = dims.find(name);
    GRADC_CHECK(it != dims.end(), "dimension {} has no value", name);
    return Index(it->second);
  });
  compile(known, axes);
}

IndexProgram IndexProgram::linear(int64_t constant, const std::vector<int64_t>& coefficients) {
  IndexProgram p;
  p.constant_ = constant;
  p.axes_ = static_cast<int>(coefficients.size());
  for (size_t i = 0; i < coefficients.size(); ++i)
    if (coefficients[i]) p.linear_.emplace_back(static_cast<int>(i), coefficients[i]);
  return p;
}

void IndexProgram::compile(const Index& e, int axes) {
  axes_ = axes;
  constant_ = e.constant_part();
  for (const Index::Term& t : e.terms()) {
    if (t.factors.size() == 1 && t.factors[0].kind == Atom::Kind::Var && t.factors[0].var < axes) {
      linear_.emplace_back(t.factors[0].var, t.coefficient);
      continue;
    }
    Term out{t.coefficient, {}};
    for (const Atom& a : t.factors) {
      GRADC_CHECK(a.kind != Atom::Kind::Dim, "dimension {} has no value", a.name);
      Factor f{a.kind, a.var, nullptr, nullptr};
      if (a.args) {
        f.a = std::make_unique<IndexProgram>();
        f.b = std::make_unique<IndexProgram>();
        f.a->compile(a.args->first, axes);
        f.b->compile(a.args->second, axes);
      }
      out.factors.push_back(std::move(f));
    }
    terms_.push_back(std::move(out));
  }
}

int64_t IndexProgram::coefficient(int axis) const {
  for (const auto& [a, c] : linear_)
    if (a == axis) return c;
  return 0;
}

IndexStrip IndexProgram::evaluate(const Position& p) {
  IndexStrip sum{constant_, 0, nullptr};
  for (const auto& [axis, c] : linear_) {
    sum.base += c * p.at[axis];
    if (axis == p.axis) sum.step += c;
  }
  for (Term& t : terms_) add_product(t, p, sum);
  return sum;
}

// sum += t. As long as all is a ramp, nothing is done per element.
void IndexProgram::add_product(Term& t, const Position& p, IndexStrip& sum) {
  IndexStrip product{t.coefficient, 0, nullptr};
  for (Factor& f : t.factors) {
    const IndexStrip v = evaluate_factor(f, p, factor_);
    const bool flat = !product.each && product.step == 0;
    if (!v.each && (flat || v.step == 0)) {
      const int64_t scale = flat ? product.base : v.base;
      const IndexStrip ramp = flat ? v : product;
      if (!ramp.each) {
        product = {ramp.base * scale, ramp.step * scale, nullptr};
        continue;
      }
    }
    std::vector<int64_t> next(static_cast<size_t>(p.n));
    for (int i = 0; i < p.n; ++i) next[i] = product[i] * v[i];
    product_ = std::move(next);
    product = {0, 0, product_.data()};
  }
  if (!product.each && !sum.each) {
    sum.base += product.base;
    sum.step += product.step;
    return;
  }
  std::vector<int64_t> next(static_cast<size_t>(p.n));
  for (int i = 0; i < p.n; ++i) next[i] = sum[i] + product[i];
  sum_ = std::move(next);
  sum = {0, 0, sum_.data()};
}

IndexStrip IndexProgram::evaluate_factor(Factor& f, const Position& p, std::vector<int64_t>& room) {
  if (f.kind == Atom::Kind::Var) {
    if (f.var < axes_) return {p.at[f.var], f.var == p.axis ? 1 : 0, nullptr};
    const size_t read = static_cast<size_t>(f.var - axes_);
    GRADC_CHECK(read < p.reads.size() && p.reads[read], "an index uses read {}, which has no value yet",
                read);
    return {0, 0, p.reads[read]};
  }
  const IndexStrip a = f.a->evaluate(p), b = f.b->evaluate(p);
  const bool flat_a = !a.each && a.step == 0, flat_b = !b.each && b.step == 0;
  if (flat_a && flat_b) return {apply(f.kind, a.base, b.base), 0, nullptr};
  room.resize(static_cast<size_t>(p.n));
  const bool division = f.kind == Atom::Kind::FloorDiv || f.kind == Atom::Kind::Mod;
  if (division && !a.each && flat_b)
    divide_ramp(a, b.base, f.kind == Atom::Kind::FloorDiv, p.n, room.data());
  else
    for (int i = 0; i < p.n; ++i) room[i] = apply(f.kind, a[i], b[i]);
  return {0, 0, room.data()};
}

}  // namespace gradc::interp
