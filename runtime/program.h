// A compiled program as plain data: entry points, memory regions, tables of named tensors. The same struct
// describes code in the JIT, in an object file and in a standalone trainer. Filled by driver/, read here.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runtime/abi.h"

namespace gradc::runtime {

// The compiler's element types, again: the runtime ships alone. driver/element_type.h compares the two.
enum class DType : uint8_t { Bool, U8, I32, I64, F32, F64 };
inline constexpr int kDTypes = 6;
constexpr int64_t size_of(DType t) {
  constexpr int64_t sizes[] = {1, 1, 4, 8, 4, 8};
  return sizes[static_cast<int>(t)];
}
constexpr const char* name_of(DType t) {
  constexpr const char* names[] = {"bool", "u8", "i32", "i64", "f32", "f64"};
  return names[static_cast<int>(t)];
}

// scale * dims[dim], or just scale when dim is -1.
struct Extent {
  int64_t scale = 1;
  int32_t dim = -1;
  int64_t at(const std::vector<int64_t>& dims) const { return dim < 0 ? scale : scale * dims[dim]; }
};

// Where the elements of a tensor lie. The physical axes are the logical ones in `order` (empty: as they are),
// outermost first, and within all of them the blocks, each of which holds low digits of an axis's index. An
// axis with blocks has ceil(extent / their product) places outside of them. `padding` (empty: none) counts
// the unused places behind each physical axis; they are 0. With nothing given the tensor is row-major.
struct Block {
  int32_t axis = 0;
  int64_t size = 0;
};
struct Layout {
  std::vector<int32_t> order;
  std::vector<Block> blocks;
  std::vector<int64_t> padding;
  bool plain() const { return order.empty() && blocks.empty() && padding.empty(); }
};

// A named tensor in a region: a logical tensor of `shape`, and how it lies there. Callers and files see the
// logical one alone, row-major; runtime/packing.h goes between the two.
struct Tensor {
  std::string name;
  DType dtype = DType::F32;
  std::vector<Extent> shape;
  Layout layout;
  int64_t offset = 0;     // bytes from the start of the region, at the planned maximum
  int derived_from = -1;  // the row of Program::state of which this one is a copy in another layout
};

// Where a state tensor comes from. Carry: rows that go on from batch to batch of a split; no weights.
enum class Role : uint8_t { Param, State, Carry, OptimizerSlot };

struct StateTensor {
  Tensor tensor;
  Role role = Role::Param;
  int begins_as = -1;  // the row whose value it takes where weights come from a file that lacks it
};

// Numbers that name rows or classes, checked by the entry: its output "checks" ("..checks" where a result of
// the model has that name) is i64[2n], for each check the first position outside, in row-major order, or -1,
// and the number there. A training step that finds one leaves the state as it was.
struct IndexCheck {
  std::string place, what;    // "model.grad:5:10", "label"
  std::vector<Extent> shape;  // of the numbers; empty where it cannot be said
  Extent limit;               // they are in [0, limit); scale -1 where it cannot be said
};

struct Entry {
  std::string name;
  gradc_entry_v1 function = nullptr;
  std::vector<std::string> dims;  // names of the symbolic dimensions, the batch first when there is one
  std::vector<int64_t> max_dims;  // the planned maximum of each
  std::vector<int64_t> offsets;   // of the buffers, in the order that `table` wants them, after the dims
  std::vector<Tensor> inputs;     // in the io region
  std::vector<Tensor> outputs;    // in the io region
  std::vector<IndexCheck> checks;
  int64_t io_bytes = 0;
  // The shared part; it ends the table, followed by the stride of the threads' areas.
  int64_t scratch_bytes = 0;
  int64_t thread_scratch_bytes = 0;  // for each thread, after the shared part, 64-byte aligned

  // Scalars and fields are told apart: a field called like a scalar of the entry is named with a '.' before
  // it.
  const Tensor* input(const std::string& name) const;
  const Tensor* field(const std::string& name) const;
  const Tensor* output(const std::string& name) const;
};

// Entry points by name. Those that a training program has, and their io tensors by reserved name:
//   init        in: seed i64[]                                       writes every parameter and state
//   train_step  in: the fields of the batch, step i64[], total i64[] (planned steps), seed i64[], one f64[]
//   for
//                   each hyper-parameter ("lr", ...)                  out: loss f32[], sums f64[S]
//               and, where a metric shifts its sums, of train_step and eval_step: in: shifts f64[K], NaN for
//               the first batch of a split, then what the batch before gave as    out: next_shifts f64[K]
//   gather_step as train_step, where several batches make an update, for batches that end none: what
//               train_step does then, to the same bits, without the update
//               and, where the model draws random numbers outside training, of eval_step, predict and fit_N:
//               in: step i64[], the number of the batch
//               and, where a state is carried, of both: in: fresh bool[], true for the first batch of a
//               split; eval_step writes such states too, and those of a training under way must be put back
//   eval_step   in: the fields of the batch                          out: sums f64[S]
//               and, where metrics keep rows, of eval_step: out: rows f64[batch, R]
//   finish      in: sums f64[S], accumulated over a split in f64; rows f64[rows, R], those of all its batches
//               out: values f64[M]: loss, then the metrics, then the elements of the tables
//   predict     in: the input fields of the batch                    out: the model's named results
//   extend      in: the input field at one place, of one row; place i32[]    out: those results of predict that
//               have a row for each place, at this one. Called for the places in order, from 0; what they keep are
//               states of the role Carry. Where asked for, and there is one; then predict may be of one
//               row and leave those states as calls for all its places would
//   fit_N, fit_N_finish, N = 0, 1, ...  in: the input fields; out: sums f64[S]  /  in: sums; writes the
//   states
//               of phase N; phases run in order, each one pass over the training split in order
struct Table {  // a metric of two axes
  std::string name;
  int64_t rows = 0, columns = 0;
  std::vector<std::string> fields;  // of the data, that it is computed from
};

struct Program {
  std::map<std::string, Entry> entries;
  std::vector<StateTensor> state;
  int64_t state_bytes = 0;
  std::vector<std::string> metrics;      // names of finish's values: "loss" first
  std::vector<Table> tables;             // whose elements stand behind them
  std::vector<std::string> of_all_rows;  // metrics that keep rows, which a training step does not
  std::map<std::string, double> hyper;   // hyper-parameters by name, with their values
  int64_t accumulate = 1;                // batches of an update
  int fit_phases = 0;
  uint64_t model_hash = 0;

  const Entry* entry(const std::string& name) const {
    auto it = entries.find(name);
    return it == entries.end() ? nullptr : &it->second;
  }
};

}  // namespace gradc::runtime
