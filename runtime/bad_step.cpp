#include "runtime/bad_step.h"

#include <cmath>
#include <vector>

#include "runtime/augment.h"

namespace gradc::runtime {
namespace {

SafeTensors file_of(const Runner& r, std::span<const std::byte> before, const StepNumbers& n,
                    std::span<const int64_t> rows) {
  SafeTensors file = r.unpack(before);
  for (const Tensor& t : r.program().entry("train_step")->inputs)
    file.tensors.emplace(kStepInput + t.name, r.input(t));
  Array numbers = make_array(DType::I64, {static_cast<int64_t>(rows.size())});
  for (size_t i = 0; i < rows.size(); ++i) numbers.set_whole(static_cast<int64_t>(i), rows[i]);
  file.tensors.emplace(kStepRows, std::move(numbers));
  file.metadata = {{"gradc.step", std::to_string(n.step)},
                   {"gradc.epoch", std::to_string(n.epoch)},
                   {"gradc.seed", std::to_string(n.seed)},
                   {"gradc.model_hash", std::to_string(r.program().model_hash)}};
  file.metadata[kChecksum] = checksum(file);
  return file;
}

}  // namespace

void run_step(Runner& r, const StepNumbers& n, const Split& train, const Batch& batch, bool whole) {
  const bool updates = (n.step + 1) % r.program().accumulate == 0 || n.step + 1 == n.total;
  const bool gathers = !whole && !updates && r.program().entry("gather_step") != nullptr;
  r.begin(gathers ? "gather_step" : "train_step", batch);
  r.set_rows(*train.data, batch.rows, augmented(train, static_cast<uint64_t>(n.seed), n.epoch, batch.rows));
  r.set("step", static_cast<double>(n.step));
  r.set("total", static_cast<double>(n.total));
  r.set("seed", static_cast<double>(n.seed));
  for (const auto& [name, value] : r.program().hyper) {
    const auto now = n.rates.find(name);
    r.set(name, now == n.rates.end() ? value : now->second);
  }
  r.call();
}

std::optional<int64_t> bad_loss(const Array& losses) {
  for (int64_t i = 0; i < losses.count(); ++i)
    if (!std::isfinite(losses.at(i))) return i;
  return std::nullopt;
}

std::optional<SafeTensors> find_bad_step(Runner& r, const Split& train, const Kept& from, StepNumbers n,
                                         int64_t batch, int64_t end) {
  TrainBatches order(train, batch, n.seed);
  r.restore(from.state);
  r.continue_split(from.standing.shifts);
  const bool finite_before = r.not_finite() == nullptr;
  std::vector<std::byte> before;
  for (n.step = from.step; n.step < end; ++n.step) {
    const Batch next = order.of_step(n.step);
    if (n.step % order.steps_per_epoch() == 0) r.begin_split();
    r.snapshot_into(before);
    n.epoch = order.epoch_of(n.step);
    run_step(r, n, train, next, true);
    if (!bad_loss(r.output("loss")) && (!finite_before || r.not_finite() == nullptr)) continue;
    return file_of(r, before, n, next.rows);
  }
  return std::nullopt;
}

}  // namespace gradc::runtime
