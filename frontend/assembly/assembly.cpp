#include "frontend/assembly/assembly.h"

#include <algorithm>
#include <utility>

#include "ir/graph/builder.h"

namespace gradc::frontend {
namespace {

using graph::Builder;
using graph::kNone;
using graph::NodeId;

// The results of a call of one of the unit's functions.
std::vector<NodeId> call(Builder& b, const std::string& function, const std::vector<NodeId>& arguments) {
  const NodeId all = b.make("call", arguments, {{"function", graph::FunctionRef{function}}});
  std::vector<NodeId> r;
  for (size_t i = 0; i < b[all].types.size(); ++i) r.push_back(b.get(all, static_cast<int>(i)));
  return r;
}

// What the checks of several functions found, one behind the other.
class Found {
 public:
  explicit Found(Builder& b) : b_(b) {}

  // `found` and `any` are the last two of a function's results, and are taken off; none without checks.
  void take(std::vector<NodeId>& results, const Checks& checks) {
    if (checks.empty()) return;
    const NodeId any = results.back(), found = results[results.size() - 2];
    results.resize(results.size() - 2);
    parts_.push_back(found);
    any_ = any_ == kNone ? any : b_.make("or", {any_, any});
    checks_.insert(checks_.end(), checks.begin(), checks.end());
  }
  NodeId any() const { return any_; }
  void results(Unit& unit, const std::string& name) {
    if (parts_.empty()) return;
    b_.result(parts_.size() == 1 ? parts_[0] : b_.concat(parts_, 0), name);
    unit.checks[b_.function().name] = std::move(checks_);
  }

 private:
  Builder& b_;
  std::vector<NodeId> parts_;
  NodeId any_ = kNone;
  Checks checks_;
};

class TrainingStep {
 public:
  TrainingStep(Unit& unit, const TrainingParts& parts)
      : unit_(unit), parts_(parts), b_("train_step", &unit.module), found_(b_) {}

  void build() {
    parameters();
    const std::vector<NodeId> gradients = differentiate();
    optimise(gradients);
    // A step that found an index outside its range changes no state.
    for (const auto& [value, state] : updates_) {
      const NodeId any = found_.any();
      const NodeId kept = any == kNone ? value : b_.select(b_.splat(any, b_.shape(state)), state, value);
      b_.result(kept, "", state);
    }
    found_.results(unit_, parts_.check_output);
    unit_.module.functions["train_step"] = b_.finish();
  }

 private:
  void parameters() {
    for (const auto& [name, info] : parts_.dims) b_.dim(name, info);
    for (const Input& in : unit_.inputs) inputs_.push_back(b_.param(in.parameter, in.type));
    step_ = b_.param("step", {DType::I64, {}});
    const NodeId total = b_.param("total", {DType::I64, {}});
    seed_ = b_.param("seed", {DType::I64, {}});
    const graph::Function& loss = unit_.module.at(parts_.loss.function);
    for (size_t i = 0; i < loss.params.size(); ++i)
      if (parts_.loss.parameters[i].kind == Source::Kind::Shifts)
        shifts_ = b_.param("shifts", loss.type(loss.params[i]));
      else if (parts_.loss.parameters[i].kind == Source::Kind::Fresh)
        fresh_ = b_.param("fresh", {DType::Bool, {}});
    if (parts_.schedule.empty()) {
      rate_ = b_.param("lr", {DType::F64, {}});
    } else {
      std::vector<NodeId> r = call(b_, parts_.schedule, {step_, total});
      found_.take(r, parts_.schedule_checks);
      rate_ = r[0];
    }
    for (const StateSpec& s : unit_.state) states_.push_back(b_.param(s.parameter(), s.type));
  }

  NodeId value_of(const Source& s) const {
    switch (s.kind) {
      case Source::Kind::Input:
        return inputs_[s.index];
      case Source::Kind::State:
        return states_[s.index];
      case Source::Kind::Step:
        return step_;
      case Source::Kind::Seed:
        return seed_;
      case Source::Kind::Shifts:
        return shifts_;
      case Source::Kind::Fresh:
        return fresh_;
    }
    return kNone;
  }

  // The loss and what else it gives; returns the gradient of each state that is trained.
  std::vector<NodeId> differentiate() {
    const LossPart& loss = parts_.loss;
    std::vector<NodeId> arguments;
    std::vector<int64_t> wrt;
    std::vector<size_t> trained;
    for (const Source& s : loss.parameters) {
      if (s.kind == Source::Kind::State && parts_.update_of[s.index] >= 0) {
        wrt.push_back(static_cast<int64_t>(arguments.size()));
        trained.push_back(s.index);
      }
      arguments.push_back(value_of(s));
    }
    const NodeId all = b_.make("value_and_grad", arguments,
                               {{"function", graph::FunctionRef{loss.function}}, {"wrt", graph::ints(wrt)}});
    std::vector<NodeId> r;
    for (size_t i = 0; i < b_[all].types.size(); ++i) r.push_back(b_.get(all, static_cast<int>(i)));
    std::vector<NodeId> gradients(unit_.state.size(), kNone);
    for (size_t i = 0; i < trained.size(); ++i) gradients[trained[i]] = r[r.size() - trained.size() + i];
    r.resize(r.size() - trained.size());
    found_.take(r, loss.checks);
    b_.result(r[0], "loss");
    b_.result(r[1], "sums");
    for (size_t i = 0; i < loss.stored.size(); ++i) updates_.emplace_back(r[2 + i], states_[loss.stored[i]]);
    if (shifts_ != kNone) b_.result(r[2 + loss.stored.size()], "next_shifts");
    if (parts_.clip > 0) clip(gradients);
    return gradients;
  }

  // Scales all gradients so that their common norm is at most `clip`, as PyTorch's clip_grad_norm_ does. In
  // f64: the square of an f32 may be beyond f32.
  void clip(std::vector<NodeId>& gradients) {
    std::vector<size_t> order;  // by path, so that a norm does not depend on where a parameter is declared
    for (size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i] != kNone) order.push_back(i);
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return unit_.state[a].path < unit_.state[b].path; });
    NodeId total = kNone;
    for (size_t i : order) {
      const NodeId exact = b_.convert(gradients[i], DType::F64);
      std::vector<int64_t> axes;
      for (size_t a = 0; a < b_.shape(exact).size(); ++a) axes.push_back(static_cast<int64_t>(a));
      const NodeId square = b_.sum(b_.mul(exact, exact), axes);
      total = total == kNone ? square : b_.add(total, square);
    }
    if (total == kNone) return;
    const NodeId norm = b_.add(b_.unary("sqrt", total), 1e-6);
    const NodeId one = b_.constant(1, DType::F64);
    const NodeId scale = b_.make("min", {one, b_.div(b_.constant(parts_.clip, DType::F64), norm)});
    for (size_t i : order) {
      const NodeId g = b_.convert(gradients[i], DType::F64);
      gradients[i] = b_.convert(b_.mul(g, b_.splat(scale, b_.shape(g))), b_.dtype(gradients[i]));
    }
  }

  void optimise(const std::vector<NodeId>& gradients) {
    const NodeId step = b_.convert(step_, DType::F64);
    std::vector<std::pair<NodeId, NodeId>> slots;
    for (size_t i = 0; i < states_.size(); ++i) {
      if (parts_.update_of[i] < 0) continue;
      const UpdatePart& u = parts_.updates[static_cast<size_t>(parts_.update_of[i])];
      const NodeId g = gradients[i] != kNone ? gradients[i] : b_.zeros_like(states_[i]);
      std::vector<NodeId> arguments{states_[i], g, rate_, step}, own;
      const graph::Function& f = unit_.module.at(u.function);
      for (size_t k = 0; k < u.slots.size(); ++k) {
        const StateSpec s{StateSpec::Role::OptimizerSlot, "__opt__/" + u.slots[k] + "/" + unit_.state[i].path,
                          f.type(f.params[4 + k]), u.locs[k]};
        own.push_back(b_.param(s.parameter(), s.type));
        unit_.state.push_back(s);
      }
      arguments.insert(arguments.end(), own.begin(), own.end());
      std::vector<NodeId> r = call(b_, u.function, arguments);
      found_.take(r, u.checks);
      updates_.emplace_back(r[0], states_[i]);
      for (size_t k = 0; k < own.size(); ++k)
        if (f.results[1 + k].node != f.params[4 + k]) slots.emplace_back(r[1 + k], own[k]);
    }
    updates_.insert(updates_.end(), slots.begin(), slots.end());
  }

  Unit& unit_;
  const TrainingParts& parts_;
  Builder b_;
  Found found_;
  std::vector<NodeId> inputs_, states_;
  NodeId step_ = kNone, seed_ = kNone, shifts_ = kNone, fresh_ = kNone, rate_ = kNone;
  std::vector<std::pair<NodeId, NodeId>> updates_;  // new value, state
};

}  // namespace

void assemble_training_step(Unit& unit, const TrainingParts& parts) { TrainingStep(unit, parts).build(); }

void assemble_init(Unit& unit, const std::string& values, const Checks& checks, const TrainingParts* training,
                   const std::string& check_output) {
  Builder b("init", &unit.module);
  Found found(b);
  const NodeId seed = b.param("seed", {DType::I64, {}});
  std::vector<NodeId> states;
  for (const StateSpec& s : unit.state) states.push_back(b.param(s.parameter(), s.type));
  std::vector<NodeId> first = call(b, values, {seed});
  found.take(first, checks);
  const size_t declared = first.size();
  for (size_t i = 0; training != nullptr && i < declared; ++i) {
    if (training->update_of[i] < 0) continue;
    const UpdatePart& u = training->updates[static_cast<size_t>(training->update_of[i])];
    if (u.slots.empty()) continue;
    const std::vector<NodeId> slots = call(b, u.initial, {first[i]});
    first.insert(first.end(), slots.begin(), slots.end());
  }
  for (size_t i = 0; i < states.size(); ++i) b.result(first[i], "", states[i]);
  found.results(unit, check_output);
  unit.module.functions["init"] = b.finish();
}

}  // namespace gradc::frontend
