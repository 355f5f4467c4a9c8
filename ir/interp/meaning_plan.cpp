#include "ir/interp/meaning_plan.h"

#include <algorithm>

#include "support/check.h"

namespace gradc::interp {
namespace {

int64_t value_of(const Index& e, const Dims& dims) {
  return e.evaluate([](int) -> int64_t { return 0; },
                    [&](const std::string& n) {
                      auto it = dims.find(n);
                      GRADC_CHECK(it != dims.end(), "dimension {} has no value", n);
                      return it->second;
                    });
}

bool has_opaque(const Index& e) {
  for (const Index::Term& t : e.terms())
    for (const Atom& a : t.factors)
      if (a.args) return true;
  return false;
}

Index with_dims(const Index& e, const Dims& dims) {
  return e.substitute_dims([&](const std::string& n) {
    auto it = dims.find(n);
    GRADC_CHECK(it != dims.end(), "dimension {} has no value", n);
    return Index(it->second);
  });
}

std::vector<int64_t> row_major(std::span<const int64_t> extents) {
  std::vector<int64_t> strides(extents.size(), 1);
  for (size_t i = extents.size(); i-- > 1;) strides[i - 1] = strides[i] * extents[i];
  return strides;
}

}  // namespace

std::byte* StripArena::strip() {
  strips_.emplace_back(new (std::align_val_t(64)) std::byte[kStrip * 8]);
  return strips_.back().get();
}

MeaningPlan::MeaningPlan(const Meaning& m, std::span<const Tensor* const> operands, const Dims& dims,
                         bool keep_reductions)
    : outputs(m.outputs),
      m_(m),
      operands_(operands.begin(), operands.end()),
      is_index_(m.reads.size(), false) {
  for (const Dim& d : m.axes) extents.push_back(std::max<int64_t>(0, value_of(d, dims)));
  for (int64_t e : extents) empty_ = empty_ || e == 0;
  // With an empty reduction the initial read is still made, and nothing else.
  const bool no_result =
      std::any_of(extents.begin(), extents.begin() + outputs, [](int64_t e) { return e == 0; });
  if (!no_result) {
    plan_reads(dims);
    merge(keep_reductions);
  }
  out_strides = row_major({extents.data(), static_cast<size_t>(outputs)});
}

void MeaningPlan::plan_reads(const Dims& dims) {
  const int axes = static_cast<int>(extents.size());
  const auto bounds = [&](int v) { return v < axes ? Index(extents[v]) : Index(int64_t(1) << 40); };
  const auto tidy = [&](const Index& e) {
    const Index known = with_dims(e, dims);
    return has_opaque(known) && known.max_var() < axes ? simplify(known, bounds) : known;
  };
  for (size_t r = 0; r < m_.reads.size(); ++r) {
    const Read& read = m_.reads[r];
    PlannedRead planned;
    if (empty_ && static_cast<int>(r) != m_.initial) {
      reads_.push_back(std::move(planned));
      continue;
    }
    const std::vector<int64_t> strides = row_major(operands_[read.operand]->shape());
    GRADC_CHECK(read.at.size() == strides.size(), "read {} has {} indices for rank {}", r, read.at.size(),
                strides.size());
    Index address;
    for (size_t d = 0; d < strides.size(); ++d) address += with_dims(read.at[d], dims) * strides[d];
    planned.address = IndexProgram(tidy(address), {}, axes);
    for (const Index& g : read.guards) {
      const Index guard = tidy(g);
      if (guard.is_constant() && guard.constant_part() >= 0) continue;
      planned.guards.emplace_back(guard, Dims{}, axes);
    }
    reads_.push_back(std::move(planned));
    for (int used = 0; used < static_cast<int>(r); ++used) {
      const auto uses = [&](const Index& e) { return e.uses_var(axes + used); };
      if (std::any_of(read.at.begin(), read.at.end(), uses) ||
          std::any_of(read.guards.begin(), read.guards.end(), uses))
        is_index_[used] = true;
    }
  }
  if (!empty_)
    for (const Index& e : m_.values) values_.emplace_back(tidy(e), Dims{}, axes);
  if (!empty_)
    for (const Index& e : m_.where) where_.emplace_back(tidy(e), Dims{}, axes);
}

// Axes a and a+1 act as one where every read moves as far over all of a+1 as over one step of a.
bool MeaningPlan::can_merge(int a) const {
  if (extents[a] == 1) return true;
  for (const PlannedRead& r : reads_)
    if (r.address.coefficient(a) != r.address.coefficient(a + 1) * extents[a + 1]) return false;
  return true;
}

void MeaningPlan::merge(bool keep_reductions) {
  if (empty_ || !m_.values.empty() || !m_.where.empty() || extents.size() < 2) return;
  for (const ScalarNode& n : m_.body)
    if (n.op == ScalarOp::Axis) return;
  for (const PlannedRead& r : reads_)
    if (!r.address.is_linear() || !r.guards.empty()) return;
  for (int a = static_cast<int>(extents.size()) - 2; a >= 0; --a) {
    const bool both_outputs = a + 1 < outputs;
    if ((!both_outputs && (keep_reductions || a < outputs)) || !can_merge(a)) continue;
    for (PlannedRead& r : reads_) {
      std::vector<int64_t> coefficients;
      for (int i = 0; i < static_cast<int>(extents.size()); ++i)
        if (i != a) coefficients.push_back(r.address.coefficient(i));
      r.address = IndexProgram::linear(r.address.constant(), coefficients);
    }
    extents[a + 1] *= extents[a];
    extents.erase(extents.begin() + a);
    if (both_outputs) --outputs;
  }
}

int MeaningPlan::strip_axis() const {
  int best = -1;
  for (int a = outputs - 1; a >= 0; --a) {
    const auto changes = [&](const Index& e) { return e.uses_var(a); };
    if (std::any_of(m_.where.begin(), m_.where.end(), changes)) continue;
    if (best < 0 || (extents[best] < 64 && extents[a] > 2 * extents[best])) best = a;
  }
  return best;
}

bool MeaningPlan::joins(const Position& p) {
  return std::all_of(where_.begin(), where_.end(), [&](IndexProgram& e) { return e.evaluate(p)[0] >= 0; });
}

IndexStrip MeaningPlan::axis_value(int index, const Position& p) {
  const int axes = static_cast<int>(m_.axes.size());
  if (index < axes) return {p.at[index], index == p.axis ? 1 : 0, nullptr};
  return values_[index - axes].evaluate(p);
}

Located MeaningPlan::locate(int read, const Position& p) {
  PlannedRead& r = reads_[read];
  Located where{{}, 0, p.n, nullptr};
  for (IndexProgram& g : r.guards) {
    const IndexStrip v = g.evaluate(p);
    if (v.each) {
      if (!where.mask) {
        r.mask.assign(static_cast<size_t>(p.n), 1);
        where.mask = r.mask.data();
      }
      for (int i = 0; i < p.n; ++i) r.mask[i] &= v.each[i] >= 0;
      continue;
    }
    while (where.from < where.to && v[where.from] < 0) ++where.from;
    while (where.to > where.from && v[where.to - 1] < 0) --where.to;
  }
  if (where.from == where.to) return where;
  where.address = r.address.evaluate(p);
  const int64_t count = operand(read).count();
  const auto check = [&](int i) {
    GRADC_CHECK(where.address[i] >= 0 && where.address[i] < count, "read {} takes element {} of {}", read,
                where.address[i], count);
  };
  if (!where.address.each)
    check(where.from), check(where.to - 1);
  else
    for (int i = where.from; i < where.to; ++i)
      if (!where.mask || where.mask[i]) check(i);
  return where;
}

namespace {

template <class T>
void copy_strip(const T* from, const Located& w, T fill, int n, T* out) {
  for (int i = 0; i < w.from; ++i) out[i] = fill;
  if (w.mask) {
    for (int i = w.from; i < w.to; ++i) out[i] = w.mask[i] ? from[w.address[i]] : fill;
  } else if (w.address.each) {
    for (int i = w.from; i < w.to; ++i) out[i] = from[w.address.each[i]];
  } else if (w.address.step == 0 && w.from < w.to) {
    std::fill(out + w.from, out + w.to, from[w.address.base]);
  } else if (w.from < w.to) {
    const int64_t step = w.address.step;
    const T* at = from + w.address[w.from];
    for (int i = w.from; i < w.to; ++i, at += step) out[i] = *at;
  }
  for (int i = w.to; i < n; ++i) out[i] = fill;
}

template <class T>
void copy_as(const Tensor& from, const Located& w, double fill, int n, void* room) {
  T value;
  fill_strip(from.dtype(), literal(from.dtype(), fill), &value, 1);
  copy_strip(reinterpret_cast<const T*>(from.data()), w, value, n, static_cast<T*>(room));
}

}  // namespace

const void* read_strip(const Tensor& from, const Located& w, double fill, int n, void* room) {
  const int64_t size = size_of(from.dtype());
  if (w.from == 0 && w.to == n && !w.mask && !w.address.each && w.address.step == 1)
    return from.data() + w.address.base * size;
  if (size == 1)
    copy_as<uint8_t>(from, w, fill, n, room);
  else if (size == 4)
    copy_as<uint32_t>(from, w, fill, n, room);
  else
    copy_as<uint64_t>(from, w, fill, n, room);
  return room;
}

void index_strip(const IndexStrip& v, DType t, int n, void* out) {
  int64_t room[kStrip];
  int64_t* whole = t == DType::I64 ? static_cast<int64_t*>(out) : room;
  for (int i = 0; i < n; ++i) whole[i] = v[i];
  if (t != DType::I64) eval_strip(ScalarOp::Convert, t, DType::I64, whole, nullptr, nullptr, out, n, true);
}

}  // namespace gradc::interp
