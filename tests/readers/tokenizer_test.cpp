// Texts to tokens as Hugging Face's `tokenizers` does (make_tokenizers.py), files of tokens, and files that
// lie.
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "model/temp_folder.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/json.h"
#include "runtime/refusal.h"
#include "runtime/token_bins.h"
#include "runtime/tokenizer.h"

namespace gradc::runtime {
namespace {

namespace fs = std::filesystem;

std::string kept(const std::string& name) {
  return read_file(std::string(GRADC_SOURCE_DIR) + "/tests/readers/tokenizers/" + name);
}

std::string back(const Tokenizer& t, const std::vector<int32_t>& ids) {
  std::string text;
  for (const int32_t id : ids) text += t.bytes_of(id);
  return text;
}

TEST(Tokenizers, NumbersOfHuggingFace) {
  std::map<std::string, Tokenizer> read;
  for (const char* name : {"words.json", "older.json", "whole.json"})
    read.emplace(name, Tokenizer(name, kept(name)));
  std::istringstream lines(kept("cases.txt"));
  std::map<std::string, int> cases;
  for (std::string line; std::getline(lines, line);) {
    const Json j = parse_json(line);
    const Json* ids = j.find("ids");
    if (ids == nullptr) continue;
    SCOPED_TRACE(line);
    const std::string& file = j.find("file")->text;
    const std::string& text = j.find("text")->text;
    std::vector<int32_t> want;
    for (const Json& id : ids->items) want.push_back(static_cast<int32_t>(id.number));
    const Tokenizer& t = read.at(file);
    EXPECT_EQ(t.encode(text, "text"), want);
    // One of older.json's added tokens is the letter that stands for a space.
    const bool letter = file == "older.json" && text.find("\u0120") != text.npos;
    EXPECT_TRUE(letter || back(t, want) == text) << back(t, want);
    ++cases[file];
  }
  EXPECT_EQ(cases.size(), 3u);
  for (const auto& [file, n] : cases) EXPECT_EQ(n, 174) << file;
}

TEST(Tokenizers, AllOfTinyShakespeare) {
  const std::string path = std::string(GRADC_SOURCE_DIR) + "/../shared/data/tinyshakespeare/input.txt";
  if (!fs::exists(path)) GTEST_SKIP() << path << " is not there";
  const std::string cases = kept("cases.txt");
  const size_t last = cases.rfind('\n', cases.size() - 2) + 1;
  const Json want = parse_json(std::string_view(cases).substr(last));
  const std::string text = read_file(path);
  const Tokenizer t("words.json", kept("words.json"));
  const std::vector<int32_t> ids = t.encode(text, path);
  EXPECT_EQ(static_cast<double>(ids.size()), want.find("count")->number);
  uint64_t hash = 0xcbf29ce484222325;
  for (const int32_t id : ids)
    for (int shift = 0; shift < 32; shift += 8) hash = (hash ^ (uint32_t(id) >> shift & 255)) * 0x100000001b3;
  char hex[17];
  std::snprintf(hex, sizeof hex, "%016llx", static_cast<unsigned long long>(hash));
  EXPECT_EQ(hex, want.find("fnv")->text);
  EXPECT_EQ(back(t, ids), text);
}

// A piece of any length is merged in n log n steps.
TEST(Tokenizers, OneLongPiece) {
  const Tokenizer t("whole.json", kept("whole.json"));
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "the ";
  EXPECT_EQ(back(t, t.encode(text, "text")), text);
}

// Each edit of a file that is read makes one that is refused, with its place.
struct Damage {
  const char* file;
  std::string from, to, message;
};

TEST(Tokenizers, WhatIsRefused) {
  const Damage all[] = {
      {"words.json", R"("version":"1.0")", R"("version":"2.0")",
       R"(t:1:12: the version is "2.0"; 1.0 is read)"},
      {"words.json", R"("truncation":null)", R"("truncation":{"max_length":8})", "a truncation is not read"},
      {"words.json", R"("normalizer":null)", R"("normalizer":{"type":"NFC"})",
       R"(a normalizer "NFC" is not read)"},
      {"words.json", R"("post_processor":null)", R"("post_processor":{"type":"TemplateProcessing"})",
       R"(a post_processor "TemplateProcessing" is not read)"},
      {"words.json", R"("pre_tokenizer":{"type":"ByteLevel")", R"("pre_tokenizer":{"type":"Metaspace")",
       R"(a pre_tokenizer "Metaspace" of this kind is not read)"},
      {"words.json", R"("add_prefix_space":false)", R"("add_prefix_space":true)",
       "add_prefix_space=true is not read"},
      {"older.json", R"('s|'t)", R"((?i:'s|'t))", "a Split by \"(?i:'s|'t"},
      {"older.json", R"("Isolated")", R"("Removed")", R"(the behavior "Removed" is not read)"},
      {"older.json", R"("invert":false)", R"("invert":true)", "invert=true is not read"},
      {"words.json", R"("type":"BPE")", R"("type":"Unigram")", R"(a model "Unigram" is not read)"},
      {"words.json", R"("dropout":null)", R"("dropout":0.1)", "dropout draws tokens at random"},
      {"words.json", R"("byte_fallback":false)", R"("byte_fallback":true)", "byte_fallback=true is not read"},
      {"words.json", R"("end_of_word_suffix":null)", R"("end_of_word_suffix":"</w>")",
       R"("</w>" is not read)"},
      {"words.json", R"("special":true)", R"("special":true,"color":"red")", "an added token says 'color'"},
      {"words.json", R"("lstrip":false)", R"("lstrip":true)", "lstrip=true is not read"},
      {"words.json", R"("id":0)", R"("id":5)", "the added token \"<|endoftext|>\" is number 5"},
      {"older.json", R"("id":332)", R"("id":331)", "are both number 331"},
      {"older.json", R"("id":332)", R"("id":340)",
       "there are 334 tokens, numbered from 0, but \"<|end|>\" is number 340"},
      {"older.json", R"("id":332)", R"("id":-1)",
       "a token's number is a whole one from 0 to 16777215, not -1"},
      {"words.json", R"("!":1)", R"("!":2)", R"(the tokens "!" and "\"" are both number 2)"},
      {"words.json", R"("!":1)", R"("!":1.5)", "not 1.5"},
      {"words.json", R"("merges":[["Ġ","t"])", R"("merges":[["Ġ","zzz"])",
       R"(merge 1 names "zzz", which is not in the vocabulary)"},
      {"words.json", R"("merges":[["Ġ","t"])", R"("merges":[["Ġ","!"])", R"(merge 1 names "Ġ!")"},
      {"words.json", R"("merges":[["Ġ","t"])", R"("merges":["Ġt")", "merge 1 is no pair of tokens"},
      {"words.json", R"("merges":[["Ġ","t"])", R"("merges":[["Ġ","t"],["Ġ","t"])",
       "merge 2 joins the pair of merge 1 once more"},
      {"words.json", R"("vocab":)", R"("words":)", "the model says 'words'"},
      {"words.json", R"("merges":[)", R"("merges":3,"fuse":[)", "the model says 'fuse'"},
  };
  for (const Damage& d : all) {
    SCOPED_TRACE(d.from + " -> " + d.to);
    std::string text = kept(d.file);
    const size_t at = text.find(d.from);
    ASSERT_NE(at, text.npos);
    text.replace(at, d.from.size(), d.to);
    const std::string said = refusal([&] { Tokenizer("t", text); });
    EXPECT_NE(said.find(d.message), std::string::npos) << said;
    EXPECT_EQ(said.substr(0, 4), "t:1:");
  }
}

// A model of bytes that are few: what it lacks is said where the text has it, or unk_token would stand for
// it.
TEST(Tokenizers, BytesWithoutAToken) {
  const std::string text = R"({"version":"1.0","pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false},
"model":{"type":"BPE","vocab":{"a":0,"b":1,"ab":2},"merges":["a b"]}})";
  const Tokenizer t("t", text);
  EXPECT_EQ(t.encode("abba", "x"), (std::vector<int32_t>{2, 1, 0}));
  EXPECT_EQ(refusal([&] { t.encode("ab\nabä", "x"); }),
            "x:1:3: the byte 10 has no token in the tokenizer, whose alphabet lacks it");
  EXPECT_EQ(refusal([&] { t.encode("ab\xff", "x"); }),
            "x:1: byte 3 of the line is no UTF-8; bytes(...) reads any file");
  std::string unknown = text;
  unknown.replace(unknown.find(R"("vocab")"), 7, R"("unk_token":"a","vocab")");
  EXPECT_NE(refusal([&] { Tokenizer("t", unknown); }).find("t:2:35: unk_token \"a\" is not read"),
            std::string::npos);
}

TEST(Tokenizers, CutFiles) {
  const std::string good = kept("older.json");
  for (size_t n = 0; n + 2 < good.size(); n += 7)
    EXPECT_NE(refusal([&] { Tokenizer("t", good.substr(0, n)); }).find("t:1:"), std::string::npos) << n;
  EXPECT_NE(refusal([&] { Tokenizer("t", good.substr(0, 40)); }).find("not JSON: "), std::string::npos);
}

// What still is a tokenizer gives back every text that it takes.
TEST(Tokenizers, DamagedFiles) {
  const std::string good = kept("older.json"), sample = "\u0436 It's 42 thereof,\n\n  <|end|> so ";
  uint64_t s = 5;
  auto random = [&](size_t n) {
    return static_cast<size_t>((s = s * 6364136223846793005ULL + 1442695040888963407ULL) >> 33) % n;
  };
  int taken = 0, refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text = good;
    for (size_t edits = 1 + random(3); edits > 0; --edits)
      text[random(text.size())] = random(2) == 0 ? good[random(good.size())] : static_cast<char>(random(256));
    const std::string said = refusal([&] {
      const Tokenizer t("t", text);
      EXPECT_EQ(back(t, t.encode(sample, "text")), sample) << text;
      ++taken;
    });
    if (!said.empty()) ++refused;
  }
  EXPECT_GT(taken, 10);
  EXPECT_GT(refused, 1000);
}

struct Bins : TempFolder {
  template <class T>
  std::string numbers(std::initializer_list<T> all, const std::string& before = "") {
    std::string bytes = before;
    for (const T n : all) bytes.append(reinterpret_cast<const char*>(&n), sizeof n);
    return bytes;
  }
  std::string header(int32_t magic, int32_t version, int32_t count) {
    std::string bytes = numbers<int32_t>({magic, version, count});
    bytes.resize(1024);
    return bytes;
  }
  std::string read(const std::string& bytes, int width = 0) {
    const std::string paths[] = {write("a.bin", bytes)};
    return refusal([&] { TokenBins(paths, width); });
  }
};

TEST_F(Bins, OneTextInFilesOfBothWidths) {
  const std::string paths[] = {write("a.bin", numbers<uint16_t>({1, 2, 65535})),
                               write("b.bin", numbers<uint16_t>({7, 8}, header(20240520, 1, 2))),
                               write("c.bin", numbers<uint32_t>({70000, 9}, header(20240801, 7, 2)))};
  const TokenBins all(paths, 0);
  ASSERT_EQ(all.count(), 7);
  const int64_t want[] = {1, 2, 65535, 7, 8, 70000, 9};
  for (int64_t i = 0; i < 7; ++i) EXPECT_EQ(all.at(i), want[i]) << i;
  const int64_t rows[] = {1, 3};
  const Array windows = all.windows(rows, 1, 3);
  EXPECT_EQ(windows.shape, (std::vector<int64_t>{2, 3}));
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(windows.whole_at(i), want[(i < 3 ? 2 : 4) + i % 3]) << i;
  EXPECT_EQ(all.first_from(65536), 5);
  EXPECT_EQ(all.first_from(65535), 2);
  EXPECT_FALSE(all.first_from(70001));
  EXPECT_EQ(all.place(5), paths[2] + ": token 1");
  const std::string wide[] = {write("d.bin", numbers<uint32_t>({70000, 9}))};
  EXPECT_EQ(TokenBins(wide, 4).at(0), 70000);
}

TEST_F(Bins, WhatIsRefused) {
  auto expect = [](const std::string& said, const std::string& part) {
    EXPECT_NE(said.find(part), std::string::npos) << said;
  };
  expect(read(""), "a.bin: holds no tokens");
  expect(read("abc"), "3 bytes are no whole numbers of 2 bytes");
  expect(read("abcdef", 4), "6 bytes are no whole numbers of 4 bytes");
  expect(read(numbers<uint16_t>({7}, header(20240520, 1, 2))),
         "promises 2 tokens of 2 bytes, behind it are 2 bytes");
  expect(read(header(20240520, 1, -1)), "promises -1 tokens");
  expect(read(numbers<uint16_t>({7}, header(20240520, 1, 1)), 4),
         "says numbers of 2 bytes, the model file of 4");
  const std::string none[] = {(dir / "none.bin").string()}, folder[] = {dir.string()};
  EXPECT_NE(refusal([&] { TokenBins(none, 0); }), "");
  EXPECT_NE(refusal([&] { TokenBins(folder, 0); }), "");
}

}  // namespace
}  // namespace gradc::runtime
