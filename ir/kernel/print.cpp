// Kernel text, and the canonical form that keys compiled code. Generic: knows operations by their tables
// only.
#include "ir/kernel/kernel.h"
#include "support/check.h"

namespace gradc::kernel {
namespace {

constexpr std::string_view kSpaces[] = {"in", "out", "inout", "scratch", "tile"};
constexpr std::string_view kLoops[] = {"", " axis", " parallel", " vector", " unroll"};

std::string number(const Literal& l, DType t) {
  if (!is_float(t)) return fmt::format("{}", l.i);
  std::string s = fmt::format("{}", l.f);
  return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;
}

class Printer {
 public:
  Printer(const Kernel& k, bool canonical) : k_(k), canonical_(canonical) {}

  std::string text() {
    std::string out = fmt::format("kernel @{}(", canonical_ ? "k" : k_.name);
    size_t b = 0;
    for (; b < k_.buffers.size() && !is_local(b); ++b)
      out += (b ? ", " : "") + declaration(b) + " " +
             std::string(kSpaces[static_cast<int>(k_.buffers[b].space)]) + (k_.buffers[b].far ? " far" : "");
    for (size_t p = 0; p < k_.params.size(); ++p) out += (p ? ", " : "; ") + var(k_.params[p]);
    out += fmt::format(") fma={} {{\n", k_.fma ? "on" : "off");
    for (; b < k_.buffers.size(); ++b)
      out += fmt::format("  {} {}\n", kSpaces[static_cast<int>(k_.buffers[b].space)], declaration(b));
    body(k_.body, 1, out);
    return out + "}\n";
  }

 private:
  bool is_local(size_t b) const {
    return k_.buffers[b].space == Space::Scratch || k_.buffers[b].space == Space::Tile;
  }
  std::string buffer(int b) const { return canonical_ ? fmt::format("%b{}", b) : "%" + k_.buffers[b].name; }
  std::string declaration(size_t b) const {
    const Buffer& d = k_.buffers[b];
    std::string out = fmt::format("{}: {}{}{}", buffer(static_cast<int>(b)), name_of(d.dtype), str(d.shape),
                                  d.layout.str());
    if (d.derived_from >= 0) out += " of " + buffer(d.derived_from);
    return out;
  }
  // Variables and values are numbered in order of appearance, so that equal kernels print equally.
  int number_of(int v) { return vars_.emplace(v, static_cast<int>(vars_.size())).first->second; }
  std::string var(int v) { return fmt::format("%i{}", number_of(v)); }
  std::string value(Value v) {
    auto [it, fresh] = values_.emplace(v, static_cast<int>(values_.size()));
    return fmt::format("%v{}", it->second);
  }
  // Terms stand in the order of the printed numbers, so that reading the text gives the same text again.
  std::string index(const Index& e) {
    return e.substitute([&](int v) { return Index::var(number_of(v)); }).str([](int v) {
      return fmt::format("%i{}", v);
    });
  }
  std::string list(const std::vector<Index>& es) {
    std::string out;
    for (const Index& e : es) out += (out.empty() ? "" : ", ") + index(e);
    return out;
  }

  void body(const Body& b, int depth, std::string& out) {
    for (const Stmt& s : b) std::visit([&](const auto& x) { statement(x, depth, out); }, s);
  }
  static std::string indent(int depth) { return std::string(static_cast<size_t>(depth) * 2, ' '); }

  void statement(const Compute& c, int d, std::string& out) {
    std::string args;
    for (int i = 0; i < def_of(c.op).arity; ++i) args += (i ? ", " : "") + value(c.args[i]);
    if (c.op == ScalarOp::Const) args = number(c.value, c.dtype);
    if (c.op == ScalarOp::Axis) args = index(c.index);
    out += fmt::format("{}{}: {} = {}({})\n", indent(d), value(c.result), name_of(c.dtype), def_of(c.op).name,
                       args);
  }
  void statement(const Load& l, int d, std::string& out) {
    const DType t = k_.buffers[l.buffer].dtype;
    out += fmt::format("{}{}: {} = load {}[{}]", indent(d), value(l.result), name_of(t), buffer(l.buffer),
                       list(l.at));
    if (!l.guards.empty()) out += fmt::format(" if {} else {}", list(l.guards), number(l.fill, t));
    out += "\n";
  }
  void statement(const Store& s, int d, std::string& out) {
    out += fmt::format("{}store {}[{}] = {}\n", indent(d), buffer(s.buffer), list(s.at), value(s.value));
  }
  void statement(const Bind& b, int d, std::string& out) {
    const std::string v = value(b.value);
    out += fmt::format("{}bind {} = {}\n", indent(d), var(b.var), v);
  }
  void statement(const Tree& t, int d, std::string& out) {
    out += fmt::format("{}{}: {} = tree {}[{}] {}\n", indent(d), value(t.result),
                       name_of(k_.buffers[t.tile].dtype), buffer(t.tile), list(t.at), name_of(t.combine));
  }
  void statement(const std::shared_ptr<const For>& f, int d, std::string& out) {
    const std::string extent = index(f->extent);
    out += fmt::format("{}for {} in 0..{}{} {{\n", indent(d), var(f->var), extent,
                       kLoops[static_cast<int>(f->kind)]);
    body(f->body, d + 1, out);
    out += indent(d) + "}\n";
  }
  void statement(const std::shared_ptr<const If>& i, int d, std::string& out) {
    out += fmt::format("{}if {} {{\n", indent(d), list(i->conditions));
    body(i->body, d + 1, out);
    out += indent(d) + "}\n";
  }

  const Kernel& k_;
  bool canonical_;
  std::map<int, int> vars_;
  std::map<Value, int> values_;
};

}  // namespace

std::string print(const Kernel& k) { return Printer(k, false).text(); }
std::string canonical_text(const Kernel& k) { return Printer(k, true).text(); }

const For* parallel_loop(const Kernel& k) {
  if (k.body.size() != 1) return nullptr;
  const auto* f = std::get_if<std::shared_ptr<const For>>(&k.body[0]);
  return f && (*f)->kind == LoopKind::Parallel ? f->get() : nullptr;
}

int64_t parallel_extent(const Kernel& k, const std::map<std::string, int64_t>& dims,
                        std::span<const int64_t> params) {
  const For* f = parallel_loop(k);
  if (!f) return 1;
  return f->extent.evaluate(
      [&](int v) {
        for (size_t p = 0; p < k.params.size(); ++p)
          if (k.params[p] == v) return params[p];
        throw InternalError("the parallel extent uses a variable");
      },
      [&](const std::string& d) { return dims.at(d); });
}

}  // namespace gradc::kernel
