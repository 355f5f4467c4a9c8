// Models whose states lie in other layouts, and have copies: training, evaluation, prediction, files and
// snapshots are bit for bit those of plain states; padding stays 0 and copies stay what their originals are.
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "ir/step/step.h"
#include "layouts/draw.h"
#include "model/model.h"
#include "runtime/packing.h"

namespace gradc {
namespace {

const char* kModel = R"(
model m(x: f32[B, 7], kind: i32[B]) -> (logits: [B, 5]) {
  h = x |> Standardize{} |> Dense{19} |> tanh
  e = kind |> Embed{6, 19}
  logits = (h + e) |> LayerNorm{} |> Dense{5}
}
data d { train = csv("none.csv", x = columns("a", "b", "c", "d", "e", "f", "g"), kind = column("kind", i32), y = column("y", i32)) }
train m on d {
  loss = cross_entropy(logits, y)
  metric accuracy = accuracy(logits, y)
  optimizer = adam{weight_decay=0.1}
  lr = cosine(1e-2, 1e-3, warmup=3)
  batch = 6; seed = 5
}
)";

struct Choice {
  const char* name;
  StateLayout (*of)(const frontend::StateSpec&);
};
int rank(const frontend::StateSpec& s) { return s.type.rank(); }
const Choice kChoices[] = {
    {"transposed",
     [](const frontend::StateSpec& s) -> StateLayout {
       return {test::transposed(rank(s)), {}};
     }},
    {"blocked",
     [](const frontend::StateSpec& s) -> StateLayout {
       return {test::blocked(rank(s)), {}};
     }},
    {"padded",
     [](const frontend::StateSpec& s) -> StateLayout {
       return {test::padded(rank(s)), {}};
     }},
    {"plain with a blocked copy",
     [](const frontend::StateSpec& s) -> StateLayout {
       return {{}, test::blocked(rank(s), 8)};
     }},
    {"drawn, with drawn copies",
     [](const frontend::StateSpec& s) -> StateLayout {
       const uint64_t seed = std::hash<std::string>()(s.path);
       return {test::draw_layout(s.type, seed), test::draw_layout(s.type, seed + 1)};
     }},
};

ModelOptions options_of(const Choice& c) {
  ModelOptions o;
  o.layouts = c.of;
  return o;
}

// The model, plain and with each choice, compiled once.
class LayoutsOfStates : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    plain_ = std::make_unique<TestModel>(kModel);
    for (const Choice& c : kChoices) chosen_.push_back(std::make_unique<TestModel>(kModel, options_of(c)));
  }
  static void TearDownTestSuite() { plain_.reset(), chosen_.clear(); }
  void SetUp() override {
    ASSERT_TRUE(plain_->ok());
    for (const auto& m : chosen_) ASSERT_TRUE(m->ok());
  }
  static const Compiled& plain() { return plain_->compiled; }
  static const Compiled& with(const Choice& c) {
    return chosen_[static_cast<size_t>(&c - kChoices)]->compiled;
  }

 private:
  static inline std::unique_ptr<TestModel> plain_;
  static inline std::vector<std::unique_ptr<TestModel>> chosen_;
};

runtime::Dataset data_of(const frontend::Unit& unit, int64_t rows) {
  runtime::Dataset d = made_up(unit, rows, 7);
  runtime::Array& kind = d.fields.at("kind");
  for (int64_t i = 0; i < kind.count(); ++i) kind.set(i, static_cast<double>(i % 6));
  return d;
}

// What a user sees of a program: results of fitting, three steps, an evaluation and a prediction.
struct Seen {
  std::vector<runtime::Array> arrays;
  std::vector<double> values;
  runtime::SafeTensors saved;
};

void train(runtime::Runner& r, const runtime::Dataset& data, int from, int to, Seen& seen) {
  for (int step = from; step < to; ++step) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < 6 - step % 3; ++i) rows.push_back((i * 5 + step) % data.rows);
    r.begin("train_step", static_cast<int64_t>(rows.size()));
    for (const auto& [name, field] : data.fields) r.set_rows(name, field, rows);
    for (const auto& [name, v] : std::map<std::string, double>{{"step", step}, {"total", 9}, {"seed", 5}})
      r.set(name, v);
    for (const auto& [name, v] : r.program().hyper) r.set(name, v);
    r.call();
    seen.arrays.push_back(r.output("loss"));
    seen.arrays.push_back(r.output("sums"));
  }
}

void look(runtime::Runner& r, const runtime::Dataset& data, Seen& seen) {
  runtime::Split split{&data, {0, 3, 5, 1, 8, 2, 2}};
  for (double v : r.evaluate(split, 6)) seen.values.push_back(v);
  r.begin("predict", 4);
  const std::vector<int64_t> rows{9, 4, 1, 0};
  for (const auto& [name, field] : data.fields) r.set_rows(name, field, rows);
  r.call();
  seen.arrays.push_back(r.output("logits"));
  seen.saved = r.save();
}

Seen life_of(const Compiled& c, int threads) {
  Seen seen;
  const runtime::Dataset data = data_of(c.unit, 10);
  runtime::Runner r(c.program, threads);
  r.init(5);
  r.fit({&data, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, 4);
  look(r, data, seen);
  train(r, data, 0, 5, seen);
  look(r, data, seen);
  return seen;
}

void expect_equal(const runtime::Array& a, const runtime::Array& b, const std::string& what) {
  std::string why;
  EXPECT_TRUE(bit_equal(to_tensor(a), to_tensor(b), &why)) << what << ": " << why;
}
void expect_equal(const Seen& a, const Seen& b) {
  ASSERT_EQ(a.arrays.size(), b.arrays.size());
  for (size_t i = 0; i < a.arrays.size(); ++i) expect_equal(a.arrays[i], b.arrays[i], std::to_string(i));
  EXPECT_EQ(a.values, b.values);
  ASSERT_EQ(a.saved.tensors.size(), b.saved.tensors.size());
  for (const auto& [name, t] : a.saved.tensors) expect_equal(t, b.saved.tensors.at(name), name);
}

// Padding is 0, and copies are their originals: packing what is unpacked gives the region again.
void expect_whole(const runtime::Runner& r) {
  const std::vector<std::byte> state = r.snapshot();
  const std::vector<runtime::StateTensor>& rows = r.program().state;
  std::vector<std::byte> again(state.size());
  for (const runtime::StateTensor& s : rows) {
    std::vector<int64_t> shape;
    for (const runtime::Extent& e : s.tensor.shape) shape.push_back(e.scale);
    const int from = s.tensor.derived_from;
    const runtime::Tensor& original = from < 0 ? s.tensor : rows[static_cast<size_t>(from)].tensor;
    const int64_t size = runtime::size_of(s.tensor.dtype);
    runtime::Array a = runtime::make_array(s.tensor.dtype, shape);
    runtime::Packing(original.layout, shape, size).unpack(state.data() + original.offset, a.bytes.data());
    runtime::Packing(s.tensor.layout, shape, size).pack(a.bytes.data(), again.data() + s.tensor.offset);
  }
  EXPECT_EQ(state, again);
}

TEST_F(LayoutsOfStates, AreSeenByNobody) {
  const Seen want = life_of(plain(), 1);
  EXPECT_TRUE(std::isfinite(want.values.at(0)));
  for (const Choice& c : kChoices) {
    SCOPED_TRACE(c.name);
    EXPECT_EQ(with(c).program.model_hash, plain().program.model_hash);
    for (const int threads : {1, 3}) expect_equal(life_of(with(c), threads), want);
  }
}

TEST_F(LayoutsOfStates, PaddingStaysZeroAndCopiesStayCopies) {
  for (const Choice& c : kChoices) {
    SCOPED_TRACE(c.name);
    const runtime::Dataset data = data_of(with(c).unit, 10);
    runtime::Runner r(with(c).program, 2);
    Seen seen;
    expect_whole(r);
    r.init(5);
    expect_whole(r);
    r.fit({&data, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}}, 4);
    expect_whole(r);
    train(r, data, 0, 4, seen);
    expect_whole(r);
    EXPECT_EQ(r.not_finite(), nullptr);
    runtime::Runner other(with(c).program, 1);
    other.load(r.save(), "memory");
    expect_whole(other);
    EXPECT_EQ(other.snapshot(), r.snapshot());
  }
}

// A file of one layout goes on in another; training resumes to the same bits.
TEST_F(LayoutsOfStates, FilesHoldLogicalTensors) {
  const std::string path =
      (std::filesystem::temp_directory_path() / fmt::format("gradc_layout_{}", getpid())).string();
  const runtime::Dataset data = data_of(plain().unit, 10);
  runtime::Runner whole(plain().program, 1);
  Seen want, unused;
  whole.init(5);
  train(whole, data, 0, 3, unused);
  train(whole, data, 3, 6, want);
  look(whole, data, want);
  for (const Choice& first : kChoices) {
    const Choice& second = kChoices[(&first - kChoices + 2) % std::size(kChoices)];
    SCOPED_TRACE(fmt::format("{}, then {}", first.name, second.name));
    runtime::Runner start(with(first).program, 1), rest(with(second).program, 2);
    start.init(5);
    train(start, data, 0, 3, unused);
    runtime::write_safetensors(path, start.save());
    rest.load(runtime::read_safetensors(path), path);
    Seen seen;
    train(rest, data, 3, 6, seen);
    look(rest, data, seen);
    expect_equal(seen, want);
  }
  std::filesystem::remove(path);
}

// Inputs, outputs and temporaries too, whose batch no block divides.
TEST_F(LayoutsOfStates, AndOfEverythingElse) {
  const Seen want = life_of(plain(), 1);
  for (const uint64_t seed : {1, 2}) {
    ModelOptions o = options_of(kChoices[4]);
    o.compile.layouts = [&](const Type& t, step::Region) { return test::draw_layout(t, seed); };
    const TestModel m(kModel, o);
    ASSERT_TRUE(m.ok());
    expect_equal(life_of(m.compiled, 2), want);
  }
}

// Who writes a state writes its copy, who only reads it reads the copy.
TEST_F(LayoutsOfStates, CopiesAreReadByReaders) {
  for (const step::Step& s : with(kChoices[3]).steps) {
    if (s.name != "train_step" && s.name != "predict") continue;
    int originals = 0, copies = 0;
    for (const step::Buffer& b : s.buffers) {
      if (b.region != step::Region::State) continue;
      const int number = static_cast<int>(&b - s.buffers.data());
      bool read = false, written = false;
      for (const step::Stmt& stmt : s.body)
        if (const auto* r = std::get_if<step::Run>(&stmt))
          for (size_t i = 0; i < r->buffers.size(); ++i) {
            if (r->buffers[i] != number) continue;
            const kernel::Space space = s.kernels[static_cast<size_t>(r->kernel)].buffers[i].space;
            read |= space == kernel::Space::In;
            written |= space != kernel::Space::In;
          }
      const bool copy = b.derived_from >= 0;
      const bool trained = s.name == "train_step" && b.name.find("standardize") == std::string::npos;
      EXPECT_EQ(written, trained) << s.name << " " << b.name;
      // The original is read by who trains it, else the copy.
      EXPECT_EQ(read, copy != trained) << s.name << " " << b.name;
      ++(copy ? copies : originals);
    }
    EXPECT_EQ(copies, originals);
    EXPECT_GT(copies, 3);
  }
}

// The verifier wants that, and the interpreter looks at the contents.
TEST_F(LayoutsOfStates, AStaleCopyIsFound) {
  const std::string text = R"(kernel @copy(%x: f32[3] in, %y: f32[3] pad [2] of %x out) fma=on {
  for %i0 in 0..3 parallel {
    %v0: f32 = load %x[%i0]
    store %y[%i0] = %v0
  }
}

kernel @set(%x: f32[3] inout) fma=on {
  for %i0 in 0..3 parallel {
    %v0: f32 = load %x[%i0]
    %v1: f32 = add(%v0, %v0)
    store %x[%i0] = %v1
  }
}

step @s[] state=128 io=0 scratch=0 {
  buffer %w: f32[3] state at 0
  buffer %p: f32[3] pad [2] of %w state at 64
  inputs
  outputs
  run 1(%w)  // @set
  barrier
  run 0(%w, %p)  // @copy
}
)";
  const auto says = [&](const std::string& t) -> std::string {
    try {
      const step::Step s = step::parse_step(t);
      step::verify(s);
      std::vector<float> state(32, 1);
      step::interpret(s, reinterpret_cast<std::byte*>(state.data()), nullptr, {.threads = 2});
    } catch (const InternalError& e) {
      return e.what();
    }
    return "none";
  };
  EXPECT_EQ(step::print(step::parse_step(text)), text);
  EXPECT_EQ(says(text), "none");
  std::string without = text, early = text;
  without.erase(without.find("  barrier\n"), std::string("  barrier\n  run 0(%w, %p)  // @copy\n").size());
  EXPECT_NE(says(without).find("@s writes w but not its copy p"), std::string::npos) << says(without);
  std::string first = "  run 0(%w, %p)  // @copy\n  barrier\n  run 1(%w)  // @set\n";
  early.replace(early.find("  run 1"), first.size(), first);
  EXPECT_NE(says(early).find("@s: %p is not what %w is"), std::string::npos) << says(early);
}

// What the compiler chooses by itself: weights of contractions in panels.
const char* kWide = R"(
model m(x: f32[B, 7], kind: i32[B]) -> (logits: [B, 5]) {
  h = x |> Standardize{} |> Dense{256} |> tanh |> Dense{256} as "wide" |> tanh
  e = kind |> Embed{6, 256}
  logits = (h + e) |> LayerNorm{} |> Dense{5}
}
data d { train = csv("none.csv", x = columns("a", "b", "c", "d", "e", "f", "g"), kind = column("kind", i32), y = column("y", i32)) }
train m on d {
  loss = cross_entropy(logits, y)
  metric accuracy = accuracy(logits, y)
  optimizer = adam{}
  lr = cosine(1e-2, 1e-3, warmup=3)
  batch = 6; seed = 5
}
)";

std::string layout_of(const Compiled& c, const std::string& path) {
  for (size_t i = 0; i < c.unit.state.size(); ++i)
    if (c.unit.state[i].path == path) return c.state.rows[i].place.layout.str();
  return "no state";
}

TEST(Panels, AreSeenByNobody) {
  ModelOptions plain;
  plain.compile.without = {"panels"};
  const TestModel none(kWide, plain);
  ASSERT_TRUE(none.ok());
  EXPECT_EQ(layout_of(none.compiled, "wide.weight"), "");
  const Seen want = life_of(none.compiled, 1);
  for (const int lanes : {4, 8, 16}) {
    ModelOptions o;
    o.compile.codegen.target.lanes = lanes;
    const TestModel m(kWide, o);
    ASSERT_TRUE(m.ok());
    const std::string panels = fmt::format(" order [1,0] blocks [1:{}]", 2 * lanes);
    for (const char* path : {"wide.weight", "__opt__/m/wide.weight", "__opt__/v/wide.weight"})
      EXPECT_EQ(layout_of(m.compiled, path), panels) << path;
    EXPECT_EQ(layout_of(m.compiled, "dense.weight"), "");  // a few rows
    for (const int threads : {1, 3}) expect_equal(life_of(m.compiled, threads), want);
    runtime::Runner r(m.compiled.program, 2), other(none.compiled.program, 1);
    r.init(3), other.load(r.save(), "memory");
    expect_whole(r);
    Seen a, b;
    const runtime::Dataset data = data_of(m.compiled.unit, 10);
    train(r, data, 0, 3, a), train(other, data, 0, 3, b);
    look(r, data, a), look(other, data, b);
    expect_equal(a, b);
  }
}

// What clips all gradients together updates element by element, which would read pieces of all panels.
TEST(Panels, NotWhereUpdatesAreApart) {
  std::string text = kWide;
  text.insert(text.find("batch = 6"), "clip = norm(1); ");
  const TestModel m(text);
  ASSERT_TRUE(m.ok());
  EXPECT_EQ(layout_of(m.compiled, "wide.weight"), "");
}

// Programs that only predict have them too; the cache keeps them with the program.
TEST(Panels, OfOneEntryAndOfTheCache) {
  const std::string folder =
      (std::filesystem::temp_directory_path() / fmt::format("gradc_panels_{}", getpid())).string();
  ModelOptions o;
  o.only = {"init", "predict"};
  o.cache_dir = folder;
  std::vector<runtime::Array> results;
  for (const bool cached : {false, true}) {
    const TestModel m(kWide, o);
    ASSERT_FALSE(m.compiled.program.entries.empty());
    EXPECT_EQ(m.compiled.from_cache, cached);
    EXPECT_NE(layout_of(m.compiled, "wide.weight"), "");
    EXPECT_FALSE(m.compiled.program.state.empty());
    runtime::Runner r(m.compiled.program, 1);
    r.init(5);
    const runtime::Dataset data = data_of(m.compiled.unit, 10);
    r.begin("predict", 6);
    const std::vector<int64_t> rows{0, 1, 2, 3, 4, 5};
    for (const auto& [name, field] : data.fields) r.set_rows(name, field, rows);
    r.call();
    results.push_back(r.output("logits"));
    expect_whole(r);
  }
  expect_equal(results[0], results[1], "logits");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace gradc
