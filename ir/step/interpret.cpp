// Runs a step as a team of virtual threads. Control flow is the same for all of them, so runs and tasks are
// collected up to a barrier or a branch, and then performed thread by thread. A branch is no barrier: races
// are looked for between what stands before and after it as well.
#include <algorithm>
#include <cstring>
#include <numeric>
#include <optional>
#include <random>
#include <utility>

#include "ir/kernel/flat_index.h"
#include "ir/step/access_log.h"
#include "ir/step/step.h"
#include "support/check.h"

namespace gradc::step {
namespace {

int64_t aligned(int64_t n) { return (n + 63) / 64 * 64; }

class Interpretation {
 public:
  Interpretation(const Step& s, std::byte* state, std::byte* io, const RunOptions& o)
      : s_(s), o_(o), random_(o.order_seed), vars_(static_cast<size_t>(s.vars)) {
    // Floats that nobody wrote are NaN.
    scratch_.assign(static_cast<size_t>(aligned(s.scratch_bytes) + thread_area_bytes(s) * o.threads),
                    std::byte{0xFF});
    // Of thread 0; the other threads' areas lie behind.
    std::byte* own = scratch_.data() + aligned(s.scratch_bytes) + kernel_scratch_bytes(s);
    std::byte* regions[] = {state, io, scratch_.data(), own};
    for (const Buffer& b : s.buffers) {
      GRADC_CHECK(b.offset >= 0, "@{}: {} has no place yet", s.name, b.name);
      memory_.push_back({regions[static_cast<int>(b.region)] + b.offset, bytes_of(b, o.dims)});
    }
    for (const kernel::Kernel& k : s.kernels)
      kernels_.emplace_back(k, o.dims, kernel::Interpreter::Options{.descending = o.order_seed % 2 == 1});
    if (o.check_races) log_.emplace(s);
  }

  void run() {
    body(s_.body);
    statement(Barrier{});
    for (const Buffer& b : s_.buffers)
      if (b.derived_from >= 0) check_copy(b);
  }

 private:
  // A copy holds what its original holds.
  void check_copy(const Buffer& copy) const {
    const Buffer& original = s_.buffers[copy.derived_from];
    const std::vector<int64_t> from = kernel::places(original.layout, original.shape, o_.dims),
                               to = kernel::places(copy.layout, copy.shape, o_.dims);
    const int64_t size = size_of(copy.dtype);
    const auto base = [&](const Buffer& b) {
      return memory_[static_cast<size_t>(&b - s_.buffers.data())].base;
    };
    for (size_t i = 0; i < from.size(); ++i)
      GRADC_CHECK(std::memcmp(base(copy) + to[i] * size, base(original) + from[i] * size,
                              static_cast<size_t>(size)) == 0,
                  "@{}: %{} is not what %{} is", s_.name, copy.name, original.name);
  }

  struct Pending {
    const Run* run;
    std::vector<int64_t> params;
    const For* tasks = nullptr;  // instead of a run, with the variables around it
    int64_t extent = 0;
    std::vector<int64_t> vars = {};
  };

  int64_t evaluate(const Index& e) const {
    return e.evaluate([&](int v) { return vars_[static_cast<size_t>(v)]; },
                      [&](const std::string& d) {
                        const auto it = o_.dims.find(d);
                        GRADC_CHECK(it != o_.dims.end(), "@{}: dimension {} has no value", s_.name, d);
                        return it->second;
                      });
  }

  void body(const Body& b) {
    for (const Stmt& s : b) std::visit([&](const auto& x) { statement(x); }, s);
  }
  void statement(const Run& r) { pending_.push_back(pending(r)); }
  Pending pending(const Run& r) const {
    Pending p{&r, {}};
    for (const Index& e : r.params) p.params.push_back(evaluate(e));
    return p;
  }
  void statement(const Barrier&) {
    perform();
    if (log_) log_->barrier();
  }
  void statement(const std::shared_ptr<const For>& f) {
    const int64_t extent = evaluate(f->extent);
    if (f->tasks) {
      pending_.push_back({nullptr, {}, f.get(), extent, vars_});
      return;
    }
    for (int64_t i = 0; i < extent && (f->condition < 0 || holds(f->condition)); ++i) {
      vars_[static_cast<size_t>(f->var)] = i;
      body(f->body);
    }
  }
  // What every thread reads of a condition's buffer.
  bool holds(int condition) {
    perform();
    if (log_)
      for (int t = 0; t < o_.threads; ++t) log_->touch(log_->enter({t, -1, condition}), 0, 1, false);
    return *memory_[static_cast<size_t>(condition)].base != std::byte{0};
  }
  void statement(const std::shared_ptr<const If>& i) {
    body(holds(i->condition) ? i->then_body : i->else_body);
  }

  void perform() {
    std::vector<int64_t> threads(static_cast<size_t>(o_.threads));
    std::iota(threads.begin(), threads.end(), 0);
    if (o_.order_seed) std::shuffle(threads.begin(), threads.end(), random_);
    for (const int64_t t : threads)
      for (const Pending& p : pending_) p.tasks ? perform_tasks(p, t) : perform(p, t, t, o_.threads);
    pending_.clear();
  }

  void perform_tasks(const Pending& p, int64_t thread) {
    const std::vector<int64_t> around = std::exchange(vars_, p.vars);
    const Range r = range_of(p.extent, thread, o_.threads);
    for (int64_t n = 0; n < r.end - r.begin; ++n) {
      if (log_) log_->begin_task();
      vars_[static_cast<size_t>(p.tasks->var)] = o_.order_seed % 2 == 1 ? r.end - 1 - n : r.begin + n;
      perform_task(p.tasks->body, thread);
    }
    vars_ = around;
  }
  void perform_task(const Body& b, int64_t thread) {
    for (const Stmt& st : b) {
      if (auto* r = std::get_if<Run>(&st)) {
        perform(pending(*r), thread, 0, 1);
        continue;
      }
      const For& f = *std::get<std::shared_ptr<const For>>(st);
      const int64_t extent = evaluate(f.extent);
      for (int64_t i = 0; i < extent; ++i) {
        vars_[static_cast<size_t>(f.var)] = i;
        perform_task(f.body, thread);
      }
    }
  }

  // As member `tid` of a team.
  void perform(const Pending& p, int64_t thread, int64_t tid, int64_t team) {
    const kernel::Kernel& k = s_.kernels[p.run->kernel];
    Range r{0, tid == 0 ? 1 : 0};  // without a parallel loop, thread 0 alone
    if (kernel::parallel_loop(k)) r = range_of(kernel::parallel_extent(k, o_.dims, p.params), tid, team);
    if (r.begin >= r.end) return;
    const int64_t area = thread * thread_area_bytes(s_);
    std::vector<kernel::Memory> buffers;
    for (const int b : p.run->buffers) {
      buffers.push_back(memory_[static_cast<size_t>(b)]);
      if (s_.buffers[static_cast<size_t>(b)].region == Region::Thread) buffers.back().base += area;
    }
    const ThreadScratch places = thread_scratch(k);
    std::byte* own = scratch_.data() + aligned(s_.scratch_bytes) + area;
    for (const int64_t offset : places.offsets) buffers.push_back({own + offset, places.bytes - offset});
    kernel::Touch touch;
    if (log_) touch = watch(p, thread);
    kernels_[static_cast<size_t>(p.run->kernel)].run(buffers, p.params, r.begin, r.end, touch);
  }
  kernel::Touch watch(const Pending& p, int64_t thread) {
    std::vector<uint32_t> who;
    for (const int b : p.run->buffers) who.push_back(log_->enter({thread, p.run->kernel, b}));
    return [this, who = std::move(who)](int b, int64_t at, int64_t bytes, bool write) {
      log_->touch(who[static_cast<size_t>(b)], at, bytes, write);
    };
  }

  const Step& s_;
  const RunOptions& o_;
  std::mt19937_64 random_;
  std::vector<int64_t> vars_;
  std::vector<std::byte> scratch_;
  std::vector<kernel::Memory> memory_;
  std::vector<kernel::Interpreter> kernels_;
  std::optional<AccessLog> log_;
  std::vector<Pending> pending_;
};

}  // namespace

void interpret(const Step& s, std::byte* state, std::byte* io, const RunOptions& o) {
  GRADC_CHECK(o.threads > 0, "a team of {} threads", o.threads);
  verify(s);
  Interpretation(s, state, io, o).run();
}

}  // namespace gradc::step
