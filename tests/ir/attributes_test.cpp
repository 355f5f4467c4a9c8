// What IR text may not say: attributes that are missing, unknown or of another kind, dimensions nobody
// declares, slices and rows outside of what they read. Each is a CompileError with a place, never an internal
// error.
#include <gtest/gtest.h>

#include "ir/graph/op_def.h"
#include "support/diagnostic.h"

namespace gradc::graph {
namespace {

// The message for one function, or "" where it is accepted.
std::string refusal(const std::string& params, const std::string& statement) {
  try {
    parse("func @g(%a: f32[3]) -> (f32[3]) { return %a }\nfunc @f" + params +
              " -> () {\n  %y = " + statement + "\n  return\n}\n",
          1);
  } catch (const CompileError& e) {
    EXPECT_TRUE(e.diagnostic.loc) << statement << " is refused without a place: " << e.what();
    return e.what();
  }
  return "";
}
bool says(const std::string& message, const std::string& part) {
  return message.find(part) != std::string::npos;
}

TEST(Attributes, EachRequiredOneIsMissedByName) {
  int required = 0;
  for (const OpDef& d : all_ops())
    for (std::string_view a : d.attributes) {
      if (!a.ends_with('!')) continue;
      const std::string name(a.substr(0, a.size() - 1)), op(d.name);
      std::string others;  // of any kind: what is missing is said first
      for (std::string_view o : d.attributes)
        if (o != a) others += (others.empty() ? "" : ", ") + std::string(o.substr(0, o.find('!'))) + "=1";
      const std::string why = refusal("(%a: f32[3])", op + "(%a) {" + others + "}");
      EXPECT_TRUE(says(why, op + " needs the attribute " + name)) << why;
      ++required;
    }
  EXPECT_GT(required, 30);
}

TEST(Attributes, EachOfAnotherKindIsRefused) {
  for (const OpDef& d : all_ops())
    for (std::string_view a : d.attributes) {
      const std::string name(a.substr(0, a.find('!')));
      const std::string wrong = name == "spec" ? "[1]" : "\"x\"";
      std::string all = name + "=" + wrong;
      for (std::string_view o : d.attributes)
        if (o != a) all += ", " + std::string(o.substr(0, o.find('!'))) + "=" + wrong;
      const std::string why = refusal("(%a: f32[3])", std::string(d.name) + "(%a) {" + all + "}");
      EXPECT_TRUE(says(why, "attribute ") && says(why, " of " + std::string(d.name) + " is ")) << why;
    }
}

TEST(Attributes, OthersAreRefused) {
  const std::string x = "(%a: f32[3])";
  EXPECT_TRUE(says(refusal(x, "neg(%a) {axes=[0]}"), "neg has no attribute axes"));
  EXPECT_TRUE(says(refusal(x, "reduce_sum(%a) {axes=0}"), "is a list of integers"));
  EXPECT_TRUE(says(refusal("[B](%a: f32[B])", "reduce_sum(%a) {axes=[B]}"), "is a list of integers"));
  EXPECT_TRUE(says(refusal(x, "broadcast(%a) {dims=[0], shape=[3,-1]}"), "negative size -1"));
  EXPECT_TRUE(says(refusal(x, "call(%a) {function=@nobody}"), "no function @nobody"));
  EXPECT_NE(refusal("(%a: f32[2,2])", "reverse(%a) {axes=[0,0]}"), "");
  EXPECT_NE(refusal(x, "scan(%a) {function=@g, consts=-1, carries=1, length=[3]}"), "");
  EXPECT_NE(refusal(x, "scan(%a) {function=@g, consts=0, carries=1, length=[]}"), "");
  EXPECT_NE(refusal(x, "get(%a) {index=1}"), "");
}

TEST(Attributes, OrdersFitWhatIsReduced) {
  const std::string x = "[B](%a: f32[B,64])";
  EXPECT_TRUE(says(refusal(x, "reduce_sum(%a) {axes=[1], order=\"tree\"}"), "is no order"));
  EXPECT_NE(refusal(x, "reduce_sum(%a) {axes=[0], order=\"lanes\"}"), "");
  EXPECT_NE(refusal(x, "reduce_max(%a) {axes=[0,1], order=\"pairwise\"}"), "");
  EXPECT_NE(refusal(x, "neg(%a) {order=\"lanes\"}"), "");
  EXPECT_EQ(refusal(x, "reduce_sum(%a) {axes=[0,1], order=\"lanes\"}"), "");
  EXPECT_EQ(refusal(x, "reduce_sum(%a) {axes=[0], order=\"pairwise\"}"), "");
  EXPECT_EQ(refusal(x, "einsum(%a, %a) {spec=\"bi,bi->b\", order=\"lanes\"}"), "");
  EXPECT_NE(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", order=\"lanes\"}"), "");
  EXPECT_EQ(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", where=\"%i - %b\"}"), "");
  EXPECT_TRUE(says(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", where=\"%i - %q\"}"), "no label"));
  EXPECT_TRUE(
      says(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", where=\"%i - 1\"}"), "a summed one among"));
  EXPECT_TRUE(says(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", where=\"%b*%b\"}"), "a summed one among"));
  EXPECT_TRUE(
      says(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", where=\"%b;\"}"), "no list of conditions"));
  EXPECT_NE(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", where=\"\"}"), "");
  EXPECT_TRUE(says(refusal(x, "einsum(%a, %a) {spec=\"bi,bi->bi\", where=\"%i\"}"), "needs a sum"));
  EXPECT_TRUE(
      says(refusal(x, "einsum(%a, %a) {spec=\"bi,bi->b\", order=\"lanes\", where=\"%i\"}"), "needs a sum"));
  EXPECT_NE(refusal(x, "einsum(%a, %a) {spec=\"bi,bi->bi\", order=\"lanes\"}"), "");
  EXPECT_TRUE(says(refusal(x, "einsum(%a, %a) {spec=\"bi,bj->ij\", order=\"pairwise\"}"), "is no order"));
  const std::string y = "[B](%a: f32[B,64], %b: f32[B])";
  EXPECT_NE(refusal(y, "einsum(%a, %a, %b) {spec=\"bi,bi->b\", order=\"lanes\"}"), "");
}

TEST(Attributes, AccumulatorsHoldWhatIsSummed) {
  const std::string x = "(%a: f32[4], %b: i32[4], %c: f64[4])";
  EXPECT_EQ(refusal(x, "reduce_sum(%a) {axes=[0], accumulator=f64}"), "");
  EXPECT_EQ(refusal(x, "reduce_sum(%b) {axes=[0], accumulator=i32}"), "");
  EXPECT_EQ(refusal(x, "einsum(%a, %a) {spec=\"i,i->\", accumulator=f64}"), "");
  EXPECT_TRUE(says(refusal(x, "reduce_sum(%c) {axes=[0], accumulator=f32}"), "does not hold"));
  EXPECT_TRUE(says(refusal(x, "reduce_sum(%b) {axes=[0], accumulator=i64}"), "does not hold"));
  EXPECT_NE(refusal(x, "reduce_sum(%b) {axes=[0], accumulator=f64}"), "");
  EXPECT_NE(refusal(x, "reduce_max(%a) {axes=[0], accumulator=f64}"), "");
  EXPECT_TRUE(says(refusal(x, "cumsum(%c) {axis=0, accumulator=f32}"), "does not hold"));
  EXPECT_TRUE(says(refusal(x, "cumsum(%a) {axis=1}"), "no axis 1"));
  EXPECT_TRUE(says(refusal("(%a: bool[3])", "cumprod(%a) {axis=0}"), "no running product"));
}

TEST(Attributes, DimensionsAreKnown) {
  EXPECT_TRUE(says(refusal("(%a: f32[3])", "dim() {value=[Q], dtype=i64}"), "names Q"));
  EXPECT_TRUE(says(refusal("[B](%a: f32[B])", "constant() {value=0, dtype=f32, shape=[B,B*Q]}"), "names Q"));
  EXPECT_EQ(refusal("(%a: f32[Q])", "dim() {value=[Q], dtype=i64}"), "");
  EXPECT_EQ(refusal("[Q](%a: f32[3])", "dim() {value=[Q*Q], dtype=i64}"), "");
}

TEST(Attributes, ResultsAreOfTheDeclaredType) {
  EXPECT_THROW(parse("func @f(%x: f32[3]) -> (y: f32[4]) { return %x }"), CompileError);
  EXPECT_THROW(parse("func @f(%x: f32[3]) -> (f64[3]) { return %x }"), CompileError);
  EXPECT_NO_THROW(parse("func @f(%x: f32[3]) -> (y: f32[3]) { return %x }"));
}

TEST(Bounds, SlicesThatCanLieOutsideAreRefused) {
  const std::string b = "[B](%x: f32[B,4], %s: i32[], %u: f32[5,4])";
  for (const char* outside :
       {"slice(%x) {start=[B - 5,0], limit=[B,4], stride=[1,1]}",
        "slice(%x) {start=[0,0], limit=[B + 1,4], stride=[1,1]}",
        "slice(%x) {start=[0,0], limit=[2,4], stride=[1,1]}",
        "slice(%x) {start=[0,1], limit=[B,5], stride=[1,1]}",
        "slice(%x) {start=[0,0], limit=[B,4], stride=[1,0]}", "dynamic_slice(%x, %s, %s) {sizes=[5,4]}",
        "dynamic_slice(%x, %s, %s) {sizes=[1,5]}", "dynamic_update_slice(%x, %u, %s, %s)"})
    EXPECT_NE(refusal(b, outside), "") << outside;
  for (const char* inside :
       {"slice(%x) {start=[B - 1,0], limit=[B,4], stride=[1,1]}",
        "slice(%x) {start=[0,0], limit=[1,4], stride=[1,1]}",
        "slice(%x) {start=[0,0], limit=[floordiv(B, 2),4], stride=[1,1]}",
        "dynamic_slice(%x, %s, %s) {sizes=[1,4]}", "dynamic_slice(%x, %s, %s) {sizes=[B,2]}",
        "dynamic_update_slice(%u, %u, %s, %s)"})
    EXPECT_EQ(refusal(b, inside), "") << inside;
}

TEST(Bounds, RowsOfAnEmptyTableAreRefused) {
  EXPECT_NE(refusal("(%x: f32[0,2], %i: i32[3])", "gather(%x, %i)"), "");
  EXPECT_EQ(refusal("(%x: f32[0,2], %i: i32[0])", "gather(%x, %i)"), "");
  EXPECT_EQ(refusal("[B](%x: f32[B,2], %i: i32[3])", "gather(%x, %i)"), "");
  EXPECT_NE(refusal("(%x: bool[2,2], %i: i32[3], %u: bool[3,2])", "scatter_add(%x, %i, %u)"), "");
}

}  // namespace
}  // namespace gradc::graph
