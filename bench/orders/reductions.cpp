// Hard reductions in the orders of docs/numerics.md, each beside the fastest form here that no order binds,
// on one thread. The ordered forms are checked against the order written out one term at a time, bit for bit.
//   g++ -O3 -march=native -std=c++20 -ffp-contract=fast bench/orders/reductions.cpp -o /tmp/reductions &&
//   /tmp/reductions
// Vectors of 16 are fast with AVX-512; fused multiply-adds are needed for the checks to hold.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace {

using Vector = float __attribute__((vector_size(64)));
constexpr int kWidth = 16, kLanes = 64;
using Floats = std::vector<float>;

Vector load(const float* p) {
  Vector v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
void store(float* p, const Vector& v) { std::memcpy(p, &v, sizeof v); }
// One rounding: the compiler contracts this where the processor has the instruction (checked below).
Vector fma(const Vector& a, const Vector& b, const Vector& c) { return a * b + c; }
Vector splat(float x) { return Vector{} + x; }

Floats numbers(size_t n) {
  static uint64_t s = 1;
  Floats x(n);
  for (float& v : x) {
    s = s * 6364136223846793005ULL + 1442695040888963407ULL;
    v = static_cast<float>(static_cast<double>(s >> 11) * 0x1p-53 - 0.5);
  }
  return x;
}

// The tree of the order `lanes`.
float tree(const float* lanes) {
  float v[kLanes];
  std::copy_n(lanes, kLanes, v);
  for (int stride = kLanes / 2; stride > 0; stride /= 2)
    for (int l = 0; l < stride; ++l) v[l] += v[l + stride];
  return v[0];
}
float any_sum(const Vector& v) {
  float s = 0;
  for (int i = 0; i < kWidth; ++i) s += v[i];
  return s;
}

struct Form {
  const char* name;
  std::function<void()> run;
};

// Alternating rounds, the least time of each form.
void measure(const char* what, double operations, const std::vector<Form>& forms) {
  std::vector<double> best(forms.size(), 1e300);
  for (int round = 0; round < 40; ++round)
    for (size_t i = 0; i < forms.size(); ++i) {
      const auto from = std::chrono::steady_clock::now();
      forms[i].run();
      const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - from;
      best[i] = std::min(best[i], ms.count());
    }
  std::printf("%s\n", what);
  for (size_t i = 0; i < forms.size(); ++i)
    std::printf("  %-58s %8.3f ms  %6.1f Gop/s\n", forms[i].name, best[i], operations / best[i] / 1e6);
}

void check(const char* what, float got, float want) {
  if (got == want) return;
  std::printf("%s: %a is not %a\n", what, static_cast<double>(got), static_cast<double>(want));
  std::exit(1);
}

// --- weight gradient of a convolution, images in lanes ---
//
// w[ky, kx, ci, co] = sum over y, x, image of x[y + ky, x + kx, ci, image] d[y, x, co, image]: lanes(image),
// each lane a chain over y, x. A register tile of I x O outputs takes 16 V of the 64 lanes at a time, which
// no bit shows.
struct Convolution {
  static constexpr int kImages = 64, kSize = 14, kIn = 32, kOut = 32, kTaps = 3, kRow = kSize + kTaps - 1;
  Floats x = numbers(size_t{kRow} * kRow * kIn * kImages),
         d = numbers(size_t{kSize} * kSize * kOut * kImages);
  Floats w = Floats(size_t{kTaps} * kTaps * kIn * kOut), free = w;

  const float* at_x(int y, int c, int channel) const {
    return &x[((size_t(y) * kRow + c) * kIn + channel) * kImages];
  }
  const float* at_d(int y, int c, int channel) const {
    return &d[((size_t(y) * kSize + c) * kOut + channel) * kImages];
  }

  // acc[i][o][v] += x d for the images from xs and ds on.
  template <int I, int O, int V>
  static void accumulate(Vector (&acc)[I][O][V], const float* xs, const float* ds) {
    for (int v = 0; v < V; ++v) {
      Vector a[I], b[O];
      for (int i = 0; i < I; ++i) a[i] = load(xs + i * kImages + v * kWidth);
      for (int o = 0; o < O; ++o) b[o] = load(ds + o * kImages + v * kWidth);
      for (int i = 0; i < I; ++i)
        for (int o = 0; o < O; ++o) acc[i][o][v] = fma(a[i], b[o], acc[i][o][v]);
    }
  }
  template <int I, int O, class F>
  void tiles(Floats& out, F&& each) {
    for (int tap = 0; tap < kTaps * kTaps; ++tap)
      for (int i = 0; i < kIn; i += I)
        for (int o = 0; o < kOut; o += O) {
          float sums[I][O];
          each(tap / kTaps, tap % kTaps, i, o, sums);
          for (int n = 0; n < I * O; ++n)
            out[(size_t(tap) * kIn + i + n / O) * kOut + o + n % O] = sums[n / O][n % O];
        }
  }
  template <int I, int O, int V>
  void ordered() {
    tiles<I, O>(w, [&](int ky, int kx, int i, int o, float(&sums)[I][O]) {
      float lanes[I][O][kLanes];
      for (int q = 0; q < kLanes; q += V * kWidth) {
        Vector acc[I][O][V] = {};
        for (int y = 0; y < kSize; ++y)
          for (int c = 0; c < kSize; ++c) accumulate(acc, at_x(y + ky, c + kx, i) + q, at_d(y, c, o) + q);
        for (int n = 0; n < I * O; ++n)
          for (int v = 0; v < V; ++v) store(lanes[n / O][n % O] + q + v * kWidth, acc[n / O][n % O][v]);
      }
      for (int n = 0; n < I * O; ++n) sums[n / O][n % O] = tree(lanes[n / O][n % O]);
    });
  }
  void unordered() {
    tiles<4, 4>(free, [&](int ky, int kx, int i, int o, float(&sums)[4][4]) {
      Vector acc[4][4][1] = {};
      for (int y = 0; y < kSize; ++y)
        for (int c = 0; c < kSize; ++c)
          for (int q = 0; q < kImages; q += kWidth)
            accumulate(acc, at_x(y + ky, c + kx, i) + q, at_d(y, c, o) + q);
      for (int n = 0; n < 16; ++n) sums[n / 4][n % 4] = any_sum(acc[n / 4][n % 4][0]);
    });
  }
  void checked() {
    float lanes[kLanes] = {};
    for (int y = 0; y < kSize; ++y)
      for (int c = 0; c < kSize; ++c)
        for (int b = 0; b < kLanes; ++b)
          lanes[b] = __builtin_fmaf(at_x(y + 1, c + 2, 5)[b], at_d(y, c, 7)[b], lanes[b]);
    check("convolution", w[((size_t{1} * kTaps + 2) * kIn + 5) * kOut + 7], tree(lanes));
  }
  void run() {
    ordered<2, 2, 4>(), checked();
    ordered<4, 2, 2>(), checked();
    ordered<4, 4, 1>(), checked();
    measure("weight gradient of a 3 x 3 convolution, 64 images of 14 x 14, 32 to 32 channels",
            2.0 * kTaps * kTaps * kIn * kOut * kSize * kSize * kImages,
            {{"lanes(image, 64), 2 x 2 outputs, 64 lanes at a time", [&] { ordered<2, 2, 4>(); }},
             {"lanes(image, 64), 4 x 2 outputs, 32 lanes at a time", [&] { ordered<4, 2, 2>(); }},
             {"lanes(image, 64), 4 x 4 outputs, 16 lanes at a time", [&] { ordered<4, 4, 1>(); }},
             {"no order: 4 x 4 outputs, 16 sums", [&] { unordered(); }}});
  }
};

// --- batch normalisation: sums of x and x*x over batch, rows and columns ---
//
// lanes(image, 64) over parts of 256 positions, the parts joined pairwise.
struct BatchNorm {
  static constexpr int kImages = 64, kPlaces = 28 * 28, kChannels = 64, kPart = 256;
  Floats x = numbers(size_t{kChannels} * kPlaces * kImages), sums = Floats(2 * kChannels), free = sums;

  static void lanes_of(const float* x, int n, float (&sum)[kLanes], float (&square)[kLanes]) {
    Vector s[4] = {}, q[4] = {};
    for (int p = 0; p < n; ++p)
      for (int v = 0; v < 4; ++v) {
        const Vector e = load(x + p * kImages + v * kWidth);
        s[v] += e, q[v] = fma(e, e, q[v]);
      }
    for (int v = 0; v < 4; ++v) store(sum + v * kWidth, s[v]), store(square + v * kWidth, q[v]);
  }
  // A binary counter of partial results, as the order `pairwise`.
  static float pairwise(const std::vector<float>& parts) {
    float level[32];
    size_t count = 0;
    for (float v : parts) {
      int l = 0;
      for (; count >> l & 1; ++l) v = level[l] + v;
      level[l] = v, ++count;
    }
    float sum = 0;
    for (int l = 0; count >> l; ++l)
      if (count >> l & 1) sum = level[l] + sum;
    return sum;
  }
  void ordered() {
    std::vector<float> s, q;
    for (int c = 0; c < kChannels; ++c) {
      s.clear(), q.clear();
      for (int p = 0; p < kPlaces; p += kPart) {
        float sum[kLanes], square[kLanes];
        lanes_of(&x[(size_t(c) * kPlaces + p) * kImages], std::min(kPart, kPlaces - p), sum, square);
        s.push_back(tree(sum)), q.push_back(tree(square));
      }
      sums[2 * c] = pairwise(s), sums[2 * c + 1] = pairwise(q);
    }
  }
  void unordered() {
    for (int c = 0; c < kChannels; ++c) {
      Vector s[4] = {}, q[4] = {};
      const float* from = &x[size_t(c) * kPlaces * kImages];
      for (int p = 0; p < kPlaces; ++p)
        for (int v = 0; v < 4; ++v) {
          const Vector e = load(from + p * kImages + v * kWidth);
          s[v] += e, q[v] = fma(e, e, q[v]);
        }
      free[2 * c] = any_sum(s[0] + s[1] + s[2] + s[3]), free[2 * c + 1] = any_sum(q[0] + q[1] + q[2] + q[3]);
    }
  }
  void run() {
    ordered();
    std::vector<float> s, q;
    for (int p = 0; p < kPlaces; p += kPart) {
      float sum[kLanes] = {}, square[kLanes] = {};
      for (int e = p; e < std::min(p + kPart, kPlaces); ++e)
        for (int b = 0; b < kLanes; ++b) {
          const float v = x[(size_t{3} * kPlaces + e) * kImages + b];
          sum[b] += v, square[b] = __builtin_fmaf(v, v, square[b]);
        }
      s.push_back(tree(sum)), q.push_back(tree(square));
    }
    check("batch norm, sum", sums[6], pairwise(s));
    check("batch norm, squares", sums[7], pairwise(q));
    measure("batch norm's two sums, 64 images of 28 x 28, 64 channels", 3.0 * static_cast<double>(x.size()),
            {{"lanes(image, 64), parts of 256 positions, pairwise", [&] { ordered(); }},
             {"no order", [&] { unordered(); }}});
  }
};

// --- outer products: out[r, c] += a[k, r] b[k, c] ---
//
// `Rows` x 64 outputs in registers, a chain over k that starts from what stands in `out`.
template <int Rows>
void outer(const float* a, size_t a_row, const float* b, size_t b_row, int terms, float* out,
           size_t out_row) {
  Vector acc[Rows][4];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < 4; ++v) acc[r][v] = load(out + r * out_row + v * kWidth);
  for (int k = 0; k < terms; ++k) {
    Vector column[4];
    for (int v = 0; v < 4; ++v) column[v] = load(b + k * b_row + v * kWidth);
    for (int r = 0; r < Rows; ++r) {
      const Vector row = splat(a[k * a_row + r]);
      for (int v = 0; v < 4; ++v) acc[r][v] = fma(row, column[v], acc[r][v]);
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < 4; ++v) store(out + r * out_row + v * kWidth, acc[r][v]);
}
template <int Rows>
void product(const float* a, int rows, const float* b, int columns, int terms, float* out) {
  for (int c = 0; c < columns; c += 64)
    for (int r = 0; r < rows; r += Rows)
      outer<Rows>(a + r, rows, b + c, columns, terms, out + size_t(r) * columns + c, columns);
}

// --- dV (and dK, which is the same) of attention ---
//
// v[j, :] = sum over i of p[i, j] o[i, :] for every head: a chain over the queries i, whose blocks go on from
// what stands in v, so that the blocks of a fused attention do not show in the bits.
struct Attention {
  static constexpr int kHeads = 16, kLength = 256, kDepth = 64, kBlock = 64;
  Floats p = numbers(size_t{kHeads} * kLength * kLength), o = numbers(size_t{kHeads} * kLength * kDepth);
  Floats v = Floats(size_t{kHeads} * kLength * kDepth), free = v;

  void chain(int block) {
    std::fill(v.begin(), v.end(), 0.0f);
    for (int h = 0; h < kHeads; ++h)
      for (int i = 0; i < kLength; i += block)
        product<4>(&p[(size_t(h) * kLength + i) * kLength], kLength, &o[(size_t(h) * kLength + i) * kDepth],
                   kDepth, block, &v[size_t(h) * kLength * kDepth]);
  }
  // Two half chains at once: what freedom of order gives where outputs are few; here it gives nothing.
  void unordered() {
    std::fill(free.begin(), free.end(), 0.0f);
    Floats half(size_t{kLength} * kDepth);
    for (int h = 0; h < kHeads; ++h) {
      const float *ps = &p[size_t(h) * kLength * kLength], *os = &o[size_t(h) * kLength * kDepth];
      float* out = &free[size_t(h) * kLength * kDepth];
      std::fill(half.begin(), half.end(), 0.0f);
      product<4>(ps, kLength, os, kDepth, kLength / 2, out);
      product<4>(ps + kLength * kLength / 2, kLength, os + kLength * kDepth / 2, kDepth, kLength / 2,
                 half.data());
      for (size_t e = 0; e < half.size(); ++e) out[e] += half[e];
    }
  }
  void run() {
    chain(kBlock);
    float want = 0;
    for (int i = 0; i < kLength; ++i)
      want = __builtin_fmaf(p[(size_t{2} * kLength + i) * kLength + 9],
                            o[(size_t{2} * kLength + i) * kDepth + 33], want);
    check("attention", v[(size_t{2} * kLength + 9) * kDepth + 33], want);
    measure("dV of attention, 16 heads, 256 x 256, depth 64", 2.0 * kHeads * kLength * kLength * kDepth,
            {{"chain over the queries, in blocks of 64 as fused attention", [&] { chain(kBlock); }},
             {"chain over the queries, at once", [&] { chain(kLength); }},
             {"no order: two half chains", [&] { unordered(); }}});
  }
};

// --- weight gradient of a recurrent layer over time ---
//
// w = sum over t (last first), then rows of the batch, of h[t, b, :] z[t, b, :]. As a scan carries it, step
// by step, either going on with the chain from the carried w or adding each step's own chain; or all steps in
// one contraction.
struct Recurrent {
  static constexpr int kSteps = 32, kBatch = 32, kHidden = 64, kGates = 256;
  Floats h = numbers(size_t{kSteps} * kBatch * kHidden), z = numbers(size_t{kSteps} * kBatch * kGates);
  Floats w = Floats(size_t{kHidden} * kGates), step = w;

  const float* at_h(int t) const { return &h[size_t(t) * kBatch * kHidden]; }
  const float* at_z(int t) const { return &z[size_t(t) * kBatch * kGates]; }
  void carried() {
    std::fill(w.begin(), w.end(), 0.0f);
    for (int t = kSteps; t-- > 0;) product<4>(at_h(t), kHidden, at_z(t), kGates, kBatch, w.data());
  }
  void added() {
    std::fill(w.begin(), w.end(), 0.0f);
    for (int t = kSteps; t-- > 0;) {
      std::fill(step.begin(), step.end(), 0.0f);
      product<4>(at_h(t), kHidden, at_z(t), kGates, kBatch, step.data());
      for (size_t e = 0; e < w.size(); ++e) w[e] += step[e];
    }
  }
  // The chain of `carried` with the steps inside the tile.
  void at_once() {
    std::fill(w.begin(), w.end(), 0.0f);
    for (int c = 0; c < kGates; c += 64)
      for (int r = 0; r < kHidden; r += 4)
        for (int t = kSteps; t-- > 0;)
          outer<4>(at_h(t) + r, kHidden, at_z(t) + c, kGates, kBatch, &w[size_t(r) * kGates + c], kGates);
  }
  void run() {
    carried();
    float want = 0;
    for (int t = kSteps; t-- > 0;)
      for (int b = 0; b < kBatch; ++b)
        want = __builtin_fmaf(at_h(t)[b * kHidden + 5], at_z(t)[b * kGates + 77], want);
    check("recurrent, carried", w[size_t{5} * kGates + 77], want);
    at_once();
    check("recurrent, at once", w[size_t{5} * kGates + 77], want);
    measure("weight gradient of a recurrent layer, 32 steps, batch 32, 64 to 256",
            2.0 * kSteps * kBatch * kHidden * kGates,
            {{"chain over steps and batch, carried from step to step", [&] { carried(); }},
             {"the same chain, steps inside the tile", [&] { at_once(); }},
             {"a chain a step, added (what scan's gradient says today)", [&] { added(); }},
             {"no order: steps ascending, one contraction", [&] {
                std::fill(w.begin(), w.end(), 0.0f);
                product<4>(h.data(), kHidden, z.data(), kGates, kSteps * kBatch, w.data());
              }}});
  }
};

}  // namespace

int main() {
  Convolution().run();
  BatchNorm().run();
  Attention().run();
  Recurrent().run();
}
