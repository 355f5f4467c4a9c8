#include "frontend/training/render.h"

#include <algorithm>

namespace gradc::frontend {
namespace {

struct Edit {
  uint32_t begin, end;
  std::string text;
};

class Renderer {
 public:
  explicit Renderer(const Session& s) : s_(s), file_(s.main->file) {}

  std::string run(const Block* train, const TrainSpec* spec) {
    for (const Stmt& st : s_.files.front().consts) constants(st);
    for (const Callable& c : s_.files.front().callables) {
      if (c.value) visit(*c.value);
      for (const Stmt& st : c.body) visit(st);
    }
    if (train != nullptr) fields(*train, *spec);
    std::string text(s_.sources.text(file_));
    std::sort(edits_.begin(), edits_.end(), [](const Edit& a, const Edit& b) { return a.begin > b.begin; });
    for (const Edit& e : edits_) text.replace(e.begin, e.end - e.begin, e.text);
    return text;
  }

 private:
  void replace(Loc loc, std::string text) { edits_.push_back({loc.begin, loc.end, std::move(text)}); }

  // A constant that -D has overridden.
  void constants(const Stmt& st) {
    for (size_t i = 0; i < st.targets.size(); ++i) {
      const Expr* now = s_.main->constants.at(st.targets[i].name).first;
      if (now != &st.values[i]) replace(st.values[i].loc, std::string(s_.sources.text(now->loc)));
    }
  }

  const Callable* layer(const std::string& name) const {
    for (const FileScope* f = s_.main; f != nullptr; f = f->outer)
      if (auto it = f->callables.find(name); it != f->callables.end())
        return it->second->kind == Callable::Kind::Layer ? it->second : nullptr;
    return nullptr;
  }

  void visit(const Stmt& st) {
    if (st.kind == Stmt::Kind::Step) return;  // its fields are set
    for (const Expr& e : st.values) visit(e);
    for (const Stmt& inner : st.body) visit(inner);
    for (const Stmt& inner : st.otherwise) visit(inner);
  }

  void visit(const Expr& e) {
    for (const Expr& k : e.kids) visit(k);
    for (const Argument& a : e.arguments) visit(a.value);
    if (!e.is(Expr::Kind::Make) || !e.kids[0].is(Expr::Kind::Name)) return;
    const Callable* c = layer(e.kids[0].text);
    if (c == nullptr) return;
    // Settings that are not given go before the closing brace.
    const std::string_view text = s_.sources.text(file_);
    std::string missing;
    size_t positional = 0;
    for (const Argument& a : e.arguments) positional += a.name.empty();
    for (size_t i = positional; i < c->config.size(); ++i) {
      const Formal& f = c->config[i];
      const bool given = std::any_of(e.arguments.begin(), e.arguments.end(),
                                     [&](const Argument& a) { return a.name == f.name; });
      if (!given && f.otherwise)
        missing += (missing.empty() && e.arguments.empty() ? "" : ", ") + f.name + "=" +
                   std::string(s_.sources.text(f.otherwise->loc));
    }
    uint32_t brace = e.arguments.empty() ? e.kids[0].loc.end : e.arguments.back().value.loc.end;
    while (brace < text.size() && text[brace] != '}') ++brace;
    if (!missing.empty()) edits_.push_back({brace, brace, missing});
  }

  // An override by the name of the field that it sets: "lr", "d.lr" of the step d.
  static std::string field_name(const Override& o) {
    return o.name.rfind("train.", 0) == 0 ? o.name.substr(6) : o.name;
  }

  // What is set of the fields of one body, whose names begin with `prefix`; returns those given there.
  std::vector<std::string> set_fields(const std::vector<Stmt>& body, const std::string& prefix) {
    std::vector<std::string> given;
    for (const Stmt& st : body) {
      const Override* set = nullptr;
      if (st.kind == Stmt::Kind::Assign) {
        given.push_back(prefix + st.targets[0].name);
        for (const Override& o : s_.options.sets)
          if (field_name(o) == given.back()) set = &o;
      }
      if (set != nullptr)
        replace(st.values[0].loc, set->value);
      else
        visit(st);
    }
    return given;
  }

  // Lines before the brace that ends a body.
  void add_lines(const std::vector<Stmt>& body, const std::string& lines) {
    if (lines.empty() || body.empty()) return;
    const std::string_view text = s_.sources.text(file_);
    uint32_t brace = body.back().loc.end;
    while (brace < text.size() && text[brace] != '}')
      brace = text[brace] == '#' ? static_cast<uint32_t>(text.find('\n', brace)) : brace + 1;
    uint32_t line = brace;  // where the brace's line begins, if nothing stands before it
    while (line > 0 && text[line - 1] == ' ') --line;
    const bool own = line > 0 && text[line - 1] == '\n';
    const uint32_t at = own ? line : brace;
    edits_.push_back({at, at, (own ? "" : "\n") + lines});
  }

  void step_fields(const Stmt& step) {
    const std::string prefix = step.name + ".";
    const std::vector<std::string> given = set_fields(step.body, prefix);
    std::string missing;
    for (const Override& o : s_.options.sets)
      if (const std::string name = field_name(o);
          name.starts_with(prefix) && std::find(given.begin(), given.end(), name) == given.end())
        missing += fmt::format("    {} = {}\n", name.substr(prefix.size()), o.value);
    add_lines(step.body, missing);
  }

  void fields(const Block& block, const TrainSpec& spec) {
    const std::vector<std::string> given = set_fields(block.body, "");
    for (const Stmt& st : block.body)
      if (st.kind == Stmt::Kind::Step) step_fields(st);
    const std::pair<const char*, int64_t> plain[] = {
        {"batch", spec.batch}, {"epochs", spec.epochs}, {"seed", spec.seed}};
    std::string missing;
    for (const auto& [name, value] : plain)
      if (std::find(given.begin(), given.end(), name) == given.end())
        missing += fmt::format("  {} = {}\n", name, value);
    for (const Override& o : s_.options.sets) {
      const std::string name = field_name(o);
      const bool is_plain =
          std::any_of(std::begin(plain), std::end(plain), [&](const auto& p) { return name == p.first; });
      const bool of_step = name.find('.') != std::string::npos;
      if (!is_plain && !of_step && std::find(given.begin(), given.end(), name) == given.end())
        missing += fmt::format("  {} = {}\n", name, o.value);
    }
    add_lines(block.body, missing);
  }

  const Session& s_;
  uint32_t file_;
  std::vector<Edit> edits_;
};

}  // namespace

std::string render_defaults(const Session& s, const Block* train, const TrainSpec* spec) {
  return Renderer(s).run(train, spec);
}

}  // namespace gradc::frontend
