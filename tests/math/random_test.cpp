// Random numbers: known answers of the generator (splitmix64 of a key and a counter, computed apart from this
// project in Python's integers) and what a user relies on: range, mean, variance, equal shares, independence.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "ir/interp/interpret.h"

namespace gradc {
namespace {

Tensor key(int64_t k) {
  Tensor t(DType::I64, {});
  t.as<int64_t>()[0] = k;
  return t;
}

template <class... Args>
Tensor run(const std::string& text, Args... values) {
  std::vector<Tensor> args;
  (args.push_back(std::move(values)), ...);
  const graph::Module m = graph::parse(text);
  return std::move(interpret(m, m.at("f"), args)[0]);
}

Tensor bits(int64_t k, int64_t n) {
  const std::string shape = std::to_string(n);
  return run(
      "func @f(%k: i64[]) -> (i64[" + shape + "]) { %r = rng_bits(%k) {shape=[" + shape + "]} return %r }",
      key(k));
}

std::vector<double> uniform(int64_t k, int64_t n, const std::string& type = "f64") {
  const std::string shape = "[" + std::to_string(n) + "]";
  const Tensor u = run("func @f(%b: i64" + shape + ") -> (" + type + shape +
                           ") { %r = uniform(%b) {dtype=" + type + "} return %r }",
                       bits(k, n));
  std::vector<double> x;
  for (int64_t i = 0; i < n; ++i) x.push_back(u.at(i));
  return x;
}

int64_t fold(int64_t k, int64_t counter) {
  return run("func @f(%k: i64[], %c: i64[]) -> (i64[]) { %r = rng_fold(%k, %c) return %r }", key(k),
             key(counter))
      .as<int64_t>()[0];
}

struct Known {
  int64_t key, counter;
  uint64_t bits;
};

TEST(Random, KnownAnswers) {
  const Known all[] = {
      {0, 0, 16294208416658607535U},
      {0, 1, 7960286522194355700U},
      {1, 0, 10451216379200822465U},
      {-1, 0, 16490336266968443936U},
      {-1, -1, 13029008266876403067U},
      {42, 7, 14769051326987775908U},
      {1234567, 999999, 7247091933065015275U},
      {9223372036854775807, 3, 2314904739866303483U},
      {-9223372036854775807, 1099511627776, 5176633945394355265U},
      {81985529216486895, 4611686018427387904, 4875588584070787019U},
  };
  for (const Known& k : all)
    EXPECT_EQ(static_cast<uint64_t>(fold(k.key, k.counter)), k.bits) << k.key << " " << k.counter;
  const Tensor stream = bits(1234567, 5);  // the published test vector of splitmix64
  const uint64_t published[] = {6457827717110365317U, 3203168211198807973U, 9817491932198370423U,
                                4593380528125082431U, 16408922859458223821U};
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(static_cast<uint64_t>(stream.as<int64_t>()[i]), published[i]);
}

constexpr int kDraws = 65536;
constexpr int64_t kKeys[] = {0, 1, 2, -1, 42, int64_t(1) << 40};

double correlation(const std::vector<double>& a, const std::vector<double>& b, size_t shift) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - 0.5) * (b[(i + shift) % b.size()] - 0.5);
  return sum * 12 / static_cast<double>(a.size());
}

double chi_square(const std::vector<double>& counts, double expected) {
  double chi = 0;
  for (double c : counts) chi += (c - expected) * (c - expected) / expected;
  return chi;
}

TEST(Random, UniformNumbersAreIn0To1WithTheMomentsOfTheDistribution) {
  for (const char* type : {"f32", "f64"})
    for (int64_t k : kKeys) {
      SCOPED_TRACE(k);
      double sum = 0, square = 0;
      std::vector<double> bins(64);
      for (double x : uniform(k, kDraws, type)) {
        ASSERT_TRUE(x >= 0 && x < 1) << x;
        sum += x, square += (x - 0.5) * (x - 0.5);
        bins[static_cast<size_t>(x * 64)] += 1;
      }
      EXPECT_NEAR(sum / kDraws, 0.5, 4 * std::sqrt(1.0 / 12 / kDraws));
      EXPECT_NEAR(square / kDraws, 1.0 / 12, 4 * std::sqrt(1.0 / 180 / kDraws));
      const double chi = chi_square(bins, kDraws / 64.0);
      EXPECT_TRUE(chi > 26 && chi < 113) << chi;  // 63 degrees of freedom, two times in ten thousand
    }
}

TEST(Random, TheLargestBitsStayBelow1) {
  for (const char* type : {"f32", "f64"}) {
    const std::string t(type);
    const Tensor u =
        run("func @f(%b: i64[]) -> (" + t + "[]) { %r = uniform(%b) {dtype=" + t + "} return %r }", key(-1));
    EXPECT_LT(u.at(0), 1) << type;
    EXPECT_GT(u.at(0), 0.9999999) << type;
  }
}

TEST(Random, NeighbouringCountersAndKeysAreIndependent) {
  const double bound = 4 / std::sqrt(double(kDraws));
  for (int64_t k : kKeys) {
    SCOPED_TRACE(k);
    const std::vector<double> a = uniform(k, kDraws), b = uniform(k + 1, kDraws);
    for (size_t shift : {1, 2, 64}) EXPECT_LT(std::fabs(correlation(a, a, shift)), bound) << shift;
    for (size_t shift : {0, 1}) EXPECT_LT(std::fabs(correlation(a, b, shift)), bound) << shift;
    std::vector<double> pairs(64), keyed(64);  // 8 by 8: of neighbouring counters; of neighbouring keys
    for (size_t i = 0; i + 1 < a.size(); i += 2)
      pairs[static_cast<size_t>(a[i] * 8) * 8 + static_cast<size_t>(a[i + 1] * 8)] += 1;
    EXPECT_LT(chi_square(pairs, kDraws / 128.0), 113);
    for (size_t i = 0; i < a.size(); ++i)
      keyed[static_cast<size_t>(a[i] * 8) * 8 + static_cast<size_t>(b[i] * 8)] += 1;
    EXPECT_LT(chi_square(keyed, kDraws / 64.0), 113);
  }
}

// The first draw of each of 65,536 neighbouring seeds, as initialisers use them: by two folds.
TEST(Random, SeedsAndStepsDoNotRepeatEachOther) {
  const std::string n = std::to_string(kDraws), shape = "[" + n + "]";
  for (const char* keys : {"%a = iota() {shape=[65536], axis=0, dtype=i64} %k = rng_fold(%a, %s)",
                           "%a = iota() {shape=[65536], axis=0, dtype=i64} %k = rng_fold(%s, %a)"}) {
    Tensor site(DType::I64, {kDraws});
    for (int64_t& v : site.as<int64_t>()) v = 77;
    const Tensor u =
        run("func @f(%s: i64" + shape + ") -> (f64" + shape + ") { " + keys +
                " %z = iota() {shape=[65536], axis=0, dtype=i64} %d = sub(%z, %z) %b = rng_fold(%k, %d)"
                " %r = uniform(%b) {dtype=f64} return %r }",
            std::move(site));
    std::vector<double> x, bins(64);
    for (int64_t i = 0; i < kDraws; ++i) x.push_back(u.at(i)), bins[static_cast<size_t>(u.at(i) * 64)] += 1;
    EXPECT_LT(chi_square(bins, kDraws / 64.0), 113);
    EXPECT_LT(std::fabs(correlation(x, x, 1)), 4 / std::sqrt(double(kDraws)));
  }
}

}  // namespace
}  // namespace gradc
