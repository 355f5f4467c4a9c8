// Invariants: runs name existing kernels and give each parameter a buffer of its type, shape and layout;
// `tasks` hold runs and plain loops, no branch and no condition, and they alone touch buffers of a thread,
// which are nobody's copy; copies are of an earlier buffer of their region, type and shape, and who writes
// one writes the other; planned buffers are aligned and inside their region; a branch's condition is one
// bool; all kernels have a schedule or none has. Not checked: that barriers suffice and that copies are what
// their originals are (the interpreter does), that schedules fit their kernels (replaying them does).
#include "ir/step/addressable.h"
#include "ir/step/step.h"
#include "support/check.h"
#include "support/parallel.h"

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
    GRADC_CHECK(b.dtype == p.dtype && b.shape == p.shape && b.layout == p.layout,
                "@{}: buffer {} given to {} of @{}", s.name, b.name, p.name, k.name);
  }
}

void verify_condition(const Step& s, int buffer) {
  const Buffer& c = s.buffers[buffer];
  GRADC_CHECK(c.dtype == DType::Bool && c.shape.empty(), "@{}: {} is no condition", s.name, c.name);
}

void verify_tasks(const Step& s, const For& f) {
  GRADC_CHECK(f.condition < 0, "@{}: tasks under a condition", s.name);
  for (const Stmt& st : f.body) {
    auto* inner = std::get_if<std::shared_ptr<const For>>(&st);
    GRADC_CHECK(std::holds_alternative<Run>(st) || (inner && !(*inner)->tasks),
                "@{}: tasks hold more than runs and loops", s.name);
    if (inner) verify_tasks(s, **inner);
  }
}

void verify_body(const Step& s, const Body& body, bool in_tasks = false) {
  for (const Stmt& st : body) {
    if (auto* r = std::get_if<Run>(&st)) {
      verify_run(s, *r);
      for (int b : r->buffers)
        GRADC_CHECK(in_tasks || s.buffers[b].region != Region::Thread,
                    "@{}: {} is a thread's, outside of tasks", s.name, s.buffers[b].name);
    }
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&st)) {
      if ((*f)->condition >= 0) verify_condition(s, (*f)->condition);
      if ((*f)->tasks) verify_tasks(s, **f);
      verify_body(s, (*f)->body, in_tasks || (*f)->tasks);
    }
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&st)) {
      verify_condition(s, (*i)->condition);
      verify_body(s, (*i)->then_body);
      verify_body(s, (*i)->else_body);
    }
  }
}

void verify_copies(const Step& s) {
  std::vector<bool> written(s.buffers.size(), false);
  each_run(s.body, [&](const Run& r) {
    for (size_t i = 0; i < r.buffers.size(); ++i)
      if (s.kernels[r.kernel].buffers[i].space != kernel::Space::In) written[r.buffers[i]] = true;
  });
  for (size_t copy = 0; copy < s.buffers.size(); ++copy) {
    const Buffer& b = s.buffers[copy];
    if (b.derived_from < 0 || written[copy] == written[b.derived_from]) continue;
    const std::string& original = s.buffers[b.derived_from].name;
    GRADC_CHECK(false, "@{} writes {} but not its {} {}", s.name, written[copy] ? b.name : original,
                written[copy] ? "original" : "copy", written[copy] ? original : b.name);
  }
}

void verify_layout(const Step& s, const Buffer& b) {
  GRADC_CHECK(b.region != Region::Thread || b.derived_from < 0, "@{}: {} is a thread's copy", s.name, b.name);
  GRADC_CHECK(b.layout.fits(static_cast<int>(b.shape.size())), "@{}: the layout of {}", s.name, b.name);
  if (b.derived_from < 0) return;
  GRADC_CHECK(&s.buffers[b.derived_from] < &b, "@{}: what {} is derived from", s.name, b.name);
  const Buffer& from = s.buffers[b.derived_from];
  GRADC_CHECK(from.dtype == b.dtype && from.shape == b.shape && from.region == b.region,
              "@{}: {} is no copy of {}", s.name, b.name, from.name);
}

}  // namespace

void verify(const Step& s) {
  std::map<std::string, int64_t> dims;
  for (const Dim& d : s.dims) dims[d.name] = d.max;
  const int64_t sizes[] = {s.state_bytes, s.io_bytes, s.scratch_bytes, s.thread_bytes};
  int64_t all = 0;
  for (const Buffer& b : s.buffers) {
    verify_layout(s, b);
    const int64_t bytes = addressable_end(b, dims, all) - all, room = sizes[static_cast<int>(b.region)];
    all += bytes;
    if (b.offset < 0) continue;
    GRADC_CHECK(b.offset % 64 == 0 && bytes <= room - b.offset, "@{}: {} bytes of {} at {} in a region of {}",
                s.name, bytes, b.name, b.offset, room);
  }
  in_parallel(
      s.kernels.size(), [&](size_t k) { kernel::verify(s.kernels[k]); }, 16);
  GRADC_CHECK(s.schedules.empty() || s.schedules.size() == s.kernels.size(),
              "@{}: {} schedules of {} kernels", s.name, s.schedules.size(), s.kernels.size());
  verify_body(s, s.body);
  verify_copies(s);
}

}  // namespace gradc::step
