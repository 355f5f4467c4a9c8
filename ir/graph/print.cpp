// Graph text. Generic: knows no op. Unnamed nodes print as %0, %1, ...; names that occur twice get a suffix.
#include <unordered_map>
#include <unordered_set>

#include "ir/graph/op_def.h"
#include "ir/graph/text.h"
#include "support/check.h"

namespace gradc::graph {
namespace {

class Printer {
 public:
  explicit Printer(const Function& f) : f_(f) { assign_names(); }

  const std::vector<std::string>& names() const { return names_; }

  std::string text() const {
    std::string out = fmt::format("func @{}{}(", f_.name, dims());
    for (size_t i = 0; i < f_.params.size(); ++i)
      out += fmt::format("{}%{}: {}", i ? ", " : "", names_[f_.params[i]], f_.type(f_.params[i]).str());
    out += ") -> (" + results() + ")";
    for (const auto& [key, value] : f_.notes) out += fmt::format(" {}={}", key, value);
    out += " {\n";
    for (NodeId i = 0; i < f_.nodes.size(); ++i)
      if (f_[i].op->form != Form::Parameter) out += line(i);
    out += "  return";
    for (size_t i = 0; i < f_.results.size(); ++i)
      out += fmt::format("{}%{}", i ? ", " : " ", names_[f_.results[i].node]);
    return out + "\n}\n";
  }

 private:
  void assign_names() {
    std::unordered_set<std::string> taken;
    std::unordered_map<std::string, int> tried;  // how many suffixes of a name are taken
    names_.resize(f_.nodes.size());
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      const std::string* given = f_.names.find(i);
      if (!given) continue;
      std::string name = *given;
      for (int& n = tried[*given]; !taken.insert(name).second;) name = fmt::format("{}_{}", *given, ++n + 1);
      names_[i] = name;
    }
    int next = 0;
    for (NodeId i = 0; i < f_.nodes.size(); ++i) {
      while (names_[i].empty()) {
        const std::string name = fmt::format("{}", next++);
        if (taken.insert(name).second) names_[i] = name;
      }
    }
  }

  std::string dims() const {
    if (f_.dims.empty()) return "";
    std::string out = "[";
    for (const auto& [name, info] : f_.dims) {
      out += (out.size() > 1 ? ", " : "") + name;
      if (info.max) out += fmt::format(" <= {}", info.max);
      if (info.plan) out += fmt::format(" plan {}", info.plan);
    }
    return out + "]";
  }

  std::string results() const {
    std::string out;
    for (const Result& r : f_.results) {
      if (!out.empty()) out += ", ";
      if (!r.name.empty()) out += r.name + ": ";
      out += f_.type(r.node).str();
      if (r.into != kNone) out += " into %" + names_[r.into];
    }
    return out;
  }

  std::string line(NodeId i) const {
    const Node& n = f_[i];
    std::string types;
    for (const Type& t : n.types) types += (types.empty() ? "" : ", ") + t.str();
    if (n.types.size() != 1) types = "(" + types + ")";
    std::string operands;
    for (NodeId q : n.operands) operands += (operands.empty() ? "%" : ", %") + names_[q];
    const std::string attrs = n.attrs.str();
    return fmt::format("  %{}: {} = {}({}){}{}\n", names_[i], types, n.op->name, operands,
                       attrs.empty() ? "" : " ", attrs);
  }

  const Function& f_;
  std::vector<std::string> names_;
};

}  // namespace

std::string print(const Function& f) { return Printer(f).text(); }
std::vector<std::string> text_names(const Function& f) { return Printer(f).names(); }

namespace {

void reach(const Module& m, const Function& f, std::set<std::string>& done,
           std::vector<const Function*>& out) {
  if (!done.insert(f.name).second) return;
  for (const Node& n : f.nodes)
    for (const auto& [attr, value] : n.attrs.list())
      if (auto* r = std::get_if<FunctionRef>(&value))
        if (const Function* callee = m.find(r->name)) reach(m, *callee, done, out);
  out.push_back(&f);
}

}  // namespace

std::vector<const Function*> reached(const Module& m, const Function& f) {
  std::set<std::string> done;
  std::vector<const Function*> out;
  reach(m, f, done, out);
  return out;
}

// Functions that others name come before them, as the parser wants.
std::string print(const Module& m) {
  std::set<std::string> done;
  std::vector<const Function*> list;
  for (const auto& [name, f] : m.functions) reach(m, f, done, list);
  std::string out;
  for (const Function* f : list) out += (out.empty() ? "" : "\n") + print(*f);
  return out;
}

}  // namespace gradc::graph
