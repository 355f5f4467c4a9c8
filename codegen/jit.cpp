// Code in this process, by ORC. With a cache folder, an object that was compiled before from the same text,
// by the same compiler for the same instruction set, is loaded without building any LLVM IR.
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Support/MemoryBuffer.h>

#include "codegen/object_cache.h"
#include "codegen/target.h"
#include "support/check.h"

namespace gradc::codegen {
namespace {

template <class T>
T expect(llvm::Expected<T> e) {
  if (!e) throw InternalError("JIT: " + llvm::toString(e.takeError()));
  return std::move(*e);
}
void expect(llvm::Error e) {
  if (e) throw InternalError("JIT: " + llvm::toString(std::move(e)));
}

class OrcJit : public Jit {
 public:
  OrcJit(std::span<const step::Step> steps, const Options& o) {
    const TargetInfo t = resolve(o.target);
    check_runs_here(t);
    const ObjectCache cache(o.cache_dir, o.cache_dir.empty() ? "" : key_of(steps, t));
    cache_problem_ = cache.problem();
    std::vector<std::string> objects = cache.load();
    from_cache_ = !objects.empty();
    if (objects.empty()) {
      objects = emit_objects(steps, o);
      cache.store(objects);
    }
    jit_ = expect(llvm::orc::LLJITBuilder().create());
    for (const std::string& object : objects)
      expect(jit_->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object)));
  }
  gradc_entry_v1 entry(const std::string& name) const override {
    return expect(jit_->lookup(name)).toPtr<gradc_entry_v1>();
  }
  bool from_cache() const override { return from_cache_; }
  std::string cache_problem() const override { return cache_problem_; }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
  bool from_cache_ = false;
  std::string cache_problem_;
};

}  // namespace

std::unique_ptr<Jit> jit(std::span<const step::Step> steps, const Options& o) {
  return std::make_unique<OrcJit>(steps, o);
}

}  // namespace gradc::codegen
