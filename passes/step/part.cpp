#include "passes/step/part.h"

#include <algorithm>

namespace gradc::passes {
namespace {

using namespace step;

class Parter {
 public:
  Parter(const Step& s, const For& loop, const std::vector<KernelAccess>& access, const ScheduleOptions& o)
      : s_(s), loop_(loop), access_(access), o_(o) {
    for (const Stmt& st : loop.body)
      if (auto* r = std::get_if<Run>(&st)) runs_.push_back(r);
  }

  std::optional<LoopPart> part() const {
    constexpr size_t kMany = 100;  // runs, of which each is held against all before it
    const bool plain =
        loop_.condition < 0 && !loop_.tasks && runs_.size() == loop_.body.size() && runs_.size() <= kMany;
    if (!plain || runs_.empty() || o_.machine.cores < 2 || !can_join(*runs_[0])) return std::nullopt;
    for (size_t loop = 0; loop < access_of(*runs_[0]).extents.size(); ++loop)
      if (std::optional<LoopPart> p = part_by(loop)) return p;
    return std::nullopt;
  }

 private:
  const KernelAccess& access_of(const Run& r) const { return access_[static_cast<size_t>(r.kernel)]; }
  bool can_join(const Run& r) const {
    return std::none_of(r.buffers.begin(), r.buffers.end(), [&](int b) {
      return s_.buffers[b].derived_from >= 0 || s_.buffers[b].region == Region::Thread;
    });
  }

  // By the index that is this loop of the first run: as many runs as share it.
  std::optional<LoopPart> part_by(size_t loop) const {
    constexpr int64_t kFewest = 16;  // rows of a register tile or two, elements of a vector
    const int64_t values = planned(access_of(*runs_[0]).extents[loop]);
    const int64_t each = (values + o_.machine.cores - 1) / o_.machine.cores;
    if (each < kFewest) return std::nullopt;
    LoopPart p{
        Chain(*runs_[0], access_of(*runs_[0])), {1, (each + kFewest - 1) / kFewest * kFewest, 0}, {0}, {}};
    if (!place(p.chain, loop)) return std::nullopt;
    for (size_t i = 1; i < runs_.size(); ++i) {
      Chain longer = p.chain;
      if (can_join(*runs_[i]) && longer.join(*runs_[i], access_of(*runs_[i])) && place(longer, loop))
        p.chain = std::move(longer), p.members.push_back(i);
      else
        p.rest.push_back(i);
    }
    while (*place(p.chain, loop) > 0) p.chain.move_last(0);
    const SharedIndex& index = p.chain.shared()[0];
    const auto apart = [&](int b) { return index.positions.at(b) != 0; };  // tasks write places of their own
    const bool legal = std::all_of(p.chain.written().begin(), p.chain.written().end(), apart) &&
                       std::all_of(p.rest.begin(), p.rest.end(), [&](size_t i) { return may_follow(p, i); });
    return legal && !reads_too_much(p) ? std::optional(std::move(p)) : std::nullopt;
  }
  // Where it stands among the indices of a chain.
  static std::optional<size_t> place(const Chain& c, size_t loop) {
    for (size_t i = 0; i < c.shared().size(); ++i)
      if (c.shared()[i].loops[0] == loop && !c.shared()[i].summed) return i;
    return std::nullopt;
  }
  // What does not move with the index is read by each thread, of which each has read a part until now.
  bool reads_too_much(const LoopPart& p) const {
    double bytes = 0;
    for (size_t m = 0; m < p.members.size(); ++m)
      for (const KernelAccess::Use& u : p.chain.accesses()[m]->uses)
        if (!u.moves[p.chain.shared()[0].loops[m]]) bytes += u.bytes;
    return bytes > static_cast<double>(o_.machine.near_bytes);
  }
  int64_t planned(const Index& e) const {
    return e.evaluate([](int) -> int64_t { return 0; }, [&](const std::string& d) { return o_.plan.at(d); });
  }

  // Whether run `i` may run once all iterations of the members have: they touch nothing that it writes, and
  // what it reads of theirs lies in a place of its own for each iteration, written before in the same one.
  bool may_follow(const LoopPart& p, size_t i) const {
    const Run& r = *runs_[i];
    for (size_t n = 0; n < r.buffers.size(); ++n) {
      const bool writes = kernel(r).buffers[n].space != kernel::Space::In;
      for (size_t m : p.members) {
        const Run& member = *runs_[m];
        for (size_t k = 0; k < member.buffers.size(); ++k) {
          if (member.buffers[k] != r.buffers[n]) continue;
          const bool written = kernel(member).buffers[k].space != kernel::Space::In;
          if (writes || (written && (m > i || !is_kept(member, k, r, n)))) return false;
        }
      }
    }
    return true;
  }
  // Whether both runs reach the buffer at one first index, which each iteration has another of.
  bool is_kept(const Run& writer, size_t w, const Run& reader, size_t r) const {
    const std::optional<Index> made = first_index(writer, w), read = first_index(reader, r);
    if (!made || !read || !(*made == *read)) return false;
    const std::optional<Index> step = made->coefficient_of(loop_.var);
    return step && (step->is(1) || step->is(-1));
  }
  // Of every access, where it is what the caller passes.
  std::optional<Index> first_index(const Run& r, size_t parameter) const {
    const kernel::Kernel& k = kernel(r);
    std::optional<Index> all;
    bool same = true;
    const auto note = [&](int buffer, const std::vector<Index>& at) {
      if (buffer != static_cast<int>(parameter)) return;
      const auto passed =
          at.empty() ? k.params.end() : std::find(k.params.begin(), k.params.end(), at[0].as_var());
      if (passed == k.params.end()) {
        same = false;
        return;
      }
      const Index& here = r.params[static_cast<size_t>(passed - k.params.begin())];
      same &= !all || *all == here;
      all = here;
    };
    kernel::walk(k.body, [&](const kernel::Stmt& st) {
      if (auto* l = std::get_if<kernel::Load>(&st)) note(l->buffer, l->at);
      if (auto* w = std::get_if<kernel::Store>(&st)) note(w->buffer, w->at);
    });
    return same ? all : std::nullopt;
  }

  const kernel::Kernel& kernel(const Run& r) const { return s_.kernels[static_cast<size_t>(r.kernel)]; }

  const Step& s_;
  const For& loop_;
  const std::vector<KernelAccess>& access_;
  const ScheduleOptions& o_;
  std::vector<const Run*> runs_;
};

}  // namespace

std::optional<LoopPart> part_of_loop(const Step& s, const For& loop, const std::vector<KernelAccess>& access,
                                     const ScheduleOptions& o) {
  return Parter(s, loop, access, o).part();
}

}  // namespace gradc::passes
