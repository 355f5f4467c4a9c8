// Pictures of a batch, moved and mirrored: the values of tests/data/augment.py, and what draws depend on.
#include "runtime/augment.h"

#include <gtest/gtest.h>

#include <fstream>
#include <numeric>
#include <sstream>

namespace gradc::runtime {
namespace {

using Kind = PictureChange::Kind;

DType dtype_of(const std::string& name) {
  for (DType t : {DType::U8, DType::I32, DType::F32, DType::F64})
    if (name == name_of(t)) return t;
  ADD_FAILURE() << name;
  return DType::U8;
}

Array numbered(DType t, std::vector<int64_t> shape) {
  Array a = make_array(t, std::move(shape));
  for (int64_t i = 0; i < a.count(); ++i) a.set(i, static_cast<double>(1 + i % 251));
  return a;
}

std::vector<double> values(const Array& a) {
  std::vector<double> v;
  for (int64_t i = 0; i < a.count(); ++i) v.push_back(a.at(i));
  return v;
}

TEST(Augment, PicturesAreThoseOfNumpy) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/augment.txt");
  int cases = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    std::istringstream s(line);
    std::string type, how;
    uint64_t seed;
    int64_t epoch, h, w, c;
    size_t count;
    s >> type >> seed >> epoch >> h >> w >> c >> count;
    std::vector<PictureChange> changes;
    for (; count > 0; --count) {
      s >> how;
      changes.push_back(how == "flip" ? PictureChange{Kind::Flip, 0}
                                      : PictureChange{Kind::Shift, std::stoll(how)});
    }
    s >> count;
    std::vector<int64_t> rows(count);
    for (int64_t& r : rows) s >> r;
    const Array all =
        numbered(dtype_of(type), c > 0 ? std::vector<int64_t>{9, h, w, c} : std::vector<int64_t>{9, h, w});
    const Array got = augment_rows(all, changes, seed, epoch, rows);
    std::vector<double> want;
    for (double v; s >> v;) want.push_back(v);
    EXPECT_EQ(got.shape[0], static_cast<int64_t>(rows.size()));
    EXPECT_EQ(values(got), want) << line.substr(0, 60);
  }
  EXPECT_EQ(cases, 6);
}

// Each row alone is as it is within any batch, other epochs and seeds are others, and equal lists move alike.
TEST(Augment, DrawsDependOnSeedEpochAndRow) {
  const std::vector<PictureChange> changes = {{Kind::Shift, 2}, {Kind::Flip, 0}};
  const Array all = numbered(DType::U8, {40, 6, 6}), wide = numbered(DType::F32, {40, 6, 6, 2});
  std::vector<int64_t> rows(40);
  std::iota(rows.rbegin(), rows.rend(), 0);
  const Array batch = augment_rows(all, changes, 3, 5, rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    const Array one = augment_rows(all, changes, 3, 5, std::span(rows).subspan(i, 1));
    const auto at = batch.bytes.begin() + static_cast<int64_t>(i) * 36;
    EXPECT_TRUE(std::equal(one.bytes.begin(), one.bytes.end(), at)) << i;
  }
  EXPECT_NE(augment_rows(all, changes, 3, 6, rows).bytes, batch.bytes);
  EXPECT_NE(augment_rows(all, changes, 4, 5, rows).bytes, batch.bytes);
  const Array two = augment_rows(wide, changes, 3, 5, rows);
  for (int64_t i = 0; i < batch.count(); ++i) EXPECT_EQ(two.at(2 * i) == 0, batch.at(i) == 0) << i;
}

// Every shift comes about as often as the others, and so does every second picture mirrored.
TEST(Augment, DrawsAreEven) {
  Array all = make_array(DType::I32, {9000, 5, 5});
  for (int64_t r = 0; r < 9000; ++r) all.set(r * 25 + 12, 1);  // the middle
  std::vector<int64_t> rows(9000);
  std::iota(rows.begin(), rows.end(), 0);
  const std::vector<PictureChange> shift = {{Kind::Shift, 1}}, flip = {{Kind::Flip, 0}};
  const Array moved = augment_rows(all, shift, 1, 0, rows);
  std::vector<int64_t> seen(25);
  for (int64_t i = 0; i < moved.count(); ++i) seen[static_cast<size_t>(i % 25)] += moved.whole_at(i);
  for (int64_t y = 0; y < 5; ++y)
    for (int64_t x = 0; x < 5; ++x) {
      const bool near = y >= 1 && y <= 3 && x >= 1 && x <= 3;
      EXPECT_NEAR(static_cast<double>(seen[static_cast<size_t>(5 * y + x)]), near ? 1000 : 0, near ? 120 : 0);
    }
  for (int64_t r = 0; r < 9000; ++r) all.set(r * 25 + 10, 2);
  const Array mirrored = augment_rows(all, flip, 1, 0, rows);
  int64_t turned = 0;
  for (int64_t r = 0; r < 9000; ++r) turned += mirrored.whole_at(r * 25 + 14) == 2;
  EXPECT_NEAR(static_cast<double>(turned), 4500, 200);
}

}  // namespace
}  // namespace gradc::runtime
