// Every top-level statement of the step's text (a run of a kernel, or a whole loop or branch) becomes an
// entry of its own over the same memory. A round calls them in order: the data are a training step's, and so
// is what the caches hold.
#include "tools/bench_kernels.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "runtime/bad_step.h"
#include "support/check.h"
#include "tools/model_options.h"
#include "tools/peak.h"

namespace gradc {
namespace {

struct Piece {
  step::Step step;
  int kernel = -1;  // its number in the step; -1 for a loop or branch
  std::string name, members;
  std::vector<passes::StepReport::KernelNote> runs;  // in its text
  std::vector<double> ms;
};

struct Row {
  int kernel = -1;
  std::string name, members;
  int calls = 0;
  double ms = 0, operations = 0, bytes = 0;
  double least_ms = 0;  // by the rates of this run
};

// What the machine does at its best, measured once for each power of two of bytes.
class Rates {
 public:
  explicit Rates(int threads) : threads_(threads), gops_(measure_peak_gflops(threads)) {}
  double gops() const { return gops_; }
  double least_ms(double operations, double bytes) {
    const int power = static_cast<int>(std::ceil(std::log2(std::max(bytes, 4096.0))));
    double& gbs = gbs_[power];
    if (gbs == 0) gbs = measure_read_gbs(int64_t{1} << power);
    // What threads read at once is no more than each of them alone.
    return std::max(operations / gops_, bytes / (gbs * threads_)) / 1e6;
  }

 private:
  int threads_;
  double gops_;
  std::map<int, double> gbs_;
};

const step::Step& train_step(const Compiled& c) {
  for (const step::Step& s : c.steps)
    if (s.name == "train_step") return s;
  throw InternalError("no train_step");
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

const passes::StepReport& report_of(const Compiled& c, const step::Step& s) {
  for (size_t i = 0; i < c.steps.size(); ++i)
    if (&c.steps[i] == &s) return c.reports[i];
  throw InternalError("no report of the step");
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
    if (runtime::bad_loss(runner.output("loss")))
      throw CompileError({}, "the loss diverged on synthetic data");
  }
  return whole;
}

double median(std::vector<double> v) {
  std::nth_element(v.begin(), v.begin() + static_cast<long>(v.size() / 2), v.end());
  return v[v.size() / 2];
}

// A kernel that runs more than once is one row.
std::vector<Row> rows_of(const std::vector<Piece>& pieces, Rates& rates) {
  std::vector<Row> rows;
  for (const Piece& p : pieces) {
    auto at = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.kernel == p.kernel; });
    if (at == rows.end() || p.kernel < 0) at = rows.insert(rows.end(), {p.kernel, p.name, p.members});
    ++at->calls;
    at->ms += median(p.ms);
    for (const auto& run : p.runs) {
      at->operations += run.calls * run.operations;
      at->bytes += run.calls * run.bytes;
      at->least_ms += run.calls * rates.least_ms(run.operations, run.bytes);
    }
  }
  std::sort(rows.begin(), rows.end(), [](const Row& a, const Row& b) { return a.ms > b.ms; });
  return rows;
}

void print_rows(const std::vector<Row>& rows, double sum) {
  fmt::print("{:24} {:>5} {:>7} {:>10} {:>10} {:>7} {:>12} {:>12} {:>8} {:>7}  {}\n", "kernel", "calls",
             "share", "ms", "predicted", "reached", "operations", "bytes", "Gop/s", "GB/s", "ops in it");
  for (const Row& r : rows) {
    fmt::print("{:24} {:5} {:5.1f} % {:10.4f} {:10.4f} {:5.0f} % {:12.0f} {:12.0f} {:8.1f} {:7.1f}", r.name,
               r.calls, 100 * r.ms / sum, r.ms, r.least_ms, 100 * r.least_ms / r.ms, r.operations, r.bytes,
               r.operations / r.ms / 1e6, r.bytes / r.ms / 1e6);
    fmt::print("  {}\n", r.members);
  }
}

}  // namespace

void bench_kernels(const Arguments& a, const ModelOptions& o, const Compiled& c,
                   const runtime::Dataset& data) {
  const step::Step& s = train_step(c);
  std::vector<Piece> pieces = pieces_of(s, report_of(c, s));
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
  Rates rates(runner.threads());
  const std::vector<Row> rows = rows_of(pieces, rates);
  double sum = 0;
  for (const Row& r : rows) sum += r.ms;
  fmt::print("{}  batch {}  {} threads; each kernel timed in its place in the step, medians of {} rounds\n",
             c.unit.model_name, data.rows, runner.threads(), a.rounds);
  print_rows(rows, sum);
  fmt::print("sum {:.4f} ms of {} calls; the whole step in one call {:.4f} ms, {:.2f} times the sum\n", sum,
             pieces.size(), whole, whole / sum);
  fmt::print(
      "{:.1f} Gop/s measured; bytes: each place that a run reads or writes once, at the planned batch; "
      "operations: 2 a multiply-add, 1 an "
      "elementary function; predicted: the longer of both at the rates measured now, with data that lie "
      "where so many bytes fit\n",
      rates.gops());
}

}  // namespace gradc
