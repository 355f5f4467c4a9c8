// Invariants: runs name existing kernels and give each parameter a buffer of its type, shape and strides;
// planned buffers are aligned and inside their region; a branch's condition is one bool; all kernels have a
// schedule or none has. Not checked: that barriers suffice (the interpreter does), that schedules fit their
// kernels (replaying them does).
#include "ir/step/step.h"
#include "support/check.h"

namespace gradc::step {
namespace {

void verify_run(const Step& s, const Run& r) {
  GRADC_CHECK(r.kernel >= 0 && r.kernel < static_cast<int>(s.kernels.size()), "@{} runs no kernel", s.name);
  const kernel::Kernel& k = s.kernels[r.kernel];
  GRADC_CHECK(r.params.size() == k.params.size(), "@{}: parameters of @{}", s.name, k.name);
  size_t parameters = 0;
  while (parameters < k.buffers.size() && k.buffers[parameters].space < kernel::Space::Scratch) ++parameters;
  GRADC_CHECK(r.buffers.size() == parameters, "@{}: @{} takes {} buffers, not {}", s.name, k.name, parameters,
              r.buffers.size());
  for (size_t i = 0; i < parameters; ++i) {
    const Buffer& b = s.buffers[r.buffers[i]];
    const kernel::Buffer& p = k.buffers[i];
    GRADC_CHECK(b.dtype == p.dtype && b.shape == p.shape && b.strides == p.strides,
                "@{}: buffer {} given to {} of @{}", s.name, b.name, p.name, k.name);
  }
}

void verify_condition(const Step& s, int buffer) {
  const Buffer& c = s.buffers[buffer];
  GRADC_CHECK(c.dtype == DType::Bool && c.shape.empty(), "@{}: {} is no condition", s.name, c.name);
}

void verify_body(const Step& s, const Body& body) {
  for (const Stmt& st : body) {
    if (auto* r = std::get_if<Run>(&st)) verify_run(s, *r);
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&st)) {
      if ((*f)->condition >= 0) verify_condition(s, (*f)->condition);
      verify_body(s, (*f)->body);
    }
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&st)) {
      verify_condition(s, (*i)->condition);
      verify_body(s, (*i)->then_body);
      verify_body(s, (*i)->else_body);
    }
  }
}

}  // namespace

void verify(const Step& s) {
  std::map<std::string, int64_t> dims;
  for (const Dim& d : s.dims) dims[d.name] = d.max;
  const int64_t sizes[] = {s.state_bytes, s.io_bytes, s.scratch_bytes};
  for (const Buffer& b : s.buffers) {
    if (b.offset < 0) continue;
    const int64_t end = b.offset + bytes_of(b, dims);
    GRADC_CHECK(b.offset % 64 == 0 && end <= sizes[static_cast<int>(b.region)], "@{}: buffer {} ends at {}",
                s.name, b.name, end);
  }
  for (const kernel::Kernel& k : s.kernels) kernel::verify(k);
  GRADC_CHECK(s.schedules.empty() || s.schedules.size() == s.kernels.size(),
              "@{}: {} schedules of {} kernels", s.name, s.schedules.size(), s.kernels.size());
  verify_body(s, s.body);
}

}  // namespace gradc::step
