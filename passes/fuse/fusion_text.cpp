// Fusion text: after the graph text of a function `fuse @f { ... }` with its groups, a line for each member,
// what is computed in place, which parameters are copied and which live in the state region.
#include <optional>

#include "ir/graph/text.h"
#include "ir/scanner.h"
#include "passes/fuse/fusion.h"
#include "support/diagnostic.h"

namespace gradc::passes {
namespace {

using graph::Function;

constexpr std::string_view kStorages[] = {"register", "scratch", "memory"};

// --- printing ----------------------------------------------------------------------------------------------
std::string header(const Group& g) {
  if (g.opaque) return "group opaque";
  std::string axes;
  for (const Axis& a : g.axes) axes += (axes.empty() ? "" : ", ") + a.name + ": " + a.extent.str();
  return "group (" + axes + ")";
}

std::string line(const Member& m) {
  const bool also = m.memory && m.storage != Storage::Memory;
  return fmt::format("depth {} {}{}", m.depth, kStorages[static_cast<int>(m.storage)], also ? " memory" : "");
}

template <class Nodes>
std::string list(std::string_view what, const Nodes& nodes, const std::vector<std::string>& names) {
  std::string out;
  for (NodeId n : nodes) out += (out.empty() ? " %" : ", %") + names[n];
  return out.empty() ? "" : fmt::format("  {}{}\n", what, out);
}

std::string body(const Fusion& fusion, const std::vector<std::string>& names) {
  std::string out;
  for (const Group& g : fusion.groups) {
    if (g.opaque) {
      out += fmt::format("  {} {{ %{} }}\n", header(g), names[g.members[0].node]);
      continue;
    }
    out += fmt::format("  {} {{\n", header(g));
    for (const Member& m : g.members) out += fmt::format("    %{} {}\n", names[m.node], line(m));
    out += "  }\n";
  }
  std::vector<NodeId> in_place;
  for (NodeId n = 0; n < fusion.in_place.size(); ++n)
    if (fusion.in_place[n]) in_place.push_back(n);
  return out + list("inline", in_place, names) + list("copied", fusion.copied, names);
}

std::string text(const FusedState& s) {
  std::string out = fmt::format("{} at {}", s.place.layout.str(), s.place.offset);
  for (const StatePlace& c : s.copies) out += fmt::format(" copy{} at {}", c.layout.str(), c.offset);
  return out;
}

// --- reading -----------------------------------------------------------------------------------------------
class Parser : Scanner {
 public:
  using Scanner::Scanner;

  ParsedStep parse() {
    for (skip(); !t_.empty(); skip()) {
      if (t_.starts_with("func"))
        function();
      else
        groups();
    }
    if (p_.fused.entry.empty()) fail("expected a function");
    if (!p_.fused.functions.count(p_.fused.entry)) fail(fmt::format("expected 'fuse @{}'", p_.fused.entry));
    return std::move(p_);
  }

 private:
  void function() {
    const std::string& before = p_.fused.entry;
    if (!before.empty() && !p_.fused.functions.count(before))
      fail(fmt::format("expected 'fuse @{}'", before));
    size_t at = all_.size() - t_.size();
    const Loc place = here();
    graph::NamedFunction f = graph::parse_function_at(all_, at, file_, p_.module);
    t_ = all_.substr(at);
    p_.fused.entry = f.function.name;
    names_ = std::move(f.names);
    f_ = &p_.module.functions[p_.fused.entry];
    if (!f_->name.empty()) throw CompileError(place, fmt::format("@{} is defined twice", f_->name));
    *f_ = std::move(f.function);
  }

  // The groups of the function before them.
  void groups() {
    expect_word("fuse");
    expect("@");
    const std::string name = word();
    if (!f_ || f_->name != name) fail(fmt::format("@{} does not stand before its groups", name));
    if (p_.fused.functions.count(name)) fail(fmt::format("@{} has groups already", name));
    p_.fused.state.clear(), p_.fused.state_bytes = 0;
    if (eat_word("state")) {
      expect("=");
      p_.fused.state_bytes = integer();
    }
    fusion_ = {};
    fusion_.in_place.assign(f_->nodes.size(), false);
    placed_.assign(f_->nodes.size(), false);
    for (NodeId p : f_->params) placed_[p] = true;
    expect("{");
    while (eat_word("group")) group();
    if (eat_word("inline")) do
        fusion_.in_place[new_place()] = true;
      while (eat(","));
    if (eat_word("copied")) do
        fusion_.copied.insert(parameter());
      while (eat(","));
    while (eat_word("state")) state();
    for (NodeId n = 0; n < placed_.size(); ++n)
      if (!placed_[n]) fail(fmt::format("%{} is in no group", graph::text_names(*f_)[n]));
    expect("}");
    p_.fused.functions.emplace(name, std::move(fusion_));
  }

  void group() {
    Group g;
    g.opaque = eat_word("opaque");
    if (!g.opaque) axes(g);
    expect("{");
    while (!eat("}")) g.members.push_back(g.opaque ? own_kernel() : member(g));
    if (g.members.empty() || (g.opaque && g.members.size() > 1))
      fail(g.opaque ? "an opaque group has one member" : "a group has a member");
    fusion_.groups.push_back(std::move(g));
  }
  void axes(Group& g) {
    expect("(");
    if (eat(")")) return;
    do {
      const std::string name = word();
      for (const Axis& a : g.axes)
        if (a.name == name) fail(fmt::format("axis {} is named twice", name));
      expect(":");
      g.axes.push_back({name, index()});
    } while (eat(","));
    expect(")");
  }
  Member own_kernel() { return {new_place(), 0, Storage::Memory, true}; }
  Member member(const Group& g) {
    Member m{new_place(), 0, Storage::Memory, false};
    expect_word("depth");
    const int64_t depth = integer();
    if (depth < 0 || depth > static_cast<int64_t>(g.axes.size()))
      fail(fmt::format("depth {} of {} axes", depth, g.axes.size()));
    m.depth = static_cast<int>(depth);
    m.storage = eat_word("register")  ? Storage::Register
                : eat_word("scratch") ? Storage::Scratch
                                      : Storage::Memory;
    if (m.storage == Storage::Memory) expect_word("memory");
    m.memory = m.storage == Storage::Memory || eat_word("memory");
    return m;
  }

  void state() {
    const NodeId p = parameter();
    const auto place = [&] {
      StatePlace s{layout(f_->type(p).rank()), 0};
      expect_word("at");
      s.offset = integer();
      return s;
    };
    FusedState& s = p_.fused.state[p] = {place()};
    while (eat_word("copy")) s.copies.push_back(place());
  }

  NodeId node() {
    expect("%");
    const std::string w = word();
    const auto it = names_.find(w);
    if (it == names_.end()) fail(fmt::format("%{} is not defined", w));
    return it->second;
  }
  NodeId new_place() {
    const NodeId n = node();
    if (placed_[n]) fail(fmt::format("%{} has a place already", graph::text_names(*f_)[n]));
    placed_[n] = true;
    return n;
  }
  NodeId parameter() {
    const NodeId n = node();
    if (f_->nodes[n].op->form != graph::Form::Parameter) fail("expected a parameter");
    return n;
  }

  ParsedStep p_;
  Function* f_ = nullptr;
  std::map<std::string, NodeId> names_;
  Fusion fusion_;
  std::vector<bool> placed_;
};

}  // namespace

std::string print(const graph::Module& m, const FusedStep& s) {
  std::string out;
  for (const Function* f : graph::reached(m, m.at(s.entry))) {
    const std::vector<std::string> names = graph::text_names(*f);
    const bool state = f->name == s.entry && s.state_bytes > 0;
    out += (out.empty() ? "" : "\n") + graph::print(*f) + fmt::format("\nfuse @{}", f->name);
    if (state) out += fmt::format(" state={}", s.state_bytes);
    out += " {\n" + body(s.functions.at(f->name), names);
    if (f->name == s.entry)
      for (const auto& [p, state] : s.state) out += fmt::format("  state %{}{}\n", names[p], text(state));
    out += "}\n";
  }
  return out;
}

ParsedStep parse_fused(std::string_view text, uint32_t file) { return Parser(text, file).parse(); }

}  // namespace gradc::passes
