// Pictures beside what Pillow reads from them (make_pictures.py), and files that lie.
#include "pictures/picture.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "pictures/resize.h"
#include "runtime/file.h"
#include "runtime/npy.h"
#include "runtime/refusal.h"
#include "runtime/zip.h"

namespace gradc::pictures {
namespace {

using runtime::refusal;

std::string kept(const std::string& name) {
  return std::string(GRADC_SOURCE_DIR) + "/tests/readers/pictures/" + name;
}

Picture read(const std::string& name) { return decode(name, runtime::read_file(kept(name))); }

runtime::Array witness(const std::string& name) {
  runtime::ByteStream from = runtime::open_member(kept("values.npz"), name + ".npy");
  return runtime::read_npy(from, [](runtime::DType t) { return t; });
}

void expect_same(const Picture& p, const std::string& name) {
  SCOPED_TRACE(name);
  const runtime::Array a = witness(name);
  ASSERT_EQ(a.shape[0], p.height);
  ASSERT_EQ(a.shape[1], p.width);
  ASSERT_EQ(a.count(), static_cast<int64_t>(p.samples.size()));
  for (int64_t i = 0; i < a.count(); ++i) ASSERT_EQ(a.whole_at(i), p.samples[static_cast<size_t>(i)]) << i;
}

void expect_refusal(const std::string& part, const std::string& bytes) {
  const std::string said = refusal([&] { decode("p", bytes); });
  EXPECT_NE(said.find(part), std::string::npos) << part << " / " << said;
}

TEST(Pictures, EveryKindIsWhatPillowReads) {
  int files = 0;
  for (const auto& e : std::filesystem::directory_iterator(kept(""))) {
    const std::string name = e.path().filename().string(), end = e.path().extension().string();
    if ((end != ".png" && end != ".jpg") || name == "inks.jpg") continue;
    bool lost = false, ignored = false;
    expect_same(with_channels(read(name), 1, lost), name + ".L");
    expect_same(with_channels(read(name), 3, lost), name + ".RGB");
    expect_same(with_channels(read(name), 4, ignored), name + ".RGBA");
    EXPECT_FALSE(ignored);
    EXPECT_EQ(lost, name.starts_with("rgba") || name == "grey_alpha.png" || name == "palette8.png" ||
                        name == "keyed.png")
        << name;
    EXPECT_EQ(read(name).narrowed, name.find("16") != name.npos) << name;
    ++files;
  }
  EXPECT_EQ(files, 22);
}

TEST(Pictures, SizesAreThoseOfPillow) {
  int cases = 0;
  for (const auto& [name, channels] :
       {std::pair<std::string, int>{"rgb8.png", 3}, {"grey8.png", 1}, {"plain.jpg", 3}})
    for (const auto& [h, w] : {std::pair{5, 7}, {20, 31}, {9, 4}, {3, 13}, {9, 13}, {16, 16}})
      for (const bool crop : {false, true}) {
        bool lost = false;
        const Picture p = with_channels(read(name), channels, lost);
        expect_same(resized(p, h, w, crop),
                    name + (crop ? ".crop." : ".stretch.") + std::to_string(h) + "." + std::to_string(w));
        ++cases;
      }
  EXPECT_EQ(cases, 36);
}

TEST(Pictures, WhatIsNoPictureIsSaid) {
  expect_refusal("p: is empty", "");
  expect_refusal("p: is neither a PNG nor a JPEG file", "GIF89a");
  expect_refusal("p: is neither a PNG nor a JPEG file", runtime::read_file(kept("values.npz")));
  expect_refusal("is a JPEG of four inks (CMYK)", runtime::read_file(kept("inks.jpg")));
  std::string png = runtime::read_file(kept("rgb8.png"));
  png[60] = static_cast<char>(png[60] ^ 1);
  expect_refusal("p: cannot be decoded as PNG: ", png);
}

// A number of `bytes` bytes, the most significant first.
void put(std::string& to, size_t at, int bytes, uint32_t v) {
  for (int i = bytes; i-- > 0; v >>= 8) to[at + static_cast<size_t>(i)] = static_cast<char>(v & 255);
}

uint32_t crc(std::string_view text) {
  uint32_t c = ~0u;
  for (const char x : text) {
    c ^= static_cast<uint8_t>(x);
    for (int k = 0; k < 8; ++k) c = c >> 1 ^ (c & 1 ? 0xEDB88320u : 0u);
  }
  return ~c;
}

TEST(Pictures, PromisesThatNoFileKeepsAreRefusedAtOnce) {
  auto claim = [](uint32_t width, uint32_t height) {
    std::string png = runtime::read_file(kept("rgb8.png")).substr(0, 100);
    put(png, 16, 4, width), put(png, 20, 4, height);
    put(png, 29, 4, crc(std::string_view(png).substr(12, 17)));
    return png;
  };
  const auto from = std::chrono::steady_clock::now();
  expect_refusal("is 100000 pixels wide and 100000 high; at least 1 and at most 67108864 pixels are read",
                 claim(100000, 100000));
  expect_refusal("is 4294967295 pixels wide and 4294967295 high", claim(~0u, ~0u));
  expect_refusal("is 0 pixels wide and 9 high", claim(0, 9));
  expect_refusal("the file is cut off: 100 bytes cannot hold 8192 x 8192 pixels", claim(8192, 8192));
  std::string jpeg = runtime::read_file(kept("plain.jpg"));
  const size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, jpeg.npos);
  put(jpeg, frame + 5, 2, 65000), put(jpeg, frame + 7, 2, 65000);
  expect_refusal("is 65000 pixels wide and 65000 high", jpeg);
  std::string scans = runtime::read_file(kept("progressive.jpg"));
  const size_t progressive = scans.find("\xff\xc2");
  ASSERT_NE(progressive, scans.npos);
  put(scans, progressive + 5, 2, 8192), put(scans, progressive + 7, 2, 8192);
  for (int i = 0; i < 20; ++i) scans += "\xff\xda";
  expect_refusal("scans of 8192 x 8192 pixels; at most 1073741824", scans);
  EXPECT_LT(std::chrono::steady_clock::now() - from, std::chrono::seconds(5));
}

TEST(Pictures, CutFilesAreRefusedAndDamagedOnesReadOrRefused) {
  for (const char* name : {"rgb8.png", "interlaced.png", "palette8.png", "plain.jpg", "progressive.jpg"}) {
    SCOPED_TRACE(name);
    const std::string good = runtime::read_file(kept(name));
    const auto from = std::chrono::steady_clock::now();
    // The last two bytes of a JPEG say that it ends; nothing is missing without them.
    const size_t needed = good.size() - (std::string(name).ends_with(".jpg") ? 2 : 0);
    for (size_t n = 0; n < needed; ++n)
      EXPECT_NE(refusal([&] { decode("p", good.substr(0, n)); }), "") << n << " of " << good.size();
    int refused = 0;
    for (size_t at = 0; at < good.size(); ++at)
      for (const int mask : {1, 0x80, 0xff}) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ mask);
        refused += refusal([&] { decode("p", bad); }).empty() ? 0 : 1;
      }
    EXPECT_GT(refused, 100);
    EXPECT_LT(std::chrono::steady_clock::now() - from, std::chrono::seconds(60));
  }
}

}  // namespace
}  // namespace gradc::pictures
