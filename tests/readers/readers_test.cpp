// Values of every reader against what NumPy and the wave module wrote (make_files.py), and files that lie.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "model/temp_folder.h"
#include "runtime/cifar.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/npy.h"
#include "runtime/refusal.h"
#include "runtime/vocabulary.h"
#include "runtime/wav.h"
#include "runtime/zip.h"

namespace gradc::runtime {
namespace {

namespace fs = std::filesystem;

std::string kept(const std::string& name) {
  return std::string(GRADC_SOURCE_DIR) + "/tests/readers/files/" + name;
}

DType as_stored(DType t) { return t; }

Array read_npy_file(const std::string& path) {
  ByteStream from = open_file(path);
  return read_npy(from, as_stored);
}
Array read_npz(const std::string& path, const std::string& member) {
  ByteStream from = open_member(path, member);
  return read_npy(from, as_stored);
}

struct Readers : TempFolder {
  static void expect_refusal(const std::string& part, const std::function<void()>& f) {
    EXPECT_NE(refusal(f).find(part), std::string::npos) << part << " / " << refusal(f);
  }
  // Every prefix is refused; random bytes give an Error or a result, nothing else.
  void damage(const std::string& good, const std::function<void(const std::string&)>& read) {
    for (size_t n = 0; n < good.size(); n += 1 + good.size() / 300)
      EXPECT_NE(refusal([&] { read(write("cut", good.substr(0, n))); }), "") << n << " of " << good.size();
    uint64_t s = 5;
    auto random = [&](size_t n) {
      return static_cast<size_t>((s = s * 6364136223846793005ULL + 1442695040888963407ULL) >> 33) % n;
    };
    for (int round = 0; round < 500; ++round) {
      std::string bytes = good;
      for (size_t edits = 1 + random(3); edits > 0; --edits)
        bytes[random(bytes.size())] = static_cast<char>(random(256));
      refusal([&] { read(write("damaged", bytes)); });
    }
  }
};

TEST_F(Readers, EveryTypeAndOrderOfNumpy) {
  std::ifstream in(kept("values.txt"));
  int arrays = 0;
  for (std::string line; std::getline(in, line); ++arrays) {
    SCOPED_TRACE(line.substr(0, line.find(' ')));
    std::istringstream words(line);
    std::string name, word;
    words >> name;
    std::vector<int64_t> shape;
    while (words >> word && word != ":") shape.push_back(std::stoll(word));
    std::vector<double> values;
    while (words >> word) values.push_back(std::stod(word));
    for (const Array& a : {read_npy_file(kept(name + ".npy")), read_npz(kept("stored.npz"), name + ".npy"),
                           read_npz(kept("deflated.npz"), name + ".npy")}) {
      ASSERT_EQ(a.shape, shape);
      ASSERT_EQ(a.count(), static_cast<int64_t>(values.size()));
      for (int64_t i = 0; i < a.count(); ++i) ASSERT_EQ(a.at(i), values[static_cast<size_t>(i)]) << i;
    }
  }
  EXPECT_EQ(arrays, 15);
  EXPECT_EQ(read_npy_file(kept("i8.npy")).whole_at(11), int64_t(11) << 40);
  ByteStream wide = open_file(kept("f8.npy"));
  EXPECT_EQ(read_npy(wide, [](DType) { return DType::F32; }).dtype, DType::F32);
}

TEST_F(Readers, WhatNumpyArraysAreRefusedFor) {
  expect_refusal("'<u8'", [] { read_npy_file(kept("u8.npy")); });
  expect_refusal("'|O'", [] { read_npy_file(kept("object.npy")); });
  expect_refusal("is not an NPY array", [] { read_npy_file(kept("one.wav")); });
  expect_refusal("has no member 'z.npy' (it has: b1.npy, u1.npy",
                 [] { read_npz(kept("stored.npz"), "z.npy"); });
  expect_refusal("is not a ZIP archive", [] { read_npz(kept("f4.npy"), "x.npy"); });
  ByteStream narrow = open_file(kept("i4.npy"));
  expect_refusal("element 1 is -100000000, which no u8 is",
                 [&] { read_npy(narrow, [](DType) { return DType::U8; }); });
}

// A header that promises far more than the file has costs no memory.
TEST_F(Readers, HeadersThatPromiseTooMuch) {
  auto npy = [](const std::string& shape, const std::string& type = "<f4") {
    std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + shape + "), }\n";
    return std::string("\x93NUMPY\x01\0", 8) + static_cast<char>(header.size()) + '\0' + header;
  };
  expect_refusal("promises 4000000000000 bytes of data, there are 4",
                 [&] { read_npy_file(write("a", npy("1000000, 1000000") + "abcd")); });
  expect_refusal("promises far more bytes",
                 [&] { read_npy_file(write("a", npy("4611686018427387904, 4") + "abcd")); });
  expect_refusal("header is damaged", [&] { read_npy_file(write("a", npy("-1") + "abcd")); });
  expect_refusal("header is damaged",
                 [&] { read_npy_file(write("a", npy("99999999999999999999") + "abcd")); });
  expect_refusal("more than 8 axes", [&] { read_npy_file(write("a", npy("1,1,1,1,1,1,1,1,1") + "abcd")); });
  expect_refusal("is a single number", [&] { read_npy_file(write("a", npy("") + "abcd")); });
  expect_refusal("header is 4294967295 bytes long",
                 [&] { read_npy_file(write("a", std::string("\x93NUMPY\x02\0\xff\xff\xff\xff{}", 14))); });
  // A deflated member of a few bytes that claims a terabyte.
  std::string zip = read_file(kept("deflated.npz"));
  const size_t entry = zip.find("PK\1\2");
  ASSERT_NE(entry, zip.npos);
  zip.replace(entry + 24, 4, "\xf0\xff\xff\xff");
  expect_refusal("b1.npy: promises 4294967280 bytes from", [&] { read_npz(write("z", zip), "b1.npy"); });
}

TEST_F(Readers, DamagedNumpyFiles) {
  damage(read_file(kept("f4.npy")), [](const std::string& p) { read_npy_file(p); });
  damage(read_file(kept("stored.npz")), [](const std::string& p) { read_npz(p, "fortran.npy"); });
  damage(read_file(kept("deflated.npz")), [](const std::string& p) { read_npz(p, "i4.npy"); });
  std::string zip = read_file(kept("stored.npz"));
  zip[zip.find("NUMPY") + 127 + 4] ^= 1;  // an element of the first member
  expect_refusal("b1.npy: the checksum does not agree", [&] { read_npz(write("z", zip), "b1.npy"); });
}

TEST_F(Readers, CifarIsChannelsLast) {
  const std::string ten[] = {kept("cifar10.bin"), kept("cifar10.bin")}, hundred[] = {kept("cifar100.bin")};
  for (DType t : {DType::U8, DType::F32, DType::F64, DType::I32}) {
    const CifarData d = read_cifar(ten, CifarKind::Ten, t);
    ASSERT_EQ(d.images.shape, (std::vector<int64_t>{4, 32, 32, 3}));
    for (int64_t r = 0, at = 0; r < 4; ++r)
      for (int64_t i = 0; i < 32; ++i)
        for (int64_t j = 0; j < 32; ++j)
          for (int64_t c = 0; c < 3; ++c, ++at)
            ASSERT_EQ(d.images.at(at), (r % 2 * 50 + 3 * i + 5 * j + 80 * c) % 256) << at;
    EXPECT_EQ(d.labels.at(1), 9);
    EXPECT_EQ(d.labels.at(2), 3);
  }
  const CifarData d = read_cifar(hundred, CifarKind::Hundred, DType::U8);
  EXPECT_EQ(d.labels.at(0), 99);
  EXPECT_EQ(d.coarse.at(0), 19);
  EXPECT_EQ(d.images.at(3 + 1), 85);
}

TEST_F(Readers, CifarRefusesPartsOfRecordsAndLabelsThatAreNone) {
  auto read = [](const std::string& path) {
    const std::string paths[] = {path};
    read_cifar(paths, CifarKind::Ten, DType::U8);
  };
  const std::string good = read_file(kept("cifar10.bin"));
  expect_refusal("6145 bytes are not whole CIFAR-10 records of 3073",
                 [&] { read(write("c", good.substr(1))); });
  expect_refusal("0 bytes are not whole", [&] { read(write("c", "")); });
  std::string bad = good;
  bad[3073] = 10;
  expect_refusal("record 2: label 10, but CIFAR-10 has 0..9", [&] { read(write("c", bad)); });
  expect_refusal("not whole CIFAR-10 records", [&] { read(kept("cifar100.bin")); });
}

TEST_F(Readers, Wav) {
  const Wav one = read_wav(kept("one.wav"));
  EXPECT_EQ(one.rate, 8000);
  EXPECT_EQ(one.samples, (std::vector<int16_t>{3000, -6000, 9000, -12000, 15000}));
  expect_refusal("has 2 channels; one is read", [] { read_wav(kept("stereo.wav")); });
  expect_refusal("has 8 bits a sample; 16 are read", [] { read_wav(kept("eight.wav")); });
  expect_refusal("is not a WAV file", [] { read_wav(kept("f4.npy")); });
  std::string good = read_file(kept("one.wav"));
  damage(good, [](const std::string& p) { read_wav(p); });
  std::string huge = good, order = good;
  huge.replace(40, 4, "\xff\xff\xff\xff");
  expect_refusal("'data' promises 4294967295 bytes, the file has 10", [&] { read_wav(write("w", huge)); });
  order.replace(12, 4, "junk");
  expect_refusal("has its samples before their format", [&] { read_wav(write("w", order)); });
  std::string extra = good;  // an unknown chunk of odd length comes with a byte of padding
  extra.insert(36, std::string("LIST\3\0\0\0abc\0", 12));
  EXPECT_EQ(read_wav(write("w", extra)).samples, one.samples);
}

TEST_F(Readers, CharactersAndBytes) {
  const Coded text = read_characters(write("t", "ab\u00e9\na\U0001F600\u4e2d"));
  EXPECT_EQ(text.names, (std::vector<std::string>{"a", "b", "\u00e9", "\n", "\U0001F600", "\u4e2d"}));
  EXPECT_EQ(text.ids.shape, (std::vector<int64_t>{7}));
  EXPECT_EQ(character_place("t", text, 5), "t:2:2");
  Coded again = text;
  EXPECT_EQ(renumber(again, {"\n", "a", "b", "\u00e9", "\u4e2d", "\U0001F600"}), -1);
  for (int64_t i = 0; i < 7; ++i)
    EXPECT_EQ(again.ids.at(i), (std::vector<int>{1, 2, 3, 0, 1, 5, 4}[static_cast<size_t>(i)]));
  again = text;
  EXPECT_EQ(renumber(again, {"\n", "a", "b"}), 2);
  EXPECT_EQ(again.ids.bytes, text.ids.bytes);
  for (const char* bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\xff"})
    expect_refusal("t:2: byte 2 of the line is no UTF-8",
                   [&] { read_characters(write("t", std::string("a\nb") + bad)); });
  const Array bytes = read_bytes(write("t", std::string("\0\xff"
                                                        "A",
                                                        3)));
  EXPECT_EQ(bytes.at(1), 255);
  EXPECT_EQ(bytes.count(), 3);
}

}  // namespace
}  // namespace gradc::runtime
