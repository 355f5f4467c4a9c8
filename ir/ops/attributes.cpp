// The attributes of an op as text may give them: which are needed, of what kind, over known dimensions.
#include <algorithm>
#include <map>
#include <set>

#include "ir/ops/rows.h"

namespace gradc::graph {
namespace {

enum class Kind : uint8_t { Flag, Integer, Number, Text, ElementType, Integers, Extents, Extent, Function };

struct KindRow {
  std::string_view name;
  Kind kind;
};
// An attribute means the same in every row that has it, but for dim's `value`.
constexpr KindRow kKinds[] = {
    {"accumulator", Kind::ElementType},
    {"axes", Kind::Integers},
    {"axis", Kind::Integer},
    {"body", Kind::Function},
    {"bound", Kind::Integer},
    {"carries", Kind::Integer},
    {"condition", Kind::Function},
    {"consts", Kind::Integer},
    {"descending", Kind::Flag},
    {"dilation", Kind::Integers},
    {"dims", Kind::Integers},
    {"dtype", Kind::ElementType},
    {"exclusive", Kind::Flag},
    {"extents", Kind::Extents},
    {"fma", Kind::Flag},
    {"function", Kind::Function},
    {"high", Kind::Extents},
    {"index", Kind::Integer},
    {"interior", Kind::Integers},
    {"length", Kind::Extent},
    {"limit", Kind::Extents},
    {"low", Kind::Extents},
    {"order", Kind::Text},
    {"otherwise", Kind::Function},
    {"perm", Kind::Integers},
    {"reverse", Kind::Flag},
    {"shape", Kind::Extents},
    {"sizes", Kind::Extents},
    {"spec", Kind::Text},
    {"start", Kind::Extents},
    {"stride", Kind::Integers},
    {"then", Kind::Function},
    {"value", Kind::Number},
    {"where", Kind::Text},
    {"window", Kind::Integers},
    {"wrt", Kind::Integers},
};

std::string_view wanted(Kind k) {
  static constexpr std::string_view names[] = {"true or false",
                                               "an integer",
                                               "a number",
                                               "a text in quotes",
                                               "an element type",
                                               "a list of integers",
                                               "a list of dimensions",
                                               "one dimension in brackets",
                                               "a function, @name"};
  return names[static_cast<int>(k)];
}

bool holds(Kind k, const AttrValue& v) {
  const Shape* list = std::get_if<Shape>(&v);
  switch (k) {
    case Kind::Flag:
      return std::holds_alternative<bool>(v);
    case Kind::Integer:
      return std::holds_alternative<int64_t>(v);
    case Kind::Number:
      return std::holds_alternative<int64_t>(v) || std::holds_alternative<double>(v);
    case Kind::Text:
      return std::holds_alternative<std::string>(v);
    case Kind::ElementType:
      return std::holds_alternative<DType>(v);
    case Kind::Integers:
      return list && std::all_of(list->begin(), list->end(), [](const Dim& d) { return d.is_constant(); });
    case Kind::Extents:
      return list != nullptr;
    case Kind::Extent:
      return list && list->size() == 1;
    case Kind::Function:
      return std::holds_alternative<FunctionRef>(v);
  }
  return false;
}

std::optional<Kind> kind_of(const OpDef& def, std::string_view name) {
  if (def.name == "dim" && name == "value") return Kind::Extent;
  for (const KindRow& r : kKinds)
    if (r.name == name) return r.kind;
  return std::nullopt;
}

bool takes(const OpDef& def, std::string_view name) {
  return std::any_of(def.attributes.begin(), def.attributes.end(), [&](std::string_view a) {
    return a == name || (a.ends_with('!') && a.substr(0, a.size() - 1) == name);
  });
}

// The sizes that a result takes from an attribute; positions and amounts may be negative.
bool is_size(std::string_view name) {
  return name == "shape" || name == "sizes" || name == "length" || name == "extents";
}

void check_extents(const std::string& name, const Shape& list, const std::set<std::string>& dims) {
  for (const Dim& d : list) {
    std::map<std::string, int> names;
    d.collect_dims(names);
    for (const auto& [dim, count] : names)
      if (!dims.count(dim))
        refuse(
            "attribute {} names {}, which is neither declared nor in a parameter's type; write "
            "func @name[{}](...)",
            name, dim, dim);
    if (is_size(name) && d.is_constant() && d.constant_part() < 0)
      refuse("attribute {} has the negative size {}", name, d.str());
  }
}

}  // namespace

void check_attributes(const OpDef& def, const Attrs& attrs, const std::set<std::string>& dims) {
  for (std::string_view a : def.attributes) {
    if (!a.ends_with('!')) continue;
    a.remove_suffix(1);
    if (!attrs.has(a)) refuse("{} needs the attribute {}: {}", def.name, a, wanted(*kind_of(def, a)));
  }
  for (const auto& [name, value] : attrs.list()) {
    if (!takes(def, name)) refuse("{} has no attribute {}", def.name, name);
    const Kind kind = *kind_of(def, name);
    if (!holds(kind, value))
      refuse("attribute {} of {} is {}, not what {} has", name, def.name, wanted(kind), attrs.str());
    if (const Shape* list = std::get_if<Shape>(&value)) check_extents(name, *list, dims);
  }
}

}  // namespace gradc::graph
