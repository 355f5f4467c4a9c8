#include "runtime/batches.h"

#include <algorithm>

#include "runtime/shuffle.h"

namespace gradc::runtime {
namespace {

std::vector<int64_t> order_of(const Split& train, int64_t seed, int64_t epoch) {
  if (train.in_order) return train.rows;
  std::vector<int64_t> rows;
  rows.reserve(train.rows.size());
  for (int64_t i : permutation(static_cast<uint64_t>(seed), static_cast<uint64_t>(epoch),
                               static_cast<int64_t>(train.rows.size())))
    rows.push_back(train.rows[static_cast<size_t>(i)]);
  return rows;
}

}  // namespace

Batches::Batches(const Buckets& buckets, std::vector<int64_t> rows, int64_t batch) {
  if (buckets.extents.size() <= 1) {
    rows_ = std::move(rows);
    const auto n = static_cast<int64_t>(rows_.size());
    for (int64_t at = 0; at < n; at += batch) begins_.push_back(at);
    extents_.assign(begins_.size(), buckets.extents.empty() ? 0 : buckets.extents[0]);
    return;
  }
  rows_.reserve(rows.size());
  std::vector<std::vector<int64_t>> waiting(buckets.extents.size());
  for (int64_t row : rows) {
    const size_t bucket = buckets.of(row);
    waiting[bucket].push_back(row);
    if (static_cast<int64_t>(waiting[bucket].size()) < batch) continue;
    add(waiting[bucket], buckets.extents[bucket]);
    waiting[bucket].clear();
  }
  for (size_t b = 0; b < waiting.size(); ++b)
    if (!waiting[b].empty()) add(waiting[b], buckets.extents[b]);
}

void Batches::add(std::span<const int64_t> rows, int64_t extent) {
  begins_.push_back(static_cast<int64_t>(rows_.size()));
  rows_.insert(rows_.end(), rows.begin(), rows.end());
  extents_.push_back(extent);
}

Batch Batches::operator[](int64_t i) const {
  const auto n = static_cast<size_t>(i);
  const auto begin = static_cast<size_t>(begins_[n]),
             end = n + 1 < begins_.size() ? static_cast<size_t>(begins_[n + 1]) : rows_.size();
  return {std::span(rows_).subspan(begin, end - begin), extents_[n]};
}

int64_t count_batches(const Split& split, int64_t batch) {
  std::vector<int64_t> rows(std::max<size_t>(1, split.buckets.extents.size()));
  for (int64_t row : split.rows) ++rows[split.buckets.of(row)];
  int64_t batches = 0;
  for (int64_t n : rows) batches += (n + batch - 1) / batch;
  return batches;
}

TrainBatches::TrainBatches(const Split& train, int64_t batch, int64_t seed)
    : train_(train), batch_(batch), seed_(seed), steps_(count_batches(train, batch)) {}

Batch TrainBatches::of_step(int64_t step) {
  if (const int64_t epoch = epoch_of(step); epoch != epoch_) {
    epoch_ = epoch;
    batches_ = Batches(train_.buckets, order_of(train_, seed_, epoch), batch_);
  }
  return batches_[step % steps_];
}

}  // namespace gradc::runtime
