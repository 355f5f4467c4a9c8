#include "ir/kernel/flat_index.h"

#include <algorithm>

#include "support/check.h"

namespace gradc::kernel {
namespace {

int64_t wrapped(uint64_t v) { return static_cast<int64_t>(v); }
int64_t add(int64_t a, int64_t b) { return wrapped(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); }
int64_t multiply(int64_t a, int64_t b) {
  return wrapped(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}

int64_t apply(Atom::Kind kind, int64_t x, int64_t y) {
  if (kind == Atom::Kind::Min) return std::min(x, y);
  if (kind == Atom::Kind::Max) return std::max(x, y);
  if (y < 1) return 0;
  const int64_t rest = (x % y + y) % y;
  return kind == Atom::Kind::Mod ? rest : (x - rest) / y;
}

}  // namespace

FlatIndex::FlatIndex(const Index& e, const std::map<std::string, int64_t>& dims)
    : constant_(e.constant_part()) {
  for (const Index::Term& t : e.terms()) {
    Product p;
    p.coefficient = t.coefficient;
    for (const Atom& a : t.factors) {
      if (a.kind == Atom::Kind::Dim) {
        const auto it = dims.find(a.name);
        GRADC_CHECK(it != dims.end(), "dimension {} has no value", a.name);
        p.coefficient = multiply(p.coefficient, it->second);
      } else if (a.kind == Atom::Kind::Var) {
        p.vars.push_back(a.var);
      } else {
        p.functions.push_back(a.kind);
        p.args.emplace_back(a.args->first, dims);
        p.args.emplace_back(a.args->second, dims);
      }
    }
    if (p.vars.empty() && p.functions.empty())
      constant_ = add(constant_, p.coefficient);
    else if (p.vars.size() == 1 && p.functions.empty())
      linear_.push_back({p.coefficient, p.vars[0]});
    else
      products_.push_back(std::move(p));
  }
}

int64_t FlatIndex::operator()(std::span<const int64_t> vars) const {
  int64_t sum = constant_;
  for (const Linear& l : linear_) sum = add(sum, multiply(l.coefficient, vars[static_cast<size_t>(l.var)]));
  for (const Product& p : products_) {
    int64_t v = p.coefficient;
    for (const int var : p.vars) v = multiply(v, vars[static_cast<size_t>(var)]);
    for (size_t f = 0; f < p.functions.size(); ++f)
      v = multiply(v, apply(p.functions[f], p.args[2 * f](vars), p.args[2 * f + 1](vars)));
    sum = add(sum, v);
  }
  return sum;
}

std::vector<int64_t> places(const Layout& layout, const Shape& shape,
                            const std::map<std::string, int64_t>& dims) {
  std::vector<Index> vars;
  std::vector<int64_t> extents, out;
  int64_t count = 1;
  for (const Dim& d : shape) {
    vars.push_back(Index::var(static_cast<int>(vars.size())));
    extents.push_back(FlatIndex(d, dims)({}));
    count *= extents.back();
  }
  const FlatIndex address(layout.address(shape, vars), dims);
  std::vector<int64_t> at(shape.size());
  for (int64_t i = 0; i < count; ++i) {
    out.push_back(address(at));
    for (size_t a = at.size(); a-- > 0 && ++at[a] == extents[a];) at[a] = 0;
  }
  return out;
}

}  // namespace gradc::kernel
