// Several updates in one training step: against JAX (tests/data/two_players.py), and what they may not
// change.
#include "model/model.h"

namespace gradc {
namespace {

runtime::Array numbers(std::vector<int64_t> shape, double (*f)(double), double from, double by) {
  runtime::Array a = runtime::make_array(runtime::DType::F64, std::move(shape));
  for (int64_t i = 0; i < a.count(); ++i) a.set(i, f(from + by * static_cast<double>(i)));
  return a;
}
double sine(double v) { return std::sin(v); }
double cosine(double v) { return std::cos(v); }

const char* const kTwoPlayers = R"(
layer Critic{}(x: [B, d]) -> [B] {
  return x |> Dense{3} as "inner" |> tanh |> Dense{1} as "outer" |> squeeze(over=1)
}
model m(x: [B, 4], z: [B, 2]) -> (real: [B], fake: [B], slope: [B]) {
  D = Critic{}
  G = Dense{4}
  made = z |> G |> tanh
  real = D(x)
  fake = D(made)
  between = (x + made) / 2
  slope = sqrt(sum(grad(sum(D(between)), between)**2, over=1))
}
data d { train = csv("none.csv", x = columns("a", "b", "c", "d"), z = columns("e", "f")) }
train m on d {
  step d { params = D; loss = mean(fake) - mean(real) + 10 * mean((slope - 1)**2); FIRST }
  step g { params = G; loss = -mean(fake); SECOND }
  batch = 6
}
)";

void replace(std::string& text, const std::string& what, const std::string& by) {
  text.replace(text.find(what), what.size(), by);
}

TEST(Steps, EqualJaxTo1e12InF64) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/two_players.txt");
  int cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    const size_t tab = line.find('\t'), second = line.find('\t', tab + 1);
    SCOPED_TRACE(line.substr(0, second));
    std::string text = kTwoPlayers;
    replace(text, "FIRST", line.substr(0, tab));
    replace(text, "SECOND", line.substr(tab + 1, second - tab - 1));
    ModelOptions o;
    o.frontend.float_type = DType::F64;
    const TestModel m(text, o);
    ASSERT_TRUE(m.ok());
    runtime::Runner runner(m.compiled.program, 1);
    runner.init(0);
    runtime::SafeTensors state = runner.save();
    std::vector<std::string> names;
    for (auto& [name, a] : state.tensors)
      if (!name.starts_with("__opt__/")) {
        a = numbers(a.shape, sine, 1 + static_cast<double>(names.size()), 1);
        names.push_back(name);
      }
    ASSERT_EQ(names.size(), 6u);
    runner.load(state, "first values");
    const runtime::Array x = numbers({6, 4}, sine, 1, 1), z = numbers({6, 2}, cosine, 2, 3);
    std::istringstream values(line.substr(second + 1));
    double want = 0;
    for (int step = 0; step < 10; ++step) {
      const std::vector<int64_t> rows = {0, 1, 2, 3, 4, 5};
      runner.begin("train_step", 6);
      runner.set_rows("x", x, rows), runner.set_rows("z", z, rows);
      runner.set("step", step), runner.set("total", 10), runner.set("seed", 0);
      for (const auto& [name, v] : m.compiled.program.hyper) runner.set(name, v);
      runner.call();
      const runtime::Array losses = runner.output("loss");
      ASSERT_EQ(losses.shape, std::vector<int64_t>{2});
      for (int i = 0; i < 2; ++i) {
        ASSERT_TRUE(values >> want);
        EXPECT_NEAR(losses.at(i), want, 1e-12) << "loss " << i << " of step " << step;
      }
    }
    state = runner.save();
    for (const std::string& name : names)
      for (int64_t i = 0; i < state.tensors.at(name).count(); ++i) {
        ASSERT_TRUE(values >> want);
        EXPECT_NEAR(state.tensors.at(name).at(i), want, 1e-12) << name << " " << i;
      }
    EXPECT_FALSE(values >> want);
  }
  EXPECT_EQ(cases, 2);
}

// What a step needs beside its parameters: draws, states, a schedule, checked labels, a shifted metric. All
// engines agree, and the rates are inputs of their own.
const char* const kMixed = R"(
layer Norm{}(x: [B, d]) -> [B, d] {
  state seen: [] = 0
  if training { seen = seen + 1 }
  return x |> BatchNorm{}
}
model m(x: f32[B, 5], k: i32[B]) -> (p: [B], logits: [B, 3]) {
  E = Dense{4}
  H = Dense{3}
  h = x |> Norm{} |> Dropout{0.25} |> E |> tanh
  logits = h + (Embed{7, 4} as "table")(k + k - k) |> H
  p = sum(h, over=1)
}
data d { train = csv("none.csv", x = columns("a", "b", "c", "d", "e"), k = column("k", i32), y = column("y"), c = column("l", i32)) }
train m on d {
  step one { params = [E, "table*"]; loss = mse(p, y) + cross_entropy(logits, c); clip = norm(0.1) }
  step two { params = "H.*"; loss = cross_entropy(logits, c) + mean(p); optimizer = adam{}; lr = 0.02 }
  freeze = "norm*"
  metric gap = two.loss - one.loss
  metric r2 = r2(p, y)
  optimizer = sgd{momentum=0.9}
  lr = cosine(1e-1, 0, warmup=2)
  batch = 6
}
)";

TEST(Steps, EnginesAgree) {
  const TestModel m(kMixed);
  ASSERT_TRUE(m.ok());
  const runtime::Program& p = m.compiled.program;
  EXPECT_EQ(p.metrics, (std::vector<std::string>{"one.loss", "two.loss", "gap", "r2"}));
  EXPECT_EQ(p.hyper, (std::map<std::string, double>{{"lr:two", 0.02}}));
  for (int threads : {1, 3}) expect_same_training(m.compiled, threads, 5, 6);
}

runtime::SafeTensors trained(const Compiled& c, std::vector<double>* sums = nullptr) {
  runtime::Runner runner(c.program, 1);
  runner.init(4);
  const runtime::Dataset data = made_up(c.unit, 8, 3);
  for (int step = 0; step < 4; ++step) {
    const std::vector<int64_t> rows{0, 3, 1, 7, 5, 2};
    runner.begin("train_step", 6);
    runner.set_rows(data, rows);
    runner.set("step", step), runner.set("total", 4), runner.set("seed", 4);
    for (const auto& [name, v] : c.program.hyper) runner.set(name, v);
    runner.call();
  }
  for (int64_t i = 0; sums != nullptr && i < runner.output("sums").count(); ++i)
    sums->push_back(runner.output("sums").at(i));
  return runner.save();
}

// One update of everything is what a block without steps is.
TEST(Steps, OneStepOfAllParametersMovesNoBit) {
  const std::string model =
      "model m(x: f32[B, 5]) -> (p: [B]) { p = x |> Dense{4} |> BatchNorm{} |> Dense{1} |> squeeze(over=1) "
      "}\n"
      "data d { train = csv(\"n.csv\", x = columns(except=\"y\"), y = column(\"y\")) }\n";
  const std::string rest = "optimizer = adam{}; lr = 0.1; clip = norm(1); batch = 8 }\n";
  const TestModel plain(model + "train m on d { loss = mse(p, y); " + rest);
  const TestModel step(model + "train m on d { step all { params = \"*\"; loss = mse(p, y) }; " + rest);
  std::vector<double> a, b;
  const auto want = trained(plain.compiled, &a), got = trained(step.compiled, &b);
  EXPECT_EQ(a, b);
  ASSERT_EQ(want.tensors.size(), got.tensors.size());
  for (const auto& [name, t] : want.tensors) EXPECT_TRUE(got.tensors.at(name).bytes == t.bytes) << name;
}

// The file with every default and override written out trains what was trained.
TEST(Steps, RenderedTrainsTheSame) {
  ModelOptions o;
  o.frontend.sets = {{"train.two.optimizer", "sgd{momentum=0.5}"},
                     {"two.clip", "norm(0.2)"},
                     {"one.lr", "0.03"},
                     {"optimizer", "rmsprop{}"},
                     {"train.two.lr", "0.01"},
                     {"two.lr", "0.02"}};
  for (const char* closing : {" }", "\n  }"}) {
    std::string text = kMixed;
    replace(text, "lr = 0.02 }", std::string("lr = 0.02") + closing);
    const TestModel set(text, o);
    ASSERT_TRUE(set.ok());
    const TestModel rendered(set.compiled.unit.rendered);
    ASSERT_TRUE(rendered.ok());
    const TestModel plain(text);
    const auto want = trained(set.compiled), got = trained(rendered.compiled),
               other = trained(plain.compiled);
    ASSERT_EQ(want.tensors.size(), got.tensors.size());
    for (const auto& [name, t] : want.tensors) EXPECT_TRUE(got.tensors.at(name).bytes == t.bytes) << name;
    EXPECT_FALSE(other.tensors.at("H.weight").bytes == got.tensors.at("H.weight").bytes);
  }
}

// Updates that have nothing to do with each other leave what each leaves alone; a state goes on once a step.
TEST(Steps, ApartAsTogether) {
  const std::string model =
      "model m(x: f32[B, 5]) -> (p: [B], q: [B]) {\n  state seen: [] = 0\n  A = Dense{1}\n  C = Dense{1}\n"
      "  p = x |> A |> squeeze(over=1)\n  q = x |> C |> squeeze(over=1)\n"
      "  if training { seen = seen + 1; q = q + 0 * seen }\n}\n"
      "data d { train = csv(\"n.csv\", x = columns(except=\"y\"), y = column(\"y\")) }\n";
  const std::string a = "params = A; loss = mse(p, y)", c = "params = C; loss = mse(q, y); lr = 0.05";
  const std::string rest = "; optimizer = adam{}; lr = 0.1; batch = 8 }\n";
  const TestModel both(model + "train m on d { step a { " + a + " }; step c { " + c + " }" + rest);
  const TestModel first(model + "train m on d { step a { " + a + " }; freeze = \"C.*\"" + rest);
  const TestModel second(model + "train m on d { step c { " + c +
                         " }; freeze = \"A.*\"; optimizer = adam{}; batch = 8 }\n");
  const auto got = trained(both.compiled), one = trained(first.compiled), two = trained(second.compiled);
  EXPECT_EQ(got.tensors.at("seen").at(0), 4);
  for (const auto& [name, t] : got.tensors) {
    const runtime::SafeTensors& want = name.find("C.") == std::string::npos ? one : two;
    EXPECT_TRUE(want.tensors.at(name).bytes == t.bytes) << name;
  }
}

}  // namespace
}  // namespace gradc
