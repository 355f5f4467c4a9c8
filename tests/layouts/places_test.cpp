// Where elements lie: by hand, by the properties that every layout has, and by the runtime's own loops.
#include <gtest/gtest.h>

#include <cstring>

#include "driver/state_table.h"
#include "ir/kernel/flat_index.h"
#include "ir/kernel/kernel.h"
#include "layouts/draw.h"
#include "runtime/packing.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc::test {
namespace {

std::vector<int64_t> places(const Layout& l, const Shape& shape) {
  return kernel::places(l, shape, {{"B", 5}});
}

TEST(Layout, ByHand) {
  EXPECT_EQ(places({}, {2, 3}), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(places(transposed(2), {2, 3}), (std::vector<int64_t>{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(places(Layout::padded(2, {0, 2}), {2, 3}), (std::vector<int64_t>{0, 1, 2, 5, 6, 7}));
  // Rows in pairs, columns in threes: [2, 2] blocks of 3 columns by 2 rows.
  const Layout l = Layout::make(2, {}, {{1, 3}, {0, 2}}, {});
  EXPECT_EQ(places(l, {3, 4}), (std::vector<int64_t>{0, 2, 4, 6, 1, 3, 5, 7, 12, 14, 16, 18}));
  EXPECT_EQ(l.size({3, 4}), Index(24));
  // An axis of 7 in fours of twos, a place unused behind each two.
  EXPECT_EQ(places(Layout::make(1, {}, {{0, 2}, {0, 2}}, {0, 0, 1}), {7}),
            (std::vector<int64_t>{0, 1, 3, 4, 6, 7, 9}));
}

TEST(Layout, OfASymbolicExtent) {
  const Dim b = Index::dim("B");
  const Layout l = blocked(2, 4);
  EXPECT_EQ(l.size({b, 6}), b.ceil_div(4) * 32);
  // At the first block of 4 rows the address does not ask which block it is.
  EXPECT_EQ(l.address({b, 8}, {0, Index::var(0) * 4 + 1}), Index::var(0) * 16 + 4);
  EXPECT_EQ(places(l, {b, 2}), (std::vector<int64_t>{0, 4, 1, 5, 2, 6, 3, 7, 16, 20}));
}

TEST(Layout, IsSpelledInOneWay) {
  EXPECT_EQ(Layout::make(2, {0, 1}, {}, {0, 0}), Layout());
  EXPECT_TRUE(Layout::make(3, {0, 1, 2}, {}, {}).is_plain());
  EXPECT_EQ(Layout::make(2, {1, 0}, {{0, 4}}, {0, 1, 0}).str(), " order [1,0] blocks [0:4] pad [0,1,0]");
  EXPECT_EQ(Layout().str(), "");
}

TEST(Layout, Faults) {
  const auto fault = [](std::vector<int> order, std::vector<Layout::Block> blocks,
                        std::vector<int64_t> padding) {
    const std::string why = Layout::fault(2, order, blocks, padding);
    EXPECT_THROW(Layout::make(2, order, blocks, padding), InternalError);
    return why;
  };
  EXPECT_EQ(fault({0, 0}, {}, {}), "the order [0,0] is none of 2 axes");
  EXPECT_EQ(fault({0}, {}, {}), "the order [0] is none of 2 axes");
  EXPECT_EQ(fault({}, {{2, 4}}, {}), "a block of axis 2 of 2");
  EXPECT_EQ(fault({}, {{0, 1}}, {}), "blocks of 1 on axis 0");
  EXPECT_EQ(fault({}, {{0, 1 << 20}, {0, 1 << 20}}, {}), "blocks of 1048576 on axis 0");
  EXPECT_EQ(fault({}, {{0, 4}}, {1, 1}), "padding of 2 of 3 axes");
  EXPECT_EQ(fault({}, {}, {0, -1}), "padding of -1");
}

// No two elements at one place, none outside; and the runtime's loops find the same places.
TEST(Layout, DrawnOnesAreWhatTheRuntimePacks) {
  const std::vector<std::vector<int64_t>> shapes{{},     {1},       {7},          {33},        {5, 7},
                                                 {0, 4}, {3, 4, 6}, {2, 1, 5, 3}, {17, 2, 16}, {4, 0, 3}};
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const std::vector<int64_t>& extents = shapes[seed % shapes.size()];
    const Layout l = draw_layout(static_cast<int>(extents.size()), seed);
    SCOPED_TRACE(l.str());
    const Shape shape(extents.begin(), extents.end());
    const std::vector<int64_t> at = places(l, shape);
    const int64_t size = l.size(shape).constant_part(), n = static_cast<int64_t>(at.size());
    std::vector<int32_t> logical, packed(static_cast<size_t>(size) + 1, 0x55), want(packed.size(), 0);
    want.back() = 0x55;  // behind the buffer: untouched
    for (int64_t i = 0; i < n; ++i) {
      logical.push_back(static_cast<int32_t>(i + 1));
      ASSERT_TRUE(at[static_cast<size_t>(i)] >= 0 && at[static_cast<size_t>(i)] < size);
      int32_t& place = want[static_cast<size_t>(at[static_cast<size_t>(i)])];
      ASSERT_EQ(place, 0) << "two elements at one place";
      place = logical.back();
    }
    const auto bytes = [](std::vector<int32_t>& v) { return reinterpret_cast<std::byte*>(v.data()); };
    const runtime::Packing packing(runtime_layout(l), extents, 4);
    ASSERT_EQ(packing.packed_bytes(), size * 4);
    packing.pack(bytes(logical), bytes(packed));
    ASSERT_EQ(packed, want);
    std::vector<int32_t> back(logical.size());
    packing.unpack(bytes(packed), bytes(back));
    ASSERT_EQ(back, logical);
    if (extents.empty() || n == 0) continue;
    // Rows of a larger tensor that holds them the other way round.
    const size_t row = static_cast<size_t>(n / extents[0]);
    std::vector<int32_t> turned(row, -1), rows(packed.size(), 0x77);
    std::vector<int64_t> number;
    rows.back() = 0x55;
    for (int64_t i = extents[0]; i-- > 0;) {
      number.push_back(i + 1);
      const auto first = logical.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(i) * row);
      turned.insert(turned.end(), first, first + static_cast<std::ptrdiff_t>(row));
    }
    packing.pack_rows(bytes(turned), number, bytes(rows));
    ASSERT_EQ(rows, want);
  }
}

const char* kText =
    R"(kernel @k(%x: f32[B,8] order [1,0] in, %y: f32[B,8] blocks [0:4,1:2] pad [0,0,1,0] of %x out) fma=on {
  scratch %s: f32[4,4] pad [0,2]
  for %i0 in 0..B {
    %v0: f32 = load %x[%i0, 3]
    store %y[%i0, 3] = %v0
  }
}
)";

TEST(LayoutText, IsReadBack) {
  const kernel::Kernel k = kernel::parse_kernel(kText);
  EXPECT_EQ(kernel::print(k), kText);
  kernel::verify(k);
  EXPECT_EQ(k.buffers[0].layout, transposed(2));
  EXPECT_EQ(k.buffers[1].derived_from, 0);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const Layout l = draw_layout(static_cast<int>(1 + seed % 4), seed);
    kernel::Kernel one;
    one.name = "k";
    one.buffers.push_back({"x", DType::F32, Shape(1 + seed % 4, Index(3)), kernel::Space::In, l});
    EXPECT_EQ(kernel::parse_kernel(kernel::print(one)).buffers[0].layout, l) << l.str();
  }
}

// The mistake, or that of the verifier; "none" without one.
std::string mistake(const std::string& from, const std::string& to) {
  std::string text = kText;
  text.replace(text.find(from), from.size(), to);
  try {
    kernel::verify(kernel::parse_kernel(text));
  } catch (const std::exception& e) {
    return e.what();
  }
  return "none";
}

TEST(LayoutText, Mistakes) {
  EXPECT_EQ(mistake("order [1,0]", "order [0,1]"), "none");
  EXPECT_NE(mistake("order [1,0]", "order [1,1]").find("none of 2 axes"), std::string::npos);
  EXPECT_NE(mistake("order [1,0]", "order [1,2]").find("axis 2 of 2"), std::string::npos);
  EXPECT_NE(mistake("0:4,1:2", "0:4,1:1").find("blocks of 1"), std::string::npos);
  EXPECT_NE(mistake("0:4,1:2", "0:4,3:2").find("axis 3 of 2"), std::string::npos);
  EXPECT_NE(mistake("pad [0,0,1,0]", "pad [0,0,1]").find("padding of 3 of 4"), std::string::npos);
  EXPECT_NE(mistake("of %x out", "of %z out").find("no buffer %z"), std::string::npos);
  EXPECT_NE(mistake("%y: f32[B,8]", "%y: f32[8,B]").find("y is no copy of x"), std::string::npos);
  EXPECT_NE(mistake("scratch %s", "tile %s").find("tile s has a layout"), std::string::npos);
  EXPECT_NE(mistake("pad [0,2]", "of %y").find("derived from"), std::string::npos);
}

}  // namespace
}  // namespace gradc::test
