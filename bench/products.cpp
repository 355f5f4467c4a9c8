// Products of matrices by a library that others made, for bench/kernels.py to compare with:
//   c++ -O2 -std=c++20 products.cpp -ldl; products LIBRARY SYMBOL
// SYMBOL is dnnl_sgemm of oneDNN, or a cblas_sgemm, with 64-bit sizes where its name ends in 64_. Reads
// requests, one a line: `ROLE M N K ROUNDS`; answers each with the median time of a call in milliseconds.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>
#include <iostream>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr double kSample = 5e-6;  // seconds for which the clock is asked once, of several calls

struct Product {
  int64_t m, n, k;
  bool a_turned, b_turned;
  const float *a, *b;
  float* c;
  int64_t lda() const { return a_turned ? m : k; }
  int64_t ldb() const { return b_turned ? k : n; }
};

void call_onednn(void* f, const Product& p) {
  using Function = int(char, char, int64_t, int64_t, int64_t, float, const float*, int64_t, const float*,
                       int64_t, float, float*, int64_t);
  reinterpret_cast<Function*>(f)(p.a_turned ? 'T' : 'N', p.b_turned ? 'T' : 'N', p.m, p.n, p.k, 1, p.a,
                                 p.lda(), p.b, p.ldb(), 0, p.c, p.n);
}

template <class Int>
void call_cblas(void* f, const Product& p) {
  using Function =
      void(int, int, int, Int, Int, Int, float, const float*, Int, const float*, Int, float, float*, Int);
  constexpr int kRowMajor = 101, kPlain = 111, kTurned = 112;
  const auto i = [](int64_t v) { return static_cast<Int>(v); };
  reinterpret_cast<Function*>(f)(kRowMajor, p.a_turned ? kTurned : kPlain, p.b_turned ? kTurned : kPlain,
                                 i(p.m), i(p.n), i(p.k), 1, p.a, i(p.lda()), p.b, i(p.ldb()), 0, p.c, i(p.n));
}

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double median_ms(const std::function<void()>& call, int rounds) {
  double once = 0;
  for (int i = 0; i < 5; ++i) {
    const double start = seconds();
    call();
    once = seconds() - start;
  }
  const int calls = static_cast<int>(std::ceil(kSample / std::max(once, 1e-8)));
  std::vector<double> times;
  for (int r = 0; r < rounds; ++r) {
    const double start = seconds();
    for (int i = 0; i < calls; ++i) call();
    times.push_back((seconds() - start) / calls);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2] * 1e3;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  void* library = dlopen(argv[1], RTLD_NOW);
  void* function = library ? dlsym(library, argv[2]) : nullptr;
  if (!function) return std::cerr << dlerror() << '\n', 1;
  const std::string symbol = argv[2];
  const auto call = symbol.starts_with("dnnl") ? call_onednn
                    : symbol.ends_with("64_")  ? call_cblas<int64_t>
                                               : call_cblas<int32_t>;
  std::string role;
  int rounds = 0;
  for (Product p{}; std::cin >> role >> p.m >> p.n >> p.k >> rounds;) {
    p.a_turned = role == "TN", p.b_turned = role == "NT";
    std::mt19937 random(1);
    std::uniform_real_distribution<float> draw(-0.5F, 0.5F);
    std::vector<float> a(static_cast<size_t>(p.m * p.k)), b(static_cast<size_t>(p.k * p.n)),
        c(static_cast<size_t>(p.m * p.n));
    for (float& v : a) v = draw(random);
    for (float& v : b) v = draw(random);
    p.a = a.data(), p.b = b.data(), p.c = c.data();
    std::cout << median_ms([&] { call(function, p); }, rounds) << std::endl;
  }
}
