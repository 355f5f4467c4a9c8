#include "passes/step/chain.h"

namespace gradc::passes {
namespace {

using step::Run;

// The loop that `next` runs over the index with, if there is one.
std::optional<size_t> loop_for(const SharedIndex& s, const Run& next, const KernelAccess& a,
                               const std::set<int>& touched, const std::set<int>& written) {
  for (size_t l = 0; l < a.extents.size(); ++l) {
    if (!(a.extents[l] == s.extent)) continue;
    bool legal = true;
    for (size_t i = 0; i < a.uses.size() && legal; ++i) {
      const int b = next.buffers[i];
      if (!touched.count(b) || !(written.count(b) || a.uses[i].written)) continue;
      legal = (s.positions.at(b) & a.uses[i].positions[l]) != 0;
    }
    if (legal) return l;
  }
  return std::nullopt;
}

void narrow(SharedIndex& s, const Run& r, const KernelAccess& a, size_t loop) {
  for (size_t i = 0; i < a.uses.size(); ++i)
    s.positions.try_emplace(r.buffers[i], ~uint64_t{0}).first->second &= a.uses[i].positions[loop];
  s.loops.push_back(loop);
  s.summed |= a.is_sum(loop);
}

}  // namespace

std::optional<Sum> sum_of(const Nest& nest) {
  const kernel::Body& b = *nest.body;
  if (b.size() != 5) return std::nullopt;
  auto* zero = std::get_if<kernel::Compute>(&b[0]);
  auto* first = std::get_if<kernel::Store>(&b[1]);
  auto* loop = std::get_if<std::shared_ptr<const kernel::For>>(&b[2]);
  auto* load = std::get_if<kernel::Load>(&b[3]);
  auto* store = std::get_if<kernel::Store>(&b[4]);
  if (!zero || !first || !loop || !load || !store) return std::nullopt;
  const bool plain = zero->op == ScalarOp::Const && is_float(zero->dtype) &&
                     zero->value == literal(zero->dtype, 0) && first->value == zero->result &&
                     (*loop)->kind == kernel::LoopKind::Serial && load->buffer == first->buffer &&
                     load->guards.empty() && store->value == load->result;
  return plain ? std::optional(Sum{first, loop->get(), store}) : std::nullopt;
}

KernelAccess access_of(const kernel::Kernel& k, const ScheduleOptions& o) {
  KernelAccess a;
  const Nest nest = nest_of(k);
  std::vector<int> vars;
  for (const kernel::For* f : nest.loops) a.extents.push_back(f->extent), vars.push_back(f->var);
  if (const std::optional<Sum> sum = sum_of(nest)) {
    a.sum = static_cast<size_t>(sum->store->buffer);
    a.extents.push_back(sum->loop->extent), vars.push_back(sum->loop->var);
  }
  for (const kernel::Buffer& b : k.buffers) {
    if (b.space >= kernel::Space::Scratch) break;
    a.uses.push_back({false, false, std::vector(vars.size(), ~uint64_t{0}), std::vector(vars.size(), true)});
  }
  std::map<int, double> extents;  // of all loops
  const auto planned = [&](const Index& e) {
    return static_cast<double>(std::max<int64_t>(
        1, e.evaluate([](int) -> int64_t { return 0; }, [&](const std::string& d) { return o.plan.at(d); })));
  };
  std::set<int> single;  // those of one iteration, which move nothing
  const auto enter = [&](const kernel::For& f) {
    extents[f.var] = planned(f.extent);
    if (f.extent.is(1)) single.insert(f.var);
  };
  for (const kernel::For* f : nest.loops) enter(*f);
  const auto whole = [&](const kernel::Buffer& b) {
    return planned(b.layout.size(b.shape)) * static_cast<double>(size_of(b.dtype));
  };
  const auto note = [&](int buffer, std::vector<Index> at, bool write) {
    for (Index& e : at) e = e.substitute([&](int v) { return single.count(v) ? Index(0) : Index::var(v); });
    if (static_cast<size_t>(buffer) >= a.uses.size()) return;
    KernelAccess::Use& use = a.uses[static_cast<size_t>(buffer)];
    (write ? use.written : use.read) = true;
    double reach = static_cast<double>(size_of(k.buffers[static_cast<size_t>(buffer)].dtype));
    for (const auto& [var, n] : extents)
      if (std::any_of(at.begin(), at.end(), [&](const Index& e) { return e.uses_var(var); })) reach *= n;
    use.bytes = std::max(use.bytes, std::min(reach, whole(k.buffers[static_cast<size_t>(buffer)])));
    for (size_t l = 0; l < vars.size(); ++l) {
      uint64_t here = 0;
      bool moves = false;
      for (size_t d = 0; d < at.size(); ++d) {
        if (at[d].as_var() == vars[l]) here |= uint64_t{1} << d;
        moves |= at[d].uses_var(vars[l]);
      }
      use.positions[l] &= here;
      use.moves[l] = use.moves[l] && moves;
    }
  };
  kernel::walk(*nest.body, [&](const kernel::Stmt& st) {
    if (auto* f = std::get_if<std::shared_ptr<const kernel::For>>(&st)) enter(**f);
    if (auto* l = std::get_if<kernel::Load>(&st)) note(l->buffer, l->at, false);
    if (auto* w = std::get_if<kernel::Store>(&st)) note(w->buffer, w->at, true);
  });
  a.work = planned_work(k, o);
  return a;
}

Chain::Chain(const Run& first, const KernelAccess& access) {
  for (size_t l = 0; l < access.extents.size(); ++l) {
    if (access.is_sum(l)) continue;
    shared_.push_back({access.extents[l], {}, {}});
    narrow(shared_.back(), first, access, l);
  }
  note(first, access);
}

bool Chain::join(const Run& next, const KernelAccess& access) {
  bool linked = false;
  for (size_t i = 0; i < access.uses.size(); ++i)
    linked |= written_.count(next.buffers[i]) || (touched_.count(next.buffers[i]) && access.uses[i].written);
  if (!linked) return false;
  std::vector<SharedIndex> left;
  for (const SharedIndex& s : shared_)
    if (const std::optional<size_t> l = loop_for(s, next, access, touched_, written_)) {
      left.push_back(s);
      narrow(left.back(), next, access, *l);
    }
  if (left.empty()) return false;
  shared_ = std::move(left);
  note(next, access);
  return true;
}

void Chain::note(const Run& r, const KernelAccess& a) {
  runs_.push_back(&r);
  accesses_.push_back(&a);
  for (size_t i = 0; i < a.uses.size(); ++i) {
    touched_.insert(r.buffers[i]);
    if (a.uses[i].written) written_.insert(r.buffers[i]);
  }
}

bool conflict(const step::Step& s, const Run& a, const Run& b) {
  const auto writes = [&](const Run& r, size_t i) {
    return s.kernels[r.kernel].buffers[i].space != kernel::Space::In;
  };
  for (size_t i = 0; i < a.buffers.size(); ++i)
    for (size_t j = 0; j < b.buffers.size(); ++j)
      if (a.buffers[i] == b.buffers[j] && (writes(a, i) || writes(b, j))) return true;
  return false;
}

}  // namespace gradc::passes
