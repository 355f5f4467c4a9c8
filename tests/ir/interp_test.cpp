// The graph interpreter against results worked out by hand: orders of reductions, special values, control
// flow.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ir/interp/interpret.h"

namespace gradc {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor tensor(DType t, std::vector<int64_t> shape, const std::vector<double>& values) {
  Tensor out(t, std::move(shape));
  for (size_t i = 0; i < values.size(); ++i) out.set(static_cast<int64_t>(i), values[i]);
  return out;
}

std::vector<Tensor> run(const std::string& text, const std::vector<Tensor>& args) {
  const graph::Module m = graph::parse(text);
  return interpret(m, m.at("f"), args);
}

// f32 values whose sum depends on the order.
std::vector<double> rough(int n) {
  std::vector<double> v;
  for (int i = 0; i < n; ++i) v.push_back(static_cast<float>(std::sin(i * 12.9898) * std::pow(10.0, i % 7)));
  return v;
}

float chain_sum(const std::vector<double>& v) {
  float s = 0;
  for (double x : v) s += static_cast<float>(x);
  return s;
}
float lane_sum(const std::vector<double>& v) {
  float lane[64] = {};
  for (size_t i = 0; i < v.size(); ++i) lane[i % 64] += static_cast<float>(v[i]);
  for (int s = 32; s > 0; s /= 2)
    for (int l = 0; l < s; ++l) lane[l] += lane[l + s];
  return lane[0];
}

std::string sum_text(const std::string& type, const std::string& axes, const std::string& result,
                     const std::string& more) {
  return "func @f(%x: " + type + ") -> (" + result + ") { %y = reduce_sum(%x) {axes=" + axes + more +
         "} return %y }";
}

TEST(Interpreter, ChainAndLanesRoundInTheirOrders) {
  for (int n : {0, 1, 2, 63, 64, 65, 130, 1024, 1025, 3000}) {
    const std::vector<double> v = rough(n);
    const std::string type = "f32[" + std::to_string(n) + "]";
    const std::vector<Tensor> x = [&] {
      std::vector<Tensor> a;
      a.push_back(tensor(DType::F32, {n}, v));
      return a;
    }();
    EXPECT_EQ(run(sum_text(type, "[0]", "f32[]", ""), x)[0].as<float>()[0], chain_sum(v)) << n;
    EXPECT_EQ(run(sum_text(type, "[0]", "f32[]", ", order=\"lanes\""), x)[0].as<float>()[0], lane_sum(v))
        << n;
  }
  EXPECT_NE(chain_sum(rough(3000)), lane_sum(rough(3000)));  // else the test could not tell them apart
}

// Wide outputs take the path with a strip of accumulators, narrow ones fold: the bits must not differ.
TEST(Interpreter, OutputsSideBySideKeepTheOrder) {
  for (int wide : {1, 3, 70, 1100})
    for (int n : {5, 64, 200}) {
      const std::vector<double> v = rough(wide * n);
      const std::string type = "f32[" + std::to_string(n) + "," + std::to_string(wide) + "]";
      std::vector<Tensor> x;
      x.push_back(tensor(DType::F32, {n, wide}, v));
      const std::string result = "f32[" + std::to_string(wide) + "]";
      const Tensor chain = std::move(run(sum_text(type, "[0]", result, ""), x)[0]);
      const Tensor lanes = std::move(run(sum_text(type, "[0]", result, ", order=\"lanes\""), x)[0]);
      for (int j = 0; j < wide; ++j) {
        std::vector<double> column;
        for (int i = 0; i < n; ++i) column.push_back(v[static_cast<size_t>(i * wide + j)]);
        ASSERT_EQ(chain.as<float>()[j], chain_sum(column));
        ASSERT_EQ(lanes.as<float>()[j], lane_sum(column));
      }
    }
}

// Terms are converted, joined in f64 and rounded to f32 once, in every order and with products.
TEST(Interpreter, PartialResultsAreOfTheAccumulatorsType) {
  for (int wide : {1, 70}) {
    const int n = 200;
    const std::vector<double> v = rough(wide * n);
    std::vector<Tensor> x;
    x.push_back(tensor(DType::F32, {n, wide}, v));
    const std::string type = fmt::format("f32[{},{}]", n, wide), result = fmt::format("f32[{}]", wide);
    for (const char* order : {"chain", "lanes", "pairwise"}) {
      const auto summed = [&](const char* more) {
        return std::move(
            run(sum_text(type, "[0]", result, fmt::format(", order=\"{}\"{}", order, more)), x)[0]);
      };
      const Tensor once = summed(", accumulator=f64"), own = summed("");
      int differs = 0;
      for (int j = 0; j < wide; ++j) {
        double exact = 0;  // f64 holds these sums without an error that f32 could see
        for (int i = 0; i < n; ++i) exact += static_cast<double>(x[0].as<float>()[i * wide + j]);
        EXPECT_EQ(once.as<float>()[j], static_cast<float>(exact)) << order;
        differs += once.as<float>()[j] != own.as<float>()[j];
      }
      if (wide > 1) {
        EXPECT_GT(differs, 0) << order;
      }
    }
    const std::string text = "func @f(%a: " + type + ", %c: " + result + ") -> (" + result + ") fma=off ";
    x.push_back(tensor(DType::F32, {wide}, rough(wide)));
    const Tensor got = std::move(
        run(text + "{ %y = einsum(%a, %a, %c) {spec=\"ij,ij->j\", accumulator=f64} return %y }", x)[0]);
    for (int j = 0; j < wide; ++j) {
      double exact = static_cast<double>(x[1].as<float>()[j]);
      for (int i = 0; i < n; ++i) exact += std::pow(static_cast<double>(x[0].as<float>()[i * wide + j]), 2);
      EXPECT_EQ(got.as<float>()[j], static_cast<float>(exact));
    }
  }
}

TEST(Interpreter, FusedProductsRoundOnceAndMayStartFromAnOperand) {
  const int n = 37;
  const std::vector<double> a = rough(n), b = rough(2 * n);
  std::vector<Tensor> args;
  args.push_back(tensor(DType::F32, {1, n}, a));
  args.push_back(tensor(DType::F32, {n, 2}, b));
  args.push_back(tensor(DType::F32, {1, 2}, {0.1, -3}));
  const std::string head = "func @f(%a: f32[1,37], %b: f32[37,2], %c: f32[1,2]) -> (f32[1,2], f32[1,2]) ";
  const std::string body =
      "{ %y = einsum(%a, %b) {spec=\"ik,kj->ij\", fma=true} %z = einsum(%a, %b, %c) {spec=\"ik,kj->ij\"} "
      "return %y, %z }";
  const std::vector<Tensor> r = run(head + body, args), off = run(head + "fma=off " + body, args);
  for (int j = 0; j < 2; ++j) {
    float fused = 0, plain = args[2].as<float>()[j], unfused = 0;
    for (int k = 0; k < n; ++k) {
      const float x = static_cast<float>(a[k]), y = static_cast<float>(b[2 * k + j]);
      fused = std::fma(x, y, fused);
      unfused += x * y;
      plain += x * y;
    }
    EXPECT_EQ(r[0].as<float>()[j], fused);
    EXPECT_EQ(r[1].as<float>()[j], plain);
    EXPECT_EQ(off[0].as<float>()[j], unfused);
  }
}

TEST(Interpreter, MaximaFollowIeee) {
  std::vector<Tensor> x;
  x.push_back(tensor(DType::F64, {6}, {0.0, -0.0, kNan, 1, -kInf, -0.0}));
  x.push_back(tensor(DType::F64, {6}, {-0.0, 0.0, 1, kNan, kInf, -0.0}));
  const std::vector<Tensor> r =
      run("func @f(%a: f64[6], %b: f64[6]) -> (f64[6], f64[6], f64[]) "
          "{ %y = max(%a, %b) %z = min(%a, %b) %w = reduce_max(%a) {axes=[0]} return %y, %z, %w }",
          x);
  EXPECT_FALSE(std::signbit(r[0].at(0)) || std::signbit(r[0].at(1)));
  EXPECT_TRUE(std::signbit(r[1].at(0)) && std::signbit(r[1].at(1)) && std::signbit(r[0].at(5)));
  EXPECT_TRUE(std::isnan(r[0].at(2)) && std::isnan(r[0].at(3)) && std::isnan(r[1].at(2)) &&
              std::isnan(r[2].at(0)));
  EXPECT_EQ(r[0].at(4), kInf);
  EXPECT_EQ(r[1].at(4), -kInf);
}

TEST(Interpreter, IntegersAreTotal) {
  std::vector<Tensor> x;
  x.push_back(tensor(DType::I32, {4}, {INT32_MIN, 7, -7, 5}));
  x.push_back(tensor(DType::I32, {4}, {-1, 0, 2, 40}));
  x.push_back(tensor(DType::F32, {4}, {kNan, 1e20, -1e20, -2.9}));
  const std::vector<Tensor> r =
      run("func @f(%a: i32[4], %b: i32[4], %c: f32[4]) -> (i32[4], i32[4], i32[4], i32[4], u8[4]) "
          "{ %d = div(%a, %b) %m = rem(%a, %b) %s = shift_left(%a, %b) %i = convert(%c) {dtype=i32} %u = "
          "convert(%c) {dtype=u8} return %d, %m, %s, %i, %u }",
          x);
  const std::vector<std::vector<double>> want = {
      {INT32_MIN, 0, -3, 0}, {0, 0, -1, 5}, {0, 7, -28, 0}, {0, INT32_MAX, INT32_MIN, -2}, {0, 255, 0, 0}};
  for (size_t k = 0; k < want.size(); ++k)
    for (int i = 0; i < 4; ++i) EXPECT_EQ(r[k].at(i), want[k][static_cast<size_t>(i)]) << k << " " << i;
}

TEST(Interpreter, EmptyReductionsGiveTheIdentity) {
  std::vector<Tensor> x;
  x.push_back(Tensor(DType::F32, {2, 0}));
  const std::vector<Tensor> r =
      run("func @f(%x: f32[2,0]) -> (f32[2], f32[2], f32[2]) "
          "{ %a = reduce_sum(%x) {axes=[1]} %b = reduce_prod(%x) {axes=[1]} %c = reduce_max(%x) {axes=[1]} "
          "return %a, %b, %c }",
          x);
  EXPECT_EQ(r[0].at(1), 0);
  EXPECT_EQ(r[1].at(1), 1);
  EXPECT_EQ(r[2].at(1), -kInf);
}

TEST(Interpreter, ArgmaxTakesTheFirstAndNanBeatsAll) {
  std::vector<Tensor> x;
  x.push_back(tensor(DType::F32, {4, 3}, {1, 3, 3, 2, kNan, kNan, -kInf, -kInf, -kInf, 0.0, -0.0, -1}));
  const std::vector<Tensor> r =
      run("func @f(%x: f32[4,3]) -> (i64[4], i64[4]) { %a = argmax(%x) {axes=[1]} %b = argmin(%x) {axes=[1]} "
          "return %a, %b }",
          x);
  const double most[] = {1, 1, 0, 0}, least[] = {0, 1, 0, 2};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(r[0].at(i), most[i]) << i;
    EXPECT_EQ(r[1].at(i), least[i]) << i;
  }
}

TEST(Interpreter, IndicesClamp) {
  std::vector<Tensor> x;
  x.push_back(tensor(DType::F32, {3, 2}, {1, 2, 3, 4, 5, 6}));
  x.push_back(tensor(DType::I32, {4}, {-5, 2, 99, 1}));
  x.push_back(tensor(DType::F32, {4, 2}, {1, 1, 10, 10, 100, 100, 1000, 1000}));
  const std::vector<Tensor> r =
      run("func @f(%x: f32[3,2], %i: i32[4], %u: f32[4,2]) -> (f32[4,2], f32[3,2]) "
          "{ %a = gather(%x, %i) %b = scatter_add(%x, %i, %u) return %a, %b }",
          x);
  const double rows[] = {1, 2, 5, 6, 5, 6, 3, 4}, sums[] = {2, 3, 1003, 1004, 115, 116};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(r[0].at(i), rows[i]);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(r[1].at(i), sums[i]);
}

TEST(Interpreter, ControlFlow) {
  const std::string text = R"(
func @step(%k: f32[], %c: f32[], %x: f32[]) -> (f32[], f32[]) { %t = mul(%k, %c) %n = add(%t, %x) return %n, %t }
func @below(%c: f32[]) -> (bool[]) { %l = constant() {value=100.0, dtype=f32, shape=[]} %p = lt(%c, %l) return %p }
func @twice(%c: f32[]) -> (f32[]) { %y = add(%c, %c) return %y }
func @same(%c: f32[]) -> (f32[]) { %y = neg(%c) return %y }
func @f(%k: f32[], %c: f32[], %xs: f32[T], %p: bool[]) -> (f32[], f32[T], f32[], f32[], f32[], f32[], f32[T]) {
  %s = scan(%k, %c, %xs) {function=@step, consts=1, carries=1, length=[T]}
  %a = get(%s) {index=0}
  %b = get(%s) {index=1}
  %w = while(%c) {condition=@below, body=@twice, bound=50}
  %v = while(%c) {condition=@below, body=@twice, bound=2}
  %q = cond(%p, %c) {then=@twice, otherwise=@same}
  %r = scan(%k, %c, %xs) {function=@step, consts=1, carries=1, length=[T], reverse=true}
  %d = get(%r) {index=0}
  %e = get(%r) {index=1}
  return %a, %b, %w, %v, %q, %d, %e
})";
  for (int length : {0, 3}) {
    std::vector<Tensor> x;
    x.push_back(tensor(DType::F32, {}, {2}));
    x.push_back(tensor(DType::F32, {}, {3}));
    x.push_back(
        tensor(DType::F32, {length}, length ? std::vector<double>{1, 10, 100} : std::vector<double>{}));
    x.push_back(tensor(DType::Bool, {}, {length ? 1.0 : 0.0}));
    const std::vector<Tensor> r = run(text, x);
    EXPECT_EQ(r[0].at(0), length ? ((3 * 2 + 1) * 2 + 10) * 2 + 100 : 3);
    if (length) {
      EXPECT_EQ(r[1].at(2), 48);
      EXPECT_EQ(r[6].at(2), 3 * 2);
      EXPECT_EQ(r[6].at(0), ((3 * 2 + 100) * 2 + 10) * 2);
    }
    EXPECT_EQ(r[5].at(0), length ? ((3 * 2 + 100) * 2 + 10) * 2 + 1 : 3);
    EXPECT_EQ(r[1].count(), length);
    EXPECT_EQ(r[2].at(0), 192);  // 3, 6, ..., 96, 192
    EXPECT_EQ(r[3].at(0), 12);
    EXPECT_EQ(r[4].at(0), length ? 6 : -3);
  }
}

}  // namespace
}  // namespace gradc
