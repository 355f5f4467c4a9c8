// Every op of the table with every attribute missing, of another kind, negative, huge: IR text is an input,
// so each is either refused with a CompileError or goes through all passes; an internal error is never the
// answer.
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "driver/lower_function.h"
#include "ir/graph/op_def.h"
#include "ops/sample_file.h"
#include "passes/pipeline.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using graph::Attrs;
using graph::AttrValue;

constexpr int64_t kMost = std::numeric_limits<int64_t>::max(), kLeast = std::numeric_limits<int64_t>::min();

// Texts for ops that no sample of values holds.
constexpr const char* kMore[] = {
    "func @g(%p: f32[3]) -> (f32[3]) { %n = neg(%p) return %n }\n"
    "func @h(%p: f32[3]) -> (bool[]) { %z = constant() {dtype=bool, shape=[], value=0} return %z }\n"
    "func @l(%p: f32[3]) -> (f32[]) { %s = reduce_sum(%p) {axes=[0]} return %s }\n"
    "func @s(%c: f32[3], %x: f32[3]) -> (f32[3], f32[3]) { %n = add(%c, %x) return %n, %c }\n"
    "func @predict(%a: f32[3], %b: bool[], %xs: f32[4,3]) -> (f32[3]) {\n"
    "  %c = call(%a) {function=@g}\n"
    "  %v: (f32[], f32[3]) = value_and_grad(%a) {function=@l, wrt=[0]}\n"
    "  %w = get(%v) {index=1}\n"
    "  %d: (f32[3]) = cond(%b, %a) {then=@g, otherwise=@g}\n"
    "  %o: (f32[3]) = while(%a) {condition=@h, body=@g, bound=5}\n"
    "  %t: (f32[3], f32[4,3]) = scan(%a, %xs) {function=@s, consts=0, carries=1, length=[4]}\n"
    "  %u = get(%t) {index=0}\n"
    "  %q = add(%w, %u)\n"
    "  return %q\n}\n",
    "func @predict[B](%a: f32[B,3]) -> (i64[]) { %y = dim() {value=[B], dtype=i64} return %y }",
};

std::vector<AttrValue> values(const AttrValue& right) {
  std::vector<AttrValue> all{true,
                             int64_t{0},
                             int64_t{1},
                             int64_t{-1},
                             int64_t{7},
                             kMost,
                             kLeast,
                             0.5,
                             1e300,
                             std::string(),
                             std::string("x"),
                             std::string("i,i->i"),
                             std::string("ab,bc->ac,"),
                             std::string("pairwise"),
                             std::string("lanes"),
                             DType::Bool,
                             DType::I32,
                             DType::F64,
                             graph::FunctionRef{"predict"},
                             graph::FunctionRef{"nobody"}};
  for (const std::vector<int64_t>& list : {std::vector<int64_t>{},
                                           {0},
                                           {1},
                                           {-1},
                                           {9},
                                           {kMost},
                                           {kLeast},
                                           {0, 0},
                                           {0, 1},
                                           {1, 0},
                                           {kMost, kMost},
                                           {int64_t{1} << 31, int64_t{1} << 31},
                                           {2, 3, 4, 5}})
    all.emplace_back(graph::ints(list));
  if (const Shape* list = std::get_if<Shape>(&right))  // one entry wrong, the others right
    for (size_t i = 0; i < list->size(); ++i)
      for (int64_t v : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{5}, int64_t{1} << 40, kMost, kLeast}) {
        Shape changed = *list;
        changed[i] = Dim(v);
        all.emplace_back(std::move(changed));
      }
  return all;
}

// "" where the text is refused by a CompileError or goes through, else what came instead.
std::string fault(const std::string& text, int& accepted) {
  try {
    graph::Module m = graph::parse(text, 1);
    graph::Function& f = m.functions.at("predict");
    if (f.results.empty() && f.nodes.back().types.size() == 1)
      f.results.push_back({static_cast<graph::NodeId>(f.nodes.size() - 1), graph::kNone, ""});
    m = passes::run_graph_passes(m);
    for (auto& [name, info] : m.functions.at("predict").dims) info.max = 4;
    (void)lower_function(m, m.at("predict"), {});
    ++accepted;
  } catch (const CompileError&) {
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

// The module as text without the types of its statements, and with one node's attributes replaced. What
// @predict gives has another type then, so it gives nothing here.
std::string changed(graph::Module m, const std::string& function, graph::NodeId node, Attrs attrs) {
  m.functions.at(function).nodes[node].attrs = std::move(attrs);
  m.functions.at("predict").results.clear();
  std::istringstream lines(graph::print(m));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const size_t type = line.find(": "), is = line.find(" = ");
    if (line.starts_with("  %") && type < is && is != line.npos) line.erase(type, is - type);
    text += line + "\n";
  }
  return text;
}

struct Walk {
  std::set<std::string> ops;
  int tried = 0, accepted = 0;

  void text(const std::string& source) {
    const graph::Module m = graph::parse(source, 1);
    for (const auto& [name, f] : m.functions)
      for (size_t n = 0; n < f.nodes.size(); ++n) {
        const graph::Node& node = f.nodes[n];
        if (!graph::find_op(node.op->name)) continue;
        ops.insert(std::string(node.op->name));
        for (std::string_view written : node.op->attributes) {  // those that the text leaves out too
          const std::string attribute(written.substr(0, written.find('!')));
          const AttrValue* right = node.attrs.find(attribute);
          if (right) attempt(changed(m, name, static_cast<graph::NodeId>(n), node.attrs.without(attribute)));
          for (const AttrValue& v : values(right ? *right : AttrValue(true)))
            attempt(changed(m, name, static_cast<graph::NodeId>(n), node.attrs.with(attribute, v)));
        }
      }
  }

  void attempt(const std::string& text) {
    ++tried;
    const std::string why = fault(text, accepted);
    EXPECT_EQ(why, "") << text;
  }
};

TEST(AttributeWalk, NoInputIsAnInternalError) {
  Walk walk;
  for (const char* text : kMore) walk.text(text);
  std::map<std::string, int> seen;
  for (const Sample& s : read_samples("tests/ops/samples.txt"))
    if (seen[s.op]++ < 2) walk.text(s.text);
  for (const graph::OpDef& d : graph::all_ops())
    EXPECT_TRUE(d.attributes.empty() || walk.ops.count(std::string(d.name))) << "no text has " << d.name;
  EXPECT_GT(walk.tried, 3000);
  EXPECT_GT(walk.accepted, 100);
}

}  // namespace
}  // namespace gradc
