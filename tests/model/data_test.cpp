// Data blocks carried out: splits, the search for files, and messages that name both sides.
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>

#include "model/data_fixture.h"
#include "runtime/augment.h"
#include "runtime/bad_step.h"
#include "runtime/csv.h"
#include "runtime/error.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCsv = "  train = csv(\"t.csv\", x = columns(except=\"y\"), y = column(\"y\", i32))";

TEST_F(Data, SplitsRoundDownAndTheLastTakesTheRest) {
  std::string rows = "a,b,y\n";
  for (int i = 0; i < 17; ++i) rows += std::to_string(i) + ",1," + std::to_string(i % 3) + "\n";
  write("root/t.csv", rows);
  const TestModel m(
      model("  all = csv(\"t.csv\", x = columns(\"b\", \"a\"), y = column(\"y\", i32))\n  train, val, test = "
            "all |> split(70%, 10%, 20%)"));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources);
  EXPECT_EQ(d.splits.train.rows.size(), 11u);
  EXPECT_EQ(d.splits.val.rows.size(), 1u);
  EXPECT_EQ(d.splits.test.rows.size(), 5u);
  EXPECT_EQ(d.splits.val.rows[0], 11);  // split keeps the order
  EXPECT_EQ(d.splits.train.data->fields.at("x").at(2 * 4 + 1), 4);
  EXPECT_EQ(d.columns.at("x"), (std::vector<std::string>{"b", "a"}));
}

TEST_F(Data, BesideTheModelComesBeforeTheRoot) {
  write("root/t.csv", "a,b,y\n1,2,0\n");
  write("t.csv", "a,b,y\n7,2,0\n");
  const TestModel m(model(kCsv));
  EXPECT_EQ(load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources)
                .splits.train.data->fields.at("x")
                .at(0),
            7);
  fs::remove(dir / "t.csv");
  EXPECT_EQ(load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources)
                .splits.train.data->fields.at("x")
                .at(0),
            1);
  fs::remove(dir / "root/t.csv");
  EXPECT_NE(refusal(model(kCsv)).find("cannot find 't.csv'"), std::string::npos);
}

TEST_F(Data, MessagesNameTheCellAndTheBound) {
  write("t.csv", "a,b,y\n1,2,0\n3,4,10\n");
  EXPECT_NE(refusal(model(kCsv)).find("t.csv:3:5: y = 10, but the model needs 0..2"), std::string::npos)
      << refusal(model(kCsv));
  write("t.csv", "a,b,y\n1,n/a,0\n");
  EXPECT_NE(refusal(model(kCsv)).find("t.csv:2:3: column 'b': 'n/a' is not a number"), std::string::npos);
  write("t.csv", "a,b,c,y\n1,2,3,0\n");
  EXPECT_NE(refusal(model(kCsv)).find("x is f32[3] per example in"), std::string::npos)
      << refusal(model(kCsv));
}

TEST_F(Data, MessagesNameTheColumnOfSeveralAndAnAxisOfAnyLength) {
  const char* source = "  train = csv(\"t.csv\", x = columns(\"a\", \"b\"), y = column(\"y\", i32))";
  write("t.csv", "a,b,y\n1,2,0\n3,4,1\n0,5,1\n");
  const std::string text = refusal(model(source, "x: i32[B, 2]", "mean(Embed{5, 3}(x), over=1)"));
  EXPECT_NE(text.find("t.csv:4:3: x = 5, but the model needs 0..4"), std::string::npos) << text;
  // An axis that the model leaves open is as long as the data's.
  EXPECT_EQ(refusal(model(source, "x: f32[B, T <= 9]", "sum(x, over=1, keep=true)")), "");
  const std::string long_ = refusal(model(source, "x: f32[B, T <= 1]", "sum(x, over=1, keep=true)"));
  EXPECT_NE(long_.find("T is 2 long in x, and the model takes at most 1; write T <= 2"), std::string::npos)
      << long_;
}

TEST_F(Data, BucketsGoByALength) {
  write("t.csv", "a,b,c,n,word,y\n1,2,3,3,abc,0\n4,5,0,2,xy,1\n6,0,0,1,z,2\n7,0,0,1,z,2\n");
  auto text = [&](const std::string& buckets, const char* inputs = "x: f32[B, T <= 3], n: i32[B]") {
    return model(
        "  train = csv(\"t.csv\", x = columns(\"a\", \"b\", \"c\"), n = length(\"word\"), y = "
        "column(\"y\", i32)) |> " +
            buckets,
        inputs, "sum(x, over=1, keep=true)");
  };
  const TestModel m(text("buckets(n = [1, 3])"));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources);
  EXPECT_EQ(d.splits.train.buckets.extents, (std::vector<int64_t>{1, 3}));
  EXPECT_EQ(d.splits.train.buckets.number, (std::vector<uint32_t>{1, 1, 0, 0}));
  EXPECT_EQ(d.splits.train.data->fields.at("n").at(1), 2);
  const std::string few = refusal(text("buckets(n = [1, 2])"));
  EXPECT_NE(few.find("t.csv: n = 3 in row 1, and the last bucket ends at 2"), std::string::npos) << few;
  const std::string closed = refusal(text("buckets(n = [1, 3])", "x: f32[B, 3], n: i32[B]"));
  EXPECT_NE(closed.find("buckets need an input that leaves its first axis open"), std::string::npos)
      << closed;
  const std::string real = refusal(text("buckets(n = [1, 3])", "x: f32[B, T <= 3], n: f32[B]"));
  EXPECT_NE(real.find("length is i32 or i64, the input n is f32"), std::string::npos) << real;
  const std::string several = refusal(text("buckets(x = [1, 3])"));
  EXPECT_NE(several.find("x is f32[4, 3] in"), std::string::npos) << several;
}

TEST_F(Data, AColumnOfI64KeepsAllBits) {
  const std::string text =
      model("  train = csv(\"t.csv\", x = columns(\"a\", \"b\"), y = column(\"y\", i64))");
  auto load = [&] {
    const TestModel m(text);
    return load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources);
  };
  write("t.csv", "a,b,y\n1,2,2\n1,2,+1\n1,2,1.0\n");
  const LoadedData d = load();
  EXPECT_EQ(d.splits.train.data->fields.at("y").whole_at(1), 1);
  EXPECT_EQ(d.splits.train.data->fields.at("y").whole_at(2), 1);
  const runtime::CsvTable t("t", "k\n9007199254740993\n-9223372036854775808\n9223372036854775807\n1e3\n");
  const runtime::Array k = t.column("k", runtime::DType::I64);
  EXPECT_EQ(k.whole_at(0), 9007199254740993);
  EXPECT_EQ(k.whole_at(1), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(k.whole_at(2), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(k.whole_at(3), 1000);
  for (const char* cell : {"9223372036854775808", "9007199254740993.0", "1e18", "0.5"})
    EXPECT_THROW(runtime::CsvTable("t", std::string("k\n") + cell + "\n").column("k", runtime::DType::I64),
                 runtime::Error)
        << cell;
}

TEST_F(Data, AnEmptySplitIsRefused) {
  write("t.csv", "a,b,y\n1,2,0\n3,4,1\n5,6,2\n");
  const char* cut =
      "  all = csv(\"t.csv\", x = columns(\"a\", \"b\"), y = column(\"y\", i32))\n  train, val = all |> ";
  EXPECT_EQ(refusal(model(cut + std::string("split(80%, 20%)"))), "");
  EXPECT_NE(
      refusal(model(cut + std::string("split(20%, 80%)"))).find("the split train has no rows: 20% of 3 rows"),
      std::string::npos);
  write("t.csv", "a,b,y\n");
  EXPECT_EQ(refusal(model(kCsv)), "the split train has no rows");
}

TEST_F(Data, ImagesOfAnotherShape) {
  write("i", std::string("\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02", 16) + "abcd");
  write("l", std::string("\0\0\x08\x01\0\0\0\x01\x02", 9));
  const char* data = "  train = idx(x = \"i\", y = \"l\")";
  EXPECT_EQ(refusal(model(data, "x: u8[B, 2, 2]", "f32(x) / 255 |> flatten")), "");
  EXPECT_NE(
      refusal(model(data, "x: u8[B, 1, 4]", "f32(x) / 255 |> flatten")).find("x is u8[2, 2] per example in"),
      std::string::npos);
}

// Through files that tests/readers/make_files.py wrote.
std::string kept(const std::string& name) {
  return std::string(GRADC_SOURCE_DIR) + "/tests/readers/files/" + name;
}

const char* const kText = "  train, val = chars(\"t.txt\") |> split(60%, 40%) |> windows(4)";

// A model over text whose loss takes each place.
std::string text_model(const std::string& data, const std::string& symbols = "3") {
  return "model m(x: i32[B, 4]) -> (logits: [B, 4, " + symbols + "]) { logits = Embed{" + symbols + ", " +
         symbols + "}(x) }\ndata d {\n" + data +
         "\n}\ntrain m on d {\n  loss = cross_entropy(logits, y)\n  optimizer = sgd{}\n  lr = 0.1\n}\n";
}

TEST_F(Data, OnlyChoosesRowsByOneWholeNumber) {
  write("root/t.csv", "a,b,y,k\n1,2,0,u\n3,4,1,v\n5,6,2,u\n7,8,1,v\n");
  auto source = [](const char* y, const char* only) {
    return fmt::format("  train = csv(\"t.csv\", x = columns(\"a\", \"b\"), y = {}) |> {}", y, only);
  };
  const TestModel m(model(source("column(\"y\", i32)", "only(y = [1, 2])")));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources);
  EXPECT_EQ(d.splits.train.rows, (std::vector<int64_t>{1, 2, 3}));
  const std::pair<std::string, const char*> wrong[] = {
      {source("label(\"k\", missing=\"none\")", "only(y = [0])"),
       "y holds names, which are numbered by the training split; only chooses rows by whole numbers"},
      {source("column(\"y\", i32)", "only(x = 1)"), "only chooses rows by one whole number each"},
      {source("column(\"y\", i32)", "only(y = [7, -1])"), "the split train has no rows"}};
  for (const auto& [text, words] : wrong) {
    const std::string said = refusal(model(text));
    EXPECT_NE(said.find(words), std::string::npos) << said;
  }
}

TEST_F(Data, WindowsOfATextStayInTheirPart) {
  write("t.txt",
        "abcabcabcabc"
        "cbacbacb");
  const TestModel m(text_model(kText));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  EXPECT_EQ(d.splits.train.rows,
            (std::vector<int64_t>{0, 4}));  // of 12: a window from 8 on lacks its last label
  EXPECT_EQ(d.splits.val.rows, (std::vector<int64_t>{12}));
  const runtime::Dataset& data = *d.splits.train.data;
  EXPECT_EQ(data.sequence.count(), 20);
  EXPECT_EQ(data.sequence.at(2), 2);
  EXPECT_EQ(data.windows.at("x").offset, 0);
  EXPECT_EQ(data.windows.at("y").offset, 1);
  EXPECT_EQ(d.vocabulary.at("x"), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(d.vocabulary.at("y"), d.vocabulary.at("x"));
  const TestModel close(text_model("  train = chars(\"t.txt\") |> windows(4, stride=1)"));
  EXPECT_EQ(load_data(close.compiled.unit, {dir.string(), ""}, close.sources).splits.train.rows.size(), 16u);
}

TEST_F(Data, WhatTheVocabularyLacks) {
  write("t.txt",
        "abcabcabcabc"
        "cb\nxcbacb");
  EXPECT_NE(refusal(text_model(kText))
                .find("t.txt:1:15: the character '\\n' is in no training example, whose 3 kinds"),
            std::string::npos)
      << refusal(text_model(kText));
  write("t.txt",
        "abcdabcdabcd"
        "abcdabcd");
  EXPECT_NE(refusal(text_model(kText))
                .find("x has 4 different values in the training split, but the model needs 0..2"),
            std::string::npos)
      << refusal(text_model(kText));
  write("t.txt", "abca");
  EXPECT_NE(
      refusal(text_model(kText)).find("the split train has no windows: 4 need 5 symbols, its text has 2"),
      std::string::npos)
      << refusal(text_model(kText));
  write("t.txt", "abcabc");
  EXPECT_NE(refusal(text_model("  train = bytes(\"t.txt\") |> windows(4)"))
                .find("byte 1: x = 97, but the model needs 0..2"),
            std::string::npos)
      << refusal(text_model("  train = bytes(\"t.txt\") |> windows(4)"));
  EXPECT_EQ(refusal(text_model("  train = bytes(\"t.txt\") |> windows(4)", "256")), "");
}

// The compiled step reads the same windows as the text has.
TEST_F(Data, WindowsReachTheProgram) {
  write("t.txt", "abcabcabcabcab");
  const TestModel m(text_model("  train = chars(\"t.txt\") |> windows(4, stride=1)"));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  runtime::Runner runner(m.compiled.program, 1);
  runner.init(3);
  const std::vector<int64_t> rows = {5, 0, 9};
  runner.begin("predict", 3);
  runner.set_rows(*d.splits.train.data, rows);
  runner.call();
  const runtime::Array from_windows = runner.output("logits");
  runtime::Array x = runtime::make_array(runtime::DType::I32, {3, 4});
  for (int64_t i = 0; i < 12; ++i) x.set_whole(i, (rows[static_cast<size_t>(i / 4)] + i % 4) % 3);
  const std::vector<int64_t> all = {0, 1, 2};
  runner.begin("predict", 3);
  runner.set_rows("x", x, all);
  runner.call();
  EXPECT_EQ(runner.output("logits").bytes, from_windows.bytes);
}

TEST_F(Data, LabelsAreNumberedByTheTrainingSplit) {
  write("t.csv", "a,b,kind\n1,2,pear\n1,2,apple\n1,2,pear\n1,2,fig\n");
  write("v.csv", "a,b,kind\n1,2,fig\n1,2,plum\n");
  const std::string field = ", x = columns(\"a\", \"b\"), y = label(\"kind\"))\n";
  const std::string train = "  train = csv(\"t.csv\"" + field;
  const TestModel m(model(train));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  std::vector<double> y;
  for (int64_t i = 0; i < 4; ++i) y.push_back(d.splits.train.data->fields.at("y").at(i));
  EXPECT_EQ(y, (std::vector<double>{2, 0, 2, 1}));
  EXPECT_EQ(d.vocabulary.at("y"), (std::vector<std::string>{"apple", "fig", "pear"}));
  const std::string text = refusal(model(train + "  val = csv(\"v.csv\"" + field));
  EXPECT_NE(text.find("v.csv:3:5: y = plum"), std::string::npos) << text;
  EXPECT_NE(text.find("is in no training example, whose 3 kinds"), std::string::npos) << text;
}

TEST_F(Data, ArraysOfNumPyTakeTheTypeOfTheInput) {
  fs::copy(kept("f8.npy"), dir / "x.npy");
  fs::copy(kept("i4.npy"), dir / "y.npy");
  fs::copy(kept("stored.npz"), dir / "d.npz");
  const char* input = "x: f32[B, 2, 2]";
  const std::string read =
      model("  train = npy(x = \"x.npy\", w = \"x.npy\", y = \"b.npy\")", input, "flatten(x)");
  fs::copy(kept("empty.npy"), dir / "e.npy");
  EXPECT_NE(refusal(model("  train = npy(x = \"x.npy\", y = \"e.npy\")", input, "flatten(x)"))
                .find("e.npy has 0 examples, the field before has 3"),
            std::string::npos);
  EXPECT_NE(refusal(read).find("cannot find 'b.npy'"), std::string::npos);
  const std::string of_archive =
      model("  train = npz(\"d.npz\", x = \"i4\", y = \"f4\")", input, "flatten(x)");
  EXPECT_NE(refusal(of_archive).find("x is i32[2, 2] per example in"), std::string::npos)
      << refusal(of_archive);
}

TEST_F(Data, RecordingsOfATable) {
  for (const char* f : {"one.wav", "two.wav", "fast.wav"}) fs::copy(kept(f), dir / f);
  auto sound = [&](const std::string& rows, const std::string& more = "") {
    write("t.tsv", "file\tword\n" + rows);
    return model("  train = wav(\"t.tsv\", x = audio(\"file\", length=6" + more +
                     "), n = length(\"file\", length=6), y = label(\"word\"))",
                 "x: f32[B, 6], n: i32[B]", "x");
  };
  const TestModel m(sound("one.wav\tzero\ntwo.wav\tone\n"));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  const auto& f = d.splits.train.data->fields;
  for (int64_t i = 0; i < 12; ++i) {
    const double sample = (i % 2 == 0 ? 1 : -1) * double(i % 6 + 1) * 3000 / 32768;
    EXPECT_EQ(f.at("x").at(i), i == 5 ? 0 : static_cast<float>(sample))
        << i;  // one has 5 samples: a 0 follows
  }
  EXPECT_EQ(f.at("n").at(0), 5);
  EXPECT_EQ(f.at("n").at(1), 6);  // two has 9, cut to 6
  EXPECT_EQ(f.at("y").at(0), 1);
  auto expect = [&](const std::string& text, const std::string& part) {
    EXPECT_NE(refusal(text).find(part), std::string::npos) << part << " / " << refusal(text);
  };
  expect(sound("one.wav\ta\nfast.wav\tb\n"),
         "t.tsv:3:1: fast.wav has 16000 samples a second, the recordings before");
  expect(sound("one.wav\ta\n", ", rate=16000"), "one.wav has 8000 samples a second, the field x takes 16000");
  expect(sound("../one.wav\ta\n"), "t.tsv:2:1: '../one.wav' is no file below the folder of the table");
  expect(sound("/etc/passwd\ta\n"), "is no file below the folder");
  expect(sound("none.wav\ta\n"), "t.tsv:2:1: ");
}

// Drawn numbers depend on seed and name alone, fill their range evenly, and are of the input's type.
TEST_F(Data, PointsAreDrawn) {
  auto fields = [&](const std::string& train) {
    const TestModel m(
        "model m(x: f32[B], t: f32[B, 2]) -> (p: [B]) { p = x * sum(t, over=1) |> reshape([B, 1]) |> "
        "Dense{1} |> "
        "squeeze(over=1) }\ndata d { train = points(" +
        train + ") }\ntrain m on d { loss = mean(p); optimizer = sgd{}; lr = 0.1 }\n");
    return load_data(m.compiled.unit, {dir.string(), ""}, m.sources).splits.train.data->fields;
  };
  constexpr int64_t kRows = 4000;
  auto a = fields("4000, x = uniform(-1, 3), t = uniform(0, 1, 2), seed=1");
  auto b = fields("4000, t = uniform(0, 1, 2), w = uniform(0, 1), x = uniform(-1, 3), seed=1");
  auto c = fields("4000, x = uniform(-1, 3), t = uniform(0, 1, 2), seed=2");
  EXPECT_EQ(a.at("x").bytes, b.at("x").bytes);
  EXPECT_EQ(a.at("t").bytes, b.at("t").bytes);
  EXPECT_NE(a.at("x").bytes, c.at("x").bytes);
  EXPECT_EQ(a.at("x").dtype, runtime::DType::F32);
  EXPECT_EQ(a.at("t").shape, (std::vector<int64_t>{kRows, 2}));
  double sum = 0, square = 0, with_t = 0;
  for (int64_t i = 0; i < kRows; ++i) {
    const double x = (a.at("x").at(i) - 1) / 2, t = 2 * a.at("t").at(2 * i) - 1;
    ASSERT_TRUE(x >= -1 && x <= 1) << x;
    sum += x, square += x * x, with_t += x * t;
  }
  EXPECT_NEAR(sum / kRows, 0, 4 / std::sqrt(3.0 * kRows));
  EXPECT_NEAR(square / kRows, 1.0 / 3, 0.02);
  EXPECT_NEAR(with_t / kRows, 0, 4 / (3 * std::sqrt(1.0 * kRows)));
}

TEST_F(Data, PointsAreNoWholeNumbers) {
  const std::string text = refusal(
      "model m(x: i32[B]) -> (p: [B]) { p = float(x) |> reshape([B, 1]) |> Dense{1} |> squeeze(over=1) }\n"
      "data d { train = points(10, x = uniform(0, 3)) }\n"
      "train m on d { loss = mean(p); optimizer = sgd{}; lr = 0.1 }\n");
  EXPECT_NE(text.find("points are floats, and the input x is i32"), std::string::npos) << text;
}

TEST_F(Data, CifarFilesOneBehindTheOther) {
  fs::copy(kept("cifar10.bin"), dir / "c.bin");
  const TestModel m(
      "model m(x: u8[B, 32, 32, 3]) -> (logits: [B, 10]) { logits = f32(x) |> flatten |> Dense{10} }\n"
      "data d { train, val = cifar10(\"c.bin\", \"c.bin\") |> split(3, 1) }\n"
      "train m on d { loss = cross_entropy(logits, y); optimizer = sgd{}; lr = 0.1 }\n");
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  EXPECT_EQ(d.splits.train.rows.size(), 3u);
  EXPECT_EQ(d.splits.train.data->fields.at("y").at(3), 9);
  EXPECT_EQ(d.splits.train.data->fields.at("x").dtype, runtime::DType::U8);
}

// IDX of bytes.
std::string idx(std::vector<int64_t> shape, const std::function<int64_t(int64_t)>& at) {
  std::string out{0, 0, 8, static_cast<char>(shape.size())};
  int64_t n = 1;
  for (int64_t d : shape) {
    out += std::string(3, '\0') + static_cast<char>(d);
    n *= d;
  }
  for (int64_t i = 0; i < n; ++i) out += static_cast<char>(at(i));
  return out;
}

struct Pictures : Data {
  void SetUp() override {
    Data::SetUp();
    write("x.idx", idx({20, 6, 5}, [](int64_t i) { return 1 + i % 251; }));
    write("y.idx", idx({20}, [](int64_t i) { return i % 3; }));
  }
  static std::string pictures(const std::string& chain) {
    return model("  all = idx(x = \"x.idx\", y = \"y.idx\")\n  train, val = all" + chain, "x: u8[B, 6, 5]",
                 "(f32(x) |> flatten)");
  }
};

// Training steps read changed pictures; what is measured and fitted, and the labels, are those of the files.
TEST_F(Pictures, ChangedOnesReachTrainingStepsAlone) {
  const TestModel m(
      model("  all = idx(x = \"x.idx\", y = \"y.idx\")\n  part, val = all |> split(60%, 40%)\n"
            "  train = part |> augment(x = random_shift(2)) |> shuffle(seed=4) |> augment(x = random_flip())",
            "x: u8[B, 6, 5]", "(f32(x) |> flatten)"));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  const runtime::Split& train = d.splits.train;
  using Kind = runtime::PictureChange::Kind;
  const std::vector<runtime::PictureChange> changes = {{Kind::Shift, 2}, {Kind::Flip, 0}};
  ASSERT_EQ(train.rows.size(), 12u);
  EXPECT_TRUE(d.splits.val.changes.empty());
  runtime::Runner runner(m.compiled.program, 2);
  runner.init(3);
  const std::span<const int64_t> rows = std::span(train.rows).subspan(2, 7);
  auto input = [&](const char* name) {
    return runner.input(*m.compiled.program.entry("train_step")->field(name));
  };
  for (int64_t epoch : {0, 1}) {
    runtime::run_step(runner, {epoch * 2, 4, 9, epoch}, train, {rows});
    EXPECT_EQ(input("x").bytes,
              runtime::augment_rows(train.data->fields.at("x"), changes, 9, epoch, rows).bytes);
    for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(input("y").at(i), static_cast<double>(rows[size_t(i)] % 3));
  }
  const std::vector<double> measured = runner.evaluate(train, 4);
  runtime::Split plain = train;
  plain.changes.clear();
  EXPECT_EQ(runner.evaluate(plain, 4), measured);
}

// The trainer gives each step the number of its epoch, also where the last batch is short.
TEST_F(Pictures, EveryEpochChangesThemAnew) {
  const TestModel m(pictures(" |> split(60%, 40%)\n  train = train |> augment(x = random_crop(padding=3))"));
  const LoadedData d = load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  runtime::TrainOptions o;
  o.batch = 5, o.epochs = 3, o.seed = 8, o.quiet = true;
  runtime::Runner trained(m.compiled.program, 1), stepped(m.compiled.program, 1);
  runtime::train(trained, d.splits, o, stdout);
  runtime::TrainBatches order(d.splits.train, 5, 8);
  stepped.init(8);
  for (int64_t step = 0; step < 9; ++step)
    runtime::run_step(stepped, {step, 9, 8, step / 3}, d.splits.train, order.of_step(step));
  EXPECT_EQ(trained.snapshot(), stepped.snapshot());
}

TEST_F(Pictures, WhatIsNoPictureIsRefused) {
  auto expect = [&](const std::string& changes, const std::string& part) {
    const std::string text =
        refusal(pictures(" |> split(60%, 40%)\n  train = train |> augment(" + changes + ")"));
    EXPECT_NE(text.find(part), std::string::npos) << part << " / " << text;
  };
  expect("y = random_flip()",
         "random_flip changes pictures, [H, W] or [H, W, C], and y is one number per example in");
  expect("x = random_shift(5)",
         "random_shift by up to 5 pixels moves a picture out of sight: x is [6, 5] per example in");
  expect("x = [random_flip(), random_crop(padding=9)]", "random_crop by up to 9 pixels");
  expect("x = random_shift(7)", "at most 4");
  EXPECT_EQ(refusal(pictures(" |> split(60%, 40%)\n  train = train |> augment(x = random_shift(4))")), "");
  write("t.csv", "a,b,y\n1,2,0\n");
  const std::string text = refusal(model(std::string(kCsv) + " |> augment(x = random_shift(1))"));
  EXPECT_NE(text.find("and x is [2] per example in"), std::string::npos) << text;
}

}  // namespace
}  // namespace gradc
