// What was compiled before, by key: a program's table and its objects. Code is loaded from here, so only what
// this user alone can write counts: a folder or an entry of another owner, or writable by others, is left
// alone.
#pragma once

#include <string>
#include <vector>

namespace gradc::codegen {

class ProgramCache {
 public:
  // "" for no cache. The key is all that the parts depend on but the compiler's build, which is added here.
  ProgramCache(std::string folder, const std::string& key);
  std::vector<std::string> load() const;  // nothing when there is none
  // What cannot be written costs a compilation, nothing else. The folder is kept below half a gigabyte or so:
  // entries that were not used for longest go.
  void store(const std::vector<std::string>& parts) const;
  const std::string& problem() const { return problem_; }  // why the folder is not used; "" when it is

 private:
  std::string folder_, key_, name_, problem_;
};

// What a folder holds of ours: entries, and parts that killed writers left. Other files are not counted.
struct CacheContents {
  int64_t entries = 0, bytes = 0, leftovers = 0;
};
CacheContents cache_contents(const std::string& folder);
// Removes these; other files stay. Gives what could not be removed.
CacheContents clear_cache(const std::string& folder);
// Why nothing can be stored there, "" when it can. The folder is made, as storing makes it.
std::string why_not_writable(const std::string& folder);

// The build of the compiler and of LLVM, so that neither meets objects of another; "" when not known. After
// the targets are registered.
std::string build_identity();

}  // namespace gradc::codegen
