// Reads graph text: lines of the form `%name: type = op(%a, %b) {attr=value,
// ...}`.
#include <cctype>
#include <set>

#include "ir/graph/builder.h"
#include "ir/graph/text.h"
#include "ir/scanner.h"
#include "support/diagnostic.h"

namespace gradc::graph {
namespace {

class Parser : Scanner {
 public:
  using Scanner::Scanner;

  Module module() {
    Module m;
    for (skip(); !t_.empty(); skip()) {
      Function f = function(m);
      if (m.functions.count(f.name)) fail(fmt::format("@{} is defined twice", f.name));
      m.functions.emplace(f.name, std::move(f));
    }
    return m;
  }
  NamedFunction named_function(const Module& m) {
    Function f = function(m);
    return {std::move(f), std::move(names_)};
  }
  size_t position() const { return all_.size() - t_.size(); }

 private:
  // --- functions -----------------------------------------------------------------------------------------
  Function function(const Module& m) {
    expect("func");
    expect("@");
    names_.clear();
    Builder b(word(), &m);
    if (eat("[")) dims(b);
    expect("(");
    if (!eat(")")) {
      do {
        expect("%");
        const std::string name = word();
        expect(":");
        define(name, b.param(name, type()));
      } while (eat(","));
      expect(")");
    }
    known_dims_ = known_dims(b);
    std::vector<Result> results = result_list();
    std::map<std::string, std::string> notes;
    while (at_word()) {
      const std::string key = word();
      expect("=");
      notes[key] = word();
    }
    expect("{");
    while (!eat("return")) statement(b);
    for (size_t i = 0; i < results.size(); ++i) {
      if (i) expect(",");
      const Loc place = here();
      results[i].node = operand();
      const Node& n = b[results[i].node];
      if (n.types.size() != 1 || n.type() != declared_[i])
        throw CompileError(place,
                           fmt::format("result {} of @{} is declared {}, but what is returned is {}", i,
                                       b.function().name, declared_[i].str(),
                                       n.types.size() == 1 ? n.type().str() : "a tuple; read it by get"));
    }
    expect("}");
    Function f = b.finish();
    f.results = std::move(results);
    f.notes = std::move(notes);
    return f;
  }

  void dims(Builder& b) {
    do {
      const std::string name = word();
      DimInfo info;
      if (eat("<=")) info.max = integer();
      if (eat("plan")) info.plan = integer();
      b.dim(name, info);
    } while (eat(","));
    expect("]");
  }

  std::vector<Result> result_list() {
    std::vector<Result> out;
    declared_.clear();
    expect("->");
    expect("(");
    if (eat(")")) return out;
    do {
      Result r;
      const std::string_view before = t_;
      const std::string w = word();
      if (eat(":"))
        r.name = w;
      else
        t_ = before;
      declared_.push_back(type());
      if (eat("into")) r.into = operand();
      out.push_back(std::move(r));
    } while (eat(","));
    expect(")");
    return out;
  }

  void define(const std::string& name, NodeId id) {
    if (!names_.emplace(name, id).second) fail(fmt::format("%{} is defined twice", name));
  }
  NodeId operand() {
    expect("%");
    const std::string w = word();
    auto it = names_.find(w);
    if (it == names_.end()) fail(fmt::format("%{} is not defined", w));
    return it->second;
  }

  void statement(Builder& b) {
    b.set_location(here());
    expect("%");
    const std::string name = word();
    std::vector<Type> types;
    if (eat(":")) {
      if (eat("(")) {
        if (!eat(")")) {
          do types.push_back(type());
          while (eat(","));
          expect(")");
        }
      } else {
        types.push_back(type());
      }
    }
    expect("=");
    const std::string op_name = word();
    const OpDef* def = find_op(op_name);
    if (!def) fail(fmt::format("unknown op '{}'", op_name));
    std::vector<NodeId> operands;
    expect("(");
    if (!eat(")")) {
      do operands.push_back(operand());
      while (eat(","));
      expect(")");
    }
    const Loc place = here();
    const Attrs attrs = attributes();
    try {
      check_attributes(*def, attrs, known_dims_);
    } catch (CompileError& e) {
      e.diagnostic.loc = place;
      throw;
    }
    const NodeId id = def->name == "get" ? get(b, operands, attrs) : b.make(*def, std::move(operands), attrs);
    if (!types.empty() && types != b[id].types)
      fail(fmt::format("%{} is declared {}, but {} gives {}", name, types[0].str(), op_name,
                       b.type(id).str()));
    define(name, id);
    if (!std::isdigit(static_cast<unsigned char>(name[0]))) b.name(id, name);
  }
  NodeId get(Builder& b, const std::vector<NodeId>& operands, const Attrs& attrs) {
    const int64_t i = attrs.integer("index");
    if (operands.size() != 1 || i < 0 || i >= static_cast<int64_t>(b[operands[0]].types.size()))
      fail("get is out of range");
    return b.get(operands[0], static_cast<int>(i));
  }

  // Those declared and those in the types of parameters.
  static std::set<std::string> known_dims(const Builder& b) {
    std::map<std::string, int> names;
    for (const Type& t : b.function().param_types())
      for (const Dim& d : t.shape) d.collect_dims(names);
    std::set<std::string> dims;
    for (const auto& [name, count] : names) dims.insert(name);
    for (const auto& [name, info] : b.function().dims) dims.insert(name);
    return dims;
  }

  Attrs attributes() {
    Attrs a;
    if (!eat("{") || eat("}")) return a;
    do {
      const std::string name = word();
      expect("=");
      a = a.with(name, value());
    } while (eat(","));
    expect("}");
    return a;
  }

  AttrValue value() {
    skip();
    if (t_.empty()) fail("expected a value");
    if (t_[0] == '[') return shape();
    if (eat("@")) return FunctionRef{word()};
    if (eat("\"")) {
      const size_t n = t_.find('"');
      if (n == std::string_view::npos) fail("a string is not closed");
      std::string s(t_.substr(0, n));
      t_.remove_prefix(n + 1);
      return s;
    }
    if (eat("<")) return doubles();
    if (eat("(")) return functions();
    if (std::isdigit(static_cast<unsigned char>(t_[0])) || t_[0] == '-' || t_.starts_with("inf") ||
        t_.starts_with("nan"))
      return attribute_number();
    const std::string w = word();
    if (w == "true" || w == "false") return w == "true";
    if (const std::optional<DType> t = dtype_named(w)) return *t;
    fail(fmt::format("'{}' is no value", w));
  }
  AttrValue attribute_number() {
    const Number n = number();
    return n.real ? AttrValue(n.f) : AttrValue(n.i);
  }
  std::vector<double> doubles() {
    std::vector<double> out;
    if (eat(">")) return out;
    do {
      const Number n = number();
      out.push_back(n.real ? n.f : static_cast<double>(n.i));
    } while (eat(","));
    expect(">");
    return out;
  }
  std::vector<FunctionRef> functions() {
    std::vector<FunctionRef> out;
    if (eat(")")) return out;
    do {
      expect("@");
      out.push_back({word()});
    } while (eat(","));
    expect(")");
    return out;
  }

  std::map<std::string, NodeId> names_;
  std::set<std::string> known_dims_;
  std::vector<Type> declared_;  // of the results
};

}  // namespace

Module parse(std::string_view text, uint32_t file) { return Parser(text, file).module(); }

NamedFunction parse_function_at(std::string_view text, size_t& at, uint32_t file, const Module& m) {
  Parser p(text, file, at);
  NamedFunction f = p.named_function(m);
  at = p.position();
  return f;
}

}  // namespace gradc::graph
