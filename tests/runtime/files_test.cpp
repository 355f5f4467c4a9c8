// Readers of data and weights: what they read, what they refuse, and that damaged files never crash them.
#include <gtest/gtest.h>

#include <unistd.h>
#include <zlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "model/temp_folder.h"
#include "runtime/csv.h"
#include "runtime/file.h"
#include "runtime/idx.h"
#include "runtime/json.h"
#include "runtime/refusal.h"
#include "runtime/safetensors.h"

namespace gradc::runtime {
namespace {

namespace fs = std::filesystem;

struct Files : TempFolder {
  // Random damage: an Error or a result, nothing else.
  void damage(const std::string& good, const std::function<void(const std::string&)>& read) {
    uint64_t s = 3;
    auto random = [&](size_t n) {
      return static_cast<size_t>((s = s * 6364136223846793005ULL + 1442695040888963407ULL) >> 33) % n;
    };
    for (int round = 0; round < 2000; ++round) {
      std::string bytes = good;
      for (size_t edits = 1 + random(3); edits > 0; --edits) {
        const size_t at = random(bytes.size());
        if (random(4) == 0)
          bytes.resize(std::max<size_t>(1, at));
        else if (random(3) == 0)
          bytes.insert(at, bytes.substr(random(bytes.size()), random(9)));
        else
          bytes[at] = static_cast<char>(random(256));
      }
      try {
        read(write("damaged", bytes));
      } catch (const Error&) {
      }
    }
  }
};

std::string big_endian(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
          static_cast<char>(v)};
}

TEST_F(Files, Csv) {
  const CsvTable t(read_csv(write("a.csv",
                                  "\xEF\xBB\xBF"
                                  "a;\"b \"\"x\"\"\";c\r\n1;2.5;x\r\n\r\n-3;+4e1;\"y;z\"\r\n")));
  EXPECT_EQ(t.columns(), (std::vector<std::string>{"a", "b \"x\"", "c"}));
  ASSERT_EQ(t.rows(), 2);
  EXPECT_EQ(t.cell(1, 2), "y;z");
  EXPECT_EQ(t.column("a", DType::I32).at(1), -3);
  const Array both = t.columns({"b \"x\"", "a"}, DType::F64);
  EXPECT_EQ(both.shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(both.at(2), 40);
  EXPECT_EQ(t.where(1, 1), t.name() + ":4:4");
  EXPECT_EQ(refusal([&] { t.column("c", DType::F32); }),
            t.name() + ":2:7: column 'c': 'x' is not a number; texts are read by category(\"c\")");
  EXPECT_EQ(refusal([&] { t.column("b \"x\"", DType::I32); }),
            t.name() + ":2:3: column 'b \"x\"': '2.5' is no i32");
  EXPECT_EQ(refusal([&] { t.column("d", DType::F32); }),
            t.name() + " has no column 'd' (it has: a, b \"x\", c)");
  const CsvTable plain(read_csv(write("b.csv", "1,2\n3,4\n")));  // no header
  EXPECT_EQ(plain.columns(), (std::vector<std::string>{"0", "1"}));
  EXPECT_EQ(plain.rows(), 2);
  EXPECT_NE(
      refusal([&] { read_csv(write("c.csv", "a,b\n1,2\n3\n")); }).find("c.csv:3: 1 cells, the header has 2"),
      std::string::npos);
  EXPECT_NE(refusal([&] { read_csv(write("d.csv", "")); }).find("empty"), std::string::npos);
  EXPECT_NE(refusal([&] { read_csv(write("e.csv", "a,a\n1,2\n")); }).find("two columns are called 'a'"),
            std::string::npos);
  EXPECT_NE(refusal([&] { read_csv((dir / "none.csv").string()); }).find("none.csv"), std::string::npos);
  EXPECT_NE(refusal([&] { CsvTable("n", "a\nnan\n").column("a", DType::F32); }).find("not a number"),
            std::string::npos);
  EXPECT_NE(refusal([&] { CsvTable("n", "a,b\n,1\n").column("a", DType::F32); }).find("the cell is empty"),
            std::string::npos);
  damage("a,b,c\n1,2,3\n\"4\",5.5,\"x\"\"y\"\n7,8,9\n", [](const std::string& p) {
    const CsvTable c = read_csv(p);
    summarize(c);
    for (const std::string& n : c.columns()) c.column(n, DType::F32);
  });
}

TEST_F(Files, CsvCells) {
  auto said = [&](const std::string& text, DType t = DType::F32) {
    return refusal([&] { CsvTable("n", text).column("a", t); });
  };
  auto value = [](const std::string& text, DType t = DType::F64) {
    return CsvTable("n", text).column("a", t).at(0);
  };
  for (const char* bad : {"+-5", "-+5", "++5", "0x10", "1_000", "5-", "1e", "inf"})
    EXPECT_EQ(
        said("a,b\n" + std::string(bad) + ",1\n"),
        "n:2:1: column 'a': '" + std::string(bad) + "' is not a number; texts are read by category(\"a\")");
  EXPECT_NE(said("a\n1e39\n").find("n:2:1: column 'a': '1e39' is no f32"), std::string::npos);
  EXPECT_NE(said("a\n-1e400\n", DType::F64).find("'-1e400' is no f64"), std::string::npos);
  EXPECT_EQ(said("a\n1e39\n", DType::F64), "");
  EXPECT_EQ(value("a\n1e-400\n"), 0);
  EXPECT_EQ(value("a\n-4e-320\n"), -4e-320);
  EXPECT_EQ(value("a\n+5\n"), 5);
}

TEST_F(Files, CsvLinesQuotesAndHeaders) {
  auto said = [&](const std::string& text) { return refusal([&] { CsvTable("n", text); }); };
  EXPECT_EQ(said("a,b\n1,\"x\n2,y\n"), "n:2:3: the quote that opens here is not closed");
  EXPECT_NE(said("a,b\n1,\"x\n2,y\n3,\"z\"\n").find("n:2:3: the quote that opens here closes in line 4"),
            std::string::npos);
  EXPECT_EQ(said("a,b\n1,\"x\"  \n"), "");
  for (const char* end : {"\n", "\r\n", "\r"}) {
    const std::string e = end;
    const CsvTable t("n", e + "a,b" + e + "1,\"x" + e + "y\"" + e + e + "3,q" + e);
    ASSERT_EQ(t.rows(), 2);
    EXPECT_EQ(t.cell(0, 1), "x" + e + "y");
    EXPECT_EQ(t.where(1, 1), "n:6:3");
  }
  EXPECT_EQ(CsvTable("n", "\"a;1;2;3\",b\n1,2\n").columns(), (std::vector<std::string>{"a;1;2;3", "b"}));
  // Numbers and missing cells only: a row, not names.
  const CsvTable rows("n", "1.5,2,\n1,2,0\n");
  EXPECT_EQ(rows.columns(), (std::vector<std::string>{"0", "1", "2"}));
  EXPECT_NE(refusal([&] { rows.column("2", DType::F32); }).find("n:1:7: column '2': the cell is empty"),
            std::string::npos);
  EXPECT_NE(refusal([&] { rows.require("a"); }).find("it is no header"), std::string::npos);
  EXPECT_EQ(CsvTable("n", "2019,2020,y\n1,2,0\n").rows(), 1);
  EXPECT_NE(said(std::string("\xFF\xFE"
                             "a\0",
                             4))
                .find("UTF-16"),
            std::string::npos);
}

TEST_F(Files, LinksAreFollowedAndOnlyFilesReplaced) {
  const std::string_view text = "new";
  fs::create_directory(dir / "sub");
  fs::create_symlink("sub/one", dir / "a");
  fs::create_symlink("a", dir / "b");
  write_file_atomically((dir / "b").string(), std::span(&text, 1));
  EXPECT_TRUE(fs::is_symlink(dir / "a") && fs::is_symlink(dir / "b"));
  EXPECT_EQ(read_file((dir / "sub/one").string()), "new");
  fs::create_symlink("y", dir / "x");
  fs::create_symlink("x", dir / "y");
  EXPECT_NE(refusal([&] { check_target((dir / "x").string()); }).find("circle"), std::string::npos);
  EXPECT_NE(refusal([&] { check_target(dir.string()); }).find("is a folder"), std::string::npos);
  EXPECT_NE(refusal([&] { check_target("/dev/null"); }).find("is a device"), std::string::npos);
  EXPECT_NE(refusal([&] { read_file("/dev/zero"); }).find("is a device"), std::string::npos);
}

TEST_F(Files, Summaries) {
  const auto s = summarize(CsvTable("t", "a,b,c\n1,x,\n2,y,0.5\n2,x,NA\n"));
  EXPECT_EQ(s[0].type, "integer");
  EXPECT_EQ(s[0].max, 2);
  EXPECT_EQ(s[0].top[0], (std::pair<std::string, int64_t>{"2", 2}));
  EXPECT_EQ(s[1].type, "text");
  EXPECT_EQ(s[2].type, "real");
  EXPECT_EQ(s[2].missing, 2);
}

TEST_F(Files, Idx) {
  const std::string good = std::string("\0\0\x08\x02", 4) + big_endian(2) + big_endian(3) + "abcdef";
  const Array a = read_idx(write("a", good));
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(a.at(4), 'e');
  const std::string shorts =
      std::string("\0\0\x0B\x01", 4) + big_endian(2) + std::string("\xFF\xFE\x00\x05", 4);
  EXPECT_EQ(read_idx(write("s", shorts)).at(0), -2);
  EXPECT_NE(refusal([&] { read_idx(write("r", std::string("\0\0\x08\0a", 5))); }).find("no dimensions"),
            std::string::npos);
  for (const std::string& bad :
       {good.substr(0, 12), good + "x", std::string("\0\0\x07\x01", 4) + big_endian(1) + "a",
        std::string("\0\0\x08\x02", 4) + big_endian(0xFFFFFFFF) + big_endian(0xFFFFFFFF)})
    EXPECT_NE(refusal([&] { read_idx(write("bad", bad)); }), "");
  damage(good, [](const std::string& p) { read_idx(p); });
}

TEST_F(Files, SafeTensors) {
  SafeTensors f;
  f.metadata = {{"k", "v \"\n"}};
  f.tensors["w"] = make_array(DType::F32, {2, 2});
  f.tensors["w"].set(3, 1.5);
  f.tensors["b"] = make_array(DType::Bool, {3});
  f.tensors["e"] = make_array(DType::F64, {0, 4});
  f.tensors["s"] = make_array(DType::I64, {});
  const std::string path = (dir / "w.safetensors").string();
  write_safetensors(path, f);
  const SafeTensors g = read_safetensors(path);
  EXPECT_EQ(g.metadata, f.metadata);
  ASSERT_EQ(g.tensors.size(), 4u);
  for (const auto& [n, a] : f.tensors) {
    EXPECT_EQ(g.tensors.at(n).shape, a.shape);
    EXPECT_EQ(g.tensors.at(n).bytes, a.bytes);
  }
  std::ifstream in(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  auto file = [&](const std::string& header, const std::string& body) {
    const uint64_t n = header.size();
    return std::string(reinterpret_cast<const char*>(&n), 8) + header + body;
  };
  const std::pair<std::string, std::string> bad[] = {
      {bytes.substr(0, bytes.size() - 1), "the tensors take"},
      {"abc", "shorter than 8"},
      {file("[]", ""), "begin with '{'"},
      {file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", "12345678"), "hole"},
      {file("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "1234"), "do not fit"},
      {file("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,0]}}", ""),
       "shape"},
      {file("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}", "1234"),
       "F8_E4M3; BOOL, U8, I32, I64, F16, BF16, F32 and F64 are read"},
      {file("{\"a\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,4]}}", "1234"), "do not fit"},
      {file("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{}}", "1234"), "twice"}};
  for (const auto& [data, why] : bad)
    EXPECT_NE(refusal([&] { read_safetensors(write("bad", data)); }).find(why), std::string::npos) << why;
  damage(bytes, [](const std::string& p) { read_safetensors(p); });
}

// Files that Python wrote (tests/data/half.py): each tensor x beside x.f32.
TEST_F(Files, SafeTensorsOfHalfPrecision) {
  const std::string path = GRADC_SOURCE_DIR "/tests/data/half.safetensors";
  const SafeTensors f = read_safetensors(path);
  EXPECT_EQ(f.narrow, (std::map<std::string, std::string>{
                          {"half", "f16"}, {"brain", "bf16"}, {"none", "f16"}, {"one", "bf16"}}));
  for (const auto& [name, stored] : f.narrow) {
    const Array &x = f.tensors.at(name), &want = f.tensors.at(name + ".f32");
    EXPECT_EQ(x.dtype, DType::F32);
    EXPECT_EQ(x.shape, want.shape);
    EXPECT_EQ(x.bytes, want.bytes) << name;
  }
  damage(read_file(path), [](const std::string& p) { read_safetensors(p); });
}

std::string gzip(const std::string& text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, text.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

TEST_F(Files, Gzip) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += std::to_string(i * 7919 % 1000);
  const std::string one = gzip(text);
  EXPECT_EQ(read_file(write("a.gz", one)), text);
  EXPECT_EQ(read_file(write("b.gz", one + gzip("tail"))), text + "tail");  // members one after another
  EXPECT_NE(refusal([&] { read_file(write("c.gz", one.substr(0, one.size() / 2))); }).find("cut off"),
            std::string::npos);
  EXPECT_NE(refusal([&] { read_file(write("d.gz", one), 1000); }).find("limit"), std::string::npos);
  std::string liar = one;
  liar.replace(liar.size() - 4, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_NE(refusal([&] { read_file(write("e.gz", liar)); }).find("damaged"), std::string::npos);
  damage(gzip("some text, some more text"), [](const std::string& p) { read_file(p, 1 << 20); });
}

TEST_F(Files, Json) {
  const Json j = parse_json("{\"a\": [1, -2.5e1, true, null], \"b\\u00e4\\n\": \"\\ud83d\\ude00\"}");
  EXPECT_EQ(j.find("a")->items[1].number, -25);
  EXPECT_EQ(j.find("b\xC3\xA4\n")->text, "\xF0\x9F\x98\x80");
  EXPECT_EQ(parse_json("-9223372036854775808").whole(), std::numeric_limits<int64_t>::min());
  for (const char* other : {"1e3", "1.0", "9223372036854775808", "1e300", "\"7\"", "null", "[7]"})
    EXPECT_EQ(parse_json(other).whole(), std::nullopt) << other;
  EXPECT_EQ(parse_json(quote_json("a\"\\\n\x01")).text, "a\"\\\n\x01");
  for (const char* bad : {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "\"\\ud800\"", "01x", "nul", "[1] 2"})
    EXPECT_NE(refusal([&] { parse_json(bad); }), "") << bad;
  EXPECT_NE(refusal([&] { parse_json(std::string(100000, '[')); }).find("nested"), std::string::npos);
}

TEST_F(Files, AFailedWriteLeavesTheOldFile) {
  const std::string path = write("f", "old");
  const std::string_view text = "new";
  write_file_atomically(path, std::span(&text, 1));
  EXPECT_EQ(read_file(path), "new");
  EXPECT_THROW(write_file_atomically((dir / "no" / "f").string(), std::span(&text, 1)), Error);
  if (geteuid() != 0) {  // root may write anywhere
    fs::permissions(dir, fs::perms::owner_read | fs::perms::owner_exec);
    EXPECT_THROW(write_file_atomically(path, std::span(&text, 1)), Error);
    fs::permissions(dir, fs::perms::owner_all);
  }
  EXPECT_EQ(read_file(path), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator{}), 1);
  EXPECT_THROW(read_file(path, 2), Error);
}

}  // namespace
}  // namespace gradc::runtime
