// Folders of classes and tables of pictures, beside what Pillow reads (tests/readers/make_pictures.py).
#include <filesystem>

#include "model/data_fixture.h"
#include "runtime/npy.h"
#include "runtime/zip.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

std::string picture(const std::string& name) {
  return std::string(GRADC_SOURCE_DIR) + "/tests/readers/pictures/" + name;
}

runtime::Array witness(const std::string& name) {
  runtime::ByteStream from = runtime::open_member(picture("values.npz"), name + ".npy");
  return runtime::read_npy(from, [](runtime::DType t) { return t; });
}

void expect_row(const runtime::Array& have, int64_t row, const runtime::Array& want) {
  const int64_t n = want.count();
  ASSERT_EQ(have.count() / have.shape[0], n);
  for (int64_t i = 0; i < n; ++i) ASSERT_EQ(have.at(row * n + i), want.at(i)) << i;
}

struct PictureFiles : Data {
  void put(const std::string& from, const std::string& to) {
    fs::create_directories((dir / to).parent_path());
    fs::copy_file(picture(from), dir / to, fs::copy_options::overwrite_existing);
  }
  std::string folder(const std::string& input, const std::string& more = "") {
    return model("  train = image_folder(\"p\"" + more + ")", input, "flatten(f32(x))");
  }
  LoadedData load(const std::string& text) {
    const DataPlaces places{dir.string(), (dir / "root").string()};
    ModelOptions o;
    o.frontend.example_type = [&](const frontend::SourceSpec& source, const frontend::FieldSpec& field) {
      return example_type(source, field, places);
    };
    const TestModel m(text, o);
    return load_data(m.compiled.unit, places, m.sources);
  }
  void expect(const std::string& text, const std::string& part) {
    EXPECT_NE(refusal(text).find(part), std::string::npos) << part << " / " << refusal(text);
  }
};

TEST_F(PictureFiles, FoldersAreClassesInTheOrderOfTheirNames) {
  put("rgb8.png", "p/frog/b.PNG");
  put("grey8.png", "p/frog/a.png");
  put("palette4.png", "p/Cat/x.jpg");  // the file says what it is, its name does not
  write("p/frog/notes.txt", "n");
  write("p/frog/.hidden", "n");
  write("p/readme", "n");
  const LoadedData d = load(folder("x: f32[B, 9, 13, 3]"));
  const auto& f = d.splits.train.data->fields;
  EXPECT_EQ(d.vocabulary.at("y"), (std::vector<std::string>{"Cat", "frog"}));
  ASSERT_EQ(f.at("x").shape, (std::vector<int64_t>{3, 9, 13, 3}));
  expect_row(f.at("x"), 0, witness("palette4.png.RGB"));
  expect_row(f.at("x"), 1, witness("grey8.png.RGB"));
  expect_row(f.at("x"), 2, witness("rgb8.png.RGB"));
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(f.at("y").whole_at(i), i > 0 ? 1 : 0);
  ASSERT_EQ(d.remarks.size(), 1u);
  EXPECT_NE(d.remarks[0].find("p: 2 entries that are no .png, .jpg or .jpeg"), std::string::npos)
      << d.remarks[0];
  const LoadedData grey = load(folder("x: u8[B, 9, 13]"));
  expect_row(grey.splits.train.data->fields.at("x"), 2, witness("rgb8.png.L"));
  EXPECT_EQ(grey.splits.train.data->fields.at("x").dtype, runtime::DType::U8);
  const LoadedData alpha = load(folder("x: i32[B, 9, 13, 4]"));
  expect_row(alpha.splits.train.data->fields.at("x"), 2, witness("rgb8.png.RGBA"));
}

TEST_F(PictureFiles, OtherSizesAreRefusedOrScaled) {
  put("rgb8.png", "p/a/1.png");
  put("plain.jpg", "p/b/1.jpg");
  expect(folder("x: u8[B, 9, 13, 3]"),
         "p/b/1.jpg: is 25 x 37 (height x width), x takes 9 x 13; fit=crop or fit=stretch scales pictures");
  for (const char* fit : {"crop", "stretch"}) {
    const LoadedData d = load(folder("x: u8[B, 20, 31, 3]", std::string(", fit=") + fit));
    expect_row(d.splits.train.data->fields.at("x"), 0, witness(std::string("rgb8.png.") + fit + ".20.31"));
    expect_row(d.splits.train.data->fields.at("x"), 1, witness(std::string("plain.jpg.") + fit + ".20.31"));
  }
}

TEST_F(PictureFiles, WhatIsLeftOutIsCounted) {
  put("rgba16.png", "p/a/1.png");
  put("rgba8.png", "p/a/2.png");
  put("opaque.png", "p/b/1.png");
  const LoadedData d = load(folder("x: u8[B, 9, 13, 3]"));
  ASSERT_EQ(d.remarks.size(), 2u);
  EXPECT_NE(d.remarks[0].find("p: x: 2 of 3 pictures have an alpha that is not opaque"), std::string::npos);
  EXPECT_NE(d.remarks[1].find("p: x: 1 of 3 pictures have 16 bits a sample"), std::string::npos);
}

TEST_F(PictureFiles, FoldersThatHoldNoneAreRefused) {
  const std::string text = folder("x: u8[B, 9, 13, 3]");
  expect(text, "cannot find the folder 'p': neither ");
  fs::create_directories(dir / "p/b");
  expect(text, "p/b: the folder of the class 'b' holds no .png, .jpg or .jpeg");
  fs::remove(dir / "p/b");
  write("p/1.png", "x");
  expect(text, "p: holds no folder of a class; pictures lie in ");
  put("rgb8.png", "p/a/1.png");
  EXPECT_EQ(refusal(text), "");
  fs::create_directories(dir / "p/a/2.png");  // no file
  EXPECT_EQ(refusal(text), "");
}

// Many files on all cores: the message names the first of the bad ones, whichever thread is faster.
TEST_F(PictureFiles, TheFirstBrokenFileIsNamed) {
  for (int i = 100; i < 200; ++i) put("rgb8.png", "p/a/" + std::to_string(i) + ".png");
  const std::string text = folder("x: u8[B, 9, 13, 3]");
  EXPECT_EQ(refusal(text), "");
  write("p/a/150.png", "");
  write("p/a/131.png", "GIF89a");
  write("p/a/199.png", "\x89PNG");
  for (int round = 0; round < 20; ++round)
    ASSERT_TRUE(refusal(text).ends_with("p/a/131.png: is neither a PNG nor a JPEG file")) << refusal(text);
}

TEST_F(PictureFiles, InputsThatAreNoPicturesAreRefused) {
  put("rgb8.png", "p/a/1.png");
  expect(folder("x: u8[B, 3, 9, 13]"), "channels last, and the input x is u8[B,3,9,13]");
  expect(folder("x: f32[B, 117]"), "channels last, and the input x is f32[B,117]");
  expect(folder("x: bool[B, 9, 13]"), "pixels are 0..255, and the input x is bool");
  expect(folder("x: u8[B, 9, 13, 4]", ", fit=crop"), "pictures with alpha are not scaled");
  expect(model("  train = image_folder(\"p\", fit=crop)", "x: u8[B, 2000000, 2000000, 3]",
               "mean(f32(x), over=[1, 2])"),
         "p: 1 pictures of u8[2000000,2000000,3] take 11175.9 GB, ");
}

TEST_F(PictureFiles, OfATable) {
  put("rgb8.png", "p/1.png");
  put("plain.jpg", "p/2.jpg");
  put("grey8.png", "masks/1.png");
  put("grey4.png", "masks/2.png");
  auto listed = [&](const std::string& rows, const std::string& more = ", fit=crop") {
    write("t.csv", "photo,mask,kind\n" + rows);
    return model("  train = image_table(\"t.csv\", x = image(\"photo\"" + more +
                     "), m = image(\"mask\"), y = label(\"kind\"))",
                 "x: f32[B, 9, 13, 3]", "flatten(x)");
  };
  const std::string rows = "p/2.jpg,masks/1.png,b\np/1.png,masks/2.png,a\n";
  const LoadedData d = load(listed(rows));
  const auto& f = d.splits.train.data->fields;
  expect_row(f.at("x"), 0, witness("plain.jpg.crop.9.13"));
  expect_row(f.at("x"), 1, witness("rgb8.png.RGB"));
  // No input of the model: as the first file is.
  ASSERT_EQ(f.at("m").shape, (std::vector<int64_t>{2, 9, 13}));
  EXPECT_EQ(f.at("m").dtype, runtime::DType::U8);
  expect_row(f.at("m"), 1, witness("grey4.png.L"));
  EXPECT_EQ(f.at("y").whole_at(0), 1);
  EXPECT_EQ(d.columns.at("x"), (std::vector<std::string>{"photo"}));
  expect(listed(rows, ""), "t.csv:2:1: " + (dir / "p/2.jpg").string() + ": is 25 x 37");
  expect(listed("p/1.png,../1.png,a\n"), "t.csv:2:9: '../1.png' is no file below the folder of the table");
  expect(listed("p/3.png,masks/1.png,a\n"), "t.csv:2:1: ");
}

}  // namespace
}  // namespace gradc
