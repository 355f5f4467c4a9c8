// What all elaborations of one model share: parsed files and their scopes, options, messages, and the tables
// of parameters and states that the first elaboration finds.
#pragma once

#include <algorithm>
#include <list>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "frontend/elaboration/value.h"
#include "frontend/frontend.h"
#include "frontend/syntax/ast.h"

namespace gradc::frontend {

// The top level of a file: functions, layers and constants by name; `outer` is the standard library's.
struct FileScope {
  const FileScope* outer = nullptr;
  uint32_t file = 0;
  std::map<std::string, const Callable*> callables;
  std::map<std::string, std::pair<const Expr*, Loc>> constants;
};

struct Session {
  Session(Sources& s, Diagnostics& d, const Options& o) : sources(s), diagnostics(d), options(o) {}

  Sources& sources;
  Diagnostics& diagnostics;
  const Options& options;
  std::list<File> files;        // the main file first
  std::list<Expr> overrides;    // of -D and --set
  std::list<FileScope> scopes;  // standard library first
  FileScope* standard = nullptr;
  FileScope* main = nullptr;

  bool in_standard(Loc loc) const {
    return std::find(standard_files.begin(), standard_files.end(), loc.file) != standard_files.end();
  }
  std::vector<uint32_t> standard_files;
  std::map<std::string, FileScope*> imported;  // by path: a file that several import is one

  // Every name that a user could mean, for suggestions.
  std::vector<std::string> known_names(const FileScope* scope) const;
};

// Reads the file, its imports and the standard library; reports duplicates and cycles of imports.
void load(Session& s, uint32_t file);
std::string at(const Session& s, Loc loc);  // "3:15" or "other.grad:3:15"

}  // namespace gradc::frontend
