#include "driver/anomaly.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

#include "driver/element_type.h"
#include "driver/state_table.h"
#include "ir/graph/text.h"
#include "ir/interp/interpret.h"
#include "passes/pipeline.h"
#include "runtime/bad_step.h"
#include "runtime/error.h"

namespace gradc {
namespace {

using graph::Function;
using graph::NodeId;
using runtime::Error;
using runtime::Failure;

struct Statistics {
  double min = std::numeric_limits<double>::infinity(), max = -min, sum = 0;  // of finite numbers
  int64_t count = 0, nan = 0, infinite = 0;
  bool finite() const { return nan + infinite == 0; }

  void add(double v) {
    ++count;
    if (std::isnan(v))
      ++nan;
    else if (std::isinf(v))
      ++infinite;
    else
      min = std::min(min, v), max = std::max(max, v), sum += v;
  }
  // "NaN in 3 and infinity in 1 of 8 numbers"
  std::string broken() const {
    const std::string n = nan > 0 ? fmt::format("NaN in {}", nan) : "",
                      i = infinite > 0 ? fmt::format("infinity in {}", infinite) : "";
    return fmt::format("{}{}{} of {} numbers", n, !n.empty() && !i.empty() ? " and " : "", i, count);
  }
  std::string str() const {
    const int64_t good = count - nan - infinite;
    return (good == 0 ? "no finite number"
                      : fmt::format("min {:.6g}, max {:.6g}, mean {:.6g}", min, max,
                                    sum / static_cast<double>(good))) +
           fmt::format(", {} NaN, {} infinite", nan, infinite);
  }
};

Statistics statistics_of(const Tensor& t) {
  Statistics s;
  for (int64_t i = 0; i < t.count(); ++i) s.add(t.at(i));
  return s;
}

// Of the values of all nodes as they were computed last; and, by function, the node that first gave what is
// not finite from what was, with the statistics of that moment.
class Watch {
 public:
  struct Origin {
    int64_t number = 0;  // in order of evaluation
    NodeId node = graph::kNone;
    Statistics value;
    std::vector<Statistics> operands;
  };

  void see(const Function& f, NodeId id, const Tensor& t) {
    std::vector<std::vector<Statistics>>& all = values_[f.name];
    all.resize(f.nodes.size());
    if (all[id].size() == f[id].types.size()) all[id].clear();
    all[id].push_back(statistics_of(t));
    ++seen_;
    if (!all[id].back().finite() && !firsts_.contains(f.name) && !f[id].operands.empty())
      if (Origin o = origin(f, id); whole(o)) firsts_.emplace(f.name, std::move(o));
  }

  // Where what the results of `f` hold comes from.
  std::optional<Origin> source(const Function& f) const {
    std::set<NodeId> reached;
    std::vector<NodeId> open;
    for (const graph::Result& r : f.results) open.push_back(r.node);
    while (!open.empty()) {
      const NodeId id = open.back();
      open.pop_back();
      if (!broken(f, id) || !reached.insert(id).second) continue;
      open.insert(open.end(), f[id].operands.begin(), f[id].operands.end());
    }
    for (NodeId id : reached)
      if (const Origin o = origin(f, id); whole(o)) return o;
    return std::nullopt;
  }
  const Origin* first_in(const Function& f) const {
    const auto it = firsts_.find(f.name);
    return it == firsts_.end() ? nullptr : &it->second;
  }

 private:
  bool broken(const Function& f, NodeId id) const {
    const auto& all = values_.at(f.name)[id];
    return std::any_of(all.begin(), all.end(), [](const Statistics& s) { return !s.finite(); });
  }
  static bool whole(const Origin& o) {
    return std::all_of(o.operands.begin(), o.operands.end(), [](const Statistics& s) { return s.finite(); });
  }
  Origin origin(const Function& f, NodeId id) const {
    const auto& all = values_.at(f.name);
    Origin o{seen_, id, {}, {}};
    for (const Statistics& s : all[id])
      if (o.value.finite()) o.value = s;
    const bool get = f[id].op->form == graph::Form::Get;
    for (NodeId q : f[id].operands)
      o.operands.push_back(all[q].at(get ? static_cast<size_t>(f[id].attrs.integer("index")) : 0));
    return o;
  }

  std::map<std::string, std::vector<std::vector<Statistics>>> values_;
  std::map<std::string, Origin> firsts_;
  int64_t seen_ = 0;
};

Tensor argument(const Type& type, const std::string& name, const runtime::SafeTensors& step,
                const std::string& path) {
  const auto it = step.tensors.find(name);
  if (it == step.tensors.end())
    throw Error(Failure::Mismatch, path + ": is no step of this model: it has no '" + name + "'");
  const runtime::Array& a = it->second;
  if (compiler_type(a.dtype) != type.dtype || a.shape.size() != type.shape.size())
    throw Error(Failure::Mismatch, path + ": is no step of this model: '" + name + "' is of another type");
  for (size_t i = 0; i < a.shape.size(); ++i)
    if (type.shape[i].is_constant() && type.shape[i].constant_part() != a.shape[i])
      throw Error(Failure::Mismatch, path + ": is no step of this model: '" + name + "' has another shape");
  Tensor t(type.dtype, a.shape);
  if (t.bytes() > 0) std::memcpy(t.data(), a.bytes.data(), static_cast<size_t>(t.bytes()));
  return t;
}

// "'dense.weight'", of an input "the input 'x'"; what the step calls them.
std::string parameter_text(const frontend::Unit& unit, const Function& f, NodeId id) {
  const std::string& name = f.names.at(id);
  for (const frontend::StateSpec& s : unit.state)
    if (s.parameter() == name) return "'" + s.path + "'";
  for (const frontend::Input& in : unit.inputs)
    if (in.parameter == name) return "the input '" + in.name + "'";
  return "'" + name + "'";
}

std::string place_text(const Function& f, NodeId id, const Sources& sources) {
  const Loc* loc = f.locs.find(id);
  if (loc == nullptr || !*loc) return "";
  const LineColumn p = sources.position(loc->file, loc->begin);
  std::string_view line = sources.line_at(loc->file, loc->begin);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  return fmt::format("{}:{}:{}: {}", sources.name(loc->file), p.line, p.column, line);
}

std::string operand_text(const frontend::Unit& unit, const Function& f, NodeId q, const Sources& sources) {
  const bool of_entry = f.name == "train_step" && f[q].op->form == graph::Form::Parameter;
  std::string text = of_entry ? parameter_text(unit, f, q) : std::string(f[q].op->name);
  if (const std::string place = of_entry ? "" : place_text(f, q, sources); !place.empty())
    text += " at " + place.substr(0, place.find(": "));
  return fmt::format("{}, {}", text, f.type(q).str());
}

// The function that a node of control flow runs, and in which it began.
const Function* inside(const graph::Module& m, const graph::Node& n, const Watch& w) {
  const Function* first = nullptr;
  auto look = [&](const std::string& name) {
    const Function& f = m.at(name);
    const Watch::Origin* o = w.first_in(f);
    if (o != nullptr && (first == nullptr || o->number < w.first_in(*first)->number)) first = &f;
  };
  for (const auto& [name, value] : n.attrs.list()) {
    if (const auto* one = std::get_if<graph::FunctionRef>(&value)) look(one->name);
    if (const auto* many = std::get_if<std::vector<graph::FunctionRef>>(&value))
      for (const graph::FunctionRef& r : *many) look(r.name);
  }
  return first;
}

std::string explanation(const frontend::Unit& unit, const graph::Module& primitive, const Sources& sources,
                        const Watch& w) {
  const Function* f = &primitive.at("train_step");
  std::optional<Watch::Origin> o = w.source(*f);
  if (!o) return "every number of the step is finite\n";
  if ((*f)[o->node].op->form == graph::Form::Parameter)
    return fmt::format("{} is not finite before the step: {}\n", parameter_text(unit, *f, o->node),
                       o->value.broken());
  while (const Function* body = inside(primitive, (*f)[o->node], w)) f = body, o = *w.first_in(*f);
  const graph::Node& n = (*f)[o->node];
  std::string out = fmt::format("the first operation that gives NaN or infinity is {}: {}\n", n.op->name,
                                o->value.broken());
  if (const std::string place = place_text(*f, o->node, sources); !place.empty()) out += "  " + place + "\n";
  for (size_t i = 0; i < n.operands.size(); ++i)
    out += fmt::format("  of {}: {}\n", operand_text(unit, *f, n.operands[i], sources), o->operands[i].str());
  return out;
}

}  // namespace

std::string explain_bad_step(const frontend::Unit& unit, const Sources& sources,
                             const runtime::SafeTensors& step, const std::string& path) {
  const graph::Module primitive = passes::run_graph_passes(unit.module);
  const Function& f = primitive.at("train_step");
  const std::vector<int> rows = state_rows(unit, f);
  std::vector<Tensor> args;
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::string name = rows[i] >= 0 ? unit.state[static_cast<size_t>(rows[i])].path
                                          : runtime::kStepInput + f.names.at(f.params[i]);
    args.push_back(argument(f.type(f.params[i]), name, step, path));
  }
  Watch w;
  InterpretOptions o;
  o.observe = [&](const Function& g, NodeId id, const Tensor& t) { w.see(g, id, t); };
  interpret(primitive, f, args, o);
  const auto number = step.metadata.find("gradc.step");
  return fmt::format("step {}: {}", number == step.metadata.end() ? "?" : number->second,
                     explanation(unit, primitive, sources, w));
}

}  // namespace gradc
