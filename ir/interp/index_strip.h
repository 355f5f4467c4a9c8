// Index expressions over strips: compiled once with the dimensions' values, then evaluated for a run of
// positions along one axis. Most results are ramps (a start and a step), which cost one evaluation a strip.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ir/index.h"

namespace gradc::interp {

using Dims = std::map<std::string, int64_t>;

// Where a strip lies: the axes' values at its first element, the axis along which it advances by one (or -1),
// and the values of reads that indices use, numbered after the axes.
struct Position {
  std::vector<int64_t> at;
  int axis = -1;
  int n = 1;
  std::vector<const int64_t*> reads;
};

struct IndexStrip {
  int64_t base = 0, step = 0;
  const int64_t* each = nullptr;  // set where the values are no ramp

  int64_t operator[](int i) const { return each ? each[i] : base + i * step; }
};

class IndexProgram {
 public:
  IndexProgram() = default;
  // `vars` axes; higher variables are reads.
  IndexProgram(const Index& e, const Dims& dims, int axes);

  bool is_linear() const { return terms_.empty(); }
  int64_t coefficient(int axis) const;
  int64_t constant() const { return constant_; }
  // A linear expression over other axes: coefficient n belongs to axis n.
  static IndexProgram linear(int64_t constant, const std::vector<int64_t>& coefficients);

  // Valid until the next evaluation of this program.
  IndexStrip evaluate(const Position& p);

 private:
  struct Factor {
    Atom::Kind kind;
    int var;
    std::unique_ptr<IndexProgram> a, b;
  };
  struct Term {
    int64_t coefficient;
    std::vector<Factor> factors;
  };

  void compile(const Index& e, int axes);
  IndexStrip evaluate_factor(Factor& f, const Position& p, std::vector<int64_t>& room);
  void add_product(Term& t, const Position& p, IndexStrip& sum);

  int64_t constant_ = 0;
  int axes_ = 0;
  std::vector<std::pair<int, int64_t>> linear_;  // axis, coefficient
  std::vector<Term> terms_;
  std::vector<int64_t> sum_, product_, factor_;
};

}  // namespace gradc::interp
