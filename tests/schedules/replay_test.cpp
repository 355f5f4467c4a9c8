// Schedules as lists of steps: a step that a kernel does not allow is refused by name, and whatever list is
// accepted leaves the bits as they are, also lists that the policy never makes.
#include "agree/harness.h"
#include "agree/random_graph.h"
#include "passes/kernel/neighbours.h"
#include "support/check.h"

namespace gradc::test {
namespace {

using kernel::Schedule;
using kernel::Transform;

// Two axes around a sum, one axis around a row, no loop inside, and a sum whose end depends on an axis.
constexpr std::string_view kKernels[] = {
    R"(kernel @sum(%x: f32[B,24] in, %w: f32[24,30] in, %y: f32[B,30] out) fma=on {
  tile %t: f32[]
  for %i0 in 0..B axis {
    for %i1 in 0..30 axis {
      %v0: f32 = const(0.0)
      store %t[] = %v0
      for %i2 in 0..24 {
        %v1: f32 = load %x[%i0, %i2]
        %v2: f32 = load %w[%i2, %i1]
        %v3: f32 = load %t[]
        %v4: f32 = fma(%v1, %v2, %v3)
        store %t[] = %v4
      }
      %v5: f32 = load %t[]
      store %y[%i0, %i1] = %v5
    }
  }
}
)",
    R"(kernel @row(%x: f32[B,30] in, %y: f32[B,30] out) fma=on {
  for %i0 in 0..B axis {
    for %i1 in 0..30 vector {
      %v0: f32 = load %x[%i0, %i1]
      store %y[%i0, %i1] = %v0
    }
  }
}
)",
    R"(kernel @map(%x: f32[B,30] in, %y: f32[B,30] out) fma=on {
  for %i0 in 0..B axis {
    for %i1 in 0..30 axis {
      %v0: f32 = load %x[%i0, %i1]
      store %y[%i0, %i1] = %v0
    }
  }
}
)",
    R"(kernel @ragged(%x: f32[24,24] in, %y: f32[24,30] out) fma=on {
  tile %t: f32[]
  for %i0 in 0..24 axis {
    for %i1 in 0..30 axis {
      %v0: f32 = const(0.0)
      store %t[] = %v0
      for %i2 in 0..%i0 + 1 {
        %v1: f32 = load %x[%i0, %i2]
        %v2: f32 = load %t[]
        %v3: f32 = add(%v2, %v1)
        store %t[] = %v3
      }
      %v4: f32 = load %t[]
      store %y[%i0, %i1] = %v4
    }
  }
}
)"};

Schedule list_of(const std::string& steps) {
  size_t at = 0;
  return kernel::parse_schedule_at("schedule @k \"test\" {\n" + steps + "}\n", at, 0).schedule;
}

struct Refused {
  int kernel;
  const char *steps, *why;
};
const Refused kRefused[] = {
    {0, R"(twist i0 "")", "twist i0 is no step"},
    {0, R"(split i3 by 4 -> a, b "")", "split i3 names a loop that is not there"},
    {2, R"(split i2 by 4 -> a, b "")", "split i2 is of what is no sum"},
    {0, R"(split i2 by 4 -> a, b "" split i2 by 2 -> c, d "")", "split i2 is the second of a sum"},
    {0, R"(split i2 by 4 -> i0, b "")", "split i2 makes a name twice"},
    {0, R"(split i2 by 4 -> a, b "")", "no code for blocks of terms without a tile"},
    {0, R"(split i2 by 4 -> a, b "" reorder a, i0, i1 "" parallelise a "")", "parallelise a is of a loop"},
    {0, R"(split i1 by 4 -> c, d "" split i2 by 4 -> a, b "" reorder i0, c, a, d "" vectorise d "")",
     "no code for blocks of terms inside pieces"},
    {0, R"(split i1 by 4 -> c, d "" split i2 by 4 -> a, b "" reorder a, i0, c, d "" vectorise d "")",
     "no code for partial sums along an axis that is not constant"},
    {0, R"(split i0 -> a, b "")", "split i0 needs a size"},
    {0, R"(split i0 by 4 -> a "")", "split i0 needs a size"},
    {0, R"(split i0 by 4 -> a, i1 "")", "split i0 makes a name twice"},
    {0, R"(split i0 by 4 -> a, b "" split b by 2 -> c, d "")",
     "split b is of a loop that something was done to"},
    {0,
     R"(split i0 by 4 -> a, b "" split i1 by 4 -> c, d "" split c by 2 -> e, f ""
        reorder e, a, f, b, d "" unroll b "" vectorise d "")",
     "no code for blocks of columns that leave a rest"},
    {0,
     R"(split i0 by 4 -> a, b "" split i1 by 4 -> c, d "" reorder c, a, b, d "" stage b ""
        unroll b "" vectorise d "")",
     "no code for a panel that is not around the rows, or rows that are not in blocks"},
    {0, R"(split i1 by 2 -> a, b "" split a by 1 -> c, d "" split c by 1 -> e, f "")",
     "split c is of a loop that something was done to"},
    {0, R"(split i1 by 2 -> a, b "" split a by 1 -> c, d "" reorder i0, d, c, b "")",
     "reorder i0 puts the elements of a piece around"},
    {0, R"(split i1 by 2 -> a, b "" split a by 1 -> c, d "" reorder i0, c, d, b "" vectorise b "")",
     "no code for blocks that are not around the pieces of another axis"},
    {0, R"(reorder i1 "")", "reorder i1 does not name all loops"},
    {0, R"(reorder i1, i1 "")", "reorder i1 names a loop twice"},
    {0, R"(split i0 by 4 -> a, b "" reorder b, a, i1 "")", "reorder b puts the elements of a piece around"},
    {0, R"(parallelise i0 "" reorder i1, i0 "")", "reorder i1 comes after what needs an order"},
    {0, R"(stage i1 "")", "stage i1 is of no piece"},
    {0, R"(split i1 by 4 -> a, b "" stage b by 1 "")", "stage b needs blocks of two elements or more"},
    {0, R"(split i1 by 4 -> a, b "" reorder i0, a, b "" stage b "" stage b "" vectorise b "")",
     "no code for a second copy"},
    {1, R"(split i0 by 4 -> a, b "" unroll b "")", "unroll b needs loops that are all serial"},
    {2, R"(split i0 by 4 -> a, b "" unroll b "")", "no code for a loop inside a tile"},
    {2,
     R"(split i0 by 4 -> a, b "" split i1 by 4 -> c, d "" reorder c, a, d, b "" unroll d "" vectorise b "")",
     "no code for rows of whole columns, or of columns that are not constant"},
    {0, R"(unroll i0 "")", "unroll i0 is of a loop that is no piece"},
    {0, R"(split i0 by 4 -> a, b "" split i1 by 4 -> c, d "" unroll b "" unroll d "")",
     "unroll d is the second"},
    {0, R"(vectorise i1 "")", "vectorise i1 has other loops inside"},
    {1, R"(vectorise i0 "")", "vectorise i0 has other loops inside"},
    {2, R"(vectorise i0 "")", "vectorise i0 is of a loop that is not the innermost"},
    {0, R"(split i0 by 4 -> a, b "" reorder i1, a, b "" vectorise b "")",
     "vectorise b is of columns that are not"},
    {2, R"(vectorise i1 "" vectorise i1 "")", "vectorise i1 is of pieces or a loop of another kind"},
    {0, R"(parallelise i1 "")", "parallelise i1 is of a loop that is not the outermost"},
    {0, R"(parallelise i0 "" parallelise i0 "")", "parallelise i0 is of a loop that is not the outermost"},
    {0, R"(split i0 by 4 -> a, b "")", "no code for a piece that is neither unrolled nor vectorised"},
    {0, R"(split i0 by 4 -> a, b "" unroll b "")", "no code for a loop inside a tile"},
    {2, R"(split i1 by 4 -> a, b "" reorder a, i0, b "" vectorise b "")",
     "no code for a whole loop inside pieces"},
    {0, R"(split i1 by 4 -> a, b "" stage b "" vectorise b "" parallelise b "")",
     "parallelise b is of a loop"},
    {3, R"(split i0 by 4 -> a, b "" reorder a, i1, b "" unroll b "")",
     "unroll b is of an axis that the ends of inner loops depend on"},
    {3, R"(split i0 by 4 -> a, b "" reorder i1, a, b "" vectorise b "")",
     "vectorise b is of an axis that the ends of inner loops depend on"},
    {0, R"(stage_all i1 "")", "stage_all i1 is of no piece"},
    {0,
     R"(split i0 by 4 -> a, b "" split i1 by 4 -> c, d "" reorder a, c, d, b "" stage_all b "" unroll d ""
        vectorise b "")",
     "no code for copies of all that something else than a panel around whole loops reads"},
    {2, R"(divide i1 "")", "divide i1 is of a loop that is no whole axis in lanes"},
    {2, R"(vectorise i1 "" divide i1 "")", "divide i1 finds nothing that changes"},
    {2, R"(reorder i1, i0 "" vectorise i0 "" divide i0 "")",
     "divide i0 is of an axis whose size is not constant"},
    {2, R"(split i1 by 4 -> a, b "" vectorise b "" divide b "")",
     "divide b is of a loop that is no whole axis"},
    {1, R"(interleave i0 "")", "interleave i0 is of a loop that is no piece"},
    {0, R"(split i0 by 4 -> a, b "" interleave b "")", "interleave b is of a loop that is not the innermost"},
    {0, R"(split i0 by 4 -> a, b "" reorder i1, a, b "" unroll b "" interleave b "")",
     "interleave b is of a loop that is no piece"},
    {0,
     R"(split i0 by 4 -> a, b "" split i1 by 4 -> c, d "" reorder a, c, b, d "" unroll b "" interleave d "")",
     "interleave d comes after what makes a tile"},
    {2, R"(split i1 by 4 -> a, b "" interleave b "" vectorise b "")",
     "vectorise b has iterations inside that take turns"},
    {1, R"(split i0 by 4 -> a, b "" split a by 2 -> c, d "" distribute d "")",
     "distribute d comes before iterations take turns"},
    {1, R"(split i0 by 4 -> a, b "" interleave b "" distribute a "")",
     "distribute a is of a loop that is no block of the pieces that take turns"},
    {1, R"(split i0 by 4 -> a, b "" split a by 2 -> c, d "" interleave b "" distribute c "")",
     "distribute c is of a loop that is no block of the pieces that take turns"},
    {1, R"(split i0 by 4 -> a, b "" split a by 2 -> c, d "" interleave b "")",
     "no code for blocks that are not around the pieces of another axis"},
};

TEST(Replay, RefusesWhatAKernelDoesNotAllow) {
  for (const Refused& r : kRefused) {
    const kernel::Kernel k = kernel::parse_kernel(kKernels[r.kernel]);
    try {
      passes::apply_schedule(k, list_of(r.steps));
      ADD_FAILURE() << "accepted: " << r.steps;
    } catch (const InternalError& e) {
      EXPECT_NE(std::string(e.what()).find(r.why), std::string::npos) << e.what() << "\n" << r.steps;
    }
  }
}

// What the search over plans makes of a form is dropped where a kernel does not allow it.
TEST(Replay, RefusesNeighboursThatAKernelDoesNotAllow) {
  const kernel::Kernel ragged = kernel::parse_kernel(kKernels[3]);
  const passes::Neighbours beside = passes::neighbours(ragged, {.outer = {0, 1}}, {});
  EXPECT_GT(beside.refused, 10);
  EXPECT_GT(beside.allowed.size(), 3u);
  for (const passes::LoopForm& f : beside.allowed) {
    EXPECT_TRUE(f.row_axis != 0 || f.interleave);
    EXPECT_NE(f.vector_axis, 0);
  }
}

// Lists drawn without regard to what is legal.
class Drawer {
 public:
  Drawer(const kernel::Kernel& k, uint64_t seed) : k_(k), state_(seed * 0x9E3779B97F4A7C15ULL + 1) {
    const size_t axes = passes::nest_of(k).loops.size();
    for (size_t a = 0; a < axes; ++a) names_.push_back(passes::axis_name(k, a));
    sum_ = passes::axis_name(k, axes);
  }
  // A list that is accepted: steps that are refused are left out, and endings that have no code drawn anew.
  Schedule draw() {
    const std::vector<std::string> axes = names_;
    for (int tries = 0; tries < 40 && !axes.empty(); ++tries) {
      Schedule s{"drawn", {}};
      names_ = axes;
      if (tries % 2 == 0)
        tile(s);
      else
        for (int n = 0; n < 12; ++n) extend(s);
      if (!s.steps.empty() && accepted(s)) return s;
    }
    return {"drawn", {}};
  }

 private:
  size_t below(size_t n) {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<size_t>(state_ >> 33) % n;
  }
  // Whether the step itself is refused, or only what the list makes of the loops so far has no code.
  bool refused(const Schedule& s) const {
    try {
      passes::replay(k_, s);
    } catch (const InternalError& e) {
      return std::string(e.what()).find("no code for") == std::string::npos;
    }
    return false;
  }
  bool accepted(const Schedule& s) const {
    try {
      passes::replay(k_, s);
      return true;
    } catch (const InternalError&) {
      return false;
    }
  }
  // Whole loops, pieces, elements of pieces, in this order, and something done to the latter.
  void tile(Schedule& s) {
    for (const std::string& axis : std::vector<std::string>(names_))
      if (below(2) == 0) add(s, "split", axis);
    for (const std::string& axis : std::vector<std::string>(names_))
      if (axis.ends_with(".o") && names_.size() >= 4) {
        for (int n = 0; n < 12 && s.steps.back().loops[0] != axis; ++n) add(s, "split", axis);
        break;
      }
    if (below(2) == 0) add(s, "split", sum_);
    std::vector<std::string> order = names_;
    const int blocks = below(2) == 0 ? 0 : 2, terms = static_cast<int>(below(4)) - 1;
    const auto part = [&](const std::string& n) {
      if (n == sum_ + ".o") return terms;
      if (n.ends_with(".o.o")) return blocks;
      return n.ends_with(".o") || n.ends_with(".o.i") ? 3 : n.ends_with(".i") ? 4 : 1;
    };
    std::stable_sort(order.begin(), order.end(), [&](auto& a, auto& b) { return part(a) < part(b); });
    s.steps.push_back({"reorder", order, 0, {}, ""});
    if (below(4) == 0) add(s, "interleave", order.back());
    if (order.size() > 1) add(s, "distribute", order[order.size() - 2]);
    if (below(2) == 0) add(s, below(4) == 0 ? "stage_all" : "stage", order.back());
    if (order.size() > 1 && below(2) == 0) add(s, "stage", order[order.size() - 2]);
    const bool blocked = std::any_of(order.begin(), order.end(), [](auto& n) { return n.ends_with(".o.o"); });
    if (order.size() > 1) add(s, "unroll", order[order.size() - 1 - (blocked ? 1 : below(2))]);
    add(s, "vectorise", order.back());
    add(s, "parallelise", order.front());
  }
  void extend(Schedule& s) {
    static constexpr const char* kSteps[] = {"split",      "reorder",     "stage",  "unroll",
                                             "vectorise",  "parallelise", "divide", "stage_all",
                                             "interleave", "distribute"};
    const std::string step = kSteps[below(10)], loop = names_[below(names_.size())];
    add(s, step, loop);
    if (step == "vectorise") add(s, "divide", loop);
  }
  void add(Schedule& s, const std::string& step, const std::string& loop) {
    Transform t{step, {loop}, 0, {}, ""};
    std::vector<std::string> names = names_;
    if (t.name == "split") {
      t.by = static_cast<int64_t>(1 + below(9));
      t.into = {t.loops[0] + ".o", t.loops[0] + ".i"};
      std::erase(names, t.loops[0]);
      names.insert(names.end(), t.into.begin(), t.into.end() - (loop == sum_ ? 1 : 0));
    } else if (t.name == "stage" || t.name == "stage_all") {
      t.by = below(2) == 0 ? 0 : static_cast<int64_t>(2 + below(8));
    } else if (t.name == "reorder") {
      t.loops = names;
      for (size_t i = t.loops.size(); i > 1; --i) std::swap(t.loops[i - 1], t.loops[below(i)]);
    }
    s.steps.push_back(t);
    if (refused(s))
      s.steps.pop_back();
    else
      names_ = names;
  }

  const kernel::Kernel& k_;
  uint64_t state_;
  std::vector<std::string> names_;
  std::string sum_;  // what the loop of a sum inside is called
};

void count_forms(const kernel::Kernel& k, const Schedule& s, std::map<std::string, int>& seen) {
  const passes::LoopForm form = passes::replay(k, s);
  if (form.terms > 0) ++seen[form.block > 0 ? "terms in blocks" : "terms"];
  if (form.stage_tiles) ++seen["copied rows"];
}

TEST(Replay, WhatIsAcceptedLeavesTheBits) {
  std::map<std::string, int> seen;
  for (uint64_t seed = 1; seed <= 500; ++seed) {
    const RandomGraph g(seed);
    const graph::Module m = passes::run_graph_passes(RandomGraph(seed).make());
    const graph::Function& f = m.at("f");
    passes::StepOptions o = step_options(options_of({8, {}, "", true}));
    o.after = "plan";
    const step::Step naive = passes::build_step(m, f, o);
    o.from = "schedule", o.after = "";
    std::map<std::string, int64_t> dims;
    for (const auto& [d, info] : f.dims) dims[d] = g.largest_batch();
    const std::vector<Tensor> args = random_arguments(f, dims, seed);
    const std::vector<Tensor> want = interpret(m, f, args);
    for (uint64_t draw = 0; draw < 6; ++draw) {
      step::Step s = naive;
      for (size_t k = 0; k < s.kernels.size(); ++k) {
        s.schedules[k] = Drawer(s.kernels[k], (seed * 97 + k) * 6 + draw).draw();
        for (const Transform& t : s.schedules[k].steps)
          ++seen[t.name == "split" && t.loops[0].ends_with(".o") ? "split into blocks" : t.name];
        count_forms(s.kernels[k], s.schedules[k], seen);
      }
      const std::string planned = step::print(s);
      passes::run_step_passes(s, o);
      ASSERT_EQ(difference(want, interpret_step(f, s, args, {.threads = 3, .order_seed = seed + draw})), "")
          << "seed " << seed << "\n"
          << planned;
    }
  }
  for (const char* step : {"split", "reorder", "stage", "unroll", "vectorise", "parallelise", "interleave"})
    EXPECT_GT(seen[step], 50) << step;
  EXPECT_GT(seen["split into blocks"], 5);
  EXPECT_GT(seen["distribute"], 20);
  for (const char* form : {"terms", "terms in blocks", "copied rows"}) EXPECT_GT(seen[form], 5) << form;
}

// The only kernel of a function under each list of steps, interpreted and compiled, beside the graph's
// values.
void expect_same_bits(std::string_view text, std::span<const std::string> lists) {
  const graph::Module m = passes::run_graph_passes(graph::parse(text));
  const graph::Function& f = m.at("f");
  passes::StepOptions o = step_options(options_of({8, {}, "", true}));
  o.after = "plan";
  const step::Step naive = passes::build_step(m, f, o);
  o.from = "schedule", o.after = "";
  const std::vector<Tensor> args = random_arguments(f, {}, 3);
  const std::vector<Tensor> want = interpret(m, f, args);
  ASSERT_EQ(naive.kernels.size(), 1u);
  for (const std::string& list : lists) {
    step::Step s = naive;
    s.schedules[0] = list_of(list);
    passes::run_step_passes(s, o);
    EXPECT_EQ(difference(want, interpret_step(f, s, args, {.threads = 3, .order_seed = 5})), "") << list;
    for (const int lanes : {4, 8, 16})
      EXPECT_EQ(difference(want, CompiledFunction(f, s, options_of({lanes, {}, "", true})).run(args, 2)), "")
          << lanes << " lanes" << list;
  }
}

// What ends the lists of tiles below.
const std::string kTile = R"(
  unroll ri ""
  vectorise ci ""
)";

// Blocks of panels around rows and of rows around panels, staged and not, with an axis that stays whole.
TEST(Replay, BlocksLeaveTheBits) {
  const std::string split = R"(
  split i1 by 3 -> r, ri ""
  split i2 by 4 -> c, ci ""
)";
  const std::string stage = "  stage ci \"\"\n", tiles = "  stage ri \"\"\n";
  const std::string rest = "  split r by 3 -> rb, rp \"\"\n", terms = "  split i3 by 4 -> t, ti \"\"\n";
  const std::string columns = split + "  split c by 2 -> cb, cp \"\"\n",
                    rows = split + "  split r by 2 -> rb, rp \"\"\n";
  const std::string lists[] = {
      columns + "  reorder i0, cb, r, cp, ri, ci \"\"\n" + kTile + "  parallelise i0 \"\"\n",
      columns + "  reorder cb, i0, r, cp, ri, ci \"\"\n" + kTile + "  parallelise cb \"\"\n",
      columns + "  reorder i0, cb, r, cp, ri, ci \"\"\n" + stage + kTile,
      columns + "  reorder cb, i0, r, cp, ri, ci \"\"\n" + stage + kTile + "  parallelise cb \"\"\n",
      rows + "  reorder i0, rb, c, rp, ri, ci \"\"\n" + kTile + "  parallelise i0 \"\"\n",
      rows + "  reorder i0, rb, c, rp, ri, ci \"\"\n" + stage + kTile,
      // A block of tiles that leaves a rest, rows of tiles copied, and sums that pause.
      split + rest + "  reorder i0, rb, c, rp, ri, ci \"\"\n" + kTile,
      split + rest + "  reorder i0, rb, c, rp, ri, ci \"\"\n" + stage + tiles + kTile +
          "  parallelise i0 \"\"\n",
      split + rest + terms + "  reorder i0, rb, t, c, rp, ri, ci \"\"\n" + stage + tiles + kTile,
      split + rest + terms + "  reorder rb, t, i0, c, rp, ri, ci \"\"\n" + kTile + "  parallelise rb \"\"\n",
      split + rest + terms + "  reorder rb, t, i0, c, rp, ri, ci \"\"\n" + stage + tiles + kTile,
      split + terms + "  reorder t, i0, r, c, ri, ci \"\"\n" + kTile,
      split + terms + "  reorder i0, t, c, r, ri, ci \"\"\n" + stage + kTile + "  parallelise i0 \"\"\n",
      columns + terms + "  reorder i0, cb, t, r, cp, ri, ci \"\"\n" + stage + kTile};
  expect_same_bits(R"(
func @f(%x: f32[3,12,10], %w: f32[10,16]) -> (f32[3,12,16]) {
  %p = einsum(%x, %w) {spec="bij,jk->bik"}
  %y = tanh(%p)
  return %y
}
)",
                   lists);
}

// All that the images of a panel hold is copied; those that are left over become rows.
TEST(Replay, PanelsOfAllThatWindowsReadLeaveTheBits) {
  const std::string whole = R"(
  split i3 by 3 -> r, ri ""
)";
  const auto list = [&](int columns, int by) {
    return whole + fmt::format("  split i0 by {} -> c, ci \"\"\n", columns) +
           "  reorder c, i1, i2, r, ri, ci \"\"\n  stage_all ci" + (by > 0 ? fmt::format(" by {}", by) : "") +
           " \"\"\n" + kTile + "  parallelise c \"\"\n";
  };
  const std::string lists[] = {list(8, 8), list(16, 8), list(10, 0), list(20, 3), list(3, 0), list(32, 8)};
  expect_same_bits(R"(
func @f(%x: f32[20,7,8,4], %w: f32[2,3,4,3]) -> (f32[20,6,6,3]) {
  %v = windows(%x) {axes=[1,2], dilation=[1,1], stride=[1,1], window=[2,3]}
  %p = einsum(%v, %w) {spec="abcdef,cefg->abdg"}
  %y = tanh(%p)
  return %y
}
)",
                   lists);
}

// One buffer read along either axis has a copy for each.
TEST(Replay, CopiesAlongBothAxesLeaveTheBits) {
  const std::string lists[] = {R"(
  split i2 by 3 -> r, ri ""
  split i0 by 8 -> c, ci ""
  reorder c, i1, r, ri, ci ""
  stage_all ci by 4 ""
  unroll ri ""
  vectorise ci ""
)"};
  expect_same_bits(R"(
func @f(%x: f32[20,20], %w: f32[20,3,40]) -> (f32[20,40,3]) {
  %t = transpose(%x) {perm=[1,0]}
  %a = broadcast(%t) {dims=[0,1], shape=[20,20,40,3]}
  %b = broadcast(%x) {dims=[0,1], shape=[20,20,40,3]}
  %v = transpose(%w) {perm=[0,2,1]}
  %c = broadcast(%v) {dims=[0,2,3], shape=[20,20,40,3]}
  %p = mul(%a, %b)
  %q = mul(%p, %c)
  %y = reduce_sum(%q) {axes=[0]}
  return %y
}
)",
                   lists);
}

// Rows that take turns: all of them, some left over, in any thread's share; each has arrays of its own. Stage
// by stage: whole blocks, a shorter last one, one that is longer than all rows.
TEST(Replay, RowsInTurnLeaveTheBits) {
  std::vector<std::string> lists;
  for (const int rows : {1, 2, 3, 4, 7, 8})
    for (const char* parallel : {"", "  parallelise p \"\"\n"}) {
      const std::string split = fmt::format("  split i0 by {} -> p, r \"\"\n", rows);
      lists.push_back(split + "  interleave r \"\"\n" + parallel);
      for (const int pieces : {1, 2, 5})
        lists.push_back(
            fmt::format("  split i0 by {} -> q, r \"\"\n  split q by {} -> p, b \"\"\n", rows, pieces) +
            "  interleave r \"\"\n  distribute b \"\"\n" + parallel);
    }
  expect_same_bits(R"(
func @f(%x: f32[7,70]) -> (f32[7,70]) {
  %m = reduce_max(%x) {axes=[1]}
  %mb = broadcast(%m) {dims=[0], shape=[7,70]}
  %z = sub(%x, %mb)
  %e = exp(%z)
  %t = reduce_sum(%e) {axes=[1]}
  %tb = broadcast(%t) {dims=[0], shape=[7,70]}
  %y = div(%e, %tb)
  return %y
}
)",
                   lists);
  // Two sums of a row, and what follows them the same for all rows, or not quite.
  expect_same_bits(R"(
func @f(%x: f32[9,70], %a: f32[9]) -> (f32[9,70]) {
  %s0 = reduce_sum(%x) {axes=[1]}
  %k = constant() {dtype=f32, shape=[9], value=0.0125}
  %mu = mul(%s0, %k)
  %mub = broadcast(%mu) {dims=[0], shape=[9,70]}
  %z = sub(%x, %mub)
  %sq = mul(%z, %z)
  %s1 = reduce_sum(%sq) {axes=[1]}
  %top = reduce_max(%sq) {axes=[1]}
  %both = add(%s1, %top)
  %ours = sub(%both, %a)
  %big = gt(%ours, %mu)
  %picked = select(%big, %ours, %both)
  %r = rsqrt(%picked)
  %l = log(%both)
  %rl = mul(%r, %l)
  %rb = broadcast(%rl) {dims=[0], shape=[9,70]}
  %y = mul(%z, %rb)
  return %y
}
)",
                   lists);
}

// What follows a row's sum by operations of one kind, each of the last one's result.
TEST(Replay, RowsInTurnWaitForTheirOwnResults) {
  const std::string lists[] = {"  split i0 by 4 -> p, r \"\"\n  interleave r \"\"\n",
                               "  split i0 by 4 -> q, r \"\"\n  split q by 2 -> p, b \"\"\n"
                               "  interleave r \"\"\n  distribute b \"\"\n"};
  expect_same_bits(R"(
func @f(%x: f32[9,70]) -> (f32[9,70]) {
  %t = reduce_sum(%x) {axes=[1]}
  %k = constant() {dtype=f32, shape=[9], value=0.5}
  %b = mul(%t, %k)
  %q = mul(%t, %b)
  %r = mul(%q, %q)
  %s = mul(%k, %r)
  %sb = broadcast(%s) {dims=[0], shape=[9,70]}
  %y = mul(%x, %sb)
  return %y
}
)",
                   lists);
}

// Numbers of rows as lanes: indices that the rows hold, what they pick, a row's own number, truth values;
// rows of another length for each; sums that follow from sums.
TEST(Replay, StagesOfRowsLeaveTheBits) {
  std::vector<std::string> lists;
  for (const int rows : {2, 4})
    lists.push_back(fmt::format("  split i0 by {} -> q, r \"\"\n  split q by 4 -> p, b \"\"\n", rows) +
                    "  interleave r \"\"\n  distribute b \"\"\n");
  expect_same_bits(R"(
func @f(%x: f32[37,70], %i: i32[37]) -> (f32[37], f32[37,70]) {
  %m = reduce_max(%x) {axes=[1]}
  %mb = broadcast(%m) {dims=[0], shape=[37,70]}
  %z = sub(%x, %mb)
  %e = exp(%z)
  %t = reduce_sum(%e) {axes=[1]}
  %l = log(%t)
  %row = iota() {axis=0, dtype=i32, shape=[37]}
  %own = lt(%i, %row)
  %picked = select(%own, %l, %m)
  %at = iota() {axis=1, dtype=i32, shape=[37,70]}
  %ib = broadcast(%i) {dims=[0], shape=[37,70]}
  %hit = eq(%at, %ib)
  %pb = broadcast(%picked) {dims=[0], shape=[37,70]}
  %ob = broadcast(%own) {dims=[0], shape=[37,70]}
  %both = and(%hit, %ob)
  %y = select(%both, %pb, %e)
  %last = reduce_sum(%y) {axes=[1]}
  %lb = broadcast(%last) {dims=[0], shape=[37,70]}
  %out = mul(%y, %lb)
  return %last, %out
}
)",
                   lists);
}

// Stretches of one element, of a vector, of none that divides; guards of both signs, and some that stay.
TEST(Replay, StretchesLeaveTheBits) {
  const std::string lists[] = {"  vectorise i1 \"\"\n  divide i1 \"\"\n",
                               "  vectorise i1 \"\"\n  divide i1 \"\"\n  parallelise i0 \"\"\n",
                               "  reorder i1, i0 \"\"\n  vectorise i0 \"\"\n  divide i0 \"\"\n"};
  expect_same_bits(R"(
func @f(%x: f32[5,1], %y: f32[5,9], %z: f32[2,21]) -> (f32[5,30]) {
  %a = pad(%x) {low=[0,0], high=[0,29], interior=[0,0], value=0.5}
  %b = pad(%y) {low=[0,21], high=[0,0], interior=[0,0], value=-0.0}
  %c = pad(%z) {low=[2,0], high=[1,9], interior=[0,0], value=-0.0}
  %p = mul(%a, %b)
  %y2 = sub(%p, %c)
  return %y2
}
)",
                   lists);
}

}  // namespace
}  // namespace gradc::test
