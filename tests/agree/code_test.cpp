// What the code generator makes of kernels: how wide, and in how many objects.
#include <thread>

#include "agree/harness.h"

namespace gradc::test {
namespace {

// Six columns fill less than half of sixteen lanes and go into eight; nine do not.
TEST(Code, VectorsThatStayHalfEmptyAreHalved) {
  for (const int64_t columns : {6, 9}) {
    const std::string text = fmt::format(R"(
func @f[B <= 9 plan 8](%x: f32[B,{0}], %w: f32[{0},{0}]) -> (f32[B,{0}]) {{
  %0 = einsum(%x, %w) {{spec="ab,bc->ac"}}
  return %0
}}
)",
                                         columns);
    const CompileOptions o = options_of({16, {}, ""});
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    const step::Step s = lower_function(m, m.at("f"), o);
    const std::string llvm = codegen::emit_llvm({&s, 1}, o.codegen);
    EXPECT_EQ(llvm.find("<16 x float>") == llvm.npos, columns == 6) << llvm;
    EXPECT_EQ(llvm.find("<8 x float>") != llvm.npos, columns == 6) << llvm;
    EXPECT_EQ(disagreement(text, "f", {{0, 1, 9}, {16, {}, ""}, {1, 2}}, o), "");
  }
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

// What lies apart along the lanes is read, and written, in blocks that are transposed in registers: of every
// element type, with rests on both sides, with as many rows as nobody knows. No element goes by itself.
TEST(Code, BlocksAreTransposedInRegisters) {
  for (const char* type : {"f32", "f64", "i32", "i64", "bool"})
    for (const char* shape : {"16,16", "38,22", "64,10", "6,40", "B,38"}) {
      const std::string t = shape, a = t.substr(0, t.find(',')), b = t.substr(t.find(',') + 1);
      const std::string text = fmt::format(R"(
func @f[B <= 40 plan 32](%x: {0}[{1},{2}], %y: {0}[{2},{1}]) -> ({0}[{2},{1}], {0}[{1},{2}]) {{
  %0 = transpose(%x) {{perm=[1,0]}}
  %1 = transpose(%y) {{perm=[1,0]}}
  %2 = select(%3, %1, %x)
  return %0, %2
}}
)",
                                           type, a, b);
      std::string whole = text;
      whole.replace(whole.find("  %2 ="), 6, "  %3 = eq(%1, %x)\n  %2 =");
      for (const int lanes : {4, 8, 16}) {
        const CompileOptions o = options_of({lanes, {}, ""});
        SCOPED_TRACE(fmt::format("{} {} {}", type, shape, lanes));
        EXPECT_EQ(disagreement(whole, "f", {{1, 7, 40}, {lanes, {}, ""}, {1, 3}}, o), "");
        if (a == "B") continue;
        const graph::Module m = passes::run_graph_passes(graph::parse(whole));
        const step::Step s = lower_function(m, m.at("f"), o);
        const std::string llvm = codegen::emit_llvm({&s, 1}, o.codegen);
        EXPECT_EQ(count(llvm, "insertelement"), 0U) << llvm;
        EXPECT_EQ(count(llvm, "extractelement"), 0U) << llvm;
      }
    }
}

// A table is updated where it lies if it is given away and nothing reads its old rows later; what is updated
// is computed where the update belongs.
TEST(Code, UpdatesAreInPlace) {
  struct Case {
    int copies;
    const char* results;
    const char* body;
  };
  const Case cases[] = {
      {0, "f32[40,21] into %t", "%1 = scatter_add(%t, %i, %r)\n return %1"},
      {1, "f32[40,21]", "%1 = scatter_add(%t, %i, %r)\n return %1"},
      // Rows that come from the table itself: first read, then added.
      {0, "f32[40,21] into %t", "%1 = gather(%t, %i)\n %2 = scatter_add(%t, %i, %1)\n return %2"},
      // The old table is a result, or read by what needs the new one.
      {3, "f32[40,21] into %t, f32[40,21]", "%1 = scatter_add(%t, %i, %r)\n return %1, %t"},
      {2, "f32[40,21] into %t, f32[40,21]",
       "%1 = scatter_add(%t, %i, %r)\n %2 = mul(%1, %t)\n return %1, %2"},
      {0, "f32[40,21] into %t, f32[40,21]",
       "%1 = scatter_add(%t, %i, %r)\n %2 = mul(%t, %t)\n return %1, %2"},
      // Updates of updates, and of what is computed.
      {0, "f32[40,21] into %t",
       "%1 = mul(%t, %t)\n %2 = scatter_add(%1, %i, %r)\n %3 = scatter_add(%2, %i, %r)\n"
       " %4 = add(%3, %3)\n return %4"},
      {1, "f32[40,21] into %t, f32[40,21]",
       "%1 = mul(%t, %t)\n %2 = scatter_add(%1, %i, %r)\n %3 = mul(%1, %2)\n return %3, %1"},
  };
  for (const Case& c : cases) {
    const std::string text = fmt::format(
        "func @f(%t: f32[40,21], %i: i32[9], %r: f32[9,21]) -> ({}) {{\n {}\n}}\n", c.results, c.body);
    SCOPED_TRACE(text);
    for (const int lanes : {4, 16})
      EXPECT_EQ(
          disagreement(text, "f", {{1}, {lanes, {}, "", true}, {1, 3}}, options_of({lanes, {}, "", true})),
          "");
    const graph::Module m = passes::run_graph_passes(graph::parse(text));
    passes::StepReport report;
    lower_function(m, m.at("f"), options_of({16, {}, ""}), {}, &report);
    EXPECT_EQ(report.copies, c.copies);
  }
}

// Many distinct kernels are compiled in parts, three a core at most; few are one object.
TEST(Code, ManyKernelsBecomeSeveralObjects) {
  const auto chain = [](int layers) {
    std::string text = fmt::format("func @f[B <= 9 plan 8](%x: f32[B,16]");
    for (int i = 0; i < layers; ++i) text += fmt::format(", %w{}: f32[{},{}]", i, 16 + i, 17 + i);
    text += fmt::format(") -> (f32[B,{}]) {{\n", 16 + layers);
    for (int i = 0; i < layers; ++i)
      text += fmt::format("  %{} = einsum(%{}, %w{}) {{spec=\"ab,bc->ac\"}}\n", i,
                          i == 0 ? "x" : std::to_string(i - 1), i);
    return text + fmt::format("  return %{}\n}}\n", layers - 1);
  };
  const CompileOptions o = options_of({8, {}, ""});
  const auto objects = [&](int layers) {
    const graph::Module m = passes::run_graph_passes(graph::parse(chain(layers)));
    const step::Step s = lower_function(m, m.at("f"), o);
    return codegen::emit_objects({&s, 1}, o.codegen).size();
  };
  EXPECT_EQ(objects(1), 1U);
  const size_t cores = std::max(1U, std::thread::hardware_concurrency());
  EXPECT_EQ(objects(40) > 1, cores > 1);
  EXPECT_LE(objects(40), 3 * cores);
  EXPECT_EQ(disagreement(chain(40), "f", {{1, 9}, {8, {}, ""}, {1, 2}}, o), "");
}

}  // namespace
}  // namespace gradc::test
