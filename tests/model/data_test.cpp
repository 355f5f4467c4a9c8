// Data blocks carried out: splits, the search for files, and messages that name both sides.
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "model/model.h"
#include "runtime/csv.h"
#include "runtime/error.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

struct Data : testing::Test {
  fs::path dir;
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gradc_data_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir = name;
    fs::create_directories(dir / "root");
  }
  void TearDown() override { fs::remove_all(dir); }
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(dir / name, std::ios::binary) << bytes;
  }

  static std::string model(const std::string& data, const std::string& input = "x: f32[B, 2]",
                           const std::string& features = "x") {
    return "model m(" + input + ") -> (logits: [B, 3]) { logits = " + features +
           " |> Dense{3} }\ndata d {\n" + data +
           "\n}\ntrain m on d {\n  loss = cross_entropy(logits, y)\n  optimizer = sgd{}\n  lr = 0.1\n}\n";
  }
  std::string refusal(const std::string& text) {
    const TestModel m(text);
    try {
      load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources);
    } catch (const CompileError& e) {
      return e.diagnostic.text;
    }
    return "";
  }
};

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
  const std::string any = refusal(model(source, "x: f32[B, T <= 9]", "sum(x, over=1, keep=true)"));
  EXPECT_NE(any.find("axis 1 of x is T, of any length (1:9), and "), std::string::npos) << any;
  EXPECT_NE(any.find("gives f32[2] per example; write its length, 2, in the input"), std::string::npos)
      << any;
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

}  // namespace
}  // namespace gradc
