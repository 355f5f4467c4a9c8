// A file to a Unit: which model, which blocks, and the order of the parts.
#include "frontend/syntax/parser.h"
#include "frontend/training/data.h"
#include "frontend/training/model_compiler.h"
#include "frontend/training/render.h"
#include "ir/graph/bounds.h"

namespace gradc::frontend {

Unit ModelCompiler::run(uint32_t file) {
  load(s_, file);
  override_constants();
  if (s_.diagnostics.has_errors()) return {};
  Elaborator numbers(s_, "numbers", Mode::Predict, nullptr, s_.diagnostics);
  Scope top;
  top.file = s_.main;
  check_constants(numbers);
  choose();
  if (model_ == nullptr) return {};
  read_init();
  if (train_ != nullptr) {
    fields_ = read_train(*train_, s_, numbers, top);
    unit_.train = fields_.spec;
    if (data_ != nullptr) unit_.data = read_data(*data_, numbers, top);
  }
  if (s_.diagnostics.has_errors()) return {};
  unit_.model_name = model_->name;
  read_inputs(numbers);
  if (!s_.diagnostics.has_errors()) survey();
  if (s_.diagnostics.has_errors()) return {};
  build();
  note_functions();
  for (const auto& [name, f] : unit_.module.functions) {
    try {
      graph::check_slices(f);
    } catch (const CompileError& e) {
      s_.diagnostics.error(e.diagnostic.loc, e.diagnostic.text);
      break;  // every entry would say the same
    }
  }
  unit_.rendered = render_defaults(s_, train_, train_ != nullptr ? &*unit_.train : nullptr);
  return std::move(unit_);
}

void ModelCompiler::override_constants() {
  for (const Override& o : s_.options.defines) {
    auto it = s_.main->constants.find(o.name);
    const uint32_t file = s_.sources.add("-D " + o.name, o.value);
    const Loc loc{file, 0, static_cast<uint32_t>(o.value.size())};
    if (it == s_.main->constants.end()) {
      std::vector<std::string> known;
      for (const auto& [n, c] : s_.main->constants) known.push_back(n);
      const std::string near = nearest(o.name, known);
      s_.diagnostics.error(loc, fmt::format("unknown constant '{}'{}", o.name,
                                            near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
      continue;
    }
    s_.overrides.push_back(parse_expression(s_.sources, file, s_.diagnostics));
    it->second = {&s_.overrides.back(), loc};
  }
}

void ModelCompiler::check_constants(Elaborator& e) {
  for (const auto& [name, c] : s_.main->constants) {
    Scope scope;
    scope.file = s_.main;
    try {
      e.lookup(name, scope, c.second);
    } catch (const CompileError& error) {
      e.report(error);
    }
  }
}

void ModelCompiler::choose() {
  const File& f = s_.files.front();
  auto model_named = [&](const std::string& n) -> const Callable* {
    for (const Callable& c : f.callables)
      if (c.kind == Callable::Kind::Model && c.name == n) return &c;
    return nullptr;
  };
  if (f.train.size() > 1) s_.diagnostics.error(f.train[1].loc, "a second train block is not available yet");
  if (!f.train.empty()) {
    train_ = &f.train[0];
    model_ = model_named(train_->name);
    if (model_ == nullptr) unknown(train_->loc, "model", train_->name, model_names());
    for (const Block& b : f.data)
      if (b.name == train_->data) data_ = &b;
    std::vector<std::string> known;
    for (const Block& b : f.data) known.push_back(b.name);
    if (data_ == nullptr) unknown(train_->data_loc, "data", train_->data, known);
    return;
  }
  for (const Callable& c : f.callables)
    if (c.kind == Callable::Kind::Model) model_ = model_ == nullptr ? &c : model_;
  if (model_ == nullptr) s_.diagnostics.error({s_.main->file, 0, 0}, "the file declares no model");
}

// The weights that the training begins with.
void ModelCompiler::read_init() {
  const std::vector<InitFrom>& all = s_.files.front().init;
  if (all.size() > 1)
    s_.diagnostics.error(all[1].loc, fmt::format("'{}' is given weights twice", all[1].name));
  for (const InitFrom& i : all) {
    if (train_ == nullptr)
      s_.diagnostics.error(i.loc,
                           fmt::format("init is where a training begins, and the file has no train {}; "
                                       "other commands take --load FILE",
                                       i.name));
    else if (i.name != model_->name)
      unknown(i.loc, "trained model", i.name, {model_->name});
    else if (i.path.empty())
      s_.diagnostics.error(i.path_loc, "init names a file of weights, or the folder of a run");
    unit_.init = {i.path, i.partial, i.path_loc};
  }
}

std::vector<std::string> ModelCompiler::model_names() const {
  std::vector<std::string> names;
  for (const Callable& c : s_.files.front().callables)
    if (c.kind == Callable::Kind::Model) names.push_back(c.name);
  return names;
}

void ModelCompiler::unknown(Loc loc, const char* what, const std::string& name,
                            const std::vector<std::string>& known) {
  const std::string near = nearest(name, known);
  s_.diagnostics.error(loc, fmt::format("unknown {} '{}'{}", what, name,
                                        near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

Unit compile_model(Sources& sources, uint32_t file, const Options& o, Diagnostics& diagnostics) {
  try {
    return ModelCompiler(sources, o, diagnostics).run(file);
  } catch (const CompileError& e) {  // a mistake outside any statement
    if (e.reported) return {};
    Diagnostic& d = diagnostics.error(e.diagnostic.loc, e.diagnostic.text);
    d.notes = e.diagnostic.notes, d.help = e.diagnostic.help;
    return {};
  }
}

}  // namespace gradc::frontend
