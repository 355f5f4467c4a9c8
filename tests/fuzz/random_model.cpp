#include "fuzz/random_model.h"

#include <fmt/format.h>

#include <map>
#include <random>

namespace gradc::fuzz {
namespace {

struct Var {
  std::string name;
  std::vector<int> dims;  // after the batch
};

constexpr int kClasses = 3, kTokens = 5;

const char* const kDeclarations = R"(fn second(x) {
  a, b = x
  return a + b
}
fn half(x, k=2) = x / k
fn twice(x, f) = f(f(x))
fn pair(x) = (x + 1, tanh(x))
fn normed(x) {
  m = mean(x, over=-1, keep=true)
  return x - m
}
layer Residual{k, act=relu}(x: [..., d]) -> [..., d] {
  require k > 0, "a width, not {k}"
  return x + (x |> LayerNorm{} as "norm" |> Dense{k} |> act |> Dense{d})
}
layer Gate{n}(x: [..., d]) -> y: [..., n] {
  param w: [d, n] = glorot(fan_in=d, fan_out=n)
  param v: [d, n] = normal(0.2)
  y[..., o] = (sum[i] x[..., i] * w[i, o]) * sigmoid(sum[j] x[..., j] * v[j, o])
}
layer Running{rate=0.1}(x: [B, d]) -> [B, d] {
  state m: [d] = 0
  state n: [] = 0
  y = x - m
  m = (1 - rate) * m + rate * (mean[b] stop_gradient(x)[b, :])
  n = n + 1
  return y
}
layer Noisy{}(x: [...]) -> y: [...] {
  param scale: [] = 0.5
  y = x * scale
  if training { y = y + 0.1 * (random(shape(x)) - 0.5) } else { y = y * 1 }
}
layer Cell{n}(x: [B, d], h: [B, n]) -> h: [B, n] {
  param w: [d + n, n] = orthogonal()
  param b: [n] = 0.1
  h = tanh(concat(x, h) @ w + b)
}
layer Two{n}(x: [..., d]) -> (a: [..., n], b: [..., d]) {
  inner = Dense{n}
  a = inner(x) |> tanh
  repeat 2 { a = a + 0.1 * inner(x) }
  b = x - mean(a, over=-1, keep=true)
}
layer LSTM{n}(x: [B, d], h: [B, n], c: [B, n]) -> (h: [B, n], c: [B, n]) {
  param w: [d + n, 4 * n] = glorot(fan_in=d + n, fan_out=n)
  param b: [4 * n] = blocks(0, 1, 0, 0)
  i, f, g, o = split(concat(x, h) @ w + b, 4)
  c = sigmoid(f) * c + sigmoid(i) * tanh(g)
  h = sigmoid(o) * tanh(c)
}
fn distance(a, b) {
  r[i, j] = sum[k] (a[i, k] - b[j, k]) ** 2
  return r
}
layer Momentum{beta=0.8}(p: [...], g: [...], lr, step) -> p {
  state m: [...] = 0
  m = beta * m + g * (1 if step > 0 else 0.5)
  p -= lr * sign(m) * abs(m)
}
)";

// Statements that make $r from $x (and $w of the same rank), and the dimensions of $r after the batch. $n is
// a new width, $k a small number, $p and $q are new names.
struct Row {
  const char *text, *dims;
};

// $x: [B, d], $w: [B, e]
const Row kVectors[] = {
    {"$r = $x |> Dense{$n$init} |> $act", "n"},
    {"$r = $x |> Dense{$n} |> $act", "n"},
    {"$r = $x |> $act", "d"},
    {"$r = $x |> LayerNorm{} |> Dropout{0.3}", "d"},
    {"$r = $x |> Residual{$n, act=$act1}", "d"},
    {"$r = $x |> Gate{$n} as \"gate.$r\"", "n"},
    {"$r = $x |> Running{}", "d"},
    {"$r = $x |> Noisy{}", "d"},
    {"$r = $x\nrepeat i in $k { $r = $r |> Residual{$n} as \"$r.{i}\" }", "d"},
    {"$r = $x\nrepeat $k { $r = $r + half($r * $r) }", "d"},
    {"$r = $x\nrepeat i in 2 { repeat j in $k { $r = tanh($r) + (i + j) * $x }; $r = $r |> LayerNorm{} }",
     "d"},
    {"$p = Dense{$d}\n$r = $x |> $p |> tanh |> $p |> Dense{$n}", "n"},
    {"$p = Dense{$d}\n$r = $p($x) + stop_gradient($p($x * 2)) - $x", "d"},
    {"$r = stop_gradient($x |> Dense{$n})", "n"},
    {"$p = Cell{$k}\n$q = zeros([B, $k])\nscan t_$p in $d { $q = $p($x[:, t_$p:t_$p + 1], $q);  $r[:, t_$p] "
     "= $q }",
     "dk"},
    {"$p = LSTM{$k}\n$q, $r = zeros([B, $k]), zeros([B, $k])\nscan t_$p in $few { $q, $r = $p($x[:, "
     "t_$p:t_$p + 1], $q, $r) }",
     "k"},
    {"$q = tanh($x)\n$r = $q + grad(sum(($q |> $act) * $q), $q)", "d"},
    {"$r = $x + grad(sum($x |> Dense{$n} |> tanh), $x)", "d"},
    {"$q = $x * 0.5\n$p = grad(sum(sin($q) * $q), $q)\n$r = grad(sum($p * $p), $q)", "d"},
    {"$q = $x * 1\nscan 3 { $q = $q - 0.1 * grad(sum(cos($q) + $q * $q), $q) }\n$r = $q", "d"},
    {"if training { $r = $x * 2 } else { $r = tanh($x) }", "d"},
    {"const c_$r = $k\nif c_$r > 2 { $r = $x } else if c_$r == 2 { $r = -$x } else { $r = $x * $x }", "d"},
    {"param $p: [$d, $n] = normal(0.3)\n$r = $x @ $p", "n"},
    {"param $p: [$d, $n] = orthogonal()\n$r[b, o] = sum[i] $x[b, i] * $p[i, o] * $p[i, o]", "n"},
    {"$r, $q = $x |> Two{$n}", "n"},
    {"$q, $r = $x |> Two{$n}", "d"},
    {"state $p: [$d] = 0.5\n$r = $x - $p\n$p = 0.9 * $p + 0.1 * stop_gradient(mean($x, over=0))", "d"},
    {"state $p: [$d] = 0.5\n$p = 0.9 * $p + 0.1 * stop_gradient(max($x, over=0))\n$r = $x * $p", "d"},
    {"$r[b, i, j] = $x[b, i] * $w[b, j]", "de"},
    {"$r[b, i, j] = $x[b, i] if $w[b, j] > 0 else 0.25 * j", "de"},
    {"$r[b, i] = softmax[i] $x[b, i]", "d"},
    {"$r[b, i] = sum[j where j <= i] $x[b, j] + 0.5 * $x[b, i]", "d"},
    {"$r[b, i] = $x[b, i] * (max[j where j != i] $x[b, j] if $d > 1 else 1)", "d"},
    {"$r[b, i] = $x[b, i] * i + $x[b, 0] - $x[b, -1]", "d"},
    {"$r[b, i] = $x[b, i] * (sum[j] $w[b, j] * $w[b, j])", "d"},
    {"$r[b] = logsumexp[i] $x[b, i]", ""},
    {"$r[b] = mean[i where $x[b, i] > 0] $x[b, i]", ""},
    {"$r[b] = prod[i] (0.5 * $x[b, i] + 1)", ""},
    {"$r[b] = sum[i, j] $x[b, i] * $w[b, j] * $x[b, i]", ""},
    {"$r = $reduce($x, over=1)", ""},
    {"$r = pick($x, argmax($x))", ""},
    {"$r = prod($x * 0.5 + 1, over=1)", ""},
    {"$q[a, b] = sum[i] $x[a, i] * $x[b, i]\n$r[b, i] = sum[a] $q[b, a] * $x[a, i] / 20", "d"},
    {"$q = exp(-distance($x, $x))\n$r[b, i] = sum[a] $q[b, a] * $x[a, i]", "d"},
    {"$r = concat($x, $w, over=1)[:, 0:$d]", "d"},
    {"$r = $x[:, $half:] + mean($x, over=1, keep=true)", "h"},
    {"$r = $x if $x > mean($x, over=-1, keep=true) else -0.5 * $x", "d"},
    {"$r = maximum($x, 0.1) - minimum($x * $x, 2)", "d"},
    {"$r = $x - mean($x, over=0)", "d"},
    {"$r = (max($x, over=0)) - $x + min($x)", "d"},
    {"$r = $x * mean($x) + sum($w) / count($w)", "d"},
    {"$r = stop_gradient($x) * sqrt(abs($x) + 0.1) + $x / (1 + $x ** 2)", "d"},
    {"$r = $x * float($x > 0 and not $x > 1)", "d"},
    {"$r = i32($x * 3) // 2 + u8(abs($x)) + 0.5 * $x", "d"},
    {"$r = transpose(transpose($x) * B / (B + 1))", "d"},
    {"$r, $q = pair($x)\n$r, $q = $q, $r\n$r += $q; $r *= 0.5", "d"},
    {"$q, $p = split(concat($x, $x * $x), 2)\n$r = $q - $p", "d"},
    {"$r = unstack(reshape(concat($x, 2 * $x), [B, 2, $d]), over=1) |> second", "d"},
    {"$q = pad($x, 1, over=1)\n$r = max(windows($q, 3, over=1), over=-1)", "d"},
    {"$q = pad($x, 1, 0, over=1)\nparam $p: [2] = normal(0.5)\n$r[b, i] = sum[u] $q[b, i + u] * $p[u]", "d"},
};

// $x, $w: [B]
const Row kScalars[] = {
    {"$r = $x * $w + B", ""},
    {"$r = tanh($x) / (1 + abs($w))", ""},
    {"$r = $x - mean($w)", ""},
    {"$r[b, i] = $x[b] * i + $w[b] * arange($n)[i]", "n"},
    {"$r[i, j] = $x[i] if $w[i] > j else 0 * ones([$n])[j]", "n"},
    {"$r = reshape($x, [B, 1]) |> Dense{$n}", "n"},
};

// $x: [B, d, e]
const Row kMatrices[] = {
    {"$r = flatten($x)[:, 0:$e]", "e"},
    {"$r = $reduce($x, over=1)", "e"},
    {"$r = logsumexp($x, over=1)", "e"},
    {"$r = $reduce($x, over=[1, 2])", ""},
    {"$r = $x |> Dense{$k} |> $act", "dk"},
    {"$r = $x |> Gate{$k}", "dk"},
    {"$r = $x |> Conv1d{$k, k=3, padding=1} |> $act", "dk"},
    {"$r = $x |> Conv1d{$k, k=2, padding=\"same\", dilation=2}", "dk"},
    {"$r = $x |> BatchNorm{}", "de"},
    {"$r = $x |> reshape([B, $d, $e, 1]) |> Conv2d{$k, k=3, padding=1} |> MaxPool2d{3, 1, 1} |> max(over=-1)",
     "de"},
    {"$r = $x |> reshape([B, $d, $e, 1]) |> Conv2d{2, k=2, padding=\"same\"} |> AvgPool2d{3, 1, 1} |> "
     "sum(over=-1)",
     "de"},
    {"$r = $x |> Conv1d{$e, groups=$e, padding=1}", "de"},
    {"$r = transpose($x, [0, 2, 1])", "ed"},
    {"$r = $x |> LayerNorm{}", "de"},
    {"$r = $x[:, 0]", "e"},
    {"$r = squeeze($x[..., $last:$e], over=2)", "d"},
    {"$r[b, i] = sum[j] $x[b, i, j] * $x[b, i, j] / $e", "d"},
    {"$r[b, i, j] = $x[b, i, j] - max[k] $x[b, i, k]", "de"},
    {"$r[b, i, j] = softmax[j where j <= i] $x[b, i, j]", "de"},
    {"$r[b, j, i] = $x[b, i, j] * i - $x[b, -1, 0]", "ed"},
    {"$r = softmax($x, over=1) + reshape(reshape($x, [B, -1]), [B, $d, $e])", "de"},
    {"$r = prod(concat($x, $x * 2, over=1) * 0.2 + 1, over=1, keep=true) |> squeeze(over=1)", "e"},
    {"$r = $x - $reduce($x, over=0) * $x", "de"},
    {"$p, $q = $x |> Dense{2 * $e} |> reshape([B, $d, 2, $e]) |> unstack(over=2)\n"
     "s_$r[b, i, j] = sum[c] $p[b, i, c] * $q[b, j, c] / sqrt($e)\n"
     "a_$r[b, i, j] = softmax[j where j $mask i] s_$r[b, i, j]\n"
     "$r[b, i, c] = sum[j] a_$r[b, i, j] * $x[b, j, c]",
     "de"},
};

// of the tokens t: [B, $t]
const Row kTokenRows[] = {
    {"$r = t |> Embed{5, $n}", "tn"},
    {"$r = one_hot(t, 5)", "t5"},
    {"$r = t / 4 + (t // 2)", "t"},
    {"$r = 1 if t > 2 else 0.25 * t", "t"},
    {"$r = float(t[:, 0]) + 0.5", ""},
    {"param $p: [5, $n] = normal(0.5)\n$r[b, i] = sum[j] take($p, t)[b, j, i] * (j + 1)", "n"},
    {"$r[b] = mean[i where i < t[b, 0]] x[b, i]", ""},
    {"$r[b, i] = softmax[i where i <= t[b, 0]] x[b, i]", "x"},
    {"$p = Embed{5, $n}\n$r = mean($p(t), over=1) + sum($p(1 + t // 2), over=1)", "n"},
};

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  ModelText make() {
    m_.batch = pick({1, 2, 3, 5, 8}), m_.rows = 5 + below(9);
    m_.wide = below(4) == 0, m_.fma = below(6) != 0;
    inputs();
    for (int i = 3 + below(7); i > 0; --i) statement();
    finish();
    return m_;
  }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<uint64_t>(n)); }
  int pick(std::initializer_list<int> of) { return of.begin()[below(static_cast<int>(of.size()))]; }
  std::string word(std::initializer_list<const char*> of) {
    return of.begin()[below(static_cast<int>(of.size()))];
  }
  // Mostly small; sometimes at and beyond the edges of lanes and tiles.
  int width() { return below(6) ? 1 + below(6) : pick({8, 16, 17, 31, 33, 64, 70}); }
  std::string fresh() { return fmt::format("v{}", count_++); }
  void line(const std::string& s) { body_ += "  " + s + "\n"; }
  std::vector<Var> of_rank(size_t rank) const {
    std::vector<Var> fit;
    for (const Var& v : vars_)
      if (v.dims.size() == rank) fit.push_back(v);
    return fit;
  }
  const Var& some(const std::vector<Var>& of) {
    return of[static_cast<size_t>(below(static_cast<int>(of.size())))];
  }

  std::string activation() {
    return word({"relu",        "tanh",         "sigmoid",   "gelu",
                 "gelu_tanh",   "silu",         "softplus",  "leaky_relu",
                 "abs",         "sin",          "normed",    "softmax",
                 "log_softmax", "clamp(-1, 1)", "half(k=3)", "leaky_relu(slope=0.2)",
                 "twice(tanh)", "erf",          "round",     "floor",
                 "half"});
  }
  std::string initialiser() {
    return word({"", ", init=he", ", init=lecun_uniform", ", init=normal(0.3)", ", init=uniform(-0.2, 0.4)",
                 ", init=orthogonal(gain=0.5)", ", bias=false", ", bias=false, init=constant(0.1)"});
  }

  template <size_t N>
  void make(const Row (&rows)[N], const Var& x, const Var& w) {
    const Row& row = rows[below(static_cast<int>(N))];
    const int d = x.dims.empty() ? 1 : x.dims[0], e = x.dims.size() > 1 ? x.dims[1]
                                                      : w.dims.empty()  ? 1
                                                                        : w.dims[0];
    const std::map<char, int> sizes = {
        {'d', d},         {'e', e},       {'n', width()}, {'k', 1 + below(4)},
        {'h', d - d / 2}, {'t', tokens_}, {'5', kTokens}, {'x', vars_[0].dims[0]}};
    const std::string r = fresh();
    std::map<std::string, std::string> words = {{"r", r},
                                                {"x", x.name},
                                                {"w", w.name},
                                                {"p", fresh()},
                                                {"q", fresh()},
                                                {"act", activation()},
                                                {"init", initialiser()},
                                                {"act1", word({"relu", "gelu", "silu"})},
                                                {"reduce", word({"sum", "mean", "max", "min"})},
                                                {"mask", word({"<=", "<", "!=", ">="})},
                                                {"half", std::to_string(d / 2)},
                                                {"last", std::to_string(e - 1)},
                                                {"few", std::to_string(std::min(d, 6))}};
    for (const auto& [letter, size] : sizes)
      if (letter != 'x' && letter != 'h') words[std::string(1, letter)] = std::to_string(size);
    std::vector<int> dims;
    int64_t count = 1;
    for (const char* c = row.dims; *c; ++c) dims.push_back(sizes.at(*c)), count *= dims.back();
    if (count > 400 ||
        (x.dims.size() == 1 && d > 20 && std::string(row.text).find("scan") != std::string::npos))
      return;
    fill(row.text, words);
    vars_.push_back({r, dims});
  }
  void fill(const std::string& text, const std::map<std::string, std::string>& words) {
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '$') {
        out += text[i] == '\n' ? "\n  " : std::string(1, text[i]);
        continue;
      }
      size_t end = i + 1;
      while (end < text.size() && std::isalnum(static_cast<unsigned char>(text[end]))) ++end;
      out += words.at(text.substr(i + 1, end - i - 1));
      i = end - 1;
    }
    line(out);
  }

  void statement() {
    const std::vector<Var> scalars = of_rank(0), vectors = of_rank(1), matrices = of_rank(2);
    const int kind = below(10);
    if (kind == 0 && tokens_ > 0) return make(kTokenRows, vars_[0], vars_[0]);
    if (kind < 3 && !scalars.empty()) return make(kScalars, some(scalars), some(scalars));
    if (kind < 6 && !matrices.empty()) return make(kMatrices, some(matrices), some(matrices));
    make(kVectors, some(vectors), some(vectors));
  }

  void inputs() {
    const int d = width();
    vars_.push_back({"x", {d}});
    for (int i = 0; i < d; ++i) fields_ += fmt::format("{}\"x{}\"", i ? ", " : "", i);
    fields_ = "x = columns(" + fields_ + ")";
    signature_ = fmt::format("x: [B, {}]", d);
    if (below(2)) {
      tokens_ = 1 + below(3);
      signature_ += fmt::format(", t: i32[B, {}]", tokens_);
      std::string names;
      for (int i = 0; i < tokens_; ++i) names += fmt::format("{}\"t{}\"", i ? ", " : "", i);
      fields_ += ", t = columns(" + names + ", i32)";
    }
    if (below(3) == 0) {
      signature_ += ", s: [B]", fields_ += ", s = column(\"s\")";
      vars_.push_back({"s", {}});
    }
    fields_ += ", y = column(\"y\", i32), z = column(\"z\")";
    table(d);
    if (below(4) == 0) line("v_s = x |> Standardize{}"), vars_.push_back({"v_s", {d}});
    if (below(8) == 0)
      line("v_w = x |> Standardize{eps=0.5} |> Standardize{}"), vars_.push_back({"v_w", {d}});
    for (int i = tokens_ > 0 ? 1 + below(3) : 0; i > 0; --i) make(kTokenRows, vars_[0], vars_[0]);
  }

  void table(int d) {
    for (int i = 0; i < d; ++i) m_.csv += fmt::format("x{},", i);
    for (int i = 0; i < tokens_; ++i) m_.csv += fmt::format("t{},", i);
    m_.csv += "s,y,z\n";
    for (int64_t r = 0; r < m_.rows; ++r) {
      for (int i = 0; i < d; ++i) m_.csv += fmt::format("{},", (below(4001) - 2000) / 1000.0);
      for (int i = 0; i < tokens_; ++i) m_.csv += fmt::format("{},", below(kTokens));
      m_.csv += fmt::format("{},{},{}\n", (below(2001) - 1000) / 500.0, below(kClasses),
                            (below(2001) - 1000) / 500.0);
    }
  }

  // The last values feed both results, so that most parameters have gradients.
  void finish() {
    const Var v = vars_.back();
    std::string h = v.name;
    if (v.dims.empty()) h = fmt::format("reshape({}, [B, 1])", v.name);
    if (v.dims.size() == 2) h = fmt::format("flatten({})", v.name);
    line(fmt::format("h = concat(tanh({}), {})", h, some(of_rank(1)).name));
    line(fmt::format("logits = h |> Dense{{{}}}", kClasses));
    line("p = h |> Dense{1} |> squeeze(over=1)");
    const bool digit = below(2), extra = below(3) == 0;
    if (digit) line("c = argmax(logits)");
    m_.text = kDeclarations;
    m_.text += fmt::format("model m({}) -> (logits: [B, {}], p: [B]{}{}) {{\n{}", signature_, kClasses,
                           digit ? ", c: i32[B]" : "", extra ? ", e" : "", body_);
    if (extra) m_.text += "  e = " + some(of_rank(1)).name + " * 3\n";
    m_.text += "}\n";
    data();
    train(digit);
  }

  void data() {
    const std::string shuffle = below(2) ? " |> shuffle(seed=3)" : "";
    has_val_ = below(2);
    m_.text += "data d {\n  all = csv(\"rows.csv\", " + fields_ + ")" + shuffle + "\n";
    m_.text += has_val_ ? "  train, val = all |> split(70%, 30%)\n}\n" : "  train = all\n}\n";
  }
  void train(bool digit) {
    m_.text += "train m on d {\n  loss = " +
               word({"cross_entropy(logits, y) + 0.1 * mse(p, z)", "mse(p, z) + mean(logits ** 2)",
                     "huber(p, z) + l1(p, z) + cross_entropy(logits, y)",
                     "bce_with_logits(p, float(y > 0)) + 0.1 * mean(softmax(logits)[:, 0])",
                     "mean((1 if y > 1 else 0.5) * (p - z) ** 2) + sum(logits * logits) / 100",
                     "mean(log1p(exp(-p * z))) + cross_entropy(logits, y)"}) +
               "\n";
    if (below(2)) m_.text += "  metric a = accuracy(" + std::string(digit ? "c" : "logits") + ", y)\n";
    if (below(2)) m_.text += "  metric r = r2(p, z)\n";
    if (below(3) == 0) m_.text += "  metric worst = mean(abs(p - z)) / (1 + mean(abs(z)))\n";
    m_.text +=
        "  optimizer = " +
        word({"sgd{}", "sgd{momentum=0.9, nesterov=true}", "rmsprop{momentum=0.5}", "adagrad{}", "adadelta{}",
              "adam{}", "adam{weight_decay=0.1}", "adamw{weight_decay = 0.1 if rank(param) >= 2 else 0}",
              "Momentum{}", "Momentum{beta=0.5}"}) +
        "\n  lr = " + word({"0.01", "cosine(1e-2, 1e-3, warmup=1)", "step_decay(0.05, 0.5, 1)", "1e-3"}) +
        "\n";
    if (below(3) == 0) m_.text += "  clip = norm(0.5)\n";
    if (has_val_ && below(2)) m_.text += "  keep = best(min = val.loss)\n";
    m_.text += fmt::format("  batch = {}; steps = 2; seed = {}\n}}\n", m_.batch, below(100));
  }

  std::mt19937_64 random_;
  ModelText m_;
  std::vector<Var> vars_;
  std::string signature_, fields_, body_;
  int count_ = 0, tokens_ = 0;
  bool has_val_ = false;
};

}  // namespace

ModelText random_model(uint64_t seed) { return Generator(seed).make(); }

}  // namespace gradc::fuzz
