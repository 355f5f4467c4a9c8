#include "tools/plan_search.h"

#include <algorithm>
#include <cmath>
#include <ctime>

#include "support/check.h"

namespace gradc {
namespace {

constexpr double kCallMs = 0.1;  // that a timed call takes at least, which the clock and the call do not blur

bool binds(const kernel::Kernel& k) {
  bool any = false;
  kernel::walk(k.body, [&](const kernel::Stmt& s) { any |= std::holds_alternative<kernel::Bind>(s); });
  return any;
}

// The runs of a kernel, which becomes the only one, in the loops that they stand in.
step::Body runs_of(const step::Body& body, int kernel) {
  step::Body out;
  for (const step::Stmt& st : body) {
    if (const auto* run = std::get_if<step::Run>(&st)) {
      if (run->kernel != kernel) continue;
      out.push_back(step::Run{0, run->buffers, run->params});
    } else if (!std::holds_alternative<step::Barrier>(st)) {
      const step::Stmt inner = step::map_bodies(st, [&](const step::Body& b) { return runs_of(b, kernel); });
      int runs = 0;
      step::each_run({inner}, [&](const step::Run&) { ++runs; });
      if (runs > 0) out.push_back(inner);
    }
  }
  return out;
}

step::Step alone(const Piece& p, const LoneKernel& k, const kernel::Kernel& scheduled, std::string name) {
  step::Step s = p.step;
  s.name = std::move(name);
  s.kernels = {scheduled};
  s.body = runs_of(p.step.body, p.kernel >= 0 ? 0 : k.number);
  s.body = {std::make_shared<const step::For>(step::For{s.vars++, k.repeats, s.body})};
  return s;
}

double calls_of(const std::vector<passes::StepReport::KernelNote>& runs, int kernel) {
  double n = 0;
  for (const auto& r : runs)
    if (r.kernel == kernel) n += r.calls;
  return n;
}

double least_of_few(StepParts& parts, const std::string& entry) {
  double ms = INFINITY;
  for (int r = 0; r < 4; ++r) ms = std::min(ms, parts.time(entry));
  return ms;
}

class Search {
 public:
  Search(const PlannedStep& s, StepParts& parts, const LoneKernel& k, double seconds)
      : parts_(parts),
        options_(s.options),
        naive_(s.planned.kernels[static_cast<size_t>(k.number)]),
        until_(std::clock() + static_cast<std::clock_t>(seconds * CLOCKS_PER_SEC)) {
    found_.kernel = k;
    start_ = passes::replay(naive_, s.planned.schedules[static_cast<size_t>(k.number)]);
  }

  SearchResult run() {
    parts_.run_through(found_.kernel.piece);
    try_plans({start_});
    GRADC_CHECK(plans_.size() == 1, "the chosen plan of kernel {} has no code", found_.kernel.number);
    size_t best = 0;
    for (size_t before = 1; best != before && !late();) {
      before = best;
      const passes::Neighbours beside = passes::neighbours(naive_, plans_[best].form, options_);
      found_.refused += beside.refused;
      const bool all = try_in_chunks(beside.allowed);
      best = fastest();
      found_.complete = all && best == before;
    }
    found_.tried = static_cast<int>(plans_.size());
    confirm();
    return std::move(found_);
  }

 private:
  bool late() const { return std::clock() > until_; }
  static bool by_time(const Plan& a, const Plan& b) { return a.ms < b.ms; }
  size_t fastest() const {
    return static_cast<size_t>(std::min_element(plans_.begin(), plans_.end(), by_time) - plans_.begin());
  }

  bool try_in_chunks(const std::vector<passes::LoopForm>& forms) {
    constexpr size_t kChunk = 12;
    for (size_t from = 0; from < forms.size(); from += kChunk) {
      if (late()) return false;
      try_plans({forms.begin() + static_cast<long>(from),
                 forms.begin() + static_cast<long>(std::min(forms.size(), from + kChunk))});
    }
    return true;
  }

  void try_plans(const std::vector<passes::LoopForm>& forms) {
    const Piece& piece = parts_.pieces()[found_.kernel.piece];
    const size_t first = plans_.size();
    std::vector<step::Step> steps;
    for (const passes::LoopForm& f : forms) {
      Plan p{f, passes::apply_schedule(naive_, passes::write_schedule(naive_, f)), "", 0};
      if (!seen_.insert(kernel::canonical_text(p.kernel)).second) continue;
      p.entry = fmt::format("kernel{}.plan{}", found_.kernel.number, plans_.size());
      step::Step s = alone(piece, found_.kernel, p.kernel, p.entry);
      if (!parts_.fits(s)) {
        ++found_.refused;
        continue;
      }
      steps.push_back(std::move(s));
      plans_.push_back(std::move(p));
    }
    if (steps.empty()) return;
    parts_.add(steps);
    measure(first);
  }

  // The least of a few calls; what is far behind at the first is not called again.
  void measure(size_t first) {
    constexpr double kFarBehind = 3, kLong = 20;  // ms; so long a call is little disturbed
    double best = INFINITY;
    for (size_t p = 0; p < first; ++p) best = std::min(best, plans_[p].ms);
    std::vector<size_t> close;
    for (size_t p = first; p < plans_.size(); ++p) {
      plans_[p].ms = parts_.time(plans_[p].entry);
      if (plans_[p].ms < kFarBehind * best) close.push_back(p);
    }
    for (int r = 0; r < (best > kLong && first > 0 ? 1 : 3); ++r)
      for (const size_t p : close) plans_[p].ms = std::min(plans_[p].ms, parts_.time(plans_[p].entry));
  }
  // The chosen plan and the few fastest once more, in turns: the fastest of many is the luckiest, too.
  void confirm() {
    constexpr size_t kFew = 4;
    constexpr double kMs = 400, kBeyondNoise = 1.02, kMostRounds = 0.8;
    std::stable_sort(plans_.begin() + 1, plans_.end(), by_time);
    plans_.resize(std::min(plans_.size(), kFew + 1));
    const double rounds = std::clamp(kMs / plans_[0].ms / static_cast<double>(plans_.size()), 9.0, 101.0);
    std::vector<std::vector<double>> ms(plans_.size());
    for (int r = 0; r < static_cast<int>(rounds); ++r)
      for (size_t p = 0; p < ms.size(); ++p) ms[p].push_back(parts_.time(plans_[p].entry));
    for (size_t p = 0; p < ms.size(); ++p) {
      int wins = 0;
      for (size_t r = 0; r < ms[p].size(); ++r) wins += ms[p][r] < ms[0][r];
      plans_[p].ms = median(ms[p]);
      if (plans_[0].ms > kBeyondNoise * plans_[p].ms && wins >= kMostRounds * rounds)
        found_.faster.push_back(plans_[p]);
    }
    std::stable_sort(found_.faster.begin(), found_.faster.end(), by_time);
    found_.chosen = plans_[0];
  }

  StepParts& parts_;
  const passes::ScheduleOptions& options_;
  const kernel::Kernel& naive_;
  passes::LoopForm start_;
  std::clock_t until_;       // of the processor's time, which neighbours do not shorten
  std::vector<Plan> plans_;  // the chosen one first
  std::set<std::string> seen_;
  SearchResult found_;
};

}  // namespace

std::vector<LoneKernel> lone_kernels(const PlannedStep& s, StepParts& parts) {
  std::vector<LoneKernel> out;
  std::vector<step::Step> steps;
  const std::vector<Piece>& pieces = parts.pieces();
  std::set<int> seen;
  for (size_t p = 0; p < pieces.size(); ++p)
    for (const auto& run : pieces[p].runs) {
      const kernel::Kernel& scheduled = s.scheduled.kernels[static_cast<size_t>(run.kernel)];
      if (!seen.insert(run.kernel).second || (pieces[p].kernel < 0 && binds(scheduled))) continue;
      double all = 0;
      for (const Piece& other : pieces) all += calls_of(other.runs, run.kernel);
      out.push_back({run.kernel, p, calls_of(pieces[p].runs, run.kernel) / all});
      steps.push_back(alone(pieces[p], out.back(), scheduled, fmt::format("kernel{}", run.kernel)));
    }
  parts.add(steps);
  // What a call takes by itself: with several threads, to wake them.
  step::Step nothing = pieces[0].step;
  nothing.name = "nothing", nothing.kernels.clear(), nothing.body.clear();
  parts.add({nothing});
  parts.run_through(0);
  const double call = least_of_few(parts, nothing.name);
  for (size_t p = 0; p < pieces.size(); ++p) {
    if (p > 0) parts.time(pieces[p].step.name);
    for (LoneKernel& k : out) {
      if (k.piece != p) continue;
      const double ms = std::max(1e-4, least_of_few(parts, fmt::format("kernel{}", k.number)) - call);
      k.ms = ms / k.share;
      k.repeats = std::max<int64_t>(1, std::llround(kCallMs / ms));
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const LoneKernel& a, const LoneKernel& b) { return a.ms > b.ms; });
  return out;
}

SearchResult search_plans(const PlannedStep& s, StepParts& parts, const LoneKernel& k, double seconds) {
  return Search(s, parts, k, seconds).run();
}

}  // namespace gradc
