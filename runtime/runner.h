// A program with its memory and threads: entry points are called by name, tensors set and read by name.
#pragma once

#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/batches.h"
#include "runtime/dataset.h"
#include "runtime/memory.h"
#include "runtime/program.h"
#include "runtime/safetensors.h"
#include "runtime/team.h"
#include "runtime/thread_choice.h"

namespace gradc::runtime {

// Bytes of a program's regions.
struct MemoryNeed {
  int64_t state, io, scratch;
  int64_t arena() const { return io + scratch; }
};
MemoryNeed memory_need(const Program& program, int threads);

class Runner {
 public:
  // The program must live as long as the runner. All memory is taken here. 0 threads: of the cores that there
  // are, as many as pay, found by measuring calls and again when the machine changes.
  explicit Runner(const Program& program, int threads = 0);

  const Program& program() const { return program_; }
  int threads() const { return team_.size(); }
  // How many threads full batches of an entry are given; null where the number is fixed or no call was made.
  const ThreadChoice* thread_choice(const std::string& entry) const;
  int64_t arena_bytes() const { return io_.size() + scratch_.size(); }

  // Prepares a call of an entry for a batch of `rows` (0 where the entry has no batch); axes that it leaves
  // open besides are `extent` long, where it is given, or as long as they may be.
  void begin(const std::string& entry, int64_t rows = 0, int64_t extent = 0);
  void begin(const std::string& entry, const Batch& batch) {
    begin(entry, static_cast<int64_t>(batch.rows.size()), batch.extent);
  }
  void set(const std::string& input, double value);
  void set(const std::string& input, std::span<const double> values);
  // For models that draw random numbers outside training: each batch has its own.
  void set_batch_number(int64_t number);
  // Of an open axis, the first of an example, what stands in front.
  void set_rows(const std::string& input, const Array& from, std::span<const int64_t> rows);
  // All fields of the data; of those in `instead` what the rows hold there.
  void set_rows(const Dataset& data, std::span<const int64_t> rows,
                const std::map<std::string, Array>& instead = {});
  // Throws Error (Data) when the entry found an index outside its range.
  void call();
  // The next batch is the first of a split: metrics that shift their sums take its first row, and carried
  // states their first value.
  void begin_split() { shifts_.clear(), fresh_ = true; }
  Array output(const std::string& name) const;  // of the last call
  // Those of its elements that stand at these indices of its first axes.
  Array output(const std::string& name, std::span<const int64_t> first) const;
  Array input(const Tensor& t) const;  // of the last call's entry

  // Initialises every parameter and state.
  void init(int64_t seed);
  // Fits the states that come from the training split, one pass each.
  void fit(const Split& train, int64_t batch);
  // Loss and metrics over a whole split. One under way goes on behind it as if it had not been.
  std::vector<double> evaluate(const Split& split, int64_t batch);
  // Throws Error (Data) where metrics keep rows and the split has more than were compiled for.
  void require_rows(const Split& split) const;

  // Parameters and states by path; optimiser slots too when `all`.
  SafeTensors save(bool all = true) const;
  SafeTensors unpack(std::span<const std::byte> snapshot) const;  // all that a snapshot holds
  // Throws Error (Mismatch) that lists what is missing, unexpected or of another shape, but not when what
  // fits is enough: then that is loaded, and the list returned.
  enum class Wanted {
    All,      // slots too
    Weights,  // slots may be missing, and others be there
    Fitting
  };
  std::string load(const SafeTensors& from, const std::string& file, Wanted wanted = Wanted::Weights);
  // What the metrics of the split under way carry from batch to batch.
  const std::vector<double>& shifts() const { return shifts_; }
  // A split under way is gone on with: what its metrics carry is this, its states are those at hand.
  void continue_split(std::vector<double> shifts) { shifts_ = std::move(shifts), fresh_ = false; }
  std::vector<std::byte> snapshot() const;
  void snapshot_into(std::vector<std::byte>& state) const;
  // The first parameter that holds a NaN or an infinity; null when all are finite.
  const StateTensor* not_finite() const;
  void restore(std::span<const std::byte> state);

 private:
  std::string misfits(const SafeTensors& from, bool slots) const;
  bool fits(const StateTensor& s, const Array& a) const;
  void check_indices() const;
  SafeTensors unpack(const std::byte* state, bool all) const;
  void run_entry();
  class Aside;
  void set_windows(const std::string& input, const Array& sequence, const Window& window,
                   std::span<const int64_t> rows);
  std::byte* place(const Tensor& t) { return io_.data() + t.offset; }

  // Batches of about as many rows and places take about as long: one choice for all between two powers of
  // two.
  using ChoiceKey = std::pair<const Entry*, std::vector<int>>;
  static ChoiceKey choice_key(const Entry& e, const std::vector<int64_t>& dims);

  const Program& program_;
  bool choose_;
  Team team_;
  std::map<ChoiceKey, ThreadChoice> choices_;
  ThreadChoice* choice_ = nullptr;  // of the call that begin() prepared
  Region state_, io_, scratch_;
  const Entry* entry_ = nullptr;
  std::vector<int64_t> table_, dims_;
  std::vector<double> shifts_;  // of the split under way
  bool fresh_ = true;           // no batch of it yet
  std::vector<int64_t> rows_;   // of the data set, in this batch; kept for entries with checks
};

}  // namespace gradc::runtime
