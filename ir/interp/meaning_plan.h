// A meaning prepared for strips: concrete extents, adjacent axes merged where every read allows it, reads as
// addresses. Both instances of the graph interpreter, plain and dual, walk meanings with it.
#pragma once

#include <span>
#include <vector>

#include "ir/interp/index_strip.h"
#include "ir/interp/scalar_strips.h"
#include "ir/meaning.h"
#include "ir/tensor.h"

namespace gradc::interp {

// The elements that a read takes for one strip: element i lies at address[i] of its operand, or is `fill`
// where i is outside [from, to) or masked.
struct Located {
  IndexStrip address;
  int from = 0, to = 0;
  const uint8_t* mask = nullptr;  // 1 where all guards hold; null: all within [from, to)
};

// Memory for strips of one evaluation.
class StripArena {
 public:
  std::byte* strip();

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  std::vector<std::unique_ptr<std::byte[], Free>> strips_;
};

class MeaningPlan {
 public:
  // `keep_reductions`: reduction axes are not merged (their numbers matter to the order of lanes).
  MeaningPlan(const Meaning& m, std::span<const Tensor* const> operands, const Dims& dims,
              bool keep_reductions);

  std::vector<int64_t> extents;  // after merging; outputs first
  int outputs = 0;
  std::vector<int64_t> out_strides;  // of the row-major result, by output axis

  // No element is ever evaluated.
  bool is_empty() const { return empty_; }
  int64_t extent(int axis) const { return axis < 0 ? 1 : extents[axis]; }
  int innermost() const { return static_cast<int>(extents.size()) - 1; }
  // The output axis that gives the best strips: the last unless another is much longer; -1 for a scalar.
  int strip_axis() const;

  const Meaning& meaning() const { return m_; }
  // Calls `visit()` with p.at running over axes [begin, end) except p.axis, ascending, the last fastest.
  template <class F>
  void each(Position& p, int begin, int end, F&& visit) const;

  Located locate(int read, const Position& p);
  // Whether the term at p is joined. No condition changes along strips.
  bool joins(const Position& p);
  // What the Axis node `index` stands for.
  IndexStrip axis_value(int index, const Position& p);
  // Whether later reads use read r as an index.
  bool is_index(int read) const { return is_index_[read]; }
  const Tensor& operand(int read) const { return *operands_[m_.reads[read].operand]; }

 private:
  struct PlannedRead {
    IndexProgram address;
    std::vector<IndexProgram> guards;
    std::vector<uint8_t> mask;
  };

  void plan_reads(const Dims& dims);
  void merge(bool keep_reductions);
  bool can_merge(int axis) const;

  const Meaning& m_;
  std::vector<const Tensor*> operands_;
  std::vector<PlannedRead> reads_;
  std::vector<IndexProgram> values_, where_;
  std::vector<bool> is_index_;
  bool empty_ = false;
};

// The located elements, in place where they lie together, else copied to `room`.
const void* read_strip(const Tensor& from, const Located& where, double fill, int n, void* room);
// n values of an expression as elements of an integer or float type.
void index_strip(const IndexStrip& v, DType t, int n, void* out);

template <class F>
void MeaningPlan::each(Position& p, int begin, int end, F&& visit) const {
  for (int a = begin; a < end; ++a) {
    if (a == p.axis) continue;
    if (extents[a] <= 0) return;
    p.at[a] = 0;
  }
  for (;;) {
    visit();
    int a = end - 1;
    for (; a >= begin; --a) {
      if (a == p.axis) continue;
      if (++p.at[a] < extents[a]) break;
      p.at[a] = 0;
    }
    if (a < begin) return;
  }
}

}  // namespace gradc::interp
