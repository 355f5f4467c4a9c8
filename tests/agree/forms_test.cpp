// Forms for larger sizes than random graphs have: convolutions to few channels, blocks of rows stage by
// stage, chunks of masked scores, loops that threads share by rows.
#include <cmath>

#include "agree/harness.h"

namespace gradc::test {
namespace {

const std::vector<Variant> kWidths = {{4, {}, "", true}, {8, {}, "", true}, {16, {}, "", true}};

const char* kFewChannels = R"(
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
)";

TEST(Forms, ConvolutionsToFewChannels) {
  // The row of the image is last in what windows are of.
  const std::string turned = graph::print(passes::run_graph_passes(graph::parse(kFewChannels)));
  EXPECT_NE(turned.find("perm=[0,1,3,2]"), std::string::npos);
  for (const Variant& v : kWidths) expect_agreement(kFewChannels, "f", {1, 3}, v);
}

const char* kRows = R"(
func @f[B <= 40 plan 40](%x: f32[B,65], %w: f32[65], %y: i32[B]) -> (f32[B,65], f32[B], f32[B,65]) {
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
)";

TEST(Forms, RowsStageByStage) {
  const graph::Module m = passes::run_graph_passes(graph::parse(kRows));
  // Too little work for threads, in caches of the usual size.
  for (const int lanes : {4, 8, 16}) {
    const Variant v{lanes, {}, "", false};
    // Numbers of 32 rows that a stage leaves for the next.
    const std::string step = step::print(lower_function(m, m.at("f"), options_of(v)));
    EXPECT_NE(step.find("f32[32]"), std::string::npos) << v.lanes << " lanes";
    expect_agreement(kRows, "f", {1, 15, 32, 33, 40}, v);
  }
}

// A recurrent network with its gradients, whose bias sums over the rows in each step of the loop backwards.
const char* kRecurrent = R"(
func @cell[B <= 160 plan 160](%w: f32[5,5], %b: f32[5], %h: f32[B,5], %x: f32[B,5]) -> (f32[B,5], f32[B,5]) {
  %m = einsum(%h, %w) {spec="bi,ij->bj"}
  %bb = broadcast(%b) {dims=[1], shape=[B,5]}
  %s = add(%m, %x)
  %t = add(%s, %bb)
  %n = tanh(%t)
  return %n, %n
}
func @loss[B <= 160 plan 160](%w: f32[5,5], %b: f32[5], %h: f32[B,5], %x: f32[7,B,5]) -> (loss: f32[]) {
  %r: (f32[B,5], f32[7,B,5]) = scan(%w, %b, %h, %x) {carries=1, consts=2, function=@cell, length=[7]}
  %y = get(%r) {index=1}
  %q = mul(%y, %y)
  %loss = reduce_sum(%q) {axes=[0,1,2]}
  return %loss
}
func @f[B <= 160 plan 160](%w: f32[5,5], %b: f32[5], %h: f32[B,5], %x: f32[7,B,5]) -> (loss: f32[], dw: f32[5,5], db: f32[5], dh: f32[B,5], dx: f32[7,B,5]) {
  %all: (f32[], f32[5,5], f32[5], f32[B,5], f32[7,B,5]) = value_and_grad(%w, %b, %h, %x) {function=@loss, wrt=[0,1,2,3]}
  %l = get(%all) {index=0}
  %dw = get(%all) {index=1}
  %db = get(%all) {index=2}
  %dh = get(%all) {index=3}
  %dx = get(%all) {index=4}
  return %l, %dw, %db, %dh, %dx
}
)";

TEST(Forms, LoopsByRows) {
  const graph::Module m = passes::run_graph_passes(graph::parse(kRecurrent));
  for (const int lanes : {4, 8, 16}) {
    const Variant v{lanes, {}, "", false};
    const std::string step = step::print(lower_function(m, m.at("f"), options_of(v)));
    size_t tasks = 0;
    for (size_t at = step.find("tasks"); at != std::string::npos; at = step.find("tasks", at + 1)) ++tasks;
    EXPECT_GE(tasks, 2U) << lanes << " lanes";
    expect_agreement(kRecurrent, "f", {1, 20, 31, 64, 160}, v);
  }
}

// Causal attention over T places and its gradients of the sum of y * g; zero where places lie behind.
std::string causal(int places, std::string_view type) {
  const std::string t = std::to_string(places);
  std::string text = R"(
func @loss[B <= 2 plan 2](%q: f32[B,T,2], %k: f32[B,T,2], %v: f32[B,T,3], %g: f32[B,T,3]) -> (loss: f32[], y: f32[B,T,3]) {
  %s = einsum(%q, %k) {spec="bic,bjc->bij"}
  %row = iota() {axis=0, dtype=i32, shape=[T,T]}
  %column = iota() {axis=1, dtype=i32, shape=[T,T]}
  %before = le(%column, %row)
  %mask = broadcast(%before) {dims=[1,2], shape=[B,T,T]}
  %low = constant() {dtype=f32, shape=[B,T,T], value=-inf}
  %m = select(%mask, %s, %low)
  %top = reduce_max(%m) {axes=[2]}
  %stop = stop_gradient(%top)
  %tops = broadcast(%stop) {dims=[0,1], shape=[B,T,T]}
  %less = sub(%m, %tops)
  %e = exp(%less)
  %total = reduce_sum(%e) {axes=[2]}
  %totals = broadcast(%total) {dims=[0,1], shape=[B,T,T]}
  %a = div(%e, %totals)
  %y = einsum(%a, %v) {spec="bij,bjc->bic"}
  %yg = mul(%y, %g)
  %loss = reduce_sum(%yg) {axes=[0,1,2]}
  return %loss, %y
}
func @f[B <= 2 plan 2](%q: f32[B,T,2], %k: f32[B,T,2], %v: f32[B,T,3], %g: f32[B,T,3]) -> (y: f32[B,T,3], dq: f32[B,T,2], dk: f32[B,T,2], dv: f32[B,T,3]) {
  %all: (f32[], f32[B,T,3], f32[B,T,2], f32[B,T,2], f32[B,T,3]) = value_and_grad(%q, %k, %v, %g) {function=@loss, wrt=[0,1,2]}
  %y = get(%all) {index=1}
  %dq = get(%all) {index=2}
  %dk = get(%all) {index=3}
  %dv = get(%all) {index=4}
  return %y, %dq, %dk, %dv
}
)";
  for (size_t at; (at = text.find("T,")) != std::string::npos;) text.replace(at, 1, t);
  for (size_t at; (at = text.find("T]")) != std::string::npos;) text.replace(at, 1, t);
  for (size_t at; (at = text.find("f32")) != std::string::npos && type != "f32";) text.replace(at, 3, type);
  return text;
}

TEST(Forms, ChunksOfMaskedScores) {
  for (const Variant& v : kWidths) expect_agreement(causal(512, "f32"), "f", {1}, v, {3});
}

// Beside loops over the formulas.
TEST(Forms, ChunksOfMaskedScoresAreTheWhole) {
  constexpr size_t kPlaces = 512;
  const graph::Module m = passes::run_graph_passes(graph::parse(causal(int{kPlaces}, "f64")));
  ASSERT_NE(graph::print(m).find("concat"), std::string::npos);
  const std::vector<Tensor> args = random_arguments(m.at("f"), {{"B", 1}}, 3);
  const std::vector<Tensor> got = interpret(m, m.at("f"), args);
  const auto number = [](const Tensor& x, size_t i, size_t c, size_t width) {
    return x.at(static_cast<int64_t>(i * width + c));
  };
  std::vector<std::vector<double>> want = {std::vector<double>(kPlaces * 3), std::vector<double>(kPlaces * 2),
                                           std::vector<double>(kPlaces * 2),
                                           std::vector<double>(kPlaces * 3)};
  for (size_t i = 0; i < kPlaces; ++i) {
    std::vector<double> a, da;
    double total = 0, mean = 0;
    for (size_t j = 0; j <= i; ++j) {
      double s = 0, d = 0;
      for (size_t c = 0; c < 2; ++c) s += number(args[0], i, c, 2) * number(args[1], j, c, 2);
      for (size_t c = 0; c < 3; ++c) d += number(args[3], i, c, 3) * number(args[2], j, c, 3);
      a.push_back(std::exp(s)), da.push_back(d), total += a.back();
    }
    for (size_t j = 0; j <= i; ++j) a[j] /= total, mean += a[j] * da[j];
    for (size_t j = 0; j <= i; ++j) {
      const double ds = a[j] * (da[j] - mean);
      for (size_t c = 0; c < 3; ++c) {
        want[0][i * 3 + c] += a[j] * number(args[2], j, c, 3);
        want[3][j * 3 + c] += a[j] * number(args[3], i, c, 3);
      }
      for (size_t c = 0; c < 2; ++c) {
        want[1][i * 2 + c] += ds * number(args[1], j, c, 2);
        want[2][j * 2 + c] += ds * number(args[0], i, c, 2);
      }
    }
  }
  for (size_t r = 0; r < want.size(); ++r)
    for (size_t i = 0; i < want[r].size(); ++i)
      ASSERT_NEAR(got[r].at(static_cast<int64_t>(i)), want[r][i], 1e-12 * (1 + std::abs(want[r][i])))
          << r << " at " << i;
}

// Two gates with weights of their own, and products that only leave the loop.
std::string gates(std::string_view type) {
  std::string text = R"(
func @step[B <= 5 plan 5](%w: f32[4,4], %v: f32[4,4], %p: f32[3,4], %q: f32[4,3], %u: f32[4,3], %h: f32[B,4], %x: f32[B,3]) -> (f32[B,4], f32[B,3]) private=yes {
  %a = einsum(%h, %w) {spec="bi,io->bo"}
  %b = einsum(%h, %v) {spec="bi,io->bo"}
  %c = einsum(%x, %p) {spec="bi,io->bo"}
  %d = add(%a, %c)
  %e = tanh(%d)
  %f = sigmoid(%b)
  %n = mul(%e, %f)
  %y = einsum(%n, %q) {spec="bi,io->bo"}
  %z = einsum(%e, %u) {spec="bi,io->bo"}
  %s = add(%y, %z)
  return %n, %s
}
func @loss[B <= 5 plan 5](%w: f32[4,4], %v: f32[4,4], %p: f32[3,4], %q: f32[4,3], %u: f32[4,3], %h: f32[B,4], %x: f32[6,B,3]) -> (f32[]) {
  %r = scan(%w, %v, %p, %q, %u, %h, %x) {function=@step, consts=5, carries=1, length=[6]}
  %s = get(%r) {index=1}
  %t = mul(%s, %s)
  %l = reduce_sum(%t) {axes=[0,1,2]}
  return %l
}
func @f[B <= 5 plan 5](%w: f32[4,4], %v: f32[4,4], %p: f32[3,4], %q: f32[4,3], %u: f32[4,3], %h: f32[B,4], %x: f32[6,B,3]) -> (f32[], f32[4,4], f32[4,4], f32[3,4], f32[4,3], f32[4,3], f32[B,4], f32[6,B,3]) {
  %all: (f32[], f32[4,4], f32[4,4], f32[3,4], f32[4,3], f32[4,3], f32[B,4], f32[6,B,3]) = value_and_grad(%w, %v, %p, %q, %u, %h, %x) {function=@loss, wrt=[0,1,2,3,4,5,6]}
  %l = get(%all) {index=0}
  %dw = get(%all) {index=1}
  %dv = get(%all) {index=2}
  %dp = get(%all) {index=3}
  %dq = get(%all) {index=4}
  %du = get(%all) {index=5}
  %dh = get(%all) {index=6}
  %dx = get(%all) {index=7}
  return %l, %dw, %dv, %dp, %dq, %du, %dh, %dx
}
)";
  for (size_t at; (at = text.find("f32")) != std::string::npos && type != "f32";) text.replace(at, 3, type);
  return text;
}

TEST(Forms, ProductsInLoopsThatAreJoined) {
  for (const Variant& v : kWidths) expect_agreement(gates("f32"), "f", {1, 5}, v);
}

TEST(Forms, ProductsInLoopsThatAreJoinedAreTheSame) {
  const graph::Module m = graph::parse(gates("f64"));
  const graph::Module with = passes::run_graph_passes(m);
  const graph::Module without = passes::run_graph_passes(m, {"", "", {"hoist", "siblings"}});
  ASSERT_NE(graph::print(with).find(".joined0"), std::string::npos);
  ASSERT_EQ(graph::print(without).find(".joined"), std::string::npos);
  const std::vector<Tensor> args = random_arguments(m.at("f"), {{"B", 5}}, 7);
  const std::vector<Tensor> a = interpret(with, with.at("f"), args),
                            b = interpret(without, without.at("f"), args);
  for (size_t r = 0; r < a.size(); ++r)
    for (int64_t i = 0; i < a[r].bytes() / 8; ++i)
      ASSERT_NEAR(a[r].at(i), b[r].at(i), 1e-13 * (1 + std::abs(b[r].at(i)))) << r << " at " << i;
}

// Passes look only so far through chains, however long they are.
TEST(Forms, LongChainsEnd) {
  std::string scores =
      "func @f[B <= 2](%q: f32[B,512,2], %v: f32[B,512,3]) -> (y: f32[B,512,3]) {\n"
      "  %s0 = einsum(%q, %q) {spec=\"bic,bjc->bij\"}\n";
  constexpr int kLinks = 40000;
  for (int i = 0; i < kLinks; ++i) scores += fmt::format("  %s{} = sin(%s{})\n", i + 1, i);
  scores += fmt::format(R"(  %row = iota() {{axis=0, dtype=i32, shape=[512,512]}}
  %column = iota() {{axis=1, dtype=i32, shape=[512,512]}}
  %before = le(%column, %row)
  %mask = broadcast(%before) {{dims=[1,2], shape=[B,512,512]}}
  %zero = constant() {{dtype=f32, shape=[B,512,512], value=0.0}}
  %m = select(%mask, %s{}, %zero)
  %y = einsum(%m, %v) {{spec="bij,bjc->bic"}}
  return %y
}}
)",
                        kLinks);
  EXPECT_EQ(graph::print(passes::run_graph_passes(graph::parse(scores))).find("concat"), std::string::npos);
  std::string loop =
      "func @step[B <= 4](%w: f32[4,4], %h: f32[B,4], %x: f32[B,4]) -> (f32[B,4], f32[B,4]) private=yes {\n"
      "  %n = tanh(%h)\n  %t0 = sin(%x)\n  %a0 = einsum(%t0, %w) {spec=\"bi,io->bo\"}\n";
  for (int i = 1; i <= kLinks; ++i)
    loop += fmt::format(
        "  %t{0} = sin(%t{1})\n  %p{0} = einsum(%t{0}, %w) {{spec=\"bi,io->bo\"}}\n  %a{0} = add(%a{1}, "
        "%p{0})\n",
        i, i - 1);
  loop += fmt::format("  return %n, %a{}\n}}\n", kLinks);
  loop +=
      "func @f[B <= 4](%w: f32[4,4], %h: f32[B,4], %x: f32[7,B,4]) -> (f32[B,4], f32[7,B,4]) {\n"
      "  %r = scan(%w, %h, %x) {function=@step, consts=1, carries=1, length=[7]}\n"
      "  %a = get(%r) {index=0}\n  %b = get(%r) {index=1}\n  return %a, %b\n}\n";
  EXPECT_NE(graph::print(passes::run_graph_passes(graph::parse(loop))).find("einsum"), std::string::npos);
}

}  // namespace
}  // namespace gradc::test
