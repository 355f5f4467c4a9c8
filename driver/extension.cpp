#include "driver/extension.h"

#include <algorithm>
#include <set>

#include "passes/extend/extend.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

// The one parameter of @predict that is no state.
graph::NodeId tokens_of(const graph::Function& predict, const frontend::Unit& unit) {
  std::set<std::string> states;
  for (const frontend::StateSpec& s : unit.state) states.insert(s.parameter());
  graph::NodeId tokens = graph::kNone;
  for (const graph::NodeId p : predict.params) {
    const std::string& name = predict.names.at(p);
    if (states.count(name) != 0) continue;
    const bool model_input =
        std::any_of(unit.inputs.begin(), unit.inputs.end(), [&](const frontend::Input& in) {
          return in.model_input && in.parameter == name && is_integer(in.type.dtype);
        });
    if (!model_input)
      throw CompileError({},
                         fmt::format("@predict reads {} {}, which holds no tokens: they are whole numbers "
                                     "of an input of the model",
                                     name, predict.type(p).str()));
    if (tokens != graph::kNone)
      throw CompileError({}, fmt::format("@predict reads both {} and {}, but goes on with the tokens of one",
                                         predict.names.at(tokens), name));
    tokens = p;
  }
  if (tokens == graph::kNone) throw CompileError({}, "@predict reads no tokens");
  return tokens;
}

}  // namespace

Extended extend_predict(graph::Module& primitive, const frontend::Unit& unit, const Sources& sources) {
  Extended out;
  try {
    const graph::Function& predict = primitive.at("predict");
    passes::Extension e = passes::extend(primitive, predict, tokens_of(predict, unit));
    for (const graph::NodeId p : e.function.params)
      for (const std::string& kept : e.kept)
        if (e.function.names.at(p) == kept)
          out.kept.push_back({frontend::StateSpec::Role::Carry, kept, e.function.type(p), {}});
    out.from_whole = e.whole.has_value();
    if (e.whole) primitive.functions["predict"] = std::move(*e.whole);
    primitive.functions["extend"] = std::move(e.function);
  } catch (const CompileError& e) {
    const Loc& loc = e.diagnostic.loc;
    if (loc) {
      const LineColumn at = sources.position(loc.file, loc.begin);
      out.refusal = fmt::format("{}:{}:{}: ", sources.name(loc.file), at.line, at.column);
    }
    out.refusal += e.what();
  }
  return out;
}

void note_extension(frontend::Unit& unit, const Extended& extended) {
  unit.state.insert(unit.state.end(), extended.kept.begin(), extended.kept.end());
  if (auto it = unit.checks.find("predict"); it != unit.checks.end()) unit.checks["extend"] = it->second;
}

}  // namespace gradc
