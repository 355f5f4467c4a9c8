// state NAME: [B, ...] = number carry: rows that go on from batch to batch of a split. They are stored for
// the largest batch, [rows, ...], because a state's shape is constant; a batch reads and writes the first B
// of them. `fresh` says that a batch is the first of its split, and begins with the number.
#include "frontend/elaboration/elaborator.h"
#include "support/check.h"

namespace gradc::frontend {

namespace {

constexpr std::string_view kCarried = "__carry__/";

Shape zeros(const Shape& like) { return Shape(like.size(), Dim(0)); }

}  // namespace

Type Elaborator::carried_type(const Stmt& st, Scope& scope) {
  const Type type{element_type(*st.type), dims(*st.type, scope)};
  if (!parameter_path.empty())
    fail(st.loc, "'carry' is for what a model hands from batch to batch; an optimizer keeps its states");
  if (type.shape.empty() || !(type.shape[0] == Index::dim(batch_dim)))
    fail(st.type->loc,
         fmt::format("state {} is {}; what is carried from batch to batch has a row for each of "
                     "the batch: [{}, ...]",
                     st.name, type.str(), batch_dim));
  for (size_t i = 1; i < type.shape.size(); ++i)
    if (!type.shape[i].is_constant())
      fail(st.type->loc,
           fmt::format("state {} is {}: its shape behind the batch must be constant", st.name, type.str()));
  return type;
}

// What the batch begins with.
Value Elaborator::carried(const Stmt& st, Scope& scope) {
  const Type type = carried_type(st, scope);
  const Value number = evaluate_partial(st.values[0], scope);
  if (!number.is_constant())
    fail(st.values[0].loc,
         fmt::format("the first value of a carried state is a number, not {}", describe(number)));
  const std::string path = state_path(*stack_.back(), st.name, true);
  if (auto it = slots_.find(path); it != slots_.end()) {  // applied again
    if (b_.type(it->second.begin->node) != type)
      fail(st.loc, fmt::format("state {} is {} in the first application and {} here", st.name,
                               b_.type(it->second.begin->node).str(), type.str()));
    return it->second.stored.value_or(*it->second.begin);
  }
  const Value first = broadcast(tensor(number, type.dtype, st.values[0].loc), type.shape, st.loc);
  Type stored = type;
  stored.shape[0] = Dim(b_.function().dims.at(batch_dim).max);
  const bool kept = mode_ == Mode::Train || mode_ == Mode::Eval;
  if (!kept && mode_ != Mode::Init) {
    slots_[path] = {{StateSpec::Role::Carry, path, stored, st.loc}, graph::kNone, first, {}, {}, false};
    return first;
  }
  Slot& s = slot(path, StateSpec::Role::Carry, stored, st.loc);
  s.begin = first;
  if (mode_ == Mode::Init) s.initial = wrap(b_.constant(0, stored.dtype, stored.shape));
  if (!kept) return first;
  if (fresh_node == graph::kNone) fresh_node = b_.param("fresh", {DType::Bool, {}});
  const graph::NodeId rows = b_.slice(s.node, zeros(type.shape), type.shape);
  s.begin = wrap(b_.select(b_.splat(fresh_node, type.shape), first.node, rows));
  return *s.begin;
}

// What a batch stores of a carried state: its rows, and those behind them as they were.
graph::NodeId Elaborator::carried_on(const Slot& s) {
  const graph::NodeId rows = s.stored.value_or(*s.begin).node;
  Shape behind = zeros(s.spec.type.shape);
  behind[0] = b_.shape(rows)[0];
  return b_.concat({rows, b_.slice(s.node, behind, s.spec.type.shape)}, 0);
}

std::string Elaborator::state_path(const Instance& owner, const std::string& name, bool carry) const {
  if (!parameter_path.empty()) return "__opt__/" + name + "/" + parameter_path;
  const std::string path = owner.path.empty() ? name : owner.path + "." + name;
  return carry ? std::string(kCarried) + path : path;
}

// The last binding of each state of the layer is what is stored.
void Elaborator::store_states(const Instance& owner, Scope& scope) {
  for (const auto& [name, member] : owner.members) {
    const Value* last = scope.find(name);
    auto it = slots_.find(state_path(owner, name, false));
    if (it == slots_.end()) it = slots_.find(state_path(owner, name, true));
    if (it == slots_.end() || it->second.spec.role == StateSpec::Role::Param || last == nullptr ||
        last->is(Value::Kind::None) || last->is(Value::Kind::Error))  // a mistake that was reported
      continue;
    Slot& s = it->second;
    const graph::NodeId before = s.begin ? s.begin->node : s.node;
    if (last->is_tensor() && last->node == before) continue;
    s.stored = last_value(name, s.begin ? b_.type(before) : s.spec.type, *last);
  }
}

}  // namespace gradc::frontend
