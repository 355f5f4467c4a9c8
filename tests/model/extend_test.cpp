// A text by one token at a time has the bits of the whole window: random causal models, by the interpreter
// and compiled, against @predict at every place.
#include <array>
#include <random>

#include "model/model.h"
#include "model/temp_folder.h"
#include "runtime/error.h"
#include "runtime/runner.h"

namespace gradc {
namespace {

constexpr int64_t kPlaces = 32, kSymbols = 11;

class Draw {
 public:
  explicit Draw(uint64_t seed) : random_(seed) {}
  int64_t below(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  template <class T>
  T of(std::initializer_list<T> list) {
    return list.begin()[below(static_cast<int64_t>(list.size()))];
  }

 private:
  std::mt19937_64 random_;
};

std::string mixer(Draw& d, int64_t width) {
  const int64_t heads = d.of({1, 2, 4}), kv_heads = d.of<int64_t>({1, heads});
  switch (d.below(8)) {
    case 0:
      return "Attention{2, causal=true}";
    case 1:
      return fmt::format("Attention{{{}, kv_heads={}, causal=true, bias={}}}", heads, kv_heads,
                         d.of({"true", "false"}));
    case 2:
      return fmt::format("Attention{{{}, kv_heads={}, causal=true, rotary=true}}", heads, kv_heads);
    case 3:
      return "Near{}";
    case 4:
      return "SoFar{}";
    case 5:
      return "Back{}";
    default:
      return fmt::format("{}{{{}}}", d.of({"GRU", "LSTM", "RNN"}), width);
  }
}

// Attention to the last three places; sums of all so far; a convolution over the last three.
constexpr const char* kLayers = R"(layer Near{}(x: [B, T, D]) -> [B, T, D] {
  q, k, v = Dense{D}(x), Dense{D}(x), Dense{D}(x)
  s[b, i, j] = sum[c] q[b, i, c] * k[b, j, c]
  a[b, i, j] = softmax[j where j <= i and i - j < 3] s[b, i, j]
  y[b, i, c] = sum[j] a[b, i, j] * v[b, j, c]
  return y
}
layer SoFar{}(x: [B, T, D]) -> [B, T, D] {
  z = tanh(Dense{D}(x))
  y[b, i, c] = sum[j where j <= i] z[b, j, c] + x[b, i, c]
  return y
}
layer Back{}(x: [B, T, D]) -> [B, T, D] {
  param w: [3, D, D] = glorot(fan_in=3 * D, fan_out=3 * D)
  p = pad(tanh(x), 2, 0, over=1)
  y[b, t, o] = sum[u, c] p[b, t + u, c] * w[u, c, o]
  return y
}
)";

std::string model_text(Draw& d) {
  const int64_t width = d.of({8, 16});
  const std::string norm = d.of({"LayerNorm{}", "RMSNorm{}"});
  std::string body = fmt::format("  h = Embed{{{}, {}}}(x)\n", kSymbols, width);
  if (d.below(2) == 0) body += fmt::format("  h += Embed{{{}, {}}}(arange({}))\n", kPlaces, width, kPlaces);
  for (int64_t block = 0, blocks = 1 + d.below(2); block < blocks; ++block) {
    body += fmt::format("  h += h |> {} |> {}\n", norm, mixer(d, width));
    body += fmt::format("  h += h |> {} |> Dense{{{}}} |> {} |> Dense{{{}}}\n", norm, 2 * width,
                        d.of({"gelu", "relu", "tanh"}), width);
  }
  return fmt::format(
      "{}model m(x: i32[B, {}]) -> (logits: [B, {}, {}]) {{\n{}  logits = h |> {} |> Dense{{{}}}\n}}\n",
      kLayers, kPlaces, kPlaces, kSymbols, body, norm, kSymbols);
}

std::vector<double> row(const runtime::Array& a) {
  std::vector<double> out;
  for (int64_t i = 0; i < a.count(); ++i) out.push_back(a.at(i));
  return out;
}

runtime::Array tokens_of(std::span<const int32_t> ids) {
  runtime::Array a = runtime::make_array(runtime::DType::I32, {1, static_cast<int64_t>(ids.size())});
  for (size_t i = 0; i < ids.size(); ++i) a.set_whole(static_cast<int64_t>(i), ids[i]);
  return a;
}

class Rows {
 public:
  explicit Rows(const Compiled& c) : runner_(c.program, 1) { runner_.init(5); }

  // The logits at every place.
  std::vector<std::vector<double>> whole(std::span<const int32_t> ids) {
    runner_.begin("predict", 1);
    call(ids);
    std::vector<std::vector<double>> rows;
    for (int64_t p = 0; p < kPlaces; ++p)
      rows.push_back(row(runner_.output("logits", std::array{int64_t{0}, p})));
    return rows;
  }
  std::vector<double> next(int64_t place, int32_t id) {
    runner_.begin("extend");
    runner_.set("place", static_cast<double>(place));
    call(std::array{id});
    return row(runner_.output("logits"));
  }

 private:
  void call(std::span<const int32_t> ids) {
    const int64_t only = 0;
    runner_.set_rows("x", tokens_of(ids), std::span(&only, 1));
    runner_.call();
  }
  runtime::Runner runner_;
};

// From the first place on, and behind a window of which `known` places are the text's.
void expect_same_rows(const Compiled& c, std::span<const int32_t> ids, size_t known = 7) {
  Rows rows(c);
  const std::vector<std::vector<double>> whole = rows.whole(ids);
  std::vector<int32_t> begun(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(known));
  begun.resize(ids.size(), 0);
  for (const bool from_whole : {false, true}) {
    if (from_whole && !c.extended.from_whole) break;
    if (from_whole) rows.whole(begun);
    for (size_t p = from_whole ? known : 0; p < ids.size(); ++p)
      EXPECT_EQ(rows.next(static_cast<int64_t>(p), ids[p]), whole[p])
          << "place " << p << (from_whole ? " behind a window" : "");
  }
}

void expect_same_meaning(const Compiled& c, std::span<const int32_t> ids) {
  Reference reference(c);
  std::map<std::string, Tensor> inputs;
  inputs["seed"] = scalar(DType::I64, 5);
  reference.call("init", inputs);
  const auto tokens = [](std::span<const int32_t> list) {
    Tensor t(DType::I32, {1, static_cast<int64_t>(list.size())});
    for (size_t i = 0; i < list.size(); ++i) t.set(static_cast<int64_t>(i), list[i]);
    return t;
  };
  inputs["x"] = tokens(ids);
  const Tensor whole = reference.call("predict", inputs).at("logits").clone();
  for (int64_t p = 0; p < kPlaces; ++p) {
    inputs["x"] = tokens(ids.subspan(static_cast<size_t>(p), 1));
    inputs["place"] = scalar(DType::I32, static_cast<double>(p));
    const Tensor logits = reference.call("extend", inputs).at("logits").clone();
    for (int64_t i = 0; i < kSymbols; ++i)
      EXPECT_EQ(logits.at(i), whole.at(p * kSymbols + i)) << "place " << p << ", symbol " << i;
  }
}

struct MaskCase {
  const char* where;
  bool causal;
};

// A mask that lets a later place through is found out, one that does not is trusted to the bit.
TEST(Extend, KnowsCausalMasks) {
  for (const MaskCase& mask :
       {MaskCase{"j <= i", true}, MaskCase{"j < i", true}, MaskCase{"j == i", true},
        MaskCase{"j <= i and i - j < 2", true}, MaskCase{"j <= i + 1", false}, MaskCase{"i <= j", false},
        MaskCase{"i - j < 3", false}, MaskCase{"j < 2", false}}) {
    std::string layers = kLayers;
    const std::string own = "j <= i and i - j < 3";
    layers.replace(layers.find(own), own.size(), mask.where);
    ModelOptions o;
    o.extend = true;
    const TestModel m(layers +
                          "model m(x: i32[B, 12]) -> (logits: [B, 12, 11]) {\n"
                          "  logits = Embed{11, 8}(x) |> Near{} |> Dense{11}\n}\n",
                      o);
    SCOPED_TRACE(mask.where);
    EXPECT_EQ(m.compiled.extended.refusal.empty(), mask.causal) << m.compiled.extended.refusal;
    if (mask.causal) expect_same_rows(m.compiled, std::vector<int32_t>{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8});
  }
}

// Long windows are computed in chunks, but not where one place more is asked for.
TEST(Extend, KnowsLongWindows) {
  ModelOptions o;
  o.extend = true;
  const std::string text = std::string(kLayers) +
                           "model m(x: i32[B, 512]) -> (logits: [B, 512, 11]) {\n"
                           "  logits = Embed{11, 8}(x) |> Near{} |> Dense{11}\n}\n";
  EXPECT_EQ(TestModel(text, o).compiled.extended.refusal, "");
  o.extend = false;
  EXPECT_NE(graph::print(TestModel(text, o).compiled.primitive).find("concat"), std::string::npos);
}

TEST(Extend, GivesTheBitsOfTheWholeWindow) {
  const char* given = std::getenv("GRADC_MODELS");
  const uint64_t models = given != nullptr ? std::strtoull(given, nullptr, 10) : 8;
  for (uint64_t seed = 1; seed <= models; ++seed) {
    Draw d(seed);
    const std::string text = model_text(d);
    SCOPED_TRACE(fmt::format("seed {}\n{}", seed, text));
    ModelOptions o;
    o.extend = true;
    const TestModel m(text, o);
    ASSERT_TRUE(m.ok());
    ASSERT_EQ(m.compiled.extended.refusal, "");
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < kPlaces; ++i) ids.push_back(static_cast<int32_t>(d.below(kSymbols)));
    expect_same_rows(m.compiled, ids);
    expect_same_meaning(m.compiled, ids);
  }
}

// Numbers of rows are checked as @predict checks them.
TEST(Extend, ChecksTokens) {
  ModelOptions o;
  o.extend = true;
  const TestModel m("model m(x: i32[B, 4]) -> (y: [B, 4, 5]) { y = Embed{3, 5}(x) }\n", o);
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(1);
  const auto token = [&](int32_t id, double place) {
    const int64_t only = 0;
    runner.begin("extend");
    runner.set("place", place);
    runner.set_rows("x", tokens_of(std::array{id}), std::span(&only, 1));
    runner.call();
  };
  token(2, 0);
  try {
    token(3, 1);
    FAIL() << "token 3 of 3 was taken";
  } catch (const runtime::Error& e) {
    EXPECT_STREQ(e.what(), "test.grad:1:47: index 3 at position 1, but the model needs 0..2");
  }
}

using ExtendCache = TempFolder;

TEST_F(ExtendCache, GivesTheSameProgram) {
  Draw d(3);
  const std::string text = model_text(d);
  ModelOptions o;
  o.extend = true;
  o.cache_dir = (dir / "c").string();
  const TestModel first(text, o), again(text, o);
  ASSERT_FALSE(first.compiled.from_cache);
  ASSERT_TRUE(again.compiled.from_cache);
  EXPECT_EQ(again.compiled.program.state_bytes, first.compiled.program.state_bytes);
  std::vector<int32_t> ids{3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8};
  ids.resize(kPlaces, 7);
  expect_same_rows(again.compiled, ids);
  // What was refused is told again.
  const std::string pooled =
      "model m(x: i32[B, 4]) -> (y: [B, 4, 4]) { e = Embed{4, 4}(x); y = e + mean(e) }\n";
  const TestModel refused(pooled, o), refused_again(pooled, o);
  EXPECT_TRUE(refused_again.compiled.from_cache);
  EXPECT_NE(refused.compiled.extended.refusal, "");
  EXPECT_EQ(refused_again.compiled.extended.refusal, refused.compiled.extended.refusal);
}

TEST(Extend, IsRefusedWithThePlace) {
  const auto refusal = [](const std::string& layers) {
    ModelOptions o;
    o.extend = true;
    const TestModel m(
        fmt::format("model m(x: i32[B, 6]) -> (logits: [B, 6, 9]) {{\n  h = Embed{{9, 8}}(x)\n{}\n  logits = "
                    "Dense{{9}}(h)\n}}\n",
                    layers),
        o);
    EXPECT_TRUE(m.compiled.program.entry("extend") == nullptr);
    return m.compiled.extended.refusal;
  };
  EXPECT_EQ(refusal("  h = Attention{2}(h)").substr(0, 12), "std/nn.grad:");
  EXPECT_EQ(refusal("  h = h + mean(h)"),
            "test.grad:3:11: reduce_sum f32[1] has no axis along which it depends on no later of the 6 "
            "places of x");
}

}  // namespace
}  // namespace gradc
