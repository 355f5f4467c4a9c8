#include "runtime/bad_step.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "runtime/augment.h"
#include "runtime/shuffle.h"

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

void run_step(Runner& r, const StepNumbers& n, const Split& train, std::span<const int64_t> rows,
              bool whole) {
  const bool updates = (n.step + 1) % r.program().accumulate == 0 || n.step + 1 == n.total;
  const bool gathers = !whole && !updates && r.program().entry("gather_step") != nullptr;
  r.begin(gathers ? "gather_step" : "train_step", static_cast<int64_t>(rows.size()));
  r.set_rows(*train.data, rows, augmented(train, static_cast<uint64_t>(n.seed), n.epoch, rows));
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

int64_t RowOrder::steps_per_epoch() const {
  return (static_cast<int64_t>(train_.rows.size()) + batch_ - 1) / batch_;
}

std::span<const int64_t> RowOrder::of_step(int64_t step) {
  if (const int64_t epoch = epoch_of(step); epoch != epoch_) {
    epoch_ = epoch;
    rows_.clear();
    if (train_.in_order)
      rows_ = train_.rows;
    else
      for (int64_t i : permutation(static_cast<uint64_t>(seed_), static_cast<uint64_t>(epoch),
                                   static_cast<int64_t>(train_.rows.size())))
        rows_.push_back(train_.rows[static_cast<size_t>(i)]);
  }
  const auto from = static_cast<size_t>(step % steps_per_epoch() * batch_);
  return std::span(rows_).subspan(from, std::min(static_cast<size_t>(batch_), rows_.size() - from));
}

std::optional<SafeTensors> find_bad_step(Runner& r, const Split& train, const Kept& from, StepNumbers n,
                                         int64_t batch, int64_t end) {
  RowOrder order(train, batch, n.seed);
  r.restore(from.state);
  r.continue_split(from.standing.shifts);
  const bool finite_before = r.not_finite() == nullptr;
  std::vector<std::byte> before;
  for (n.step = from.step; n.step < end; ++n.step) {
    const std::span<const int64_t> rows = order.of_step(n.step);
    if (n.step % order.steps_per_epoch() == 0) r.begin_split();
    r.snapshot_into(before);
    n.epoch = order.epoch_of(n.step);
    run_step(r, n, train, rows, true);
    if (!bad_loss(r.output("loss")) && (!finite_before || r.not_finite() == nullptr)) continue;
    return file_of(r, before, n, rows);
  }
  return std::nullopt;
}

}  // namespace gradc::runtime
