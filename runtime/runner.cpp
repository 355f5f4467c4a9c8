#include "runtime/runner.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

#include "runtime/error.h"
#include "runtime/packing.h"

namespace gradc::runtime {
namespace {

std::vector<int64_t> at(const std::vector<Extent>& extents, const std::vector<int64_t>& dims) {
  std::vector<int64_t> out;
  for (const Extent& e : extents) out.push_back(e.at(dims));
  return out;
}

Packing packing_of(const Tensor& t, const std::vector<int64_t>& dims) {
  return {t.layout, at(t.shape, dims), size_of(t.dtype)};
}

int64_t scratch_of(const Entry& e, int threads) {
  return e.scratch_bytes + threads * ((e.thread_scratch_bytes + 63) / 64 * 64);
}

int64_t largest(const Program& p, auto size) {
  int64_t most = 64;
  for (const auto& [name, e] : p.entries) most = std::max<int64_t>(most, size(e));
  return most;
}

std::string shape_text(std::span<const int64_t> shape) {
  std::string s = "[";
  for (int64_t d : shape) s += (s.size() > 1 ? ", " : "") + std::to_string(d);
  return s + "]";
}

// What a model is used with; the rest goes on with its training.
bool is_weight(Role r) { return r == Role::Param || r == Role::State; }
bool is_weight(const std::string& name) {
  for (const char* other : {"__opt__/", "__carry__/", "__step__/"})
    if (name.starts_with(other)) return false;
  return true;
}

// " in row 3 of the data, element [0]": rows are counted from 1, as in a table; positions from 0.
std::string place_text(const IndexCheck& c, int64_t position, const std::vector<int64_t>& dims,
                       std::span<const int64_t> rows) {
  if (c.shape.empty()) return position > 0 ? " at position " + std::to_string(position) : "";
  std::vector<int64_t> at;
  for (size_t i = c.shape.size(); i-- > 0; position /= std::max<int64_t>(1, c.shape[i].at(dims)))
    at.insert(at.begin(), position % std::max<int64_t>(1, c.shape[i].at(dims)));
  if (c.shape[0].dim != 0 || c.shape[0].scale != 1) return " at position " + shape_text(at);
  const auto i = static_cast<size_t>(at[0]);
  const std::string row =
      " in row " + std::to_string((i < rows.size() ? rows[i] : at[0]) + 1) + " of the data";
  at.erase(at.begin());
  return row + (at.empty() ? "" : ", element " + shape_text(at));
}

}  // namespace

MemoryNeed memory_need(const Program& program, int threads) {
  return {std::max<int64_t>(64, program.state_bytes),
          largest(program, [](const Entry& e) { return e.io_bytes; }),
          largest(program, [&](const Entry& e) { return scratch_of(e, threads); })};
}

Runner::Runner(const Program& program, int threads)
    : program_(program), choose_(threads == 0), team_(threads == 0 ? available_cores() : threads) {
  const MemoryNeed need = memory_need(program, team_.size());
  require_memory(need.state + need.arena(),
                 "weights (" + size_text(need.state) + ") and arena (" + size_text(need.arena()) + ") need");
  state_ = Region(need.state), io_ = Region(need.io), scratch_ = Region(need.scratch);
}

Runner::ChoiceKey Runner::choice_key(const Entry& e, const std::vector<int64_t>& dims) {
  ChoiceKey key{&e, {}};
  for (int64_t n : dims) key.second.push_back(std::bit_width(static_cast<uint64_t>(n)));
  return key;
}

const ThreadChoice* Runner::thread_choice(const std::string& name) const {
  const Entry* e = program_.entry(name);
  if (e == nullptr) return nullptr;
  const auto it = choices_.find(choice_key(*e, e->max_dims));
  return it == choices_.end() ? nullptr : &it->second;
}

void Runner::begin(const std::string& name, int64_t rows, int64_t extent) {
  entry_ = program_.entry(name);
  if (entry_ == nullptr) throw Error(Failure::Usage, "the program has no entry '" + name + "'");
  dims_ = entry_->max_dims;
  if (!dims_.empty()) {
    if (rows < 0 || rows > entry_->max_dims[0])
      throw Error(Failure::Usage, "a batch of " + std::to_string(rows) + " rows, compiled for at most " +
                                      std::to_string(entry_->max_dims[0]));
    dims_[0] = rows;
  }
  for (size_t i = 1; i < dims_.size() && extent > 0; ++i) {
    if (extent > dims_[i])
      throw Error(Failure::Usage, entry_->dims[i] + " = " + std::to_string(extent) +
                                      ", compiled for at most " + std::to_string(dims_[i]));
    dims_[i] = extent;
  }
  if (choose_) choice_ = &choices_.try_emplace(choice_key(*entry_, dims_), team_.size()).first->second;
  rows_.clear();
  table_ = dims_;
  table_.insert(table_.end(), entry_->offsets.begin(), entry_->offsets.end());
}

void Runner::set(const std::string& input, double value) { set(input, std::span<const double>(&value, 1)); }

void Runner::set(const std::string& input, std::span<const double> values) {
  const Tensor* t = entry_->input(input);
  if (t == nullptr) t = entry_->field(input);
  if (t == nullptr) return;  // an entry reads only what it needs
  Array a = make_array(t->dtype, at(t->shape, dims_));
  if (a.count() != static_cast<int64_t>(values.size()))
    throw Error(Failure::Usage, "input '" + input + "' has " + std::to_string(a.count()) + " values, not " +
                                    std::to_string(values.size()));
  for (size_t i = 0; i < values.size(); ++i) a.set(static_cast<int64_t>(i), values[i]);
  packing_of(*t, dims_).pack(a.bytes.data(), place(*t));
}

void Runner::set_rows(const std::string& input, const Array& from, std::span<const int64_t> rows) {
  if (!entry_->checks.empty()) rows_.assign(rows.begin(), rows.end());
  const Tensor* t = entry_->field(input);
  if (t == nullptr) return;
  const std::vector<int64_t> shape = at(t->shape, dims_);
  std::vector<int64_t> taken =
      from.shape;  // what stands in front of an open axis, the bytes of which are one run
  if (shape.size() > 1 && taken.size() > 1 && t->shape[1].dim > 0) taken[1] = std::min(taken[1], shape[1]);
  if (t->dtype != from.dtype || shape.size() != taken.size() ||
      !std::equal(shape.begin() + 1, shape.end(), taken.begin() + 1))
    throw Error(Failure::Data, "field '" + input + "' is " + name_of(from.dtype) + shape_text(from.shape) +
                                   ", the program reads " + name_of(t->dtype) + shape_text(shape));
  int64_t apart = size_of(from.dtype);
  for (size_t i = 1; i < from.shape.size(); ++i) apart *= from.shape[i];
  Packing(t->layout, shape, size_of(t->dtype)).pack_rows(from.bytes.data(), rows, place(*t), apart);
}

void Runner::set_windows(const std::string& input, const Array& sequence, const Window& window,
                         std::span<const int64_t> rows) {
  if (!entry_->checks.empty()) rows_.assign(rows.begin(), rows.end());
  const Tensor* t = entry_->field(input);
  if (t == nullptr) return;
  const std::vector<int64_t> shape = at(t->shape, dims_);
  if (t->dtype != sequence.dtype || shape.size() != 2 || shape[1] != window.length)
    throw Error(Failure::Data, "field '" + input + "' is windows of " + std::to_string(window.length) + " " +
                                   name_of(sequence.dtype) + ", the program reads " + name_of(t->dtype) +
                                   shape_text(shape));
  const int64_t element = size_of(t->dtype);
  Packing(t->layout, shape, element)
      .pack_rows(sequence.bytes.data() + window.offset * element, rows, place(*t), element);
}

void Runner::set_rows(const Dataset& data, std::span<const int64_t> rows,
                      const std::map<std::string, Array>& instead) {
  std::vector<int64_t> all(instead.empty() ? 0 : rows.size());
  std::iota(all.begin(), all.end(), int64_t(0));
  for (const auto& [name, field] : data.fields)
    if (const auto other = instead.find(name); other != instead.end())
      set_rows(name, other->second, all);
    else
      set_rows(name, field, rows);
  for (const auto& [name, window] : data.windows) {
    if (!data.bins) {
      set_windows(name, data.sequence, window, rows);
      continue;
    }
    all.resize(rows.size());
    std::iota(all.begin(), all.end(), int64_t(0));
    if (entry_->field(name) != nullptr)
      set_rows(name, data.bins->windows(rows, window.offset, window.length), all);
  }
  if (!entry_->checks.empty()) rows_.assign(rows.begin(), rows.end());
}

void Runner::set_batch_number(int64_t number) {
  if (entry_->input("step") != nullptr) set("step", static_cast<double>(number));
}

void Runner::call() {
  const Tensor* shifts = entry_->output("next_shifts") != nullptr ? entry_->input("shifts") : nullptr;
  if (shifts != nullptr) {
    if (shifts_.empty()) shifts_.assign(static_cast<size_t>(shifts->shape[0].scale), std::nan(""));
    set("shifts", shifts_);
  }
  const bool carries = entry_->input("fresh") != nullptr;
  if (carries) set("fresh", fresh_ ? 1 : 0);
  run_entry();
  if (!entry_->checks.empty()) check_indices();
  if (shifts != nullptr || carries) fresh_ = false;
  if (shifts == nullptr) return;
  const Array used = output("next_shifts");
  for (size_t i = 0; i < shifts_.size(); ++i) shifts_[i] = used.at(static_cast<int64_t>(i));
}

void Runner::run_entry() {
  auto run = [&] { team_.call(entry_->function, state_.data(), io_.data(), scratch_.data(), table_.data()); };
  if (choice_ == nullptr) return run();
  team_.activate(choice_->threads());
  const auto from = std::chrono::steady_clock::now();
  run();
  choice_->add(std::chrono::duration<double>(std::chrono::steady_clock::now() - from).count());
}

void Runner::check_indices() const {
  const Array found = output(entry_->output("..checks") != nullptr ? "..checks" : "checks");
  for (size_t i = 0; i < entry_->checks.size(); ++i) {
    const int64_t position = found.whole_at(static_cast<int64_t>(2 * i)),
                  value = found.whole_at(static_cast<int64_t>(2 * i + 1));
    if (position < 0) continue;
    const IndexCheck& c = entry_->checks[i];
    const int64_t limit = c.limit.at(dims_);
    throw Error(Failure::Data, c.place + ": " + c.what + " " + std::to_string(value) +
                                   place_text(c, position, dims_, rows_) + ", but the model needs " +
                                   (limit < 0    ? "a row of the table"
                                    : limit == 0 ? "none"
                                                 : "0.." + std::to_string(limit - 1)));
  }
}

Array Runner::output(const std::string& name) const { return output(name, {}); }

Array Runner::output(const std::string& name, std::span<const int64_t> first) const {
  const Tensor* t = entry_->output(name);
  if (t == nullptr)
    throw Error(Failure::Usage, "the entry '" + entry_->name + "' has no output '" + name + "'");
  const std::vector<int64_t> shape = at(t->shape, dims_);
  const auto rank = static_cast<std::ptrdiff_t>(first.size());
  Array part = make_array(t->dtype, {shape.begin() + rank, shape.end()});
  int64_t number = 0;  // of the part, among all
  for (size_t a = 0; a < first.size(); ++a) number = number * shape[a] + first[a];
  const std::byte* from = io_.data() + t->offset;
  const auto bytes = static_cast<std::ptrdiff_t>(part.bytes.size());
  if (t->layout.plain()) {
    std::copy_n(from + number * bytes, bytes, part.bytes.data());
    return part;
  }
  Array all = make_array(t->dtype, shape);
  packing_of(*t, dims_).unpack(from, all.bytes.data());
  std::copy_n(all.bytes.data() + number * bytes, bytes, part.bytes.data());
  return part;
}

Array Runner::input(const Tensor& t) const {
  Array a = make_array(t.dtype, at(t.shape, dims_));
  packing_of(t, dims_).unpack(io_.data() + t.offset, a.bytes.data());
  return a;
}

void Runner::init(int64_t seed) {
  begin("init");
  set("seed", static_cast<double>(seed));
  call();
}

namespace {

// Runs an entry over a split in order, bucket by bucket where it has some, and adds up its sums.
template <class Each>
std::vector<double> sum_over(const Split& split, int64_t batch, Each each) {
  std::vector<double> sums;
  const Batches batches(split.buckets, split.rows, batch);
  for (int64_t i = 0; i < batches.size(); ++i) {
    const Array part = each(i, batches[i]);
    sums.resize(static_cast<size_t>(part.count()));
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += part.at(static_cast<int64_t>(i));
  }
  return sums;
}

}  // namespace

void Runner::fit(const Split& train, int64_t batch) {
  for (int phase = 0; phase < program_.fit_phases; ++phase) {
    const std::string name = "fit_" + std::to_string(phase);
    const std::vector<double> sums = sum_over(train, batch, [&](int64_t number, const Batch& rows) {
      begin(name, rows);
      set_batch_number(number);
      set_rows(*train.data, rows.rows);
      call();
      return output("sums");
    });
    begin(name + "_finish");
    set("sums", sums);
    call();
  }
}

// A split under way, put aside for another one, with the bytes of the carried states and their copies.
class Runner::Aside {
 public:
  explicit Aside(Runner& r) : r_(r), shifts_(r.shifts_), fresh_(r.fresh_) {
    each([this](std::byte* at, int64_t bytes) { states_.insert(states_.end(), at, at + bytes); });
  }
  ~Aside() {
    r_.shifts_ = std::move(shifts_), r_.fresh_ = fresh_;
    const std::byte* from = states_.data();
    each([&](std::byte* at, int64_t bytes) {
      std::copy(from, from + bytes, at);
      from += bytes;
    });
  }
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

 private:
  void each(auto with) {
    for (const StateTensor& s : r_.program_.state)
      if (s.role == Role::Carry)
        with(r_.state_.data() + s.tensor.offset, packing_of(s.tensor, {}).packed_bytes());
  }
  Runner& r_;
  std::vector<double> shifts_;
  bool fresh_;
  std::vector<std::byte> states_;
};

void Runner::require_rows(const Split& split) const {
  const Entry* finish = program_.entry("finish");
  const auto rows = static_cast<int64_t>(split.rows.size());
  if (finish == nullptr || finish->max_dims.empty() || rows <= finish->max_dims[0]) return;
  throw Error(Failure::Data, "a split has " + std::to_string(rows) + " rows, and the metric " +
                                 program_.of_all_rows.at(0) + " keeps at most " +
                                 std::to_string(finish->max_dims[0]) +
                                 ": write metric_rows = " + std::to_string(rows) + " in train");
}

std::vector<double> Runner::evaluate(const Split& split, int64_t batch) {
  require_rows(split);
  const Aside under_way(*this);
  begin_split();
  const bool keeps = !program_.of_all_rows.empty();
  std::vector<double> rows_kept;
  const std::vector<double> sums = sum_over(split, batch, [&](int64_t number, const Batch& rows) {
    begin("eval_step", rows);
    set_batch_number(number);
    set_rows(*split.data, rows.rows);
    call();
    if (keeps) {
      const Array kept = output("rows");
      for (int64_t i = 0; i < kept.count(); ++i) rows_kept.push_back(kept.at(i));
    }
    return output("sums");
  });
  if (sums.empty()) throw Error(Failure::Data, "an empty split has no loss");
  begin("finish", keeps ? static_cast<int64_t>(split.rows.size()) : 0);
  set("sums", sums);
  if (keeps) set("rows", rows_kept);
  call();
  const Array values = output("values");
  std::vector<double> out;
  for (int64_t i = 0; i < values.count(); ++i) out.push_back(values.at(i));
  return out;
}

SafeTensors Runner::save(bool all) const { return unpack(state_.data(), all); }

SafeTensors Runner::unpack(std::span<const std::byte> snapshot) const {
  return unpack(snapshot.data(), true);
}

SafeTensors Runner::unpack(const std::byte* state, bool all) const {
  SafeTensors out;
  for (const StateTensor& s : program_.state) {
    if (s.tensor.derived_from >= 0 || (!all && !is_weight(s.role))) continue;
    Array a = make_array(s.tensor.dtype, at(s.tensor.shape, {}));
    packing_of(s.tensor, {}).unpack(state + s.tensor.offset, a.bytes.data());
    out.tensors.emplace(s.tensor.name, std::move(a));
  }
  return out;
}

bool Runner::fits(const StateTensor& s, const Array& a) const {
  return a.dtype == s.tensor.dtype && a.shape == at(s.tensor.shape, {});
}

std::string Runner::misfits(const SafeTensors& from, bool slots) const {
  std::string shapes, missing, unexpected;
  auto add = [](std::string& list, const std::string& s) { list += (list.empty() ? "" : ", ") + s; };
  for (const StateTensor& s : program_.state) {
    if (s.tensor.derived_from >= 0) continue;
    auto it = from.tensors.find(s.tensor.name);
    if (!slots && s.role == Role::Carry) {
      continue;  // a batch of another size has others
    } else if (it == from.tensors.end()) {
      if (slots || is_weight(s.role)) add(missing, s.tensor.name);
    } else if (!fits(s, it->second)) {
      const auto narrow = from.narrow.find(s.tensor.name);
      add(shapes, s.tensor.name + " is " +
                      (narrow == from.narrow.end() ? name_of(it->second.dtype) : narrow->second) +
                      shape_text(it->second.shape) + ", needs " + name_of(s.tensor.dtype) +
                      shape_text(at(s.tensor.shape, {})));
    }
  }
  for (const auto& [name, a] : from.tensors) {
    const bool known = std::any_of(program_.state.begin(), program_.state.end(), [&](const StateTensor& s) {
      return s.tensor.derived_from < 0 && s.tensor.name == name;
    });
    if (!known && (slots || is_weight(name))) add(unexpected, name);
  }
  std::string text = shapes;
  if (!missing.empty()) text += (text.empty() ? "missing " : "; missing ") + missing;
  if (!unexpected.empty()) text += (text.empty() ? "unexpected " : "; unexpected ") + unexpected;
  return text;
}

std::string Runner::load(const SafeTensors& from, const std::string& file, Wanted wanted) {
  const std::string problems = misfits(from, wanted == Wanted::All);
  if (!problems.empty() && wanted != Wanted::Fitting)
    throw Error(Failure::Mismatch, file + " does not fit the model: " + problems);
  for (const StateTensor& s : program_.state) {  // copies take what their original takes
    const StateTensor& original =
        s.tensor.derived_from < 0 ? s : program_.state[static_cast<size_t>(s.tensor.derived_from)];
    auto it = from.tensors.find(original.tensor.name);
    if (it == from.tensors.end() && original.begins_as >= 0)
      it = from.tensors.find(program_.state[static_cast<size_t>(original.begins_as)].tensor.name);
    if (it == from.tensors.end() || !fits(original, it->second)) continue;
    packing_of(s.tensor, {}).pack(it->second.bytes.data(), state_.data() + s.tensor.offset);
  }
  return problems;
}

std::vector<std::byte> Runner::snapshot() const { return {state_.data(), state_.data() + state_.size()}; }

void Runner::snapshot_into(std::vector<std::byte>& state) const {
  state.assign(state_.data(), state_.data() + state_.size());
}

namespace {

template <class T>
bool all_finite(const std::byte* from, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    T v;
    std::memcpy(&v, from + i * static_cast<int64_t>(sizeof v), sizeof v);
    if (!std::isfinite(v)) return false;
  }
  return true;
}

}  // namespace

const StateTensor* Runner::not_finite() const {
  for (const StateTensor& s : program_.state) {
    if (s.role != Role::Param || (s.tensor.dtype != DType::F32 && s.tensor.dtype != DType::F64)) continue;
    // Padding is 0, so that it may be looked at too.
    const int64_t n = packing_of(s.tensor, {}).packed_bytes() / size_of(s.tensor.dtype);
    const std::byte* from = state_.data() + s.tensor.offset;
    if (!(s.tensor.dtype == DType::F32 ? all_finite<float>(from, n) : all_finite<double>(from, n))) return &s;
  }
  return nullptr;
}

void Runner::restore(std::span<const std::byte> state) {
  std::memcpy(state_.data(), state.data(), state.size());
}

}  // namespace gradc::runtime
