// Faults planted into the text of a step, one at a time at every place where they fit: a barrier removed, a
// bound off by one, operands swapped, a rounding moved, a wrong initial value. Each must be found: by the
// reader, by the checks of the step interpreter, or by comparing bits with the graph interpreter. Where the
// faulty step still runs, compiled code must make the same mistake.
#include <regex>

#include "agree/harness.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc::test {
namespace {

struct Fault {
  std::string what, line, text;
};

// A line of step text becomes each of these; "" removes it.
struct Rule {
  const char* what;
  const char* pattern;
  const char* replacement;
};
constexpr Rule kRules[] = {
    {"barrier removed", R"(^ *barrier$)", ""},
    {"run removed", R"(^ *run .*$)", ""},
    {"run with two buffers swapped", R"(run (\d+)\((%[^,]+), (%[^,;)]+))", "run $1($3, $2"},
    {"loop one short", R"(0\.\.(.*?)( parallel| vector| unroll|) \{)", "0..$1 - 1$2 {"},
    {"loop one long", R"(0\.\.(\d+)( parallel| vector| unroll|) \{)", "0..$1 + 1$2 {"},
    {"serial loop made independent", R"((0\.\..*[^rld]) \{)", "$1 unroll {"},
    {"additions in parallel", R"(^  (for .*) \{)", "  $1 parallel {"},
    {"condition one too strict", R"(if ([^%]*%.*|[^%]*B.*) \{)", "if $1 - 1 {"},
    {"condition one too lax", R"(if ([^%]*%.*|[^%]*B.*) \{)", "if $1 + 1 {"},
    {"guard one too strict", R"( if (.*) else)", " if $1 - 1 else"},
    {"guard one too lax", R"( if (.*) else)", " if $1 + 1 else"},
    {"fill changed", R"( else [^ ]+$)", " else 1000.0"},
    {"load shifted", R"((load .*)\])", "$1 + 1]"},
    {"store shifted", R"((store .*)\])", "$1 + 1]"},
    {"store removed", R"(^ *store .*$)", ""},
    {"store twice as far", R"((store %\w+\[)(.*, |)(.*)\])", "$1$2$3*2]"},
    {"fma rounded twice", R"(^( *)(%v\d+): f32 = fma\((%v\d+), (%v\d+), (%v\d+)\)$)",
     "$1%v9999: f32 = mul($3, $4)\n$1$2: f32 = add(%v9999, $5)"},
    {"fma operands swapped", R"(fma\((%v\d+), (%v\d+), (%v\d+)\))", "fma($3, $2, $1)"},
    {"fma flag off", R"(fma=on)", "fma=off"},
    {"operands swapped", R"((sub|div|gt|lt|ge|le)\((%v\d+), (%v\d+)\))", "$1($3, $2)"},
    {"choices swapped", R"(select\((%v\d+), (%v\d+), (%v\d+)\))", "select($1, $3, $2)"},
    {"add becomes sub", R"(= add\()", "= sub("},
    {"mul becomes div", R"(= mul\()", "= div("},
    {"max becomes min", R"(= max\()", "= min("},
    {"function changed", R"(= (exp|tanh|log)\()", "= sin("},
    {"zero becomes one", R"(const\(0\.0\))", "const(1.0)"},
    {"start of a maximum", R"(const\(-inf\))", "const(1000.0)"},
    {"tree joins otherwise", R"(tree (.*) add)", "tree $1 max"},
    {"scratch buffers on one place", R"(scratch at [1-9]\d*)", "scratch at 0"},
};

// The text of a step as lines, with what surrounds each.
class Lines {
 public:
  explicit Lines(const std::string& text) {
    for (size_t at = 0, end; at < text.size(); at = end + 1) {
      end = text.find('\n', at);
      lines_.push_back(text.substr(at, end - at));
    }
  }
  size_t size() const { return lines_.size(); }
  const std::string& operator[](size_t i) const { return lines_[i]; }
  std::string with(size_t i, const std::string& line) const {
    std::string out;
    for (size_t j = 0; j < lines_.size(); ++j) out += (j == i ? line : lines_[j]) + "\n";
    return out;
  }

  // The lines from i to the end of what it opens.
  std::string block(size_t i) const {
    std::string out = lines_[i] + "\n";
    for (size_t j = i + 1; j < lines_.size() && (depth(j) > depth(i) || lines_[j].empty()); ++j)
      out += lines_[j] + "\n";
    return out;
  }
  std::string kernel_of(size_t i) const {
    while (i > 0 && !lines_[i].starts_with("kernel")) --i;
    return block(i);
  }
  // Whether a line around i matches.
  bool inside(size_t i, const std::regex& header) const {
    for (size_t j = i, d = depth(i); j-- > 0 && d > 0;) {
      if (lines_[j].empty() || depth(j) >= d) continue;
      d = depth(j);
      if (std::regex_search(lines_[j], header)) return true;
    }
    return false;
  }

 private:
  size_t depth(size_t i) const { return std::min(lines_[i].find_first_not_of(' '), lines_[i].size()); }
  std::vector<std::string> lines_;
};

// Whether a loop carries a value from one iteration to the next through a buffer, in an order that matters.
bool accumulates(const std::string& block) {
  static const std::regex stored(R"(store (%\w+\[))"), maximum(R"(= (max|min)\()");
  if (std::regex_search(block, maximum) || block.find("0..1 {") < block.find('\n')) return false;
  for (std::sregex_iterator m(block.begin(), block.end(), stored), end; m != end; ++m)
    if (block.find("load " + (*m)[1].str()) != std::string::npos) return true;
  return false;
}

// Faults that change nothing: work of the partial tile that guards or a second, equal store hide; orders that
// do not matter to a maximum; roundings that do not occur; stores that nobody reads.
bool is_harmless(const Rule& r, const Lines& lines, size_t i) {
  const std::string what = r.what;
  static const std::regex edge(R"(if -B)"), later_panel(R"(if %i\d+ - \d+ \{)"),
      rounding(R"(= (fma|tanh|exp|log|sigmoid|sin)\()"), stored(R"(store (%s\d+)\[)");
  const std::string& line = lines[i];
  if (what.starts_with("loop one")) return line.ends_with("unroll {") && lines.inside(i, edge);
  if (what == "condition one too lax")
    return std::regex_search(line, edge) || std::regex_search(line, later_panel);
  if (what == "serial loop made independent") return !accumulates(lines.block(i));
  if (what == "additions in parallel") return !lines.kernel_of(i).starts_with("kernel @scatter_add");
  if (what == "fma flag off") return !std::regex_search(lines.kernel_of(i), rounding);
  std::smatch m;
  if (what == "store removed" && std::regex_search(line, m, stored))
    return lines.kernel_of(i).find(fmt::format("load {}[", m[1].str())) == std::string::npos;
  return false;
}

std::vector<Fault> plant(const std::string& text) {
  const Lines lines(text);
  std::vector<Fault> out;
  for (const Rule& r : kRules) {
    const std::regex pattern(r.pattern);
    for (size_t i = 0; i < lines.size(); ++i)
      if (std::regex_search(lines[i], pattern) && !is_harmless(r, lines, i))
        out.push_back({r.what, fmt::format("{}: {}", i + 1, lines[i]),
                       lines.with(i, std::regex_replace(lines[i], pattern, r.replacement))});
  }
  return out;
}

enum class Finding { Nothing, Reader, Check, Bits };

class Hunt {
 public:
  Hunt(const std::string& text, const std::vector<int64_t>& batches, int lanes)
      : m_(passes::run_graph_passes(graph::parse(text))),
        f_(m_.at("f")),
        o_(options_of({lanes, {}, "", true})) {
    for (const int64_t b : batches) {
      std::map<std::string, int64_t> dims;
      for (const auto& [d, info] : f_.dims) dims[d] = b;
      args_.push_back(random_arguments(f_, dims, 1 + 31 * args_.size() * args_.size()));
      want_.push_back(interpret(m_, f_, args_.back()));
    }
    text_ = step::print(lower_function(m_, f_, o_));
  }

  const std::string& text() const { return text_; }

  Finding find(const std::string& text) {
    try {
      const step::Step s = step::parse_step(text);
      step::verify(s);
      return run(s);
    } catch (const CompileError& e) {
      why_ = e.what();
      return Finding::Reader;
    } catch (const InternalError& e) {
      why_ = e.what();
      return Finding::Check;
    }
  }
  const std::string& why() const { return why_; }

 private:
  Finding run(const step::Step& s) {
    bool same = true;
    std::vector<std::vector<Tensor>> results;
    for (size_t i = 0; i < args_.size(); ++i) {
      const auto interpreted = [&](uint64_t order) {
        return interpret_step(f_, s, args_[i], {.threads = 3, .order_seed = order});
      };
      results.push_back(interpreted(4));
      same = same && equal(want_[i], results.back()) && equal(want_[i], interpreted(5));
    }
    const CompiledFunction compiled(f_, s, o_);
    for (size_t i = 0; i < args_.size(); ++i)
      expect_equal(results[i], compiled.run(args_[i], 3), "of a faulty step, compiled");
    return same ? Finding::Nothing : Finding::Bits;
  }
  static bool equal(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    for (size_t r = 0; r < a.size(); ++r)
      if (!bit_equal(a[r], b[r])) return false;
    return true;
  }

  graph::Module m_;
  const graph::Function& f_;
  CompileOptions o_;
  std::string text_, why_;
  std::vector<std::vector<Tensor>> args_, want_;
};

// One call for each batch size, with arguments of its own. `needless`: barriers that stand although the same
// thread works on both sides.
void expect_all_found(const std::string& text, const std::vector<int64_t>& batches, int lanes,
                      int needless = 0) {
  Hunt hunt(text, batches, lanes);
  ASSERT_EQ(hunt.find(hunt.text()), Finding::Nothing) << hunt.why() << "\n" << hunt.text();
  std::map<std::string, std::map<Finding, int>> counts;
  for (const Fault& f : plant(hunt.text())) {
    SCOPED_TRACE(f.what + " at line " + f.line);
    const Finding by = hunt.find(f.text);
    ++counts[f.what][by];
    EXPECT_TRUE(by != Finding::Nothing || f.what == "barrier removed");
  }
  EXPECT_EQ(counts["barrier removed"][Finding::Nothing], needless);
  for (auto& [what, n] : counts)
    std::printf("%-32s reader %2d, checks %2d, bits %2d, not found %d\n", what.c_str(), n[Finding::Reader],
                n[Finding::Check], n[Finding::Bits], n[Finding::Nothing]);
}

TEST(PlantedFaults, Perceptron) {
  expect_all_found(R"(
func @f[B <= 9 plan 8](%x: f32[B,20], %w: f32[20,24], %b: f32[24], %v: f32[24,10]) -> (f32[B,10], f32[24] into %b) {
  %m = einsum(%x, %w) {spec="bi,ij->bj"}
  %c = broadcast(%b) {dims=[1], shape=[B,24]}
  %z = add(%m, %c)
  %h = tanh(%z)
  %y = einsum(%h, %v) {spec="bj,jk->bk"}
  %t = reduce_max(%y) {axes=[1]}
  %tb = broadcast(%t) {dims=[0], shape=[B,10]}
  %p = sub(%y, %tb)
  %s = reduce_sum(%h) {axes=[0]}
  %n = sub(%b, %s)
  return %p, %n
}
)",
                   {1, 7, 8, 9}, 4);
}

TEST(PlantedFaults, RowsLanesAndGuards) {
  expect_all_found(R"(
func @f[B <= 5 plan 4](%x: f32[B,198], %y: i32[B], %z: f32[B,6]) -> (f32[B,198], f32[B], f32[B,9]) {
  %m = reduce_sum(%x) {axes=[1]}
  %mb = broadcast(%m) {dims=[0], shape=[B,198]}
  %s = sub(%x, %mb)
  %e = exp(%s)
  %t = reduce_sum(%e) {axes=[1]}
  %r = pad(%z) {low=[0,2], high=[0,1], interior=[0,0], value=1.5}
  %class = iota() {shape=[B,9], axis=1, dtype=i32}
  %yb = broadcast(%y) {dims=[0], shape=[B,9]}
  %hit = eq(%class, %yb)
  %u = erf(%r)
  %c = select(%hit, %r, %u)
  return %e, %t, %c
}
)",
                   {1, 4, 5}, 8);
}

TEST(PlantedFaults, ControlFlow) {
  expect_all_found(R"(
func @cell(%w: f32[3,3], %h: f32[2,3], %x: f32[2,3]) -> (f32[2,3], f32[2,3]) {
  %m = einsum(%h, %w) {spec="bi,ij->bj"}
  %s = add(%m, %x)
  %t = tanh(%s)
  return %t, %s
}
func @less(%x: f32[], %n: i64[]) -> (bool[]) {
  %t = constant() {value=1.5, dtype=f32, shape=[]}
  %c = lt(%x, %t)
  return %c
}
func @grow(%x: f32[], %n: i64[]) -> (f32[], i64[]) {
  %k = constant() {value=2.0, dtype=f32, shape=[]}
  %y = mul(%x, %k)
  %a = abs(%y)
  %one = constant() {value=1, dtype=i64, shape=[]}
  %m = add(%n, %one)
  return %a, %m
}
func @f(%w: f32[3,3], %h: f32[2,3], %xs: f32[4,2,3], %a: f32[], %n: i64[], %ids: i32[6], %u: f32[6,5], %table: f32[4,5])
    -> (f32[2,3], f32[4,2,3], f32[], i64[], f32[4,5] into %table) {
  %s: (f32[2,3], f32[4,2,3]) = scan(%w, %h, %xs) {function=@cell, consts=1, carries=1, length=[4]}
  %hn = get(%s) {index=0}
  %ys = get(%s) {index=1}
  %l: (f32[], i64[]) = while(%a, %n) {condition=@less, body=@grow, bound=3}
  %x = get(%l) {index=0}
  %k = get(%l) {index=1}
  %t = scatter_add(%table, %ids, %u)
  return %hn, %ys, %x, %k, %t
}
)",
                   {0, 0, 0, 0, 0, 0, 0, 0}, 4, 1);  // the scan's body is one tile, one thread's
}

}  // namespace
}  // namespace gradc::test
