// What loops are handed. A constant or an input that the body does not read (the contraction that read it
// stands before the loop) is not handed to it, so that nobody makes it. Rows of a small table, chosen by
// numbers, are read in the loop: the table stays near, where the rows of all steps would be written far away
// and read again.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "ir/graph/text.h"
#include "passes/graph/expand.h"

namespace gradc::passes {
namespace {

using namespace graph;

// The numbers of all steps, steps outermost, and the table whose rows an input is.
struct Rows {
  NodeId table = kNone, numbers = kNone;
  std::vector<int64_t> perm;  // of the numbers
};

class Inputs {
 public:
  explicit Inputs(const Module& m) : m_(m) {}

  Module run() {
    for (const auto& [name, f] : m_.functions)
      for (const Function* g : reached(m_, f))  // bodies before the scans that name them
        if (!done_.find(g->name)) visit(*g);
    return std::move(done_);
  }

 private:
  void visit(const Function& f) {
    std::vector<int> uses(f.nodes.size(), 0);
    for (const Node& n : f.nodes)
      for (NodeId q : n.operands) ++uses[q];
    for (const Result& r : f.results) ++uses[r.node];
    Function out = rebuild(f, done_, [&](Builder& b, NodeId i, const std::vector<NodeId>& made) -> Results {
      if (f[i].op->form != Form::Scan) return std::nullopt;
      return scan(b, f, i, made, uses);
    });
    done_.functions.emplace(f.name, std::move(out));
  }

  Results scan(Builder& b, const Function& f, NodeId i, const std::vector<NodeId>& made,
               const std::vector<int>& uses) {
    const Node& n = f[i];
    const std::string& name = n.attrs.function("function");
    const Function& body = done_.at(name);
    const auto consts = static_cast<size_t>(n.attrs.integer("consts"));
    const auto carries = static_cast<size_t>(n.attrs.integer("carries"));
    const std::vector<bool> read = params_read(body);
    std::vector<bool> kept(n.operands.size(), true);
    std::map<size_t, Rows> rows;  // by operand
    for (size_t p = 0; p < n.operands.size(); ++p) {
      const bool carried = p >= consts && p < consts + carries;
      kept[p] = carried || read[p];
      if (!kept[p] || p < consts + carries) continue;
      if (const Rows r = rows_of(f, n.operands[p], uses); r.table != kNone) rows[p] = r;
    }
    if (rows.empty() && std::find(kept.begin(), kept.end(), false) == kept.end()) return std::nullopt;
    const std::string inside = new_body(name, kept, rows, consts, f);
    std::vector<NodeId> operands;
    int64_t constants = 0;
    for (size_t p = 0; p < n.operands.size(); ++p) {
      if (p == consts)
        for (const auto& [k, r] : rows) operands.push_back(made[r.table]), ++constants;
      const auto it = rows.find(p);
      if (it != rows.end())
        operands.push_back(b.transpose(made[it->second.numbers], it->second.perm));
      else if (kept[p])
        operands.push_back(made[n.operands[p]]), constants += p < consts;
    }
    const NodeId made_scan =
        b.make("scan", operands, n.attrs.with("function", FunctionRef{inside}).with("consts", constants));
    std::vector<NodeId> results;
    for (size_t r = 0; r < n.types.size(); ++r) results.push_back(b.get(made_scan, static_cast<int>(r)));
    return results;
  }

  static std::vector<bool> params_read(const Function& body) {
    std::vector<bool> used(body.nodes.size(), false), read;
    for (const Node& n : body.nodes)
      for (NodeId q : n.operands) used[q] = true;
    for (const Result& r : body.results) used[r.node] = true;
    for (NodeId p : body.params) read.push_back(used[p]);
    return read;
  }

  // Of an input that nothing else reads: rows of a table of at most kNear bytes, several times as many.
  static Rows rows_of(const Function& f, NodeId input, const std::vector<int>& uses) {
    constexpr int64_t kNear = 1 << 19, kTimes = 4, kPlanned = 64;
    Rows r;
    NodeId n = input;
    size_t steps = 0;  // the axis of the numbers that the steps go along
    if (f[n].op->name == "transpose" && uses[n] == 1) {
      std::vector<int64_t> rest = f[n].attrs.integers("perm");
      steps = static_cast<size_t>(rest.front());
      rest.erase(rest.begin());
      if (!std::is_sorted(rest.begin(), rest.end())) return {};
      n = f[n].operands[0];
    }
    if (f[n].op->name != "gather" || uses[n] != 1) return {};
    const Type &table = f.type(f[n].operands[0]), &numbers = f.type(f[n].operands[1]);
    const Dim size = element_count(table.shape);
    if (steps >= numbers.shape.size() || !size.is_constant() ||
        size.constant_part() * size_of(table.dtype) > kNear)
      return {};
    const int64_t copied = element_count(f.type(n).shape)
                               .evaluate([](int) -> int64_t { return 0; },
                                         [](const std::string&) -> int64_t { return kPlanned; });
    if (copied < kTimes * size.constant_part()) return {};
    r.table = f[n].operands[0], r.numbers = f[n].operands[1];
    r.perm.push_back(static_cast<int64_t>(steps));
    for (size_t a = 0; a < numbers.shape.size(); ++a)
      if (a != steps) r.perm.push_back(static_cast<int64_t>(a));
    return r;
  }

  std::string new_body(const std::string& name, const std::vector<bool>& kept,
                       const std::map<size_t, Rows>& rows, size_t consts, const Function& outside) {
    std::string fresh = name + ".inputs";
    while (done_.find(fresh) || m_.find(fresh)) fresh += "_";
    const Function& body = done_.at(name);
    Builder b(fresh, &done_);
    for (const auto& [dim, info] : body.dims) b.dim(dim, info);
    std::vector<NodeId> map(body.nodes.size(), kNone);
    std::map<size_t, NodeId> tables;
    for (size_t p = 0; p < body.params.size(); ++p) {
      if (p == consts)
        for (const auto& [k, r] : rows)
          tables[k] = b.param(fmt::format(".table{}", k), outside.type(r.table));
      const NodeId param = body.params[p];
      if (const auto it = rows.find(p); it != rows.end()) {
        Type numbers = outside.type(it->second.numbers);
        numbers.shape.erase(numbers.shape.begin() + it->second.perm.front());
        map[param] = b.make("gather", {tables.at(p), b.param(body.names.at(param), numbers)});
      } else if (kept[p]) {
        map[param] = b.param(body.names.at(param), body.type(param));
      }
    }
    for (NodeId i = 0; i < body.nodes.size(); ++i)
      if (body[i].op->form != Form::Parameter) map[i] = copy_node(b, body, i, map);
    for (const Result& r : body.results) b.result(map[r.node], r.name);
    Function out = b.finish();
    out.notes = body.notes;
    done_.functions.emplace(fresh, std::move(out));
    return fresh;
  }

  const Module& m_;
  Module done_;
};

}  // namespace

Module inputs(const Module& m) { return has_scans(m) ? prune(Inputs(m).run()) : m; }

}  // namespace gradc::passes
