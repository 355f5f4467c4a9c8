#include "frontend/assembly/assembly.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "ir/graph/builder.h"

namespace gradc::frontend {
namespace {

using graph::Builder;
using graph::kNone;
using graph::NodeId;

// Slots that are no optimiser's: theirs are words.
constexpr const char* kRawWeight = "raw-weight";
constexpr const char* kGradientSum = "gradient-sum";

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
  // `updates`: or what a batch that ends no update does, once @train_step has made the states.
  TrainingStep(Unit& unit, const TrainingParts& parts, bool updates)
      : unit_(unit),
        parts_(parts),
        declared_(states_before_slots(unit)),
        gathers_(!updates),
        b_(updates ? "train_step" : "gather_step", &unit.module),
        found_(b_) {}

  void build() {
    parameters();
    for (size_t i = 0; i < parts_.steps.size(); ++i) {
      const StepPart& s = parts_.steps[i];
      std::vector<NodeId> gradients = differentiate(s, i == 0);
      if (parts_.accumulate > 1) accumulate(gradients);
      if (gathers_) continue;
      if (s.clip.norm > 0) clip_norm(gradients, s.clip.norm);
      if (s.clip.value > 0) clip_values(gradients, s.clip.value);
      optimise(s, rates_[i], gradients);
    }
    // A step that found an index outside its range changes no state.
    for (const auto& [value, state] : updates_) {
      const NodeId any = found_.any();
      const NodeId kept = any == kNone ? value : b_.select(b_.splat(any, b_.shape(state)), state, value);
      b_.result(kept, "", state);
    }
    found_.results(unit_, parts_.check_output);
    const std::string name = b_.function().name;
    unit_.module.functions[name] = b_.finish();
  }

 private:
  void parameters() {
    for (const auto& [name, info] : parts_.dims) b_.dim(name, info);
    for (const Input& in : unit_.inputs) inputs_.push_back(b_.param(in.parameter, in.type));
    step_ = b_.param("step", {DType::I64, {}});
    total_ = b_.param("total", {DType::I64, {}});
    seed_ = b_.param("seed", {DType::I64, {}});
    for (const StepPart& s : parts_.steps) inputs_of(s.loss);
    if (!gathers_) count_updates();
    for (const StepPart& s : parts_.steps) rates_.push_back(gathers_ ? std::vector<NodeId>() : rates_of(s));
    for (size_t i = 0; i < declared_; ++i)
      states_.push_back(b_.param(unit_.state[i].parameter(), unit_.state[i].type));
    weights_ = states_;
    for (size_t i = 0; parts_.average > 0 && i < states_.size(); ++i)
      if (parts_.trained(i)) weights_[i] = slot(kRawWeight, i, unit_.state[i].type, unit_.state[i].loc, i);
    now_ = weights_;
  }

  void inputs_of(const LossPart& part) {
    const graph::Function& loss = unit_.module.at(part.function);
    for (size_t i = 0; i < loss.params.size(); ++i)
      if (part.parameters[i].kind == Source::Kind::Shifts && shifts_ == kNone)
        shifts_ = b_.param("shifts", loss.type(loss.params[i]));
      else if (part.parameters[i].kind == Source::Kind::Fresh && fresh_ == kNone)
        fresh_ = b_.param("fresh", {DType::Bool, {}});
  }

  // A step is a batch. Where several make one update, schedules and optimisers count updates, and the last
  // batch of the training ends one with what there is.
  void count_updates() {
    updates_done_ = step_, updates_total_ = total_;
    if (parts_.accumulate == 1) return;
    const double n = static_cast<double>(parts_.accumulate);
    auto times = [&](NodeId x, const char* round) {
      return b_.unary(round, b_.div(b_.convert(x, DType::F64), b_.constant(n, DType::F64)));
    };
    const NodeId whole = times(step_, "floor"), step = b_.convert(step_, DType::F64);
    updates_done_ = b_.convert(whole, DType::I64);
    updates_total_ = b_.convert(times(total_, "ceil"), DType::I64);
    batches_ = b_.add(b_.sub(step, b_.mul(whole, n)), 1.0);
    due_ = b_.make("or", {b_.compare("eq", batches_, b_.constant(n, DType::F64)),
                          b_.compare("eq", b_.add(step, 1.0), b_.convert(total_, DType::F64))});
  }

  // By state: its learning rate, where the step trains it.
  std::vector<NodeId> rates_of(const StepPart& s) {
    std::vector<NodeId> made;
    for (const SchedulePart& part : s.schedules) {
      std::vector<NodeId> r = call(b_, part.function, {updates_done_, updates_total_});
      found_.take(r, part.checks);
      made.push_back(r[0]);
    }
    std::vector<NodeId> rates;
    for (size_t i = 0; i < s.update_of.size(); ++i) {
      const int number = s.schedule_of[i];
      rates.push_back(s.update_of[i] < 0 ? kNone
                      : number < 0       ? rate_input(s.rate)
                                         : made[static_cast<size_t>(number)]);
    }
    return rates;
  }
  NodeId rate_input(const std::string& name) {
    const auto [known, fresh] = rate_inputs_.emplace(name, kNone);
    if (fresh) known->second = b_.param(name, {DType::F64, {}});
    return known->second;
  }

  // A further state of the unit that belongs to a trained one.
  NodeId slot(const std::string& name, size_t of, const Type& type, Loc loc,
              std::optional<size_t> begins_as = std::nullopt) {
    return slot(name, unit_.state[of].path, type, loc, begins_as);
  }
  NodeId slot(const std::string& name, const std::string& of, const Type& type, Loc loc,
              std::optional<size_t> begins_as = std::nullopt) {
    const StateSpec s{StateSpec::Role::OptimizerSlot, "__opt__/" + name + "/" + of, type, loc, begins_as};
    if (!gathers_) unit_.state.push_back(s);
    return b_.param(s.parameter(), s.type);
  }
  static size_t states_before_slots(const Unit& unit) {
    const auto first = std::find_if(unit.state.begin(), unit.state.end(), [](const StateSpec& s) {
      return s.role == StateSpec::Role::OptimizerSlot;
    });
    return static_cast<size_t>(first - unit.state.begin());
  }

  NodeId value_of(const Source& s) const {
    switch (s.kind) {
      case Source::Kind::Input:
        return inputs_[s.index];
      case Source::Kind::State:
        return now_[s.index];
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

  // The loss and what else it gives; returns the gradient of each state that the step trains.
  std::vector<NodeId> differentiate(const StepPart& step, bool first) {
    const LossPart& loss = step.loss;
    std::vector<NodeId> arguments;
    std::vector<int64_t> wrt;
    std::vector<size_t> of;
    for (const Source& s : loss.parameters) {
      if (s.kind == Source::Kind::State && step.update_of[s.index] >= 0) {
        wrt.push_back(static_cast<int64_t>(arguments.size()));
        of.push_back(s.index);
      }
      arguments.push_back(value_of(s));
    }
    const NodeId all = b_.make("value_and_grad", arguments,
                               {{"function", graph::FunctionRef{loss.function}}, {"wrt", graph::ints(wrt)}});
    std::vector<NodeId> r;
    for (size_t i = 0; i < b_[all].types.size(); ++i) r.push_back(b_.get(all, static_cast<int>(i)));
    std::vector<NodeId> gradients(declared_, kNone);
    for (size_t i = 0; i < of.size(); ++i) gradients[of[i]] = r[r.size() - of.size() + i];
    for (size_t i = 0; i < states_.size(); ++i)
      if (step.update_of[i] >= 0 && gradients[i] == kNone) gradients[i] = b_.zeros_like(states_[i]);
    r.resize(r.size() - of.size());
    found_.take(r, loss.checks);
    losses_.push_back(r[0]);
    if (losses_.size() == parts_.steps.size()) b_.result(joined_losses(), "loss");
    if (!first) return gradients;
    b_.result(r[1], "sums");
    for (size_t i = 0; i < loss.stored.size(); ++i) updates_.emplace_back(r[2 + i], states_[loss.stored[i]]);
    if (shifts_ != kNone) b_.result(r[2 + loss.stored.size()], "next_shifts");
    return gradients;
  }

  // Of one update its loss as it is.
  NodeId joined_losses() {
    if (losses_.size() == 1) return losses_[0];
    const bool wide =
        std::any_of(losses_.begin(), losses_.end(), [&](NodeId l) { return b_.dtype(l) == DType::F64; });
    std::vector<NodeId> row;
    for (NodeId l : losses_)
      row.push_back(b_.reshape(wide ? b_.convert(l, DType::F64) : b_.convert(l, DType::F32), {Dim(1)}));
    return b_.concat(row, 0);
  }

  // Adds the gradients to those of the batches before; gives the means over the update's batches so far.
  void accumulate(std::vector<NodeId>& gradients) {
    for (size_t i = 0; i < gradients.size(); ++i) {
      if (gradients[i] == kNone) continue;
      const NodeId before = slot(kGradientSum, i, unit_.state[i].type, unit_.state[i].loc);
      const NodeId sum = b_.add(before, gradients[i]);
      updates_.emplace_back(gathers_ ? sum : when_due(b_.zeros_like(sum), sum), before);
      if (gathers_) continue;
      gradients[i] = b_.div(sum, b_.splat(b_.convert(batches_, b_.dtype(sum)), b_.shape(sum)));
    }
  }

  // What holds behind an update, where this batch ends one.
  NodeId when_due(NodeId updated, NodeId otherwise) {
    return due_ == kNone ? updated : b_.select(b_.splat(due_, b_.shape(updated)), updated, otherwise);
  }

  // As PyTorch's clip_grad_value_ does; NaN stays.
  void clip_values(std::vector<NodeId>& gradients, double most) {
    for (NodeId& g : gradients) {
      if (g == kNone) continue;
      auto bound = [&](double v) { return b_.splat(b_.constant(v, b_.dtype(g)), b_.shape(g)); };
      g = b_.make("max", {bound(-most), b_.make("min", {bound(most), g})});
    }
  }

  // Scales all gradients so that their common norm is at most `most`, as PyTorch's clip_grad_norm_ does. In
  // f64: the square of an f32 may be beyond f32.
  void clip_norm(std::vector<NodeId>& gradients, double most) {
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
    const NodeId scale = b_.make("min", {one, b_.div(b_.constant(most, DType::F64), norm)});
    for (size_t i : order) {
      const NodeId g = b_.convert(gradients[i], DType::F64);
      gradients[i] = b_.convert(b_.mul(g, b_.splat(scale, b_.shape(g))), b_.dtype(gradients[i]));
    }
  }

  void optimise(const StepPart& part, const std::vector<NodeId>& rates,
                const std::vector<NodeId>& gradients) {
    for (size_t i = 0; i < states_.size(); ++i)
      if (part.update_of[i] >= 0 && !part.updates[static_cast<size_t>(part.update_of[i])].whole) {
        const UpdatePart& u = part.updates[static_cast<size_t>(part.update_of[i])];
        const Updated r = update(u, weights_[i], gradients[i], rates[i], unit_.state[i].path);
        keep(i, r.results[0]);
        keep_slots(u, r);
      }
    if (!part.updates.empty() && part.updates[0].whole) optimise_whole(part, rates, gradients);
    updates_.insert(updates_.end(), slots_.begin(), slots_.end());
    slots_.clear();
  }

  struct Updated {
    std::vector<NodeId> results, slots;  // what an optimiser gives; the slots that it had
  };
  // An optimiser, whose slots belong to `of`.
  Updated update(const UpdatePart& u, NodeId weight, NodeId gradient, NodeId rate, std::string of) {
    const NodeId step = b_.convert(updates_done_, DType::F64);
    std::vector<NodeId> arguments{weight, gradient, rate, step}, own;
    const graph::Function& f = unit_.module.at(u.function);
    for (size_t k = 0; k < u.slots.size(); ++k)
      own.push_back(slot(u.slots[k], of, f.type(f.params[4 + k]), u.locs[k]));
    arguments.insert(arguments.end(), own.begin(), own.end());
    std::vector<NodeId> r = call(b_, u.function, arguments);
    found_.take(r, u.checks);
    return {std::move(r), std::move(own)};
  }

  void keep_slots(const UpdatePart& u, const Updated& r) {
    const graph::Function& f = unit_.module.at(u.function);
    for (size_t k = 0; k < r.slots.size(); ++k)
      if (f.results[1 + k].node != f.params[4 + k])
        slots_.emplace_back(when_due(r.results[1 + k], r.slots[k]), r.slots[k]);
  }

  // Of a parameter, what its update made.
  void keep(size_t i, NodeId value) {
    now_[i] = when_due(value, weights_[i]);
    updates_.emplace_back(now_[i], weights_[i]);
    if (parts_.average > 0)
      updates_.emplace_back(when_due(averaged(states_[i], value), states_[i]), states_[i]);
  }

  // All parameters of a step as one tensor of one axis.
  void optimise_whole(const StepPart& part, const std::vector<NodeId>& rates,
                      const std::vector<NodeId>& gradients) {
    std::vector<size_t> of;
    std::vector<NodeId> weights, slopes;
    for (size_t i = 0; i < states_.size(); ++i)
      if (part.update_of[i] >= 0) {
        const Shape flat{element_count(b_.shape(weights_[i]))};
        of.push_back(i);
        weights.push_back(b_.reshape(weights_[i], flat)), slopes.push_back(b_.reshape(gradients[i], flat));
      }
    auto joined = [&](const std::vector<NodeId>& parts) {
      return parts.size() == 1 ? parts[0] : b_.concat(parts, 0);
    };
    const UpdatePart& u = part.updates[0];
    const Updated r = update(u, joined(weights), joined(slopes), rates[of[0]], part.whole_path());
    const NodeId all = r.results[0];
    Dim at = 0;
    for (size_t k = 0; k < of.size(); ++k) {
      const Dim size = b_.shape(weights[k])[0];
      keep(of[k], b_.reshape(b_.slice(all, {at}, {at + size}), b_.shape(weights_[of[k]])));
      at = at + size;
    }
    keep_slots(u, r);
  }

  // The first update is taken as it is, as PyTorch's AveragedModel does.
  NodeId averaged(NodeId average, NodeId weight) {
    auto part = [&](NodeId x, double share) {
      return b_.mul(x, b_.splat(b_.convert(b_.constant(share, DType::F64), b_.dtype(x)), b_.shape(x)));
    };
    const NodeId next = b_.add(part(average, parts_.average), part(weight, 1 - parts_.average));
    const NodeId first = b_.compare("eq", updates_done_, b_.constant(0, DType::I64));
    return b_.select(b_.splat(first, b_.shape(weight)), weight, next);
  }

  Unit& unit_;
  const TrainingParts& parts_;
  size_t declared_;  // states of the model; slots stand behind them
  bool gathers_;
  Builder b_;
  Found found_;
  std::vector<NodeId> inputs_, states_;
  std::vector<NodeId> weights_, now_;       // by state: what is trained; as the updates so far left it
  std::vector<std::vector<NodeId>> rates_;  // by step, by state
  std::vector<NodeId> losses_;              // by step
  std::map<std::string, NodeId> rate_inputs_;
  NodeId step_ = kNone, total_ = kNone, seed_ = kNone, shifts_ = kNone, fresh_ = kNone;
  NodeId updates_done_ = kNone, updates_total_ = kNone;
  // Where several batches make an update: how many it has with this one, whether this one ends it.
  NodeId batches_ = kNone, due_ = kNone;
  std::vector<std::pair<NodeId, NodeId>> updates_, slots_;  // new value, state
};

}  // namespace

void assemble_training_step(Unit& unit, const TrainingParts& parts) {
  TrainingStep(unit, parts, true).build();
  if (parts.accumulate > 1) TrainingStep(unit, parts, false).build();
}

void assemble_init(Unit& unit, const std::string& values, const Checks& checks, const TrainingParts* training,
                   const std::string& check_output) {
  Builder b("init", &unit.module);
  Found found(b);
  const NodeId seed = b.param("seed", {DType::I64, {}});
  std::vector<NodeId> states;
  for (const StateSpec& s : unit.state) states.push_back(b.param(s.parameter(), s.type));
  std::vector<NodeId> first = call(b, values, {seed});
  found.take(first, checks);
  // In the order in which the training step has them.
  const size_t declared = first.size();
  for (size_t i = 0; training != nullptr && i < declared; ++i)
    if (training->average > 0 && training->trained(i)) first.push_back(first[i]);
  for (const StepPart& s : training != nullptr ? training->steps : std::vector<StepPart>()) {
    for (size_t i = 0; i < declared; ++i)
      if (training->accumulate > 1 && s.update_of[i] >= 0) first.push_back(b.zeros_like(first[i]));
    auto add_slots = [&](const UpdatePart& u, NodeId of) {
      if (u.slots.empty()) return;
      const std::vector<NodeId> slots = call(b, u.initial, {of});
      first.insert(first.end(), slots.begin(), slots.end());
    };
    std::vector<NodeId> all;
    for (size_t i = 0; i < declared; ++i) {
      if (s.update_of[i] < 0) continue;
      const UpdatePart& u = s.updates[static_cast<size_t>(s.update_of[i])];
      if (u.whole)
        all.push_back(b.reshape(first[i], {element_count(b.shape(first[i]))}));
      else
        add_slots(u, first[i]);
    }
    if (!all.empty()) add_slots(s.updates[0], all.size() == 1 ? all[0] : b.concat(all, 0));
  }
  for (size_t i = 0; i < states.size(); ++i) b.result(first[i], "", states[i]);
  found.results(unit, check_output);
  unit.module.functions["init"] = b.finish();
}

}  // namespace gradc::frontend
