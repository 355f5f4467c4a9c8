#include "tools/step_parts.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <numeric>

#include "runtime/bad_step.h"
#include "support/check.h"

namespace gradc {
namespace {

int runs_in(const step::Body& body) {
  int n = 0;
  step::each_run(body, [&](const step::Run&) { ++n; });
  return n;
}

}  // namespace

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double thread_ms() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return 1e3 * static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_nsec);
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

void begin_step(runtime::Runner& runner, const runtime::Dataset& data, int total, int step) {
  std::vector<int64_t> rows(static_cast<size_t>(data.rows));
  std::iota(rows.begin(), rows.end(), 0);
  runner.begin("train_step", data.rows);
  for (const auto& [name, field] : data.fields) runner.set_rows(name, field, rows);
  runner.set("total", total);
  runner.set("step", step);
  for (const auto& [name, v] : runner.program().hyper) runner.set(name, v);
}

const step::Step& train_step(const Compiled& c) {
  for (const step::Step& s : c.steps)
    if (s.name == "train_step") return s;
  throw InternalError("no train_step");
}

const passes::StepReport& train_report(const Compiled& c) {
  return c.reports[static_cast<size_t>(&train_step(c) - c.steps.data())];
}

std::vector<Piece> pieces_of(const step::Step& s, const passes::StepReport& report) {
  std::vector<Piece> out;
  auto note = report.kernels.begin();  // of the next run in the text
  for (const step::Stmt& stmt : s.body) {
    if (std::holds_alternative<step::Barrier>(stmt)) continue;  // the end of a call is one
    Piece p{.step = s};
    p.step.name = fmt::format("piece{}", out.size());
    p.step.body = {stmt};
    const int runs = runs_in(p.step.body);
    p.runs.assign(note, note + runs);
    note += runs;
    if (const auto* run = std::get_if<step::Run>(&stmt)) {
      const auto k = static_cast<size_t>(run->kernel);
      p.kernel = run->kernel;
      p.name = fmt::format("{} {}", run->kernel, s.kernels[k].name);
      p.members = p.runs[0].members;
      // Code is made for the kernels of a step, called or not.
      step::Run alone = *run;
      alone.kernel = 0;
      p.step.kernels = {s.kernels[k]};
      p.step.body = {alone};
    } else {
      const auto* loop = std::get_if<std::shared_ptr<const step::For>>(&stmt);
      p.name = loop == nullptr ? "(branch)" : (*loop)->tasks ? "(tasks)" : "(loop)";
      p.members = fmt::format("{} runs in its text", runs);
    }
    out.push_back(std::move(p));
  }
  return out;
}

StepParts::StepParts(const Compiled& c, const codegen::Options& o, const runtime::Dataset& data, int threads,
                     int64_t room, double (*clock)())
    : options_(o),
      data_(data),
      pieces_(pieces_of(train_step(c), train_report(c))),
      program_(c.program),
      room_(step::thread_area_bytes(train_step(c)) + room),
      clock_(clock) {
  std::vector<step::Step> steps;
  for (const Piece& p : pieces_) steps.push_back(p.step);
  add(steps);
  runtime::Entry& largest = program_.entries.at(pieces_.front().step.name);
  largest.thread_scratch_bytes = std::max(largest.thread_scratch_bytes, room_);
  runner_ = std::make_unique<runtime::Runner>(program_, threads);
}

bool StepParts::fits(const step::Step& s) const { return step::thread_area_bytes(s) <= room_; }

void StepParts::add(const std::vector<step::Step>& steps) {
  for (const step::Step& s : steps) GRADC_CHECK(fits(s), "step {} takes more scratch than there is", s.name);
  code_.push_back(codegen::jit(steps, options_));
  for (const step::Step& s : steps) {
    runtime::Entry e = make_entry(s);
    e.function = code_.back()->entry(s.name);
    e.inputs.clear();  // what the step was given lies there already
    e.outputs.clear();
    program_.entries.insert_or_assign(e.name, std::move(e));
  }
}

void StepParts::run_through(size_t piece) {
  runner_->init(1);
  begin_step(*runner_, data_, 1000, 0);
  for (size_t p = 0; p <= piece; ++p) time(pieces_[p].step.name);
}

double StepParts::time(const std::string& entry) {
  runner_->begin(entry, data_.rows);
  const double from = clock_();
  runner_->call();
  return clock_() - from;
}

void StepParts::check_loss() {
  runner_->begin("train_step", data_.rows);
  if (runtime::bad_loss(runner_->output("loss")))
    throw CompileError({}, "the loss diverged on synthetic data");
}

}  // namespace gradc
