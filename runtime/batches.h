// The batches that the rows of a split make, in the order that a training or an evaluation takes them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/dataset.h"

namespace gradc::runtime {

struct Batch {
  std::span<const int64_t> rows;
  int64_t extent = 0;  // of the open axis; 0: the program leaves none open
};

class Batches {
 public:
  Batches() = default;
  // `rows` are those of a split, in some order. Each goes to its bucket; a bucket that has `batch` rows is
  // the next batch, and what is left of each is at the end, the shortest first.
  Batches(const Buckets& buckets, std::vector<int64_t> rows, int64_t batch);
  int64_t size() const { return static_cast<int64_t>(begins_.size()); }
  Batch operator[](int64_t i) const;

 private:
  void add(std::span<const int64_t> rows, int64_t extent);
  std::vector<int64_t> rows_, begins_, extents_;
};

// How many there are, whatever the order.
int64_t count_batches(const Split& split, int64_t batch);

// Those of a training's steps: each epoch has its own order.
class TrainBatches {
 public:
  TrainBatches(const Split& train, int64_t batch, int64_t seed);
  int64_t steps_per_epoch() const { return steps_; }
  int64_t epoch_of(int64_t step) const { return step / steps_; }
  Batch of_step(int64_t step);

 private:
  const Split& train_;
  int64_t batch_, seed_, steps_, epoch_ = -1;
  Batches batches_;
};

}  // namespace gradc::runtime
