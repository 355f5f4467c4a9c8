// Code in this process, by ORC.
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/Support/MemoryBuffer.h>

#include "codegen/codegen.h"
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
  explicit OrcJit(const std::vector<std::string>& objects) {
    jit_ = expect(llvm::orc::LLJITBuilder().create());
    for (const std::string& object : objects)
      expect(jit_->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object)));
  }
  gradc_entry_v1 entry(const std::string& name) const override {
    return expect(jit_->lookup(name)).toPtr<gradc_entry_v1>();
  }

 private:
  std::unique_ptr<llvm::orc::LLJIT> jit_;
};

}  // namespace

std::unique_ptr<Jit> link(const std::vector<std::string>& objects) {
  return std::make_unique<OrcJit>(objects);
}

std::unique_ptr<Jit> jit(std::span<const step::Step> steps, const Options& o) {
  check_runs_here(resolve(o.target));
  return link(emit_objects(steps, o));
}

}  // namespace gradc::codegen
