#include "passes/step/again.h"

#include <algorithm>
#include <utility>

namespace gradc::passes {

using namespace step;

Again::Again(Step& s, const ScheduleOptions& o, StepReport* report) : s_(s), o_(o), report_(report) {
  for (const step::Dim& d : s.dims) o_.plan[d.name] = plan_[d.name] = d.plan;
  for (const step::Buffer& b : s.buffers) taken_.insert(b.name);
  each_run(s.body, [&](const Run& r) {
    for (size_t i = 0; i < r.buffers.size(); ++i)
      ++uses_[r.buffers[i]], writers_[r.buffers[i]] += writes(r, i);
  });
  for (int b : s.outputs) ++uses_[b];
}

void Again::each_stretch(const std::function<void(Items&)>& work) {
  s_.body = body(s_.body, work);
  if (report_) report_->kernels = std::move(notes_);
}

Body Again::body(const Body& b, const std::function<void(Items&)>& work) {
  Body out;
  Items items;
  for (const Stmt& st : b) {
    if (auto* r = std::get_if<Run>(&st)) {
      items.push_back({*r, report_ ? report_->kernels[seen_++] : StepReport::KernelNote{}});
      continue;
    }
    flush(std::exchange(items, {}), out, work);
    out.push_back(map_bodies(st, [&](const Body& inner) { return body(inner, work); }));
  }
  flush(std::move(items), out, work);
  return out;
}

void Again::flush(Items items, Body& out, const std::function<void(Items&)>& work) {
  work(items);
  for (Item& i : items) {
    out.push_back(std::move(i.run));
    notes_.push_back(std::move(i.note));
  }
}

bool Again::writes(const Run& r, size_t i) const {
  return s_.kernels[r.kernel].buffers[i].space != kernel::Space::In;
}
bool Again::names(const Run& r, int b) {
  return std::find(r.buffers.begin(), r.buffers.end(), b) != r.buffers.end();
}
bool Again::writes_to(const Run& r, int b) const {
  for (size_t i = 0; i < r.buffers.size(); ++i)
    if (r.buffers[i] == b && writes(r, i)) return true;
  return false;
}

std::vector<size_t> Again::touches(const Items& items, int b, size_t first) const {
  std::vector<size_t> out;
  for (size_t i = first; i < items.size(); ++i)
    if (names(items[i].run, b)) out.push_back(i);
  if (static_cast<int>(out.size()) != uses_.at(b)) out.clear();
  return out;
}

bool Again::collect(const Items& items, size_t i, size_t at, const std::function<bool(int)>& gone,
                    std::set<size_t>& again) const {
  if (!again.insert(i).second) return true;
  const Run& r = items[i].run;
  for (size_t p = 0; p < r.buffers.size(); ++p) {
    const int b = r.buffers[p];
    const kernel::Space space = s_.kernels[r.kernel].buffers[p].space;
    if (space == kernel::Space::InOut || s_.buffers[b].derived_from >= 0) return false;
    if (space == kernel::Space::Out) {
      if (!is_scratch(b) || !has_one_writer(b)) return false;
      continue;
    }
    for (size_t n = i + 1; n < at; ++n)
      if (writes_to(items[n].run, b)) return false;
    if (!gone(b) || std::any_of(items.begin() + static_cast<long>(at), items.end(),
                                [&](const Item& later) { return names(later.run, b); }))
      continue;
    size_t w = i;
    while (w > 0 && !writes_to(items[w - 1].run, b)) --w;
    if (w == 0 || !has_one_writer(b) || !collect(items, w - 1, at, gone, again)) return false;
  }
  return true;
}

void Again::insert(Items& items, const std::set<size_t>& again, size_t at) {
  std::map<int, int> renamed;
  Items clones;
  for (size_t i : again) clones.push_back(clone(items[i], renamed));
  for (size_t i = at; i < items.size(); ++i) rename(items[i].run, renamed);
  items.insert(items.begin() + static_cast<long>(at), clones.begin(), clones.end());
}

void Again::insert(Items& items, const std::map<size_t, std::vector<size_t>>& again) {
  std::map<int, int> renamed;  // what was made again last
  Items out;
  for (size_t i = 0; i < items.size(); ++i) {
    if (auto runs = again.find(i); runs != again.end())
      for (size_t r : runs->second) out.push_back(clone(items[r], renamed));
    out.push_back(items[i]);
    rename(out.back().run, renamed);
  }
  items = std::move(out);
}

Again::Item Again::clone(Item item, std::map<int, int>& renamed) {
  for (size_t p = 0; p < item.run.buffers.size(); ++p) {
    const int b = item.run.buffers[p];
    if (!writes(item.run, p)) continue;
    step::Buffer made = s_.buffers[b];
    made.name = unused(made.name + ".again");
    taken_.insert(made.name);
    renamed[b] = static_cast<int>(s_.buffers.size());
    s_.buffers.push_back(std::move(made));
  }
  for (size_t p = 0; p < item.run.buffers.size(); ++p) {
    ++uses_[item.run.buffers[p]];
    if (writes(item.run, p)) writers_[renamed.at(item.run.buffers[p])] = 1;
  }
  rename(item.run, renamed);
  return item;
}
void Again::rename(Run& r, const std::map<int, int>& renamed) {
  for (int& b : r.buffers)
    if (auto it = renamed.find(b); it != renamed.end()) --uses_[b], b = it->second, ++uses_[b];
}
std::string Again::unused(const std::string& name) const {
  return taken_.count(name) == 0 ? name : unused(name + "_");
}

}  // namespace gradc::passes
