#include "tools/bench_kernels.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "tools/model_options.h"
#include "tools/peak.h"
#include "tools/step_parts.h"

namespace gradc {
namespace {

struct Row {
  int kernel = -1;
  std::string name, members;
  int calls = 0;
  double ms = 0, operations = 0, bytes = 0;
  double least_ms = 0;  // by the rates of this run
};

// What the machine does at its best, measured once for each power of two of bytes.
class MeasuredRates {
 public:
  explicit MeasuredRates(int threads) : threads_(threads), gops_(measure_peak_gflops(threads)) {}
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

// The whole step and its pieces in alternating rounds.
std::vector<double> time_pieces(StepParts& parts, const runtime::Dataset& data, int rounds,
                                std::vector<std::vector<double>>& ms) {
  std::vector<double> whole;
  ms.resize(parts.pieces().size());
  parts.runner().init(1);
  for (int r = -10; r < rounds; ++r) {
    begin_step(parts.runner(), data, 2 * rounds, std::max(0, 2 * r));
    const double from = now_ms();
    parts.runner().call();
    if (r >= 0) whole.push_back(now_ms() - from);
    begin_step(parts.runner(), data, 2 * rounds, std::max(0, 2 * r + 1));
    for (size_t p = 0; p < ms.size(); ++p) {
      const double t = parts.time(parts.pieces()[p].step.name);
      if (r >= 0) ms[p].push_back(t);
    }
    parts.check_loss();
  }
  return whole;
}

// A kernel that runs more than once is one row.
std::vector<Row> rows_of(const std::vector<Piece>& pieces, const std::vector<std::vector<double>>& ms,
                         MeasuredRates& rates) {
  std::vector<Row> rows;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const Piece& p = pieces[i];
    auto at = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.kernel == p.kernel; });
    if (at == rows.end() || p.kernel < 0) at = rows.insert(rows.end(), {p.kernel, p.name, p.members});
    ++at->calls;
    at->ms += median(ms[i]);
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
  StepParts parts(c, o.compile.codegen, data, a.threads > 0 ? threads_of(a) : 1);
  std::vector<std::vector<double>> ms;  // of each piece
  const double whole = median(time_pieces(parts, data, a.rounds, ms));
  const int threads = parts.runner().threads();
  MeasuredRates rates(threads);
  const std::vector<Row> rows = rows_of(parts.pieces(), ms, rates);
  double sum = 0;
  for (const Row& r : rows) sum += r.ms;
  fmt::print("{}  batch {}  {} threads; each kernel timed in its place in the step, medians of {} rounds\n",
             c.unit.model_name, data.rows, threads, a.rounds);
  print_rows(rows, sum);
  fmt::print("sum {:.4f} ms of {} calls; the whole step in one call {:.4f} ms, {:.2f} times the sum\n", sum,
             parts.pieces().size(), whole, whole / sum);
  fmt::print(
      "{:.1f} Gop/s measured; bytes: each place that a run reads or writes once, at the planned batch; "
      "operations: 2 a multiply-add, 1 an "
      "elementary function; predicted: the longer of both at the rates measured now, with data that lie "
      "where so many bytes fit\n",
      rates.gops());
}

}  // namespace gradc
