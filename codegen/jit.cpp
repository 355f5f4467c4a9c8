// Code in this process, by ORC. With a cache folder, an object that was compiled before from the same text,
// by the same compiler for the same instruction set, is loaded without building any LLVM IR.
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Support/MemoryBuffer.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include <llvm/Support/xxhash.h>

#include "codegen/target.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

constexpr std::string_view kCacheVersion = "gradc-object-1";

template <class T>
T expect(llvm::Expected<T> e) {
  if (!e) throw InternalError("JIT: " + llvm::toString(e.takeError()));
  return std::move(*e);
}
void expect(llvm::Error e) {
  if (e) throw InternalError("JIT: " + llvm::toString(std::move(e)));
}

uint64_t hash_of(std::string_view s) { return llvm::xxh3_64bits(llvm::StringRef(s.data(), s.size())); }

// A file is the hash of the object, then the object. Anything else in it counts as absent.
class Cache {
 public:
  Cache(const std::string& dir, std::span<const step::Step> steps, const TargetInfo& t) {
    if (dir.empty()) return;
    std::string key =
        fmt::format("{} {} {} {} {} {}\n", kCacheVersion, version(), t.triple, t.cpu, t.features, t.lanes);
    for (const step::Step& s : steps) key += step::print(s);
    path_ = std::filesystem::path(dir) / fmt::format("{:016x}{:016x}.o", hash_of(key), hash_of(key + "#"));
  }
  std::string load() const {
    if (path_.empty()) return "";
    std::ifstream in(path_, std::ios::binary);
    std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    if (all.size() < 16) return "";
    const std::string object = all.substr(16);
    return all.substr(0, 16) == fmt::format("{:016x}", hash_of(object)) ? object : "";
  }
  // A folder that cannot be written costs the next start a compilation, nothing else.
  void store(const std::string& object) const {
    if (path_.empty()) return;
    std::error_code error;
    std::filesystem::create_directories(path_.parent_path(), error);
    const std::string temporary = fmt::format("{}.{}", path_.string(), ::getpid());
    {
      std::ofstream out(temporary, std::ios::binary);
      out << fmt::format("{:016x}", hash_of(object)) << object;
      if (!out.flush()) {
        std::filesystem::remove(temporary, error);
        return;
      }
    }
    std::filesystem::rename(temporary, path_, error);
    if (error) std::filesystem::remove(temporary, error);
  }

 private:
  std::filesystem::path path_;
};

class OrcJit : public Jit {
 public:
  OrcJit(std::span<const step::Step> steps, const Options& o) {
    const TargetInfo t = resolve(o.target);
    const Cache cache(o.cache_dir, steps, t);
    std::string object = cache.load();
    from_cache_ = !object.empty();
    if (object.empty()) {
      object = emit_object(steps, "", o);
      cache.store(object);
    }
    jit_ = expect(llvm::orc::LLJITBuilder().create());
    expect(jit_->addObjectFile(
        llvm::MemoryBuffer::getMemBufferCopy(llvm::StringRef(object.data(), object.size()))));
  }
  gradc_entry_v1 entry(const std::string& name) const override {
    return expect(jit_->lookup(name)).toPtr<gradc_entry_v1>();
  }
  bool from_cache() const override { return from_cache_; }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  bool from_cache_ = false;
};

}  // namespace

std::unique_ptr<Jit> jit(std::span<const step::Step> steps, const Options& o) {
  return std::make_unique<OrcJit>(steps, o);
}

}  // namespace gradc::codegen
