// Forms that schedules take for larger sizes than random graphs have: convolutions to few channels, blocks of
// rows stage by stage.
#include "agree/harness.h"

namespace gradc::test {
namespace {

const std::vector<Variant> kWidths = {{4, {}, "", true}, {8, {}, "", true}, {16, {}, "", true}};

TEST(Forms, ConvolutionsToFewChannels) {
  for (const Variant& v : kWidths)
    expect_agreement(R"(
func @f[B <= 3 plan 3](%x: f32[B,9,34,5], %w: f32[3,3,5,3], %u: f32[2,3,5,1], %g: f32[B,4,17,6], %k: f32[3,3,2,6]) -> (f32[B,9,34,3], f32[B,8,30,1], f32[B,8,34,2], f32[B,6,19,2]) {
  %p = pad(%x) {low=[0,1,1,0], high=[0,1,1,0], interior=[0,0,0,0], value=0.0}
  %v = windows(%p) {axes=[1,2], window=[3,3], stride=[1,1], dilation=[1,1]}
  %a = einsum(%v, %w) {spec="bhuwvc,uvcd->bhwd"}
  %d = windows(%x) {axes=[1,2], window=[2,3], stride=[1,1], dilation=[1,2]}
  %b = einsum(%d, %u) {spec="bhuwvc,uvcd->bhwd"}
  %t = einsum(%g, %k) {spec="bhwf,uvcf->bhuwvc"}
  %o = overlap_add(%t) {axes=[1,2], window=[3,3], stride=[2,2], dilation=[1,1], extents=[9,35]}
  %s = slice(%o) {start=[0,0,1,0], limit=[B,8,35,2], stride=[1,1,1,1]}
  %c = overlap_add(%t) {axes=[1,2], window=[3,3], stride=[1,1], dilation=[1,1], extents=[6,19]}
  return %a, %b, %s, %c
}
)",
                     "f", {1, 3}, v);
}

TEST(Forms, RowsStageByStage) {
  for (const Variant& v : kWidths)
    expect_agreement(R"(
func @f[B <= 100 plan 100](%x: f32[B,65], %w: f32[65], %y: i32[B]) -> (f32[B,65], f32[B], f32[B,65]) {
  %s0 = reduce_sum(%x) {axes=[1]}
  %k = constant() {dtype=f32, shape=[B], value=0.015384615384615385}
  %mu = mul(%s0, %k)
  %mub = broadcast(%mu) {dims=[0], shape=[B,65]}
  %z = sub(%x, %mub)
  %sq = mul(%z, %z)
  %s1 = reduce_sum(%sq) {axes=[1]}
  %eps = constant() {dtype=f32, shape=[B], value=1e-05}
  %var = mul(%s1, %k)
  %ve = add(%var, %eps)
  %r = rsqrt(%ve)
  %rb = broadcast(%r) {dims=[0], shape=[B,65]}
  %h = mul(%z, %rb)
  %wb = broadcast(%w) {dims=[1], shape=[B,65]}
  %n = mul(%h, %wb)
  %m = reduce_max(%x) {axes=[1]}
  %mb = broadcast(%m) {dims=[0], shape=[B,65]}
  %c = sub(%x, %mb)
  %e = exp(%c)
  %t = reduce_sum(%e) {axes=[1]}
  %l = log(%t)
  %at = iota() {axis=1, dtype=i32, shape=[B,65]}
  %yb = broadcast(%y) {dims=[0], shape=[B,65]}
  %hit = eq(%at, %yb)
  %zero = constant() {dtype=f32, shape=[B,65], value=0.0}
  %pick = select(%hit, %c, %zero)
  %chosen = reduce_sum(%pick) {axes=[1]}
  %loss = sub(%l, %chosen)
  %tb = broadcast(%t) {dims=[0], shape=[B,65]}
  %q = div(%e, %tb)
  return %n, %loss, %q
}
)",
                     "f", {1, 15, 16, 33, 100}, v);
}

}  // namespace
}  // namespace gradc::test
