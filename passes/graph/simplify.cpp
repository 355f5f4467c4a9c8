// Rewrites of elementwise nodes by rules, which are rows of a table in the text of the graph's ops, and pads
// of pads. All of them keep every bit of the value. They stand before differentiation, since the derivative
// of a simple form is the better one: softplus has one at its kink.
#include "passes/graph/simplify.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstdlib>
#include <map>
#include <memory>

#include "passes/graph/expand.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using namespace graph;

// Letters are values, the same letter the same value; numbers are constants, told apart by their sign too.
// x + 0 is not x: the sum of -0 and 0 is 0.
constexpr RewriteRule kRules[] = {
    {"neg(neg(x))", "x"},
    {"abs(neg(x))", "abs(x)"},
    {"abs(abs(x))", "abs(x)"},
    {"not(not(p))", "p"},
    {"and(p, p)", "p"},
    {"or(p, p)", "p"},
    {"max(x, x)", "x"},
    {"min(x, x)", "x"},
    {"mul(x, 1)", "x"},
    {"div(x, 1)", "x"},
    {"sub(x, 0)", "x"},
    {"add(x, -0)", "x"},
    {"mul(neg(x), neg(y))", "mul(x, y)"},
    {"add(x, neg(y))", "sub(x, y)"},
    {"sub(x, neg(y))", "add(x, y)"},
    {"select(p, x, x)", "x"},
    {"select(not(p), x, y)", "select(p, y, x)"},
    {"add(max(x, 0), log1p(exp(neg(abs(x)))))", "softplus(x)"},
};

// A rule's side: an op over patterns, a letter, or a number.
struct Pattern {
  const OpDef* op = nullptr;
  std::vector<Pattern> args;
  char letter = 0;
  double number = 0;
};

class PatternParser {
 public:
  explicit PatternParser(std::string_view text) : t_(text) {}
  Pattern parse() {
    while (t_.starts_with(' ') || t_.starts_with(',')) t_.remove_prefix(1);
    Pattern p;
    if (t_[0] == '-' || std::isdigit(static_cast<unsigned char>(t_[0]))) {
      size_t n = 1;
      while (n < t_.size() && std::isdigit(static_cast<unsigned char>(t_[n]))) ++n;
      p.number = std::atof(std::string(t_.substr(0, n)).c_str());
      t_.remove_prefix(n);
      return p;
    }
    size_t n = 0;
    while (n < t_.size() && (std::isalnum(static_cast<unsigned char>(t_[n])) || t_[n] == '_')) ++n;
    const std::string_view word = t_.substr(0, n);
    t_.remove_prefix(n);
    if (n == 1 && !t_.starts_with('(')) return p.letter = word[0], p;
    p.op = &op(word);
    t_.remove_prefix(1);
    while (!t_.starts_with(')')) p.args.push_back(parse());
    t_.remove_prefix(1);
    return p;
  }

 private:
  std::string_view t_;
};

struct ParsedRule {
  Pattern from, to;
};
using RuleTable = std::multimap<const OpDef*, ParsedRule>;

RuleTable parse_rules() {
  RuleTable table;
  for (const RewriteRule& r : kRules) {
    ParsedRule p{PatternParser(r.from).parse(), PatternParser(r.to).parse()};
    table.emplace(p.from.op, std::move(p));
  }
  return table;
}

class Simplifier {
 public:
  Simplifier(Builder& b, const RuleTable& rules) : b_(b), rules_(rules) {}

  NodeId apply(NodeId n) {
    constexpr int kMost = 8;  // each rule leaves less, so chains of them are short
    for (int i = 0; i < kMost; ++i) {
      const NodeId next = once(n);
      if (next == n) break;
      n = next;
    }
    return n;
  }

 private:
  using Letters = std::map<char, NodeId>;

  NodeId once(NodeId n) {
    for (auto [it, end] = rules_.equal_range(b_[n].op); it != end; ++it) {
      Letters letters;
      if (!matches(it->second.from, n, letters)) continue;
      const NodeId made = build(it->second.to, letters);
      if (b_.type(made) == b_.type(n)) return made;
    }
    return n;
  }

  static bool commutes(const OpDef* op) {
    using enum ScalarOp;
    for (ScalarOp s : {Add, Mul, Max, Min, And, Or})
      if (op->scalar == s) return true;
    return false;
  }

  bool matches(const Pattern& p, NodeId n, Letters& letters) const {
    if (p.letter) {
      auto [it, fresh] = letters.emplace(p.letter, n);
      return fresh || it->second == n;
    }
    if (!p.op) return is_number(n, p.number);
    if (b_[n].op != p.op) return false;
    const Operands& q = b_[n].operands;
    const Letters before = letters;
    auto in_order = [&](bool swapped) {
      for (size_t i = 0; i < q.size(); ++i)
        if (!matches(p.args[i], q[swapped ? q.size() - 1 - i : i], letters)) return false;
      return true;
    };
    if (in_order(false)) return true;
    letters = before;
    return commutes(p.op) && in_order(true);
  }

  // A constant with this value, possibly broadcast; sizes of dimensions are seen through.
  bool is_number(NodeId n, double number) const {
    while (b_[n].op->name == "broadcast" || b_[n].op->name == "reshape") n = b_[n].operands[0];
    if (b_[n].op->name != "constant") return false;
    const double value = b_[n].attrs.number("value");
    return value == number && std::signbit(value) == std::signbit(number);
  }

  NodeId build(const Pattern& p, const Letters& letters) {
    if (p.letter) return letters.at(p.letter);
    std::vector<NodeId> operands;
    for (const Pattern& a : p.args) operands.push_back(build(a, letters));
    return b_.make(*p.op, std::move(operands));
  }

  Builder& b_;
  const RuleTable& rules_;
};

bool adds_only(const Shape& amounts) {
  return std::all_of(amounts.begin(), amounts.end(),
                     [](const Dim& d) { return d.is_constant() && d.constant_part() >= 0; });
}

// A padded tensor that is padded again with the same value, along other axes say, is padded once: that is one
// copy, and its cotangent is cut along all axes at once, which `algebra` looks for.
NodeId joined_pads(Builder& b, NodeId outer) {
  const NodeId inner = b[outer].operands[0];
  if (b[inner].op != b[outer].op) return outer;
  const Attrs &in = b[inner].attrs, &out = b[outer].attrs;
  const std::vector<int64_t> interior = out.integers("interior");
  const bool spread = std::any_of(interior.begin(), interior.end(), [](int64_t n) { return n != 0; });
  const double value = in.number("value");
  if (spread || std::bit_cast<int64_t>(value) != std::bit_cast<int64_t>(out.number("value"))) return outer;
  Shape low = out.shape("low"), high = out.shape("high");
  for (const Shape& amounts : {low, high, in.shape("low"), in.shape("high")})
    if (!adds_only(amounts)) return outer;
  for (size_t i = 0; i < low.size(); ++i) {
    low[i] = low[i] + in.shape("low")[i];
    high[i] = high[i] + in.shape("high")[i];
  }
  const NodeId x = b[inner].operands[0];
  return b.make("pad", {x},
                {{"low", low}, {"high", high}, {"interior", in.shape("interior")}, {"value", value}});
}

Function simplify_function(const Function& f, const Module& m, const RuleTable& rules) {
  return rebuild(f, m, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
    const bool pad = f[i].op->name == "pad";
    if (!f[i].op->scalar && !pad) return std::nullopt;
    const NodeId copy = copy_node(b, f, i, made);
    const NodeId n = pad ? joined_pads(b, copy) : Simplifier(b, rules).apply(copy);
    if (const std::string* name = f.names.find(i)) b.name(n, *name);
    return std::vector<NodeId>{n};
  });
}

}  // namespace

std::span<const RewriteRule> rewrite_rules() { return kRules; }

Module simplify(const Module& m) {
  const RuleTable rules = parse_rules();
  return each_function(
      m, [&](const Function& f, const Module& all) { return simplify_function(f, all, rules); });
}

}  // namespace gradc::passes
