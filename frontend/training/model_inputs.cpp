// Inputs of the model, and further fields of the data.
#include <algorithm>

#include "frontend/training/data.h"
#include "frontend/training/model_compiler.h"
#include "frontend/training/source_kinds.h"

namespace gradc::frontend {

void ModelCompiler::read_inputs(Elaborator& e) {
  const int64_t batch =
      unit_.train ? unit_.train->batch : std::max<int64_t>(1, s_.options.batch > 0 ? s_.options.batch : 32);
  for (const Formal& f : model_->formals) {
    try {
      if (!f.type || f.name.empty())
        e.fail(f.loc, "an input of a model has a name and a type: x: f32[B, 64]");
      Input in{f.name, parameter_of(f.name), {e.element_type(*f.type), {}}, true, 0, f.loc};
      for (const DimExpr& d : f.type->dims) in.type.shape.push_back(input_dim(e, d, batch));
      if (in.type.shape.empty() || in.type.shape[0].is_constant())
        e.fail(f.type->loc, fmt::format("the first axis of input {} is the batch: [B, ...]", f.name));
      if (!(in.type.shape[0] == Index::dim(batch_dim_)))
        e.fail(f.type->loc, fmt::format("the first axis of input {} is {}, where {} is the batch", f.name,
                                        in.type.shape[0].str(), batch_dim_));
      unit_.inputs.push_back(in);
    } catch (const CompileError& error) {
      e.report(error);
    }
  }
  if (model_->formals.empty())
    s_.diagnostics.error(model_->loc, "a model has inputs: model m(x: f32[B, 64])");
  if (unit_.data && !s_.diagnostics.has_errors()) read_fields(e);
}

// Entry points have parameters and results of their own; a field of the same name gets a '.', which no
// name of the language has.
std::string ModelCompiler::parameter_of(const std::string& field) const {
  static const std::set<std::string> ours = {"step",   "total",  "seed",   "lr",     "loss",
                                             "sums",   "values", "output", "shifts", "next_shifts",
                                             "checks", "fresh",  "rows"};
  const bool result = std::any_of(model_->results.begin(), model_->results.end(),
                                  [&](const Formal& r) { return r.name == field; });
  return ours.count(field) != 0 || result ? "." + field : field;
}

Dim ModelCompiler::input_dim(Elaborator& e, const DimExpr& d, int64_t batch) {
  Scope scope;
  scope.file = s_.main;
  if (d.ellipsis) e.fail(d.loc, "'...' in a model's input: write its dimensions");
  const bool free = d.value->is(Expr::Kind::Name) && !e.is_known(d.value->text, scope);
  if (!free) {
    const int64_t n = e.constant_int(e.evaluate(*d.value, scope), "a dimension", d.loc);
    if (n < 1) e.fail(d.loc, fmt::format("a dimension of {}", n));
    return Dim(n);
  }
  const std::string& name = d.value->text;
  if (dims_.empty()) {
    batch_dim_ = name;
    dims_[name] = batch;
  } else if (d.bound) {
    dims_[name] = e.constant_int(e.evaluate(*d.bound, scope), "a bound", d.loc);
  } else if (dims_.count(name) == 0) {
    e.fail(d.loc, fmt::format("{} is unknown and needs a bound: {} <= 256", name, name));
  }
  return Index::dim(name);
}

// Fields of the data that the model does not take: labels and weights, for loss and metrics.
void ModelCompiler::read_fields(Elaborator& e) {
  std::vector<std::string> names;
  for (const SourceSpec& source : unit_.data->sources) {
    for (const FieldSpec& f : source.fields) {
      if (std::find(names.begin(), names.end(), f.name) != names.end()) continue;
      names.push_back(f.name);
      const auto known = std::find_if(unit_.inputs.begin(), unit_.inputs.end(),
                                      [&](const Input& i) { return i.name == f.name; });
      if (known != unit_.inputs.end()) continue;
      for (const Formal& r : model_->results)
        if (r.name == f.name)
          throw CompileError(Diagnostic{Severity::Error,
                                        f.loc,
                                        fmt::format("'{}' is a field of the data and a result of the model; "
                                                    "loss and metrics could not tell them apart",
                                                    f.name),
                                        {},
                                        {{r.loc, "the result"}},
                                        "rename one of them"});
      std::optional<Type> t = f.type;
      if (!t && s_.options.example_type) t = s_.options.example_type(source, f);
      // A file that cannot be read is refused when the data is loaded; u8 can be a label and a number until
      // then.
      if (!t) t = Type{f.form.empty() ? DType::U8 : f.dtype, {}};
      t->shape.insert(t->shape.begin(), Index::dim(batch_dim_));
      unit_.inputs.push_back({f.name, parameter_of(f.name), *t, false, 0, f.loc});
    }
  }
  for (const Input& in : unit_.inputs) {
    if (!in.model_input || std::find(names.begin(), names.end(), in.name) != names.end()) continue;
    std::string list;
    for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
    const SourceKind& kind = *source_kind(unit_.data->sources[0].kind);
    std::string help;
    if (kind.fields == SourceKind::Fields::Forms || kind.fields == SourceKind::Fields::Texts)
      help = fmt::format("; write {}({}{} = ...)", kind.name, kind.most_paths > 0 ? "..., " : "", in.name);
    e.fail(in.loc, fmt::format("model input '{}' has no field in data '{}' (it has: {}){}", in.name,
                               unit_.data->name, list, help));
  }
}

}  // namespace gradc::frontend
