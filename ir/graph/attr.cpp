#include "ir/graph/attr.h"

#include <algorithm>
#include <bit>
#include <functional>

#include "support/check.h"

namespace gradc::graph {
namespace {

size_t mixed(size_t h, size_t x) { return (h ^ x) * 0x9E3779B97F4A7C15ULL + (h >> 29); }

struct Hasher {
  size_t operator()(bool b) const { return b; }
  size_t operator()(int64_t i) const { return static_cast<size_t>(i); }
  size_t operator()(double d) const { return std::bit_cast<uint64_t>(d); }
  size_t operator()(const std::string& s) const { return std::hash<std::string>{}(s); }
  size_t operator()(DType t) const { return static_cast<size_t>(t); }
  size_t operator()(const FunctionRef& f) const { return std::hash<std::string>{}(f.name); }
  size_t operator()(const Index& e) const { return e.hash(); }
  template <class T>
  size_t operator()(const std::vector<T>& list) const {
    size_t h = list.size();
    for (const T& x : list) h = mixed(h, (*this)(x));
    return h;
  }
};

// Doubles by their bits: 0.0 and -0.0 are two constants, and a NaN is itself.
bool same(double a, double b) { return std::bit_cast<uint64_t>(a) == std::bit_cast<uint64_t>(b); }
bool same(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) { return same(x, y); });
}
template <class T>
bool same(const T& a, const T& b) {
  return a == b;
}
bool same_value(const AttrValue& a, const AttrValue& b) {
  return a.index() == b.index() &&
         std::visit([&](const auto& x) { return same(x, std::get<std::decay_t<decltype(x)>>(b)); }, a);
}

std::string value_text(const AttrValue& v) {
  struct Visitor {
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(int64_t i) const { return fmt::format("{}", i); }
    std::string operator()(double d) const {
      std::string s = fmt::format("{}", d);
      return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;  // "inf" and "nan" hold an n
    }
    std::string operator()(const std::string& s) const { return fmt::format("\"{}\"", s); }
    std::string operator()(DType t) const { return std::string(name_of(t)); }
    std::string operator()(const Shape& s) const { return gradc::str(s); }
    std::string operator()(const FunctionRef& f) const { return "@" + f.name; }
    std::string operator()(const std::vector<double>& list) const {
      std::string s = "<";
      for (double d : list) s += (s.size() > 1 ? ", " : "") + (*this)(d);
      return s + ">";
    }
    std::string operator()(const std::vector<FunctionRef>& list) const {
      std::string s = "(";
      for (const FunctionRef& f : list) s += (s.size() > 1 ? ", " : "") + (*this)(f);
      return s + ")";
    }
  };
  return std::visit(Visitor{}, v);
}

}  // namespace

Attrs::Attrs(std::initializer_list<std::pair<std::string, AttrValue>> list) {
  List sorted(list.begin(), list.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  *this = make(std::move(sorted));
}

Attrs Attrs::make(List list) {
  Attrs a;
  if (list.empty()) return a;
  size_t h = 0;
  for (const auto& [name, value] : list)
    h = h * 1099511628211ULL +
        mixed(std::hash<std::string>{}(name) + value.index(), std::visit(Hasher{}, value));
  a.list_ = std::make_shared<const Hashed>(Hashed{std::move(list), h});
  return a;
}

const Attrs::List& Attrs::list() const {
  static const List none;
  return list_ ? list_->list : none;
}

const AttrValue* Attrs::find(std::string_view name) const {
  for (const auto& [n, v] : list())
    if (n == name) return &v;
  return nullptr;
}

Attrs Attrs::with(std::string name, AttrValue value) const {
  auto copy = list();
  auto it = std::lower_bound(copy.begin(), copy.end(), name,
                             [](const auto& a, const std::string& n) { return a.first < n; });
  if (it != copy.end() && it->first == name)
    it->second = std::move(value);
  else
    copy.insert(it, {std::move(name), std::move(value)});
  return make(std::move(copy));
}

Attrs Attrs::without(std::string_view name) const {
  auto copy = list();
  std::erase_if(copy, [&](const auto& a) { return a.first == name; });
  return make(std::move(copy));
}

namespace {

template <class T>
const T& get(const Attrs& a, std::string_view name) {
  const AttrValue* v = a.find(name);
  GRADC_CHECK(v, "attribute {} is missing in {}", name, a.str());
  const T* t = std::get_if<T>(v);
  GRADC_CHECK(t, "attribute {} has another kind in {}", name, a.str());
  return *t;
}

}  // namespace

int64_t Attrs::integer(std::string_view name) const { return get<int64_t>(*this, name); }
int64_t Attrs::integer(std::string_view name, int64_t otherwise) const {
  return has(name) ? integer(name) : otherwise;
}
double Attrs::number(std::string_view name) const {
  const AttrValue* v = find(name);
  if (v)
    if (const int64_t* i = std::get_if<int64_t>(v)) return static_cast<double>(*i);
  return get<double>(*this, name);
}
double Attrs::number(std::string_view name, double otherwise) const {
  return has(name) ? number(name) : otherwise;
}
bool Attrs::flag(std::string_view name, bool otherwise) const {
  return has(name) ? get<bool>(*this, name) : otherwise;
}
const std::string& Attrs::text(std::string_view name) const { return get<std::string>(*this, name); }
std::string Attrs::text(std::string_view name, std::string_view otherwise) const {
  return has(name) ? text(name) : std::string(otherwise);
}
DType Attrs::dtype(std::string_view name) const { return get<DType>(*this, name); }
const Shape& Attrs::shape(std::string_view name) const { return get<Shape>(*this, name); }
std::vector<int64_t> Attrs::integers(std::string_view name) const {
  std::vector<int64_t> out;
  for (const Dim& d : shape(name)) {
    GRADC_CHECK(d.is_constant(), "attribute {} holds {}, which is no constant", name, d.str());
    out.push_back(d.constant_part());
  }
  return out;
}
const std::string& Attrs::function(std::string_view name) const { return get<FunctionRef>(*this, name).name; }

bool Attrs::operator==(const Attrs& o) const {
  if (list_ == o.list_) return true;
  return hash() == o.hash() && std::equal(list().begin(), list().end(), o.list().begin(), o.list().end(),
                                          [](const auto& a, const auto& b) {
                                            return a.first == b.first && same_value(a.second, b.second);
                                          });
}

std::string Attrs::str() const {
  if (empty()) return "";
  std::string out = "{";
  for (const auto& [name, value] : list())
    out += (out.size() > 1 ? ", " : "") + name + "=" + value_text(value);
  return out + "}";
}

Shape ints(const std::vector<int64_t>& values) { return {values.begin(), values.end()}; }

}  // namespace gradc::graph
