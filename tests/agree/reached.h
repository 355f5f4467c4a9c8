// What a run of graphs reached: ops drawn, decisions of the passes.
#pragma once

#include "agree/harness.h"

namespace gradc::test {

using Counters = std::map<std::string, int>;

inline void count_ops(const graph::Module& m, Counters& c) {
  for (const auto& [name, f] : m.functions)
    for (const graph::Node& n : f.nodes) ++c[std::string(n.op->name)];
}

inline int barriers_in(const step::Body& body) {
  int n = 0;
  for (const step::Stmt& s : body) {
    n += std::holds_alternative<step::Barrier>(s);
    if (auto* f = std::get_if<std::shared_ptr<const step::For>>(&s)) n += barriers_in((*f)->body);
    if (auto* i = std::get_if<std::shared_ptr<const step::If>>(&s))
      n += barriers_in((*i)->then_body) + barriers_in((*i)->else_body);
  }
  return n;
}

inline void count_kernel(const kernel::Kernel& k, const kernel::Kernel& naive,
                         const kernel::Schedule& schedule, Counters& c) {
  const passes::Nest nest = passes::nest_of(naive);
  const passes::LoopForm s = passes::replay(naive, schedule);
  const bool tile = schedule.what.starts_with("tile");
  if (tile && s.row_axis >= 0 && s.rows > 1) {
    const Index& rows = nest.loops[static_cast<size_t>(s.row_axis)]->extent;
    c["tile edge in rows"] += !rows.is_constant() || rows.constant_part() % s.rows != 0;
  }
  if (tile && s.vector_axis >= 0)
    c["tile edge in columns"] +=
        nest.loops[static_cast<size_t>(s.vector_axis)]->extent.constant_part() % s.columns != 0;
  for (const kernel::Buffer& b : k.buffers)
    c["staged panel"] += tile && b.space == kernel::Space::Scratch && b.name.starts_with("p");
  c["row group"] += schedule.what == "rows";
  c["parallel kernel"] += kernel::parallel_loop(k) != nullptr;
}

inline void count_decisions(const graph::Module& primitive, const CompileOptions& options, Counters& c) {
  passes::StepReport report;
  CompileOptions naive = options;
  naive.without.push_back("schedule");
  const graph::Function& f = primitive.at("f");
  const step::Step s = lower_function(primitive, f, options, {}, &report);
  const step::Step before = lower_function(primitive, f, naive);
  for (const auto& [move, n] : report.fusion_moves) c[move] += n;
  c["copy"] += report.copies;
  for (const auto& note : report.kernels)
    count_kernel(s.kernels[note.kernel], before.kernels[note.kernel], *note.schedule, c);
  c["barrier"] += barriers_in(s.body);
  for (const step::Buffer& b : s.buffers)
    c["temporary of exchanged state"] += b.name == "old" || b.name.starts_with("old.");
  for (const auto& [name, g] : primitive.functions)
    for (const graph::Node& n : g.nodes) {
      c["lane reduction"] += graph::order_of(n) == Order::Lanes;
      c["pairwise reduction"] += graph::order_of(n) == Order::Pairwise;
      const auto operand = [&](const graph::Node& of) -> const graph::Node& { return g[of.operands[0]]; };
      if (n.op->name == "reduce_sum" && operand(n).op->name == "concat")
        c["parted contraction"] += operand(operand(n)).op->name == "einsum";
    }
}

}  // namespace gradc::test
