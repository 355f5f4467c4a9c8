// Kernels under a grid of register tiles, sizes that do not divide included, at several widths: the bits are
// those of the interpreter, whatever the schedule.
#include "agree/harness.h"

namespace gradc::test {
namespace {

struct Case {
  const char* name;
  const char* text;
  std::vector<int64_t> batches = {5};
  int updates = 1;
};

const Case kCases[] = {
    {"product with epilogue", R"(
func @f(%x: f32[13,19], %w: f32[19,35], %c: f32[35]) -> (f32[13,35]) {
  %0 = einsum(%x, %w) {spec="ab,bc->ac"}
  %1 = broadcast(%c) {dims=[1], shape=[13,35]}
  %2 = add(%0, %1)
  %3 = tanh(%2)
  return %3
}
)"},
    {"operands transposed, panels staged", R"(
func @f(%x: f32[19,41], %w: f32[37,19]) -> (f32[41,37]) {
  %0 = einsum(%x, %w) {spec="ba,cb->ac"}
  return %0
}
)"},
    {"in f64, from an initial value", R"(
func @f(%x: f64[11,17], %w: f64[17,21], %c: f64[11,21]) -> (f64[21,11]) {
  %0 = einsum(%x, %w, %c) {spec="ab,bc->ac"}
  %1 = transpose(%0) {perm=[1,0]}
  return %1
}
)"},
    {"weight gradient with update",
     R"(
func @f[B <= 9 plan 8](%w: f32[21,18], %v: f32[21,18], %x: f32[B,21], %g: f32[B,18])
    -> (f32[21,18] into %w, f32[21,18] into %v) {
  %0 = einsum(%x, %g) {spec="ba,bc->ac"}
  %1 = constant() {value=0.9, dtype=f32, shape=[21,18]}
  %2 = mul(%v, %1)
  %3 = add(%2, %0)
  %4 = constant() {value=0.1, dtype=f32, shape=[21,18]}
  %5 = mul(%3, %4)
  %6 = sub(%w, %5)
  return %6, %3
}
)",
     {0, 1, 9},
     3},
    {"symbolic rows",
     R"(
func @f[B <= 33 plan 32](%x: f32[B,23], %w: f32[34,23]) -> (f32[B,34]) {
  %0 = einsum(%x, %w) {spec="ab,cb->ac"}
  %1 = constant() {value=0.0, dtype=f32, shape=[B,34]}
  %2 = max(%0, %1)
  return %2
}
)",
     {0, 1, 7, 33}},
    {"batched, integers",
     R"(
func @f[B <= 5 plan 4](%x: i32[B,10,7], %w: i32[B,7,19]) -> (i32[B,10,19]) {
  %0 = einsum(%x, %w) {spec="nab,nbc->nac"}
  return %0
}
)",
     {1, 5}},
    {"windows of few channels, images in lanes",
     R"(
func @f[B <= 70 plan 64](%x: f32[B,8,8,4], %w: f32[5,5,4,3]) -> (f32[B,4,4,3]) {
  %0 = windows(%x) {axes=[1,2], dilation=[1,1], stride=[1,1], window=[5,5]}
  %1 = einsum(%0, %w) {spec="abcdef,cefg->abdg"}
  %2 = tanh(%1)
  return %2
}
)",
     {0, 1, 47}},
    {"column sums", R"(
func @f(%x: f32[14,37]) -> (f32[37]) {
  %0 = reduce_sum(%x) {axes=[0]}
  return %0
}
)"},
};

// Rows and columns; 0 leaves the choice to the policy.
constexpr std::pair<int64_t, int64_t> kTiles[] = {{0, 0}, {1, 1},  {2, 3},  {5, 8}, {0, 20},
                                                  {7, 0}, {3, 17}, {64, 1}, {1, 64}};

class Grid : public testing::TestWithParam<Case> {};

TEST_P(Grid, SameBits) {
  const Case& c = GetParam();
  for (int lanes : {4, 8, 16})
    for (const auto& [rows, columns] : kTiles) {
      const Variant v{lanes, {}, "", (rows + columns) % 2 == 1};
      CompileOptions o = options_of(v);
      o.force_rows = rows, o.force_columns = columns;
      ASSERT_EQ(disagreement(c.text, "f", {c.batches, v, {1, 3}, c.updates}, o), "")
          << c.name << ", tiles of " << rows << "x" << columns;
    }
}
INSTANTIATE_TEST_SUITE_P(Kernels, Grid, testing::ValuesIn(kCases));

// The grid is about tiles: each kernel has one of the sizes that were asked for, in the rows or the columns.
TEST(GridTiles, AreWhatWasForced) {
  for (const Case& c : kCases) {
    const graph::Module m = passes::run_graph_passes(graph::parse(c.text));
    CompileOptions o = options_of({8, {}, ""});
    o.force_rows = 5, o.force_columns = 8;
    passes::StepReport report;
    lower_function(m, m.at("f"), o, {}, &report);
    bool forced = false;
    for (const auto& k : report.kernels)
      for (const kernel::Transform& t : k.schedule->steps)
        forced |= t.name == "split" && (t.by == 5 || t.by == 8);
    EXPECT_TRUE(forced) << c.name << "\n" << passes::describe(report);
  }
}

}  // namespace
}  // namespace gradc::test
