#include "fuzz/random_model.h"

#include <fmt/format.h>

namespace gradc::fuzz {
namespace {

struct Var {
  std::string name;
  std::vector<int> dims;  // after the batch
};

constexpr int kClasses = 3, kTokens = 5;

const char* const kDeclarations = R"(fn half(x, k=2) = x / k
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
layer Momentum{beta=0.8}(p: [...], g: [...], lr, step) -> p {
  state m: [...] = 0
  m = beta * m + g * (1 if step > 0 else 0.5)
  p -= lr * sign(m) * abs(m)
}
)";

class Generator {
 public:
  explicit Generator(uint64_t seed) : seed_(seed * 0x9E3779B97F4A7C15ULL + 1) {}

  ModelText make() {
    m_.batch = pick({1, 2, 3, 5, 8}), m_.rows = 5 + below(9);
    m_.wide = below(4) == 0, m_.fma = below(6) != 0;
    inputs();
    const int statements = 3 + below(6);
    for (int i = 0; i < statements; ++i) statement();
    finish();
    return m_;
  }

 private:
  int below(int n) {
    seed_ = seed_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<int>((seed_ >> 33) % static_cast<uint64_t>(n));
  }
  template <class T>
  T pick(std::initializer_list<T> of) {
    return of.begin()[below(static_cast<int>(of.size()))];
  }
  const char* text_of(std::initializer_list<const char*> of) { return pick<const char*>(of); }
  const Var& some(size_t rank) {
    std::vector<const Var*> fit;
    for (const Var& v : vars_)
      if (v.dims.size() == rank) fit.push_back(&v);
    return *fit[static_cast<size_t>(below(static_cast<int>(fit.size())))];
  }
  bool has(size_t rank) const {
    for (const Var& v : vars_)
      if (v.dims.size() == rank) return true;
    return false;
  }
  std::string fresh() { return fmt::format("v{}", count_++); }
  void line(const std::string& s) { body_ += "  " + s + "\n"; }
  void bind(const std::string& expression, std::vector<int> dims) {
    vars_.push_back({fresh(), std::move(dims)});
    line(vars_.back().name + " = " + expression);
  }
  // An index statement: `left` are the indices, %s in the text stands for nothing.
  void index(const std::string& left, const std::string& expression, std::vector<int> dims) {
    vars_.push_back({fresh(), std::move(dims)});
    line(fmt::format("{}[{}] = {}", vars_.back().name, left, expression));
  }

  void inputs() {
    const int d = 1 + below(6);
    vars_.push_back({"x", {d}});
    std::string header;
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
    if (below(4) == 0) bind("x |> Standardize{}", {d});
    if (tokens_ > 0) tokens();
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

  void tokens() {
    const int d = 1 + below(5);
    if (below(2)) bind(fmt::format("t |> Embed{{{}, {}}}", kTokens, d), {tokens_, d});
    if (below(3) == 0) bind(fmt::format("one_hot(t, {})", kTokens), {tokens_, kTokens});
    if (below(3) == 0) bind("t / 4 + (t // 2)", {tokens_});
    if (below(3) == 0) bind("1 if t > 2 else 0.25 * t", {tokens_});
    if (below(3) == 0) bind(fmt::format("f32(t[:, {}])", below(tokens_)) + " + 0.5", {}), cast_last();
  }
  // With --float f64 a cast to f32 and a float of the model would be two float types.
  void cast_last() {
    const size_t at = body_.rfind("f32(");
    body_.replace(at, 4, "float(");
  }

  std::string activation() {
    return text_of({"relu",
                    "tanh",
                    "sigmoid",
                    "gelu",
                    "gelu_tanh",
                    "silu",
                    "softplus",
                    "leaky_relu",
                    "abs",
                    "sin",
                    "half",
                    "normed",
                    "softmax",
                    "log_softmax",
                    "clamp(-1, 1)",
                    "half(k=3)",
                    "leaky_relu(slope=0.2)",
                    "twice(tanh)",
                    "erf",
                    "round",
                    "floor"});
  }
  std::string init() {
    return text_of({"", "", ", init=he", ", init=lecun_uniform", ", init=normal(0.3)",
                    ", init=uniform(-0.2, 0.4)", ", init=orthogonal(gain=0.5)", ", bias=false",
                    ", bias=false, init=constant(0.1)"});
  }

  void statement() {
    const int kind = below(12);
    if (kind == 0) return scalars();
    if (has(2) && kind < 5) return cube();
    kind % 2 ? layer() : notation();
  }

  void layer() {
    const Var v = some(1);
    const int d = v.dims[0], n = 1 + below(6);
    switch (below(12)) {
      case 0:
      case 1:
        return bind(fmt::format("{} |> Dense{{{}{}}} |> {}", v.name, n, init(), activation()), {n});
      case 2:
        return bind(v.name + " |> " + activation(), {d});
      case 3:
        return bind(v.name + " |> LayerNorm{} |> Dropout{0.3}", {d});
      case 4:
        return bind(fmt::format("{} |> Residual{{{}, act={}}}", v.name, n, text_of({"relu", "gelu", "silu"})),
                    {d});
      case 5:
        return bind(fmt::format("{} |> Gate{{{}}} as \"gate.{}\"", v.name, n, count_), {n});
      case 6:
        return bind(v.name + " |> Running{}", {d});
      case 7:
        return bind(v.name + " |> Noisy{}", {d});
      case 8:
        return repeat(v);
      case 9:
        return shared(v, n);
      case 10:
        return scan(v, n);
      default:
        return branch(v);
    }
  }
  void repeat(const Var& v) {
    vars_.push_back({fresh(), v.dims});
    const std::string& h = vars_.back().name;
    line(h + " = " + v.name);
    line(fmt::format("repeat i in {} {{ {} = {} |> Residual{{{}}} as \"{}.{{i}}\" }}", 1 + below(3), h, h,
                     1 + below(4), h));
    if (below(2)) line(fmt::format("repeat {} {{ {} = {} + half({} * {}) }}", 1 + below(3), h, h, h, h));
  }
  void shared(const Var& v, int n) {
    const std::string d = fresh();
    line(fmt::format("{} = Dense{{{}}}", d, v.dims[0]));
    bind(fmt::format("{} |> {} |> tanh |> {} |> Dense{{{}}}", v.name, d, d, n), {n});
  }
  void scan(const Var& v, int n) {
    const std::string cell = fresh(), h = fresh();
    line(fmt::format("{} = Cell{{{}}}", cell, n));
    line(fmt::format("{} = zeros([B, {}])", h, n));
    vars_.push_back({fresh(), {v.dims[0], n}});
    line(fmt::format("scan t_{} in {} {{ {} = {}({}[:, t_{}:t_{} + 1], {});  {}[:, t_{}] = {} }}", cell,
                     v.dims[0], h, cell, v.name, cell, cell, h, vars_.back().name, cell, h));
    vars_.push_back({h, {n}});
  }
  void branch(const Var& v) {
    const std::string h = fresh();
    line(fmt::format(
        "if {} {{ {} = {} * 2 }} else {{ {} = tanh({}) }}",
        text_of({"training", "B > 0 - 1", "3 > 2"}) == std::string("training") ? "training" : "3 > 2", h,
        v.name, h, v.name));
    vars_.push_back({h, v.dims});
  }

  void notation() {
    const Var v = some(1), w = some(1);
    const std::string x = v.name;
    const int d = v.dims[0], e = w.dims[0];
    switch (below(16)) {
      case 0:
        return index("b, i, j", fmt::format("{}[b, i] * {}[b, j]", x, w.name), {d, e});
      case 1:
        return index("b, i", fmt::format("softmax[i] {}[b, i]", x), {d});
      case 2:
        return index("b, i", fmt::format("sum[j where j <= i] {0}[b, j] + 0.5 * {0}[b, i]", x), {d});
      case 3:
        return index("b, i", fmt::format("{0}[b, i] * i + {0}[b, 0] - {0}[b, -1]", x), {d});
      case 4:
        return index("b", fmt::format("logsumexp[i] {}[b, i]", x), {});
      case 5:
        return index("b, i", fmt::format("{}[b, i] * (sum[j] {}[b, j] * {}[b, j])", x, w.name, w.name), {d});
      case 6:
        return index("b", fmt::format("mean[i where {0}[b, i] > 0] {0}[b, i]", x), {});
      case 7:
        return index("b", fmt::format("prod[i] ({}[b, i] + 1)", x), {});
      case 8:
        return bind(fmt::format("concat({}, {})", x, w.name), {d + e});
      case 9:
        return bind(fmt::format("{0}[:, {1}:] + mean({0}, over=1, keep=true)", x, d / 2), {d - d / 2});
      case 10:
        return bind(fmt::format("{0} if {0} > mean({0}, over=-1, keep=true) else -0.5 * {0}", x), {d});
      case 11:
        return bind(fmt::format("maximum({0}, 0.1) - minimum({0} * {0}, 2)", x), {d});
      case 12:
        return bind(fmt::format("{0} - mean({0}, over=0)", x), {d});
      case 13:
        return bind(fmt::format("stop_gradient({0}) * sqrt(abs({0}) + 0.1) + {0} / (1 + {0} ** 2)", x), {d});
      case 14:
        return tuple(v);
      default:
        return bind(fmt::format("transpose(transpose({}) * {})", x, text_of({"2", "0.5", "B"})), {d});
    }
  }
  void tuple(const Var& v) {
    const std::string a = fresh(), b = fresh();
    line(fmt::format("{}, {} = pair({})", a, b, v.name));
    line(fmt::format("{0}, {1} = {1}, {0}", a, b));
    vars_.push_back({a, v.dims}), vars_.push_back({b, v.dims});
    if (v.dims[0] % 2 == 0) {
      line(fmt::format("{}, {} = split({}, 2)", a + "l", a + "r", a));
      bind(a + "l * " + a + "r", {v.dims[0] / 2});
    }
  }

  void scalars() {
    const Var v = some(1);
    const char* op = text_of({"sum", "mean", "max", "min"});
    bind(fmt::format("{}({}, over=1)", op, v.name), {});
    const Var s = some(0);
    if (below(2)) index("b, i", fmt::format("{}[b, i] * {}[b]", v.name, s.name), v.dims);
    if (below(3) == 0) bind(fmt::format("pick({0}, argmax({0}))", v.name), {});
  }

  void cube() {
    const Var v = some(2);
    const std::string x = v.name;
    const int a = v.dims[0], c = v.dims[1], n = 1 + below(5);
    switch (below(12)) {
      case 0:
        return bind("flatten(" + x + ")", {a * c});
      case 1:
        return bind(fmt::format("{}({}, over=1)", text_of({"sum", "mean", "max", "min", "logsumexp"}), x),
                    {c});
      case 2:
        return bind(fmt::format("{} |> Dense{{{}}} |> {}", x, n, activation()), {a, n});
      case 3:
        return bind(fmt::format("transpose({}, [0, 2, 1])", x), {c, a});
      case 4:
        return attention(v);
      case 5:
        return bind(x + " |> LayerNorm{}", {a, c});
      case 6:
        return bind(fmt::format("{}[:, {}]", x, below(a)), {c});
      case 7:
        return index("b, i", fmt::format("sum[j] {0}[b, i, j] * {0}[b, i, j] / {1}", x, c), {a});
      case 8:
        return index("b, i, j", fmt::format("{}[b, i, j] - max[k] {}[b, i, k]", x, x), {a, c});
      case 9:
        return index("b, i, j", fmt::format("softmax[j where j <= i] {}[b, i, j]", x), {a, c});
      case 10:
        return bind(fmt::format("softmax({}, over=1) + reshape({}, [B, {}, {}])", x, x, a, c), {a, c});
      default:
        return bind(fmt::format("squeeze({}[..., {}:{}], over=2)", x, c - 1, c), {a});
    }
  }
  void attention(const Var& v) {
    const int a = v.dims[0], c = v.dims[1];
    const std::string q = fresh(), k = fresh(), s = fresh();
    line(fmt::format("{}, {} = {} |> Dense{{{}}} |> reshape([B, {}, 2, {}]) |> unstack(over=2)", q, k, v.name,
                     2 * c, a, c));
    line(fmt::format("{}[b, i, j] = sum[c] {}[b, i, c] * {}[b, j, c] / sqrt({})", s, q, k, c));
    line(fmt::format("{0}[b, i, j] = softmax[j where j {1} i] {0}[b, i, j]", s, text_of({"<=", "<", "!="})));
    index("b, i, c", fmt::format("sum[j] {}[b, i, j] * {}[b, j, c]", s, v.name), {a, c});
  }

  // The last values feed both results, so that most parameters have gradients.
  void finish() {
    const Var v = vars_.back();
    std::string h = v.name;
    if (v.dims.empty()) h = fmt::format("reshape({}, [B, 1])", v.name);
    if (v.dims.size() == 2) h = fmt::format("flatten({})", v.name);
    line(fmt::format("h = concat(tanh({}), {})", h, some(1).name));
    line(fmt::format("logits = h |> Dense{{{}}}", kClasses));
    line("p = h |> Dense{1} |> squeeze(over=1)");
    const bool digit = below(2), extra = below(3) == 0;
    if (digit) line("c = argmax(logits)");
    m_.text = kDeclarations;
    m_.text += fmt::format("model m({}) -> (logits: [B, {}], p: [B]{}{}) {{\n{}", signature_, kClasses,
                           digit ? ", c: i32[B]" : "", extra ? ", e" : "", body_);
    if (extra) m_.text += "  e = " + some(1).name + " * 3\n";
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
    m_.text += std::string("train m on d {\n  loss = ") +
               text_of({"cross_entropy(logits, y) + 0.1 * mse(p, z)", "mse(p, z) + mean(logits ** 2)",
                        "huber(p, z) + l1(p, z) + cross_entropy(logits, y)",
                        "bce_with_logits(p, float(y > 0)) + 0.1 * mean(softmax(logits)[:, 0])",
                        "mean((1 if y > 1 else 0.5) * (p - z) ** 2) + sum(logits * logits) / 100",
                        "mean(log1p(exp(-p * z))) + cross_entropy(logits, y)"}) +
               "\n";
    if (below(2)) m_.text += "  metric a = accuracy(" + std::string(digit ? "c" : "logits") + ", y)\n";
    if (below(2)) m_.text += "  metric r = r2(p, z)\n";
    if (below(3) == 0) m_.text += "  metric worst = mean(abs(p - z)) / (1 + mean(abs(z)))\n";
    m_.text +=
        std::string("  optimizer = ") +
        text_of({"sgd{}", "sgd{momentum=0.9, nesterov=true}", "rmsprop{momentum=0.5}", "adagrad{}",
                 "adadelta{}", "adam{}", "adam{weight_decay=0.1}",
                 "adamw{weight_decay = 0.1 if rank(param) >= 2 else 0}", "Momentum{}",
                 "Momentum{beta=0.5}"}) +
        "\n  lr = " + text_of({"0.01", "cosine(1e-2, 1e-3, warmup=1)", "step_decay(0.05, 0.5, 1)", "1e-3"}) +
        "\n";
    if (below(3) == 0) m_.text += "  clip = norm(0.5)\n";
    if (has_val_ && below(2)) m_.text += "  keep = best(min = val.loss)\n";
    m_.text += fmt::format("  batch = {}; steps = 2; seed = {}\n}}\n", m_.batch, below(100));
  }

  uint64_t seed_;
  ModelText m_;
  std::vector<Var> vars_;
  std::string signature_, fields_, body_;
  int count_ = 0, tokens_ = 0;
  bool has_val_ = false;
};

}  // namespace

ModelText random_model(uint64_t seed) { return Generator(seed).make(); }

}  // namespace gradc::fuzz
