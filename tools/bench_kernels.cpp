// Every top-level statement of the step's text (a run of a kernel, or a whole loop or branch) becomes an
// entry of its own over the same memory. A round calls them in order: the data are a training step's, and so
// is what the caches hold.
#include "tools/bench_kernels.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "driver/operations.h"
#include "support/check.h"
#include "tools/model_options.h"
#include "tools/peak.h"

namespace gradc {
namespace {

struct Piece {
  step::Step step;
  int kernel = -1;  // its number in the step; -1 for a loop or branch
  std::string name, members;
  double operations = 0, bytes = 0;  // of one call; 0 where they cannot be said
  std::vector<double> ms;
};

struct Row {
  int kernel = -1;
  std::string name, members;
  int calls = 0;
  double ms = 0, operations = 0, bytes = 0;
};

const step::Step& train_step(const Compiled& c) {
  for (const step::Step& s : c.steps)
    if (s.name == "train_step") return s;
  throw InternalError("no train_step");
}

// What a run must read and write if each of its buffers is walked once.
double bytes_of_run(const step::Step& s, const step::Run& r, const std::map<std::string, int64_t>& dims) {
  const kernel::Kernel& k = s.kernels[static_cast<size_t>(r.kernel)];
  double total = 0;
  for (size_t i = 0; i < r.buffers.size(); ++i)
    total += static_cast<double>(step::bytes_of(s.buffers[static_cast<size_t>(r.buffers[i])], dims)) *
             (k.buffers[i].space == kernel::Space::InOut ? 2 : 1);
  return total;
}

int runs_in(const step::Body& body) {
  int n = 0;
  for (const step::Stmt& s : body) {
    n += std::holds_alternative<step::Run>(s);
    if (const auto* f = std::get_if<std::shared_ptr<const step::For>>(&s)) n += runs_in((*f)->body);
    if (const auto* i = std::get_if<std::shared_ptr<const step::If>>(&s))
      n += runs_in((*i)->then_body) + runs_in((*i)->else_body);
  }
  return n;
}

std::vector<Piece> pieces_of(const Compiled& c, const step::Step& s, const step::Step& naive,
                             const std::map<std::string, int64_t>& dims) {
  std::map<int, std::string> members;
  for (size_t i = 0; i < c.steps.size(); ++i)
    if (c.steps[i].name == s.name)
      for (const auto& note : c.reports[i].kernels) members[note.kernel] = note.members;
  std::vector<Piece> out;
  for (const step::Stmt& stmt : s.body) {
    if (std::holds_alternative<step::Barrier>(stmt)) continue;  // the end of a call is one
    Piece p{.step = s};
    p.step.name = fmt::format("piece{}", out.size());
    p.step.body = {stmt};
    if (const auto* run = std::get_if<step::Run>(&stmt)) {
      const auto k = static_cast<size_t>(run->kernel);
      p.kernel = run->kernel;
      p.name = fmt::format("{} {}", run->kernel, s.kernels[k].name);
      p.members = members[run->kernel];
      p.operations = count_operations(naive.kernels[k], dims);
      p.bytes = bytes_of_run(s, *run, dims);
      // Code is made for the kernels of a step, called or not.
      step::Run alone = *run;
      alone.kernel = 0;
      p.step.kernels = {s.kernels[k]};
      p.step.body = {alone};
    } else {
      const bool loop = std::holds_alternative<std::shared_ptr<const step::For>>(stmt);
      p.name = loop ? "(loop)" : "(branch)";
      p.members = fmt::format("{} runs in its text", runs_in(p.step.body));
    }
    out.push_back(std::move(p));
  }
  return out;
}

// The whole step and its pieces in alternating rounds.
std::vector<double> time_pieces(runtime::Runner& runner, const runtime::Dataset& data, int rounds,
                                std::vector<Piece>& pieces) {
  std::vector<double> whole;
  runner.init(1);
  for (int r = -10; r < rounds; ++r) {
    begin_step(runner, data, 2 * rounds, std::max(0, 2 * r));
    double from = now_ms();
    runner.call();
    if (r >= 0) whole.push_back(now_ms() - from);
    begin_step(runner, data, 2 * rounds, std::max(0, 2 * r + 1));
    for (Piece& p : pieces) {
      runner.begin(p.step.name, data.rows);
      from = now_ms();
      runner.call();
      if (r >= 0) p.ms.push_back(now_ms() - from);
    }
    runner.begin("train_step", data.rows);
    if (!std::isfinite(runner.output("loss").at(0)))
      throw CompileError({}, "the loss diverged on synthetic data");
  }
  return whole;
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

// A kernel that runs more than once is one row.
std::vector<Row> rows_of(const std::vector<Piece>& pieces) {
  std::vector<Row> rows;
  for (const Piece& p : pieces) {
    auto at = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.kernel == p.kernel; });
    if (at == rows.end() || p.kernel < 0) at = rows.insert(rows.end(), {p.kernel, p.name, p.members});
    ++at->calls;
    at->ms += median(p.ms);
    at->operations += p.operations;
    at->bytes += p.bytes;
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.ms > b.ms; });
  return rows;
}

void print_rows(const std::vector<Row>& rows, double sum) {
  fmt::print("{:24} {:>5} {:>7} {:>10} {:>12} {:>12} {:>8} {:>7}  {}\n", "kernel", "calls", "share", "ms",
             "operations", "bytes", "Gop/s", "GB/s", "ops in it");
  for (const Row& r : rows) {
    fmt::print("{:24} {:5} {:5.1f} % {:10.4f} ", r.name, r.calls, 100 * r.ms / sum, r.ms);
    if (r.bytes > 0)
      fmt::print("{:12.0f} {:12.0f} {:8.1f} {:7.1f}", r.operations, r.bytes, r.operations / r.ms / 1e6,
                 r.bytes / r.ms / 1e6);
    else
      fmt::print("{:>12} {:>12} {:>8} {:>7}", "-", "-", "-", "-");
    fmt::print("  {}\n", r.members);
  }
}

}  // namespace

void bench_kernels(const Arguments& a, const ModelOptions& o, const Compiled& c, const Compiled& naive,
                   const runtime::Dataset& data) {
  const step::Step& s = train_step(c);
  std::map<std::string, int64_t> dims;
  for (const step::Dim& d : s.dims) dims[d.name] = d.max;
  if (!s.dims.empty()) dims[s.dims[0].name] = data.rows;
  const step::Step& counted = train_step(naive);
  GRADC_CHECK(counted.kernels.size() == s.kernels.size(), "schedules changed the number of kernels");
  std::vector<Piece> pieces = pieces_of(c, s, counted, dims);
  std::vector<step::Step> steps;
  for (const Piece& p : pieces) steps.push_back(p.step);
  const std::unique_ptr<codegen::Jit> code = codegen::jit(steps, o.compile.codegen);

  runtime::Program program = c.program;
  for (const Piece& p : pieces) {
    runtime::Entry e = make_entry(p.step);
    e.function = code->entry(p.step.name);
    e.inputs.clear();  // what the step was given lies there already
    e.outputs.clear();
    program.entries.emplace(e.name, std::move(e));
  }
  runtime::Runner runner(program, a.threads > 0 ? threads_of(a) : 1);
  const double whole = median(time_pieces(runner, data, a.rounds, pieces));
  const std::vector<Row> rows = rows_of(pieces);
  double sum = 0;
  for (const Row& r : rows) sum += r.ms;
  fmt::print("{}  batch {}  {} threads; each kernel timed in its place in the step, medians of {} rounds\n",
             c.unit.model_name, data.rows, runner.threads(), a.rounds);
  print_rows(rows, sum);
  fmt::print("sum {:.4f} ms of {} calls; the whole step in one call {:.4f} ms, {:.2f} times the sum\n", sum,
             pieces.size(), whole, whole / sum);
  fmt::print(
      "{:.1f} Gop/s measured; bytes: each buffer of a kernel once; operations: 2 a multiply-add, 1 an "
      "elementary function\n",
      measure_peak_gflops(runner.threads()));
}

}  // namespace gradc
