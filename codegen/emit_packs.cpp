// Rows in turn do the same one after another with what their sums gave. Their numbers stand side by side in
// one vector, which does it for all of them at once.
#include <algorithm>

#include "codegen/emit_scalar.h"
#include "codegen/kernel_emitter.h"

namespace gradc::codegen {
namespace {

constexpr size_t kRows = 4;

// Statements of one kind from a place on, as far as `alike` says so of each and the first one.
template <class T, class F>
std::vector<const T*> run_of(const Body& body, size_t from, F&& alike) {
  std::vector<const T*> run;
  for (; from < body.size(); ++from) {
    auto* s = std::get_if<T>(&body[from]);
    if (!s || (!run.empty() && !alike(*run[0], *s))) break;
    run.push_back(s);
  }
  return run;
}

}  // namespace

size_t KernelEmitter::emit_pack(const Body& body, size_t from) {
  if (lanes_) return 0;
  if (std::holds_alternative<Tree>(body[from])) return pack_trees(body, from);
  if (std::holds_alternative<Store>(body[from])) return pack_stores(body, from);
  return std::holds_alternative<Compute>(body[from]) ? pack_computes(body, from) : 0;
}

// Vectors of partial results, one for each row, become one with a part for each; from there on halves of all
// parts are joined at once, in the order of `emit(Tree)`.
size_t KernelEmitter::pack_trees(const Body& body, size_t from) {
  const auto run = run_of<Tree>(body, from, [&](const Tree& a, const Tree& b) {
    const Buffer &x = k_.buffers[a.tile], &y = k_.buffers[b.tile];
    return a.combine == b.combine && x.dtype == y.dtype && x.shape == y.shape;
  });
  size_t rows = std::min<size_t>(kRows, static_cast<size_t>(width_));
  while (rows > run.size()) rows /= 2;
  if (rows < 2) return 0;
  const DType type = k_.buffers[run[0]->tile].dtype;
  const ScalarOp op = joining(run[0]->combine);
  std::vector<LValue> v;
  for (size_t r = 0; r < rows; ++r) v.push_back(one_vector(*run[r]));
  const int stride = width_ / static_cast<int>(rows);
  for (int part = width_; part > 1; part /= 2) {
    const bool apart = v.size() > 1;
    const int half = part / 2, next = apart ? half : stride;
    std::vector<int> low, high;  // of two vectors one after the other, or of one
    for (int i = 0; i < width_; ++i) {
      const int place = apart ? i / half * part + i % half : i;
      const bool joined = apart || i % next < half;
      low.push_back(place), high.push_back(joined ? place + half : place);
    }
    std::vector<LValue> joined;
    for (size_t i = 0; i < v.size(); i += 2) {
      LValue a = v[i], b = v[apart ? i + 1 : i];
      LValue first = apart ? b_.CreateShuffleVector(a, b, low) : a;
      joined.push_back(emit_scalar(b_, op, type, type, {first, b_.CreateShuffleVector(a, b, high)}, k_.fma));
    }
    v = std::move(joined);
  }
  for (size_t r = 0; r < rows; ++r) define_packed(run[r]->result, type, v[0], static_cast<int>(r) * stride);
  return rows;
}

// Each argument is one number for all, or their elements of one vector, at the same place as the other
// arguments'. None is a result of the others.
size_t KernelEmitter::pack_computes(const Body& body, size_t from) {
  const auto run = run_of<Compute>(
      body, from, [](const Compute& a, const Compute& b) { return a.op == b.op && a.dtype == b.dtype; });
  const int arity = def_of(run[0]->op).arity;
  std::vector<int> lanes;
  std::set<Value> results;
  for (const Compute* c : run) {
    int lane = -1;
    bool fits = std::none_of(c->args.begin(), c->args.end(), [&](Value v) { return results.count(v) > 0; });
    for (int i = 0; i < arity && fits; ++i) {
      const auto one = packs_.find(c->args[i]), first = packs_.find(run[0]->args[i]);
      if (first == packs_.end()) {
        fits = values_.at(c->args[i]) == values_.at(run[0]->args[i]);
      } else {
        fits = one != packs_.end() && one->second.vector == first->second.vector &&
               (lane < 0 || lane == one->second.lane);
        lane = fits ? one->second.lane : lane;
      }
    }
    if (!fits || lane < 0 || std::find(lanes.begin(), lanes.end(), lane) != lanes.end()) break;
    lanes.push_back(lane);
    results.insert(c->result);
  }
  if (lanes.size() < 2) return 0;
  std::vector<LValue> args;
  for (int i = 0; i < arity; ++i) {
    const auto it = packs_.find(run[0]->args[i]);
    args.push_back(it != packs_.end() ? it->second.vector : splat(values_.at(run[0]->args[i])));
  }
  const DType operand = types_.at(run[0]->args[run[0]->op == ScalarOp::Select ? 1 : 0]);
  LValue v = emit_scalar(b_, run[0]->op, run[0]->dtype, operand, args, k_.fma);
  for (size_t r = 0; r < lanes.size(); ++r) define_packed(run[r]->result, run[0]->dtype, v, lanes[r]);
  return lanes.size();
}

// Numbers of one vector that go to places one after another.
size_t KernelEmitter::pack_stores(const Body& body, size_t from) {
  const auto run =
      run_of<Store>(body, from, [](const Store& a, const Store& b) { return a.buffer == b.buffer; });
  const Buffer& buffer = k_.buffers[run[0]->buffer];
  if (buffer.space == Space::Tile || buffer.dtype == DType::Bool) return 0;
  const auto first = packs_.find(run[0]->value);
  if (first == packs_.end()) return 0;
  const Index place = element_offset(run[0]->buffer, run[0]->at);
  std::vector<int> lanes;
  for (const Store* s : run) {
    const auto one = packs_.find(s->value);
    if (one == packs_.end() || one->second.vector != first->second.vector ||
        !(element_offset(s->buffer, s->at) - place).is(static_cast<int64_t>(lanes.size())))
      break;
    lanes.push_back(one->second.lane);
  }
  if (lanes.size() < 2) return 0;
  forget(run[0]->buffer);
  b_.CreateAlignedStore(b_.CreateShuffleVector(first->second.vector, lanes), pointer(run[0]->buffer, place),
                        align(run[0]->buffer));
  return lanes.size();
}

void KernelEmitter::define_packed(Value v, DType t, LValue vector, int lane) {
  define(v, t, b_.CreateExtractElement(vector, static_cast<uint64_t>(lane)));
  packs_[v] = {vector, lane};
}

}  // namespace gradc::codegen
