// Tables as people have them: names, dates, truth values, missing cells, columns by pattern.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "driver/load_inputs.h"
#include "model/model.h"
#include "model/temp_folder.h"
#include "runtime/error.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

struct Tables : TempFolder {
  // A model of one input, whose table has a target y.
  static std::string model(const std::string& input, const std::string& field,
                           const std::string& chain = "") {
    const std::string logits = input.find("f32[B, ") != input.npos ? "x |> Dense{3}"
                               : input.starts_with("f32")
                                   ? "reshape(x, [B, 1]) |> Dense{3}"
                                   : "Embed{4, 3}(" + std::string(input == "bool[B]" ? "i32(x)" : "x") + ")";
    return "model m(x: " + input + ") -> (logits: [B, 3]) { logits = " + logits +
           " }\ndata d {\n  all = csv(\"t.csv\", x = " + field + ", y = column(\"y\", i32))\n" +
           (chain.empty() ? "  train = all\n" : chain) +
           "}\ntrain m on d {\n  loss = cross_entropy(logits, y)\n  optimizer = sgd{}\n  lr = 0.1\n}\n";
  }
  LoadedData load(const std::string& text) {
    const TestModel m(text);
    return load_data(m.compiled.unit, {dir.string(), ""}, m.sources);
  }
  std::vector<double> x_of(const std::string& text) {
    const LoadedData d = load(text);
    return values(d.splits.train.data->fields.at("x"));
  }
  static std::vector<double> values(const runtime::Array& a) {
    std::vector<double> out;
    for (int64_t i = 0; i < a.count(); ++i) out.push_back(a.at(i));
    return out;
  }
  void refused(const std::string& text, const std::string& part) {
    try {
      load(text);
      ADD_FAILURE() << "not refused: " << part;
    } catch (const CompileError& e) {
      EXPECT_NE(e.diagnostic.text.find(part), std::string::npos) << part << " / " << e.diagnostic.text;
    }
  }
  // What predict reads from a table, and what it says; "" where it is refused.
  std::string predicted(const std::string& text, const LoadedData& fit, const std::string& rows,
                        std::vector<double>* x = nullptr, Names* remarks = nullptr) {
    const TestModel m(text);
    FittedFields fitted{fit.columns, fit.vocabulary, fit.fills, fit.forms};
    try {
      const LoadedInputs in = load_inputs(m.compiled.unit, {write("in.csv", rows)}, fitted, m.sources);
      if (x != nullptr) *x = values(in.data.fields.at("x"));
      if (remarks != nullptr) *remarks = in.remarks;
      return "";
    } catch (const CompileError& e) {
      return e.diagnostic.text;
    } catch (const runtime::Error& e) {
      return e.what();
    }
  }
};

using Values = std::vector<double>;
constexpr const char* kCut = "  train, val = all |> split(3, 2)\n";  // of five rows

TEST_F(Tables, TruthValuesAndDatesAreNumbers) {
  write("t.csv",
        "a,b,y\nyes,2020-01-01,0\nF,1970-01-02T12:00,1\n1,1969-12-31 06:00:00Z,2\n"
        "On,2000-02-29T00:00+01:30,0\nno,1970-01-01T00:00:00.5,0\n");
  EXPECT_EQ(x_of(model("bool[B]", "column(\"a\")")), (Values{1, 0, 1, 1, 0}));
  EXPECT_EQ(x_of(model("i32[B]", "column(\"a\")")), (Values{1, 0, 1, 1, 0}));
  const Values days = x_of(model("f32[B]", "column(\"b\")"));
  EXPECT_EQ(days, (Values{18262, 1.5, -0.75, 11016 - 0.0625, static_cast<float>(0.5 / 86400)}));
}

TEST_F(Tables, AColumnHoldsOneKind) {
  auto expect = [&](const std::string& first, const std::string& second, const std::string& part) {
    write("t.csv", "a,y\n" + first + ",0\n" + second + ",1\n");
    refused(model("f32[B]", "column(\"a\")"), part);
  };
  expect("5", "2020-01-01", "t.csv:3:1: column 'a': '2020-01-01' is a date, but line 2 has a number, '5'");
  expect("1", "2020-01-01", "'2020-01-01' is a date, but line 2 has a number, '1'");
  expect("yes", "2", "t.csv:3:1: column 'a': '2' is a number, but line 2 has a truth value, 'yes'");
  expect("2020-01-01", "no", "'no' is a truth value, but line 2 has a date");
  for (const char* bad : {"2021-02-29", "2020-13-01", "2020-1-1", "2020-01-01T25:00", "2020-01-01x",
                          "01.02.2020", "2020-01-01T10:00+", "yess"})
    expect("1", bad, "t.csv:3:1: column 'a': '" + std::string(bad) + "' is not a number; texts are read by");
}

TEST_F(Tables, MissingCellsAreRefusedUnlessSaid) {
  for (const char* nothing : {"", "NA", "?", "null", " n/a "}) {
    write("t.csv", std::string("a,y\n1,0\n") + nothing + ",1\n");
    refused(model("f32[B]", "column(\"a\")"), "t.csv:3:1: column 'a': ");
    refused(model("f32[B]", "column(\"a\")"), "missing=drop, mean, median or a number");
    refused(model("i32[B]", "category(\"a\")"), "t.csv:3:1: column 'a': ");
  }
}

TEST_F(Tables, RowsAreDroppedWithACount) {
  write("t.csv", "a,b,y\n1,2,0\n,3,1\n4,NA,2\n,?,2\n7,8,1\n");
  const std::string text = model("f32[B, 2]", "columns(\"a\", \"b\", missing=drop)");
  const LoadedData d = load(text);
  EXPECT_EQ(values(d.splits.train.data->fields.at("x")), (Values{1, 2, 7, 8}));
  EXPECT_EQ(values(d.splits.train.data->fields.at("y")), (Values{0, 1}));
  EXPECT_EQ(d.remarks, Names{(dir / "t.csv").string() +
                             ": 3 of 5 rows are left out for a missing cell: a in 2, b in 2"});
  // Every row of a prediction has a result.
  const std::string said = predicted(text, d, "a,b\n1,2\n3,\n");
  EXPECT_NE(said.find("in.csv:3:3: column 'b': nothing is there, and training left out such rows"), said.npos)
      << said;
  // Messages still name the lines of the file.
  write("t.csv", "a,b,y\n,2,0\n3,3,1\n4,x,2\n");
  refused(text, "t.csv:4:3: column 'b': 'x' is not a number");
}

TEST_F(Tables, FillsAreFittedOnTheTrainingSplit) {
  write("t.csv", "a,b,y\n1,,0\n,4,1\n9,7,2\n100,,0\n,1000,1\n");
  const LoadedData mean = load(model("f32[B, 2]", "columns(\"a\", \"b\", missing=mean)", kCut));
  EXPECT_EQ(mean.fills.at("x"), (Values{5, 5.5}));
  EXPECT_EQ(values(mean.splits.train.data->fields.at("x")), (Values{1, 5.5, 5, 4, 9, 7, 100, 5.5, 5, 1000}));
  EXPECT_NE(mean.remarks.at(0).find("t.csv: x: 4 missing, filled by the mean of their column"),
            std::string::npos);
  const std::string text =
      model("f32[B]", "column(\"a\", missing=median)", "  train, val = all |> split(4, 1)\n");
  const LoadedData median = load(text);
  EXPECT_EQ(median.fills.at("x"), Values{9});
  Values x;
  Names remarks;
  EXPECT_EQ(predicted(text, median, "a\n\n5\n\"\"\n", &x, &remarks), "");
  EXPECT_EQ(x, (Values{5, 9}));
  EXPECT_EQ(remarks.size(), 1u);
  FittedFields nothing{median.columns, {}, {}, {}};
  const TestModel m(text);
  EXPECT_THROW(load_inputs(m.compiled.unit, {(dir / "in.csv").string()}, nothing, m.sources), runtime::Error);
  const LoadedData fixed = load(model("i32[B]", "column(\"y\", missing=3)"));
  EXPECT_EQ(fixed.fills.at("x"), Values{3});
  write("t.csv", "a,b,y\n,1,0\n,2,1\n,3,2\n1,,0\n2,,1\n");
  refused(model("f32[B]", "column(\"a\", missing=mean)", kCut),
          "no row of the training split has a number in column 'a'");
  refused(model("i32[B]", "column(\"b\", missing=mean)"), "the mean of a column is no i32");
  refused(model("i32[B]", "column(\"b\", missing=0.5)"),
          "missing cells of x cannot be filled by 0.5: it is i32");
  refused(model("i32[B]", "column(\"b\", missing=9)"), "but the model needs 0..3");
}

TEST_F(Tables, AnotherFileIsFilledByTheTrainingFile) {
  write("t.csv", "a,y\n1,0\n5,1\n");
  write("v.csv", "a,y\n,0\n7,1\n");
  const std::string val =
      "  train = all\n  val = csv(\"v.csv\", x = column(\"a\", missing=mean), y = column(\"y\", i32))\n";
  const LoadedData d = load(model("f32[B]", "column(\"a\", missing=mean)", val));
  EXPECT_EQ(values(d.splits.val.data->fields.at("x")), (Values{3, 7}));
}

TEST_F(Tables, IndicatorsAndPatterns) {
  write("t.csv", "p00,p01,q,p02,y\n1,,3,4,0\n?,6,7,8,1\n");
  EXPECT_EQ(x_of(model("f32[B, 3]", "is_missing(\"p*\")")), (Values{0, 1, 0, 1, 0, 0}));
  EXPECT_EQ(x_of(model("f32[B, 3]", "columns(\"p00..p02\", missing=0)")), (Values{1, 0, 4, 0, 6, 8}));
  EXPECT_EQ(x_of(model("f32[B, 4]", "columns(\"q\", \"*0*\", missing=0)")), (Values{3, 1, 0, 4, 7, 0, 6, 8}));
  EXPECT_EQ(x_of(model("f32[B, 1]", "columns(except=[\"p*\", \"y\"])")), (Values{3, 7}));
  const LoadedData d = load(model("f32[B, 3]", "is_missing(\"p*\")"));
  EXPECT_EQ(d.columns.at("x"), (Names{"p00", "p01", "p02"}));
  EXPECT_EQ(d.forms.at("x"), "is_missing");
  refused(model("f32[B, 3]", "columns(\"z*\")"),
          "no column of the table is called 'z*' (it has: p00, p01, q, p02, y)");
  refused(model("f32[B, 3]", "columns(\"p00..p03\")"), "has no column 'p03'");
  refused(model("f32[B, 3]", "columns(\"p02..p00\")"), "'p02..p00' is no range of columns; write p00..p63");
  refused(model("f32[B, 3]", "columns(\"p00..q02\")"), "is no range of columns");
  // A column of that very name is no pattern.
  write("t.csv", "a*,ab,y\n1,2,0\n");
  const std::string star = model("f32[B, 1]", "columns(\"a*\")");
  EXPECT_EQ(x_of(star), Values{1});
  const std::string said = predicted(star, load(star), "ab\n5\n");
  EXPECT_NE(said.find("has no column 'a*'"), std::string::npos) << said;
}

TEST_F(Tables, CategoriesByVocabulary) {
  write("t.csv", "a,y\nUlm,0\n\"Bonn, am Rhein\",1\nUlm,2\n,0\nKiel,1\n");
  const std::string none = model("i32[B]", "category(\"a\", missing=\"none\")");
  const LoadedData d = load(none);
  EXPECT_EQ(d.vocabulary.at("x"), (Names{"Bonn, am Rhein", "Kiel", "Ulm", "none"}));
  EXPECT_EQ(values(d.splits.train.data->fields.at("x")), (Values{2, 0, 2, 3, 1}));
  const std::string said = predicted(none, d, "a\nUlm\nParis\n");
  EXPECT_NE(said.find("in.csv:3:1: x = Paris: the name 'Paris' is in no training example"), said.npos)
      << said;
  // Of the training split alone; the others are refused, or 0.
  refused(model("i32[B]", "category(\"a\", missing=\"none\")", kCut), "'none' is in no training example");
  const std::string open = model("i32[B]", "category(\"a\", unknown=0, missing=unknown)", kCut);
  const LoadedData u = load(open);
  EXPECT_EQ(u.vocabulary.at("x"), (Names{"", "Bonn, am Rhein", "Ulm"}));
  EXPECT_EQ(values(u.splits.train.data->fields.at("x")), (Values{2, 1, 2, 0, 0}));
  Values x;
  Names remarks;
  EXPECT_EQ(predicted(open, u, "a\nParis\nUlm\nNA\n", &x, &remarks), "");
  EXPECT_EQ(x, (Values{0, 2, 0}));
  EXPECT_NE(remarks.at(0).find("in.csv: x: 2 unknown"), std::string::npos);
  // A model without data takes what its weights say.
  const std::string bare = open.substr(0, open.find("data d"));
  EXPECT_EQ(predicted(bare, u, "a\nParis\nUlm\nNA\n", &x), "");
  EXPECT_EQ(x, (Values{0, 2, 0}));
}

// Letters are numbered in their order in the training split, from 1; 0 stands behind the end.
TEST_F(Tables, Letters) {
  const std::string text =
      "model m(x: i32[B, 4]) -> (logits: [B, 3]) { logits = Embed{4, 3}(x) |> flatten |> Dense{3} }\n"
      "data d {\n  all = csv(\"t.csv\", x = letters(\"word\", length=4), y = column(\"y\", i32))\n" +
      std::string(kCut) +
      "}\ntrain m on d {\n  loss = cross_entropy(logits, y)\n  optimizer = sgd{}\n  lr = 0.1\n}\n";
  write("t.csv", "word,y\ncab,0\nbc\u00e4,1\nc,2\nab,0\n\"bb\",1\n");
  refused(text, "t.csv: x has 5 different values in the training split, but the model needs 0..3");
  write("t.csv", "word,y\ncab,0\nbbbb,1\nc,2\nab,0\n\"bc\",1\n");
  const LoadedData d = load(text);
  EXPECT_EQ(d.vocabulary.at("x"), (Names{"", "a", "b", "c"}));
  EXPECT_EQ(values(d.splits.train.data->fields.at("x")),
            (Values{3, 1, 2, 0, 2, 2, 2, 2, 3, 0, 0, 0, 1, 2, 0, 0, 2, 3, 0, 0}));
  Values x;
  EXPECT_EQ(predicted(text, d, "word\nba\n", &x), "");
  EXPECT_EQ(x, (Values{2, 1, 0, 0}));
  const std::string inputs_alone = text.substr(0, text.find("data"));
  EXPECT_EQ(predicted(inputs_alone, d, "word\nca\n", &x), "");
  EXPECT_EQ(x, (Values{3, 1, 0, 0}));
  EXPECT_NE(predicted(text, d, "word\na\nbad\n")
                .find("in.csv:3:1: x = bad: the character 'd' is in no training "
                      "example, whose 3 kinds are all that the model knows"),
            std::string::npos)
      << predicted(text, d, "word\na\nbad\n");
  write("t.csv", "word,y\ncab,0\nb,1\nc,2\nad,0\nb,1\n");
  refused(text, "t.csv:5:1: x = ad: the character 'd' is in no training example, whose 3 kinds");
  write("t.csv", "word,y\ncab,0\nabcab,1\n");
  refused(text, "t.csv:3:1: column 'word': 'abcab' has 5 letters, the field x takes 4; write length=5");
  write("t.csv", "word,y\ncab,0\n,1\n");
  refused(text, "t.csv:3:1: column 'word': the cell is empty, and letters are at least one");
  write("t.csv", "word,y\ncab,0\n\xff,1\n");
  refused(text, "t.csv:3:1: column 'word': the cell is no UTF-8");
}

}  // namespace
}  // namespace gradc
