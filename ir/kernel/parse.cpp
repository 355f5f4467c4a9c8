// Reads kernel text, the form that print gives. Names, ranks and types are checked here, with their place;
// how loops nest is left to verify.
#include <algorithm>
#include <set>
#include <utility>

#include "ir/kernel/kernel.h"
#include "ir/scanner.h"
#include "support/diagnostic.h"

namespace gradc::kernel {
namespace {

class Parser : Scanner {
 public:
  using Scanner::at_end;
  using Scanner::fail;
  using Scanner::Scanner;

  size_t position() const { return all_.size() - t_.size(); }
  Kernel kernel() {
    skip();
    k_.loc = here();
    expect_word("kernel");
    expect("@");
    k_.name = word();
    parameters();
    expect_word("fma");
    expect("=");
    k_.fma = eat_word("on");
    if (!k_.fma) expect_word("off");
    expect("{");
    locals();
    k_.body = body();
    return std::move(k_);
  }

 private:
  // --- buffers --------------------------------------------------------------------------------------------
  void parameters() {
    expect("(");
    skip();
    if (t_.starts_with("%")) do
        declare(parameter());
      while (eat(","));
    if (eat(";")) do
        k_.params.push_back(new_var());
      while (eat(","));
    expect(")");
  }
  Buffer parameter() {
    Buffer b = declaration();
    b.space = eat_word("inout") ? Space::InOut : eat_word("in") ? Space::In : Space::Out;
    if (b.space == Space::Out) expect_word("out"), b.far = eat_word("far");
    return b;
  }
  void locals() {
    for (;;) {
      Space space = Space::Scratch;
      if (!eat_word("scratch")) {
        if (!eat_word("tile")) return;
        space = Space::Tile;
      }
      Buffer b = declaration();
      b.space = space;
      for (const Dim& d : b.shape)
        if (!d.is_constant()) fail(fmt::format("%{} has no constant shape", b.name));
      declare(std::move(b));
    }
  }
  Buffer declaration() {
    Buffer b;
    expect("%");
    b.name = word();
    expect(":");
    const Type t = type();
    b.dtype = t.dtype;
    b.shape = t.shape;
    b.layout = layout(t.rank());
    if (eat_word("of")) b.derived_from = buffer();
    return b;
  }
  void declare(Buffer b) {
    if (!buffers_.emplace(b.name, static_cast<int>(k_.buffers.size())).second)
      fail(fmt::format("%{} is declared twice", b.name));
    k_.buffers.push_back(std::move(b));
  }
  int buffer() {
    expect("%");
    const std::string w = word();
    const auto it = buffers_.find(w);
    if (it == buffers_.end()) fail(fmt::format("there is no buffer %{}", w));
    return it->second;
  }

  // --- names ----------------------------------------------------------------------------------------------
  int numbered(std::string_view w, char letter) const {
    int n = w.size() > 7 ? -1 : 0;  // numbers are indices of tables
    for (const char c : w.substr(std::min<size_t>(1, w.size()))) {
      if (c < '0' || c > '9') n = -1;
      if (n < 0) break;
      n = n * 10 + (c - '0');
    }
    if (w.size() < 2 || w[0] != letter || n < 0)
      fail(fmt::format("expected %{}<number>, not %{}", letter, w));
    return n;
  }
  int new_var() {
    expect("%");
    const std::string w = word();
    const int v = numbered(w, 'i');
    if (!vars_.insert(v).second) fail(fmt::format("%{} is defined twice", w));
    k_.vars = std::max(k_.vars, v + 1);
    return v;
  }
  Value new_value(Value v, DType t) {
    if (!types_.emplace(v, t).second) fail(fmt::format("%v{} is defined twice", v));
    k_.values = std::max(k_.values, v + 1);
    return v;
  }
  Value value(DType* t = nullptr) {
    expect("%");
    const std::string w = word();
    const auto it = types_.find(numbered(w, 'v'));
    if (it == types_.end()) fail(fmt::format("%{} has no value here", w));
    if (t) *t = it->second;
    return it->first;
  }
  Index index() {
    return Scanner::index([&](std::string_view w) {
      const int v = numbered(w, 'i');
      if (!vars_.count(v)) fail(fmt::format("%{} is no variable here", w));
      return v;
    });
  }
  std::vector<Index> indices() {
    std::vector<Index> out{index()};
    while (eat(",")) out.push_back(index());
    return out;
  }
  // `[i, j]`, as many as the buffer's rank less `fewer`.
  std::vector<Index> place(int b, size_t fewer = 0) {
    std::vector<Index> at;
    expect("[");
    if (!eat("]")) {
      at = indices();
      expect("]");
    }
    if (at.size() + fewer != k_.buffers[b].shape.size())
      fail(fmt::format("{} indices for %{}: {}", at.size(), k_.buffers[b].name, str(k_.buffers[b].shape)));
    return at;
  }
  Literal literal(DType t) {
    const Number n = number();
    if (n.real && !is_float(t)) fail(fmt::format("expected an integer for {}", name_of(t)));
    Literal l;
    if (is_float(t))
      l.f = n.real ? n.f : static_cast<double>(n.i);
    else
      l.i = n.i;
    return l;
  }

  // --- statements -----------------------------------------------------------------------------------------
  // Up to and with the closing brace; what it defines is not visible after it.
  Body body() {
    const auto types = types_;
    const auto vars = vars_;
    Body b;
    if (++depth_ > 256) fail("nesting beyond 256");
    while (!eat("}")) b.push_back(statement());
    --depth_;
    types_ = types;
    vars_ = vars;
    return b;
  }

  Stmt statement() {
    if (eat_word("store")) return store();
    if (eat_word("bind")) return bind();
    if (eat_word("for")) return loop();
    if (eat_word("if")) {
      If i{indices(), {}};
      expect("{");
      i.body = body();
      return make_if(std::move(i));
    }
    if (at_end() || t_[0] != '%') fail("expected a statement");
    return definition();
  }
  Stmt store() {
    Store s;
    s.buffer = buffer();
    s.at = place(s.buffer);
    expect("=");
    DType t;
    s.value = value(&t);
    const Buffer& b = k_.buffers[s.buffer];
    if (t != b.dtype) fail(fmt::format("{} stored to %{}: {}", name_of(t), b.name, name_of(b.dtype)));
    if (b.space == Space::In) fail(fmt::format("%{} is only read", b.name));
    return s;
  }
  Stmt bind() {
    Bind b;
    b.var = new_var();
    expect("=");
    DType t;
    b.value = value(&t);
    if (t != DType::I64) fail(fmt::format("an index is i64, not {}", name_of(t)));
    return b;
  }
  Stmt loop() {
    For f;
    const auto outside = vars_;
    f.var = new_var();
    const auto inside = std::exchange(vars_, outside);  // the extent does not see the variable
    expect_word("in");
    expect("0..");
    f.extent = index();
    f.kind = eat_word("axis")       ? LoopKind::Axis
             : eat_word("parallel") ? LoopKind::Parallel
             : eat_word("vector")   ? LoopKind::Vector
             : eat_word("unroll")   ? LoopKind::Unroll
                                    : LoopKind::Serial;
    if (f.kind == LoopKind::Unroll && !f.extent.is_constant()) fail("an unrolled loop is constant");
    expect("{");
    vars_ = inside;
    f.body = body();
    vars_ = outside;
    return make_for(std::move(f));
  }

  Stmt definition() {
    expect("%");
    const std::string w = word();
    const Value result = numbered(w, 'v');
    expect(":");
    const DType t = dtype();
    expect("=");
    const std::string op = word();
    if (op == "load") return load(result, t);
    if (op == "tree") return tree(result, t);
    const std::optional<ScalarOp> o = scalar_op_named(op);
    if (!o || *o == ScalarOp::Read) fail(fmt::format("unknown operation '{}'", op));
    return compute(result, *o, t);
  }
  void same_type(DType t, int b) const {
    if (t != k_.buffers[b].dtype)
      fail(fmt::format("%{} holds {}, not {}", k_.buffers[b].name, name_of(k_.buffers[b].dtype), name_of(t)));
  }
  Stmt load(Value result, DType t) {
    Load l;
    l.buffer = buffer();
    same_type(t, l.buffer);
    l.at = place(l.buffer);
    if (eat_word("if")) {
      l.guards = indices();
      expect_word("else");
      l.fill = literal(t);
    }
    l.result = new_value(result, t);
    return l;
  }
  Stmt tree(Value result, DType t) {
    Tree n;
    n.tile = buffer();
    same_type(t, n.tile);
    if (k_.buffers[n.tile].space != Space::Tile || k_.buffers[n.tile].shape.empty())
      fail(fmt::format("%{} is no tile with an axis", k_.buffers[n.tile].name));
    n.at = place(n.tile, 1);
    const std::string w = word();
    for (int c = static_cast<int>(Combiner::Add); c <= static_cast<int>(Combiner::Or); ++c)
      if (name_of(static_cast<Combiner>(c)) == w) n.combine = static_cast<Combiner>(c);
    if (name_of(n.combine) != w) fail(fmt::format("'{}' joins no values", w));
    n.result = new_value(result, t);
    return n;
  }
  Stmt compute(Value result, ScalarOp op, DType t) {
    Compute c;
    c.op = op;
    c.dtype = t;
    expect("(");
    if (op == ScalarOp::Const) c.value = literal(t);
    if (op == ScalarOp::Axis) c.index = index();
    std::vector<DType> types;
    for (int i = 0; i < def_of(op).arity; ++i) {
      if (i) expect(",");
      c.args[i] = value(&types.emplace_back());
    }
    expect(")");
    const ScalarRule rule = def_of(op).rule;
    if (rule != ScalarRule::Leaf && rule != ScalarRule::Cast && infer_scalar(op, types) != t)
      fail(fmt::format("{} does not give {} for these operands", def_of(op).name, name_of(t)));
    c.result = new_value(result, t);
    return c;
  }

  Kernel k_;
  std::map<std::string, int> buffers_;
  std::map<Value, DType> types_;
  std::set<int> vars_;
  int depth_ = 0;
};

}  // namespace

Kernel parse_kernel(std::string_view text, uint32_t file) {
  Parser p(text, file);
  Kernel k = p.kernel();
  if (!p.at_end()) p.fail("expected the end of the text after the kernel");
  return k;
}

Kernel parse_kernel_at(std::string_view text, size_t& at, uint32_t file) {
  Parser p(text, file, at);
  Kernel k = p.kernel();
  at = p.position();
  return k;
}

}  // namespace gradc::kernel
