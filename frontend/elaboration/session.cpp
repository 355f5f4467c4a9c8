// Files to scopes: the standard library, the main file and what it imports.
#include "frontend/elaboration/session.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "frontend/std_text.h"
#include "frontend/syntax/parser.h"

namespace gradc::frontend {

std::vector<std::string> builtin_names();  // builtin.cpp

namespace {

constexpr size_t kMaxImports = 64, kMaxBytes = size_t(16) << 20;

void declare(Session& s, FileScope& scope, const File& f) {
  std::map<std::string, Loc> seen;
  auto add = [&](const std::string& name, Loc loc) {
    auto [it, fresh] = seen.emplace(name, loc);
    if (!fresh)
      s.diagnostics.error(loc, fmt::format("'{}' is declared twice", name))
          .notes.push_back({it->second, "first here"});
    return fresh;
  };
  for (const Callable& c : f.callables)
    if (add(c.name, c.loc)) scope.callables[c.name] = &c;
  for (const Stmt& st : f.consts)
    for (size_t i = 0; i < st.targets.size(); ++i)
      if (add(st.targets[i].name, st.targets[i].loc))
        scope.constants[st.targets[i].name] = {&st.values[i], st.targets[i].loc};
}

FileScope* open_import(Session& s, const std::string& path, Loc loc, std::vector<std::string>& open);

// The functions and layers of an imported file enter the scope of the importing one.
void import(Session& s, FileScope& into, const Import& i, std::vector<std::string>& open) {
  const std::filesystem::path here = std::filesystem::path(s.sources.name(i.loc.file)).parent_path();
  const std::string path = (here / i.path).lexically_normal().string();
  if (std::find(open.begin(), open.end(), path) != open.end()) {
    s.diagnostics.error(i.loc, fmt::format("{} imports itself", path));
    return;
  }
  const FileScope* scope = open_import(s, path, i.loc, open);
  if (scope == nullptr) return;
  for (const auto& [name, c] : scope->callables)
    if (!into.callables.emplace(name, c).second && into.callables[name] != c)
      s.diagnostics.error(i.loc, fmt::format("'{}' of {} is declared here too", name, i.path));
}

FileScope* open_import(Session& s, const std::string& path, Loc loc, std::vector<std::string>& open) {
  if (auto it = s.imported.find(path); it != s.imported.end()) return it->second;
  auto refuse = [&](const std::string& why) {
    s.diagnostics.error(loc, why);
    return nullptr;
  };
  std::error_code error;
  if (!std::filesystem::exists(path, error)) return refuse(fmt::format("cannot open {}", path));
  if (!std::filesystem::is_regular_file(path, error))
    return refuse(fmt::format("{} is no regular file", path));
  if (const auto size = std::filesystem::file_size(path, error); error || size > kMaxBytes)
    return refuse(fmt::format("{} has {} bytes; at most {} are read", path, size, kMaxBytes));
  if (open.size() >= kMaxImports)
    return refuse(fmt::format("{} is imported through {} files, one by another", path, open.size()));
  std::ifstream in(path, std::ios::binary);
  if (!in) return refuse(fmt::format("cannot open {}", path));
  std::stringstream text;
  text << in.rdbuf();
  const uint32_t file = s.sources.add(path, text.str());
  s.files.push_back(parse(s.sources, file, s.diagnostics));
  const File& f = s.files.back();
  s.scopes.push_back({s.standard, file});
  FileScope& scope = s.scopes.back();
  s.imported[path] = &scope;
  declare(s, scope, f);
  open.push_back(path);
  for (const Import& inner : f.imports) import(s, scope, inner, open);
  open.pop_back();
  return &scope;
}

}  // namespace

void load(Session& s, uint32_t file) {
  s.scopes.push_back({nullptr, 0});
  s.standard = &s.scopes.back();
  for (const StandardFile& f : standard_files()) {
    const uint32_t id = s.sources.add(f.name, f.text);
    s.standard_files.push_back(id);
    s.files.push_back(parse(s.sources, id, s.diagnostics));
    declare(s, *s.standard, s.files.back());
  }
  s.files.push_front(parse(s.sources, file, s.diagnostics));
  s.scopes.push_back({s.standard, file});
  s.main = &s.scopes.back();
  declare(s, *s.main, s.files.front());
  std::vector<std::string> open = {std::string(s.sources.name(file))};
  for (const Import& i : s.files.front().imports) import(s, *s.main, i, open);
}

std::vector<std::string> Session::known_names(const FileScope* scope) const {
  std::vector<std::string> names = builtin_names();
  for (const FileScope* f = scope; f != nullptr; f = f->outer) {
    for (const auto& [n, c] : f->callables) names.push_back(n);
    for (const auto& [n, c] : f->constants) names.push_back(n);
  }
  return names;
}

std::string at(const Session& s, Loc loc) {
  if (!loc) return "no place";
  const LineColumn p = s.sources.position(loc.file, loc.begin);
  const std::string file =
      s.main != nullptr && loc.file == s.main->file ? "" : std::string(s.sources.name(loc.file)) + ":";
  return fmt::format("{}{}:{}", file, p.line, p.column);
}

}  // namespace gradc::frontend
