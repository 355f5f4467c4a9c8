// Both sides of every rewrite rule, on ordinary numbers, signed zeros, infinities, NaN and denormals, bit for
// bit.
#include <gtest/gtest.h>

#include <cctype>
#include <limits>
#include <set>

#include "ir/interp/interpret.h"
#include "passes/graph/simplify.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

// A side of a rule as graph text; returns the name of its value.
class Side {
 public:
  explicit Side(std::string_view text) : t_(text) { result_ = value(); }
  std::string body, result_;
  std::set<char> letters;

 private:
  std::string value() {
    while (t_.starts_with(' ') || t_.starts_with(',')) t_.remove_prefix(1);
    size_t n = 1;
    while (n < t_.size() && (std::isalnum(static_cast<unsigned char>(t_[n])) || t_[n] == '_')) ++n;
    const std::string word(t_.substr(0, n));
    t_.remove_prefix(n);
    const std::string name = fmt::format("v{}", ++made_);
    if (word[0] == '-' || std::isdigit(static_cast<unsigned char>(word[0]))) {
      body += fmt::format("  %{} = constant() {{value={}.0, dtype=f32, shape=[12]}}\n", name, word);
      return name;
    }
    if (!t_.starts_with('(')) return letters.insert(word[0]), word;
    t_.remove_prefix(1);
    std::string args;
    while (!t_.starts_with(')')) args += (args.empty() ? "%" : ", %") + value();
    t_.remove_prefix(1);
    body += fmt::format("  %{} = {}({})\n", name, word, args);
    return name;
  }
  std::string_view t_;
  int made_ = 0;
};

Tensor evaluate(std::string_view rule, bool logical, const std::vector<Tensor>& args) {
  const Side s(rule);
  const graph::Module m = graph::parse(
      fmt::format("func @f(%p: bool[12], %x: f32[12], %y: f32[12]) -> ({}[12]) {{\n{}  return %{}\n}}\n",
                  logical ? "bool" : "f32", s.body, s.result_));
  return std::move(interpret(m, m.at("f"), args)[0]);
}

TEST(Rules, BothSidesAreTheSameBits) {
  constexpr float inf = std::numeric_limits<float>::infinity(), tiny = 1e-40f;
  const float xs[] = {0.0f, -0.0f, 1, -1, inf, -inf, NAN, tiny, -tiny, 3.5f, -88.0f, 100.0f};
  std::vector<Tensor> args;
  args.emplace_back(DType::Bool, std::vector<int64_t>{12});
  for (int i = 0; i < 2; ++i) args.emplace_back(DType::F32, std::vector<int64_t>{12});
  EXPECT_GE(rewrite_rules().size(), 18u);
  for (const RewriteRule& r : rewrite_rules())
    for (int turn = 0; turn < 12; ++turn) {
      for (int i = 0; i < 12; ++i) {
        args[0].set(i, (i + turn) % 2);
        args[1].set(i, xs[i]);
        args[2].set(i, xs[(i + turn) % 12]);
      }
      const bool logical = Side(r.from).letters == std::set<char>{'p'};
      std::string why;
      EXPECT_TRUE(bit_equal(evaluate(r.from, logical, args), evaluate(r.to, logical, args), &why))
          << r.from << " against " << r.to << ": " << why;
    }
}

}  // namespace
}  // namespace gradc::passes
