// Loss and metrics as values of the whole split: numbers, tables, and what is kept of each row for them.
#include <algorithm>
#include <set>

#include "frontend/training/model_compiler.h"

namespace gradc::frontend {
namespace {

constexpr int64_t kTableElements = int64_t(1) << 16;

// Whether a value of the finishing function comes of the rows, not of their sums alone.
bool reads_rows(const graph::Builder& b, graph::NodeId value, graph::NodeId rows) {
  std::vector<graph::NodeId> work{value};
  std::set<graph::NodeId> seen;
  while (!work.empty()) {
    const graph::NodeId n = work.back();
    work.pop_back();
    if (n == rows) return true;
    if (seen.insert(n).second) work.insert(work.end(), b[n].operands.begin(), b[n].operands.end());
  }
  return false;
}

// Rows against rows would take their square.
bool pairs_rows(const graph::Builder& b, graph::NodeId from) {
  for (graph::NodeId n = from; n < b.function().nodes.size(); ++n)
    for (const Type& t : b[n].types)
      if (std::count_if(t.shape.begin(), t.shape.end(), [](const Dim& d) { return !d.is_constant(); }) > 1)
        return true;
  return false;
}

void names_in(const Expr& x, std::set<std::string>& names) {
  if (x.is(Expr::Kind::Name)) names.insert(x.text);
  for (const Expr& k : x.kids) names_in(k, names);
  for (const Argument& a : x.arguments) names_in(a.value, names);
}

}  // namespace

Value ModelCompiler::metric(Pass& p, const std::string& name, const Expr& x, Scope& wide) {
  const auto before = static_cast<graph::NodeId>(p.e.finish().function().nodes.size());
  Value v = p.e.evaluate(x, p.e.wide ? wide : p.scope);
  if (v.is(Value::Kind::Tensor))
    p.e.fail(x.loc, fmt::format("{} is {}; a metric is one number over the batch: mean(...)", name,
                                p.e.describe(v)));
  if (v.is_number()) v = p.e.wrap(p.e.finish().constant(p.e.constant_real(v, name, x.loc), DType::F64), true);
  if (!v.is(Value::Kind::Deferred)) p.e.fail(x.loc, fmt::format("metric {} is not one number", name));
  const Shape& shape = p.e.shape(v);
  const bool table = p.e.wide && shape.size() == 2 && shape[0].is_constant() && shape[1].is_constant();
  if (!shape.empty() && !table)
    p.e.fail(x.loc, fmt::format("metric {} is {}; it is one number, or a table of two axes of constant size",
                                name, p.e.describe(v)));
  if (pairs_rows(p.e.finish(), before))
    p.e.fail(x.loc, fmt::format("metric {} sets the rows of a split against each other, which takes their "
                                "square; sort them, or add them up",
                                name));
  return p.e.convert(v, DType::F64, x.loc);
}

// In the first elaboration: a metric that is a table, or that comes of the rows.
void ModelCompiler::note_table(Pass& p, const std::string& name, const Expr& x, const Value& v) {
  TrainSpec& t = *unit_.train;
  if (p.e.rows_node != graph::kNone && reads_rows(p.e.finish(), v.node, p.e.rows_node))
    t.of_all_rows.push_back(name);
  const Shape& shape = p.e.shape(v);
  if (shape.empty()) return;
  TableMetric table{name, shape[0].constant_part(), shape[1].constant_part(), {}};
  if (table.rows > kTableElements || table.columns > kTableElements / std::max<int64_t>(1, table.rows))
    p.e.fail(x.loc, fmt::format("metric {} is a table of {} x {} numbers, and may have {}", name, table.rows,
                                table.columns, kTableElements));
  std::set<std::string> names;
  names_in(x, names);
  for (const Input& in : unit_.inputs)
    if (names.count(in.name) != 0) table.fields.push_back(in.name);
  t.tables.push_back(std::move(table));
}

// The numbers first, then the tables' elements.
std::vector<Value> ModelCompiler::metrics(Pass& p) {
  std::vector<Value> values, tables;
  if (row_columns_ > 0) p.e.expect_rows(row_columns_, unit_.train->metric_rows);
  p.e.deferring = true;
  // A metric's own arithmetic is in f64; the loss keeps its type and is added up in f64.
  Scope wide;
  wide.outer = &p.scope;
  wide.file = p.scope.file;
  for (const auto& [name, v] : p.scope.names)
    if (v.is(Value::Kind::Tensor) && is_float(p.e.dtype(v)))
      wide.names[name] = p.e.convert(v, DType::F64, v.loc);
  const bool survey = row_columns_ == kManySums;
  auto one = [&](const std::string& name, const Expr& x) {
    try {
      const Value v = metric(p, name, x, wide);
      if (survey) note_table(p, name, x, v);
      (p.e.shape(v).empty() ? values : tables).push_back(v);
      // A later metric may read it; an input or result of the same name stays what it is.
      if (p.scope.names.emplace(name, v).second) wide.names[name] = v;
    } catch (const CompileError& error) {
      p.e.report(error);
    }
  };
  for (const StepFields& step : fields_.steps) one(step.loss_name(), *step.loss);
  p.e.wide = true;
  for (const auto& [name, x] : fields_.metrics) one(name, *x);
  p.e.wide = p.e.deferring = false;
  values.insert(values.end(), tables.begin(), tables.end());
  return values;
}

// Tables are no metrics to go by, nor is what training steps do not compute.
void ModelCompiler::choose_numbers() {
  TrainSpec& t = *unit_.train;
  const std::vector<const Keep*> rules = t.rules();
  for (const TableMetric& table : t.tables) {
    std::erase(t.metrics, table.name);
    for (const Keep* rule : rules)
      if (rule->metric == table.name)
        s_.diagnostics.error(
            rule->loc,
            fmt::format("{}.{} is a table of {} x {} numbers: go by a metric that is one "
                        "number, of {}",
                        rule->split, table.name, table.rows, table.columns, fmt::join(t.metrics, ", ")));
  }
  for (const Keep* rule : rules)
    if (rule->split == "train" &&
        std::find(t.of_all_rows.begin(), t.of_all_rows.end(), rule->metric) != t.of_all_rows.end())
      s_.diagnostics.error(
          rule->loc, fmt::format("train.{} reads all rows of a split, which training steps do not keep: "
                                 "go by val.{}",
                                 rule->metric, rule->metric));
}

}  // namespace gradc::frontend
