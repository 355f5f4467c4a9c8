#include "ir/index.h"

#include <algorithm>
#include <cctype>

#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

int64_t checked_add(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r))
    throw CompileError({}, fmt::format("{} + {} does not fit 64 bits", a, b));
  return r;
}
int64_t checked_mul(int64_t a, int64_t b) {
  int64_t r;
  if (__builtin_mul_overflow(a, b, &r))
    throw CompileError({}, fmt::format("{} * {} does not fit 64 bits", a, b));
  return r;
}
int64_t floor_div(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return q * b > a ? q - 1 : q;
}

std::strong_ordering compare(const std::vector<Atom>& a, const std::vector<Atom>& b) {
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    if (auto c = a[i] <=> b[i]; c != 0) return c;
  return a.size() <=> b.size();
}

}  // namespace

std::strong_ordering Atom::operator<=>(const Atom& o) const {
  if (auto c = kind <=> o.kind; c != 0) return c;
  if (auto c = var <=> o.var; c != 0) return c;
  if (auto c = name.compare(o.name) <=> 0; c != 0) return c;
  if (!args || !o.args) return static_cast<bool>(args) <=> static_cast<bool>(o.args);
  if (args == o.args) return std::strong_ordering::equal;
  if (auto c = args->first <=> o.args->first; c != 0) return c;
  return args->second <=> o.args->second;
}

std::strong_ordering Index::operator<=>(const Index& o) const {
  if (polynomial_ != o.polynomial_) {
    const std::vector<Term>&a = terms(), &b = o.terms();
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      if (auto c = compare(a[i].factors, b[i].factors); c != 0) return c;
      if (auto c = a[i].coefficient <=> b[i].coefficient; c != 0) return c;
    }
    if (auto c = a.size() <=> b.size(); c != 0) return c;
  }
  return constant_ <=> o.constant_;
}

bool Index::operator==(const Index& o) const {
  if (constant_ != o.constant_) return false;
  if (polynomial_ == o.polynomial_) return true;
  return polynomial_ && o.polynomial_ && polynomial_->hash == o.polynomial_->hash && (*this <=> o) == 0;
}

namespace {

constexpr size_t mixed(size_t h, size_t v) { return (h ^ v) * 0x9E3779B97F4A7C15ULL + (h >> 29); }

}  // namespace

size_t Index::hash() const {
  return mixed(polynomial_ ? polynomial_->hash : 0, static_cast<size_t>(constant_));
}

const std::vector<Index::Term>& Index::no_terms() {
  static const std::vector<Term> none;
  return none;
}

Index::Shared Index::freeze(std::vector<Term> terms) {
  if (terms.empty()) return nullptr;
  auto p = std::make_shared<Polynomial>();
  for (const Term& t : terms) {
    p->hash = mixed(p->hash, static_cast<size_t>(t.coefficient));
    for (const Atom& a : t.factors) {
      p->hash = mixed(p->hash, static_cast<size_t>(a.kind) * 64 + static_cast<size_t>(a.var));
      if (a.kind == Atom::Kind::Var) p->max_var = std::max(p->max_var, a.var);
      if (a.kind == Atom::Kind::Dim) p->hash = mixed(p->hash, std::hash<std::string>{}(a.name));
      if (!a.args) continue;
      p->opaque = true;
      p->hash = mixed(mixed(p->hash, a.args->first.hash()), a.args->second.hash());
      p->max_var = std::max({p->max_var, a.args->first.max_var(), a.args->second.max_var()});
    }
  }
  p->terms = std::move(terms);
  return p;
}
Index Index::make(int64_t constant, std::vector<Term> terms) {
  Index e(constant);
  e.polynomial_ = freeze(std::move(terms));
  return e;
}

Index Index::atom(Atom a) {
  std::vector<Term> terms(1);
  terms[0].coefficient = 1;
  terms[0].factors.push_back(std::move(a));
  return make(0, std::move(terms));
}
Index Index::var(int id) {
  // The first axes are everywhere: their expressions are made once.
  static const auto axes = [] {
    std::vector<Index> list(64);
    for (int i = 0; i < 64; ++i) {
      Atom a;
      a.var = i;
      list[static_cast<size_t>(i)] = atom(std::move(a));
    }
    return list;
  }();
  if (id >= 0 && id < 64) return axes[static_cast<size_t>(id)];
  Atom a;
  a.var = id;
  return atom(std::move(a));
}
int Index::as_var() const {
  if (constant_ != 0 || terms().size() != 1) return -1;
  const Term& t = polynomial_->terms[0];
  return t.coefficient == 1 && t.factors.size() == 1 && t.factors[0].kind == Atom::Kind::Var
             ? t.factors[0].var
             : -1;
}
Index Index::dim(std::string_view name) {
  Atom a;
  a.kind = Atom::Kind::Dim;
  a.name = name;
  return atom(std::move(a));
}
Index Index::opaque(Atom::Kind kind, const Index& a, const Index& b) {
  Atom n;
  n.kind = kind;
  n.args = std::make_shared<const std::pair<Index, Index>>(a, b);
  return atom(std::move(n));
}

Index Index::of(const Term& term) {
  if (term.factors.empty()) return term.coefficient;
  return make(0, {term});
}

namespace {

// Products of sums grow exponentially with the text that says them.
constexpr size_t kMaxTerms = 512, kMaxFactors = 128;

// Adds c * factors to a sorted list.
void add_term(std::vector<Index::Term>& terms, int64_t c, std::vector<Atom> factors) {
  if (c == 0) return;
  auto it = std::lower_bound(
      terms.begin(), terms.end(), factors,
      [](const Index::Term& t, const std::vector<Atom>& f) { return compare(t.factors, f) < 0; });
  if (it != terms.end() && compare(it->factors, factors) == 0) {
    it->coefficient = checked_add(it->coefficient, c);
    if (it->coefficient == 0) terms.erase(it);
  } else {
    if (terms.size() >= kMaxTerms || factors.size() > kMaxFactors)
      throw CompileError({}, fmt::format("a size or an index of more than {} terms, or {} factors in one",
                                         kMaxTerms, kMaxFactors));
    terms.insert(it, {c, std::move(factors)});
  }
}

}  // namespace

Index Index::operator+(const Index& o) const {
  const int64_t constant = checked_add(constant_, o.constant_);
  if (is_constant() || o.is_constant()) {
    Index r = is_constant() ? o : *this;
    r.constant_ = constant;
    return r;
  }
  std::vector<Term> sum = terms();
  for (const Term& t : o.terms()) add_term(sum, t.coefficient, t.factors);
  return make(constant, std::move(sum));
}

Index Index::operator*(const Index& o) const {
  if (is_constant() && o.is_constant()) return checked_mul(constant_, o.constant_);
  if (is(0) || o.is(0)) return 0;
  if (is(1)) return o;
  if (o.is(1)) return *this;
  std::vector<Term> product;
  auto scaled = [&](const std::vector<Term>& list, int64_t by) {
    for (const Term& t : list) add_term(product, checked_mul(t.coefficient, by), t.factors);
  };
  scaled(terms(), o.constant_);
  scaled(o.terms(), constant_);
  for (const Term& a : terms())
    for (const Term& b : o.terms()) {
      std::vector<Atom> factors = a.factors;
      factors.insert(factors.end(), b.factors.begin(), b.factors.end());
      std::sort(factors.begin(), factors.end());
      add_term(product, checked_mul(a.coefficient, b.coefficient), std::move(factors));
    }
  return make(checked_mul(constant_, o.constant_), std::move(product));
}

namespace {

// term / (c * factors), if exact.
std::optional<Index::Term> divide_term(const Index::Term& t, int64_t c, const std::vector<Atom>& factors) {
  if (t.coefficient % c != 0) return std::nullopt;
  Index::Term q{t.coefficient / c, t.factors};
  for (const Atom& f : factors) {
    auto it = std::find(q.factors.begin(), q.factors.end(), f);
    if (it == q.factors.end()) return std::nullopt;
    q.factors.erase(it);
  }
  return q;
}

}  // namespace

std::optional<Index> Index::exact_div(const Index& d) const {
  int64_t c = d.constant_;
  std::vector<Atom> factors;
  if (!d.is_constant()) {
    if (d.constant_ != 0 || d.terms().size() != 1) return *this == d ? std::optional<Index>(1) : std::nullopt;
    c = d.terms()[0].coefficient;
    factors = d.terms()[0].factors;
  }
  if (c == 0) return std::nullopt;
  if (constant_ != 0 && (!factors.empty() || constant_ % c != 0)) return std::nullopt;
  int64_t constant = factors.empty() ? constant_ / c : 0;
  std::vector<Term> quotient;
  for (const Term& t : terms()) {
    std::optional<Term> r = divide_term(t, c, factors);
    if (!r) return std::nullopt;
    if (r->factors.empty())
      constant = checked_add(constant, r->coefficient);
    else
      add_term(quotient, r->coefficient, std::move(r->factors));
  }
  return make(constant, std::move(quotient));
}

namespace {

// e = d * quotient + rest, with every term that is a multiple of d in the quotient.
std::pair<Index, Index> split_multiples(const Index& e, const Index& d) {
  Index quotient, rest;
  for (const Index::Term& t : e.terms()) {
    const Index term = Index::of(t);
    if (std::optional<Index> q = term.exact_div(d))
      quotient += *q;
    else
      rest += term;
  }
  if (d.is_constant()) {
    const int64_t q = floor_div(e.constant_part(), d.constant_part());
    quotient += q;
    rest += e.constant_part() - q * d.constant_part();
  } else {
    rest += e.constant_part();
  }
  return {quotient, rest};
}

}  // namespace

Index Index::floor_div(const Index& d) const {
  GRADC_CHECK(!d.is_constant() || d.constant_ > 0, "division by {}", d.str());
  if (d.is(1)) return *this;
  if (std::optional<Index> q = exact_div(d)) return *q;
  auto [quotient, rest] = split_multiples(*this, d);
  if (rest.is_constant() && d.is_constant()) return quotient;  // 0 <= rest < d
  if (rest.is(0)) return quotient;
  // (a floordiv b) floordiv c = a floordiv (b * c)
  if (const std::vector<Term>& t = rest.terms(); rest.constant_ == 0 && t.size() == 1 &&
                                                 t[0].coefficient == 1 && t[0].factors.size() == 1 &&
                                                 t[0].factors[0].kind == Atom::Kind::FloorDiv) {
    const auto& args = *t[0].factors[0].args;
    return quotient + args.first.floor_div(args.second * d);
  }
  return quotient + opaque(Atom::Kind::FloorDiv, rest, d);
}

Index Index::mod(const Index& d) const {
  GRADC_CHECK(!d.is_constant() || d.constant_ > 0, "modulo {}", d.str());
  if (d.is(1) || exact_div(d)) return 0;
  const Index rest = split_multiples(*this, d).second;
  if (rest.is_constant() && d.is_constant()) return rest;
  if (rest.is(0)) return 0;
  return opaque(Atom::Kind::Mod, rest, d);
}

Index Index::min(const Index& a, const Index& b) {
  if ((a - b).is_constant()) return (a - b).constant_ <= 0 ? a : b;
  return a < b ? opaque(Atom::Kind::Min, a, b) : opaque(Atom::Kind::Min, b, a);
}
Index Index::max(const Index& a, const Index& b) {
  if ((a - b).is_constant()) return (a - b).constant_ >= 0 ? a : b;
  return a < b ? opaque(Atom::Kind::Max, a, b) : opaque(Atom::Kind::Max, b, a);
}

bool Index::uses_var(int id) const {
  if (id > max_var()) return false;
  for (const Term& t : terms())
    for (const Atom& a : t.factors) {
      if (a.kind == Atom::Kind::Var && a.var == id) return true;
      if (a.args && (a.args->first.uses_var(id) || a.args->second.uses_var(id))) return true;
    }
  return false;
}

Index Index::rebuild(const std::function<Index(const Atom&)>& leaf) const {
  Index r(constant_);
  for (const Term& t : terms()) {
    Index term(t.coefficient);
    for (const Atom& a : t.factors) {
      if (!a.args) {
        term = term * leaf(a);
        continue;
      }
      const Index x = a.args->first.rebuild(leaf), y = a.args->second.rebuild(leaf);
      term = term * (a.kind == Atom::Kind::FloorDiv ? x.floor_div(y)
                     : a.kind == Atom::Kind::Mod    ? x.mod(y)
                     : a.kind == Atom::Kind::Min    ? min(x, y)
                                                    : max(x, y));
    }
    r += term;
  }
  return r;
}
Index Index::substitute(const std::function<Index(int)>& var) const {
  if (!has_vars()) return *this;
  if (const int v = as_var(); v >= 0) return var(v);
  return rebuild([&](const Atom& a) { return a.kind == Atom::Kind::Var ? var(a.var) : atom(a); });
}
Index Index::substitute_dims(const std::function<Index(const std::string&)>& dim) const {
  if (is_constant()) return *this;
  return rebuild([&](const Atom& a) { return a.kind == Atom::Kind::Dim ? dim(a.name) : atom(a); });
}

std::optional<Index> Index::coefficient_of(int id) const {
  int64_t constant = 0;
  std::vector<Term> sum;
  for (const Term& t : terms()) {
    int direct = 0;
    std::vector<Atom> rest;
    for (const Atom& a : t.factors) {
      if (a.kind == Atom::Kind::Var && a.var == id) {
        ++direct;
        continue;
      }
      if (a.args && (a.args->first.uses_var(id) || a.args->second.uses_var(id))) return std::nullopt;
      rest.push_back(a);
    }
    if (direct > 1) return std::nullopt;
    if (direct == 0) continue;
    if (rest.empty())
      constant = checked_add(constant, t.coefficient);
    else
      add_term(sum, t.coefficient, std::move(rest));
  }
  return make(constant, std::move(sum));
}

int64_t Index::evaluate(const std::function<int64_t(int)>& var,
                        const std::function<int64_t(const std::string&)>& dim) const {
  int64_t sum = constant_;
  for (const Term& t : terms()) {
    int64_t product = t.coefficient;
    for (const Atom& a : t.factors) {
      int64_t v;
      if (a.kind == Atom::Kind::Var) {
        v = var(a.var);
      } else if (a.kind == Atom::Kind::Dim) {
        v = dim(a.name);
      } else {
        const int64_t x = a.args->first.evaluate(var, dim), y = a.args->second.evaluate(var, dim);
        if (a.kind == Atom::Kind::FloorDiv)
          v = y > 0 ? gradc::floor_div(x, y) : 0;
        else if (a.kind == Atom::Kind::Mod)
          v = y > 0 ? x - gradc::floor_div(x, y) * y : 0;
        else if (a.kind == Atom::Kind::Min)
          v = std::min(x, y);
        else
          v = std::max(x, y);
      }
      product = checked_mul(product, v);
    }
    sum = checked_add(sum, product);
  }
  return sum;
}

void Index::collect_dims(std::map<std::string, int>& names) const {
  for (const Term& t : terms())
    for (const Atom& a : t.factors) {
      if (a.kind == Atom::Kind::Dim) ++names[a.name];
      if (a.args) a.args->first.collect_dims(names), a.args->second.collect_dims(names);
    }
}

namespace {

std::string atom_text(const Atom& a, const std::function<std::string(int)>& name) {
  switch (a.kind) {
    case Atom::Kind::Dim:
      return a.name;
    case Atom::Kind::Var:
      return name ? name(a.var) : fmt::format("%{}", a.var);
    default:
      break;
  }
  static constexpr std::string_view functions[] = {"", "", "floordiv", "mod", "min", "max"};
  return fmt::format("{}({}, {})", functions[static_cast<int>(a.kind)], a.args->first.str(name),
                     a.args->second.str(name));
}

}  // namespace

std::string Index::str(const std::function<std::string(int)>& name) const {
  std::string out;
  auto append = [&](int64_t c, const std::string& text) {
    const bool negative = c < 0;
    const std::string magnitude = fmt::format("{}", c).substr(negative ? 1 : 0);
    if (out.empty())
      out += negative ? "-" : "";
    else
      out += negative ? " - " : " + ";
    if (text.empty())
      out += magnitude;
    else if (magnitude == "1")
      out += text;
    else
      out += magnitude + "*" + text;
  };
  for (const Term& t : terms()) {
    std::string text;
    for (const Atom& a : t.factors) text += (text.empty() ? "" : "*") + atom_text(a, name);
    append(t.coefficient, text);
  }
  if (constant_ != 0 || is_constant()) append(constant_, "");
  return out;
}

namespace {

class IndexParser {
 public:
  IndexParser(std::string_view& text, const std::function<int(std::string_view)>& var)
      : t_(text), var_(var) {}
  Index sum(int depth = 0) {
    if (depth > 256) fail("nesting beyond 256");
    skip();
    bool negative = eat('-');
    Index r = product(depth);
    if (negative) r = r * Index(-1);
    for (;;) {
      skip();
      if (eat('+'))
        r += product(depth);
      else if (eat('-'))
        r = r - product(depth);
      else
        return r;
    }
  }

 private:
  [[noreturn]] void fail(const std::string& why) { throw CompileError({}, why); }
  void skip() {
    while (!t_.empty() && t_[0] == ' ') t_.remove_prefix(1);
  }
  bool eat(char c) {
    skip();
    if (t_.empty() || t_[0] != c) return false;
    t_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!eat(c)) fail(fmt::format("expected '{}' in an index expression", c));
  }
  Index product(int depth) {
    Index r = factor(depth);
    for (;;) {
      skip();
      if (!eat('*')) return r;
      r = r * factor(depth);
    }
  }
  std::string_view word() {
    size_t n = 0;
    while (n < t_.size() && (std::isalnum(static_cast<unsigned char>(t_[n])) || t_[n] == '_' || t_[n] == '.'))
      ++n;
    const std::string_view w = t_.substr(0, n);
    t_.remove_prefix(n);
    return w;
  }
  Index factor(int depth) {
    skip();
    if (t_.empty()) fail("an index expression ends early");
    if (eat('(')) {
      Index r = sum(depth + 1);
      expect(')');
      return r;
    }
    if (t_[0] == '%') {
      t_.remove_prefix(1);
      return Index::var(var_(word()));
    }
    if (std::isdigit(static_cast<unsigned char>(t_[0]))) return number();
    const std::string_view w = word();
    if (w.empty()) fail(fmt::format("unexpected '{}' in an index expression", t_[0]));
    if (t_.empty() || t_[0] != '(') return Index::dim(w);
    return call(w, depth);
  }
  Index number() {
    int64_t v = 0;
    while (!t_.empty() && std::isdigit(static_cast<unsigned char>(t_[0]))) {
      v = checked_add(checked_mul(v, 10), t_[0] - '0');
      t_.remove_prefix(1);
    }
    return v;
  }
  Index call(std::string_view w, int depth) {
    expect('(');
    const Index a = sum(depth + 1);
    expect(',');
    const Index b = sum(depth + 1);
    expect(')');
    if (w == "min") return Index::min(a, b);
    if (w == "max") return Index::max(a, b);
    if (w != "floordiv" && w != "mod") fail(fmt::format("unknown function '{}' in an index expression", w));
    if (b.is_constant() && b.constant_part() <= 0) fail(fmt::format("{} by {}", w, b.str()));
    return w == "mod" ? a.mod(b) : a.floor_div(b);
  }

  std::string_view& t_;
  const std::function<int(std::string_view)>& var_;
};

}  // namespace

Index parse_index(std::string_view& text, const std::function<int(std::string_view)>& var) {
  return IndexParser(text, var).sum();
}

}  // namespace gradc
