#include "frontend/training/train_block.h"

#include <algorithm>

#include "frontend/syntax/parser.h"

namespace gradc::frontend {
namespace {

using Kind = Value::Kind;
const std::vector<std::string> kFields = {"loss",     "optimizer", "lr",         "batch", "epochs",
                                          "steps",    "seed",      "keep",       "stop",  "clip",
                                          "validate", "freeze",    "accumulate", "ema",   "metric_rows"};
const std::vector<std::string> kStepFields = {"params", "loss", "optimizer", "lr", "clip"};
constexpr const char* kShared[] = {"optimizer", "lr", "clip"};  // of the block, for steps that say none
const std::vector<std::string> kLater = {"sample", "skip_if"};

using Fields = std::map<std::string, const Expr*>;

const Expr* field_of(const Fields& fields, const std::string& name) {
  const auto it = fields.find(name);
  return it == fields.end() ? nullptr : it->second;
}

struct Reader {
  Session& s;
  Elaborator& e;
  Scope& scope;
  Fields fields;
  std::map<std::string, Fields> step_fields;
  TrainFields out;

  void collect(const Block& block) {
    for (const Stmt& st : block.body) {
      if (st.kind == Stmt::Kind::Step) {
        collect_step(st);
        continue;
      }
      if (st.kind == Stmt::Kind::Metric) {
        const bool twice = std::any_of(out.metrics.begin(), out.metrics.end(),
                                       [&](const auto& m) { return m.first == st.name; });
        if (twice || st.name == "loss")
          s.diagnostics.error(st.loc, fmt::format("metric '{}' is declared twice", st.name));
        else
          out.metrics.push_back({st.name, &st.values[0]});
        continue;
      }
      if (st.kind != Stmt::Kind::Assign || st.op != "=" || st.targets.size() != 1 || st.values.size() != 1) {
        s.diagnostics.error(
            st.loc, "a train block has fields, such as lr = 1e-3, and metrics: metric accuracy = ...");
        continue;
      }
      add(st.targets[0].name, &st.values[0], st.targets[0].loc, false);
    }
    for (const char* shared : kShared)
      if (const Expr* x = field_of(fields, shared)) check_used(shared, x->loc, Severity::Warning);
    for (const Override& o : s.options.sets) {
      const std::string name = o.name.rfind("train.", 0) == 0 ? o.name.substr(6) : o.name;
      const uint32_t file = s.sources.add("--set " + o.name, o.value);
      s.overrides.push_back(parse_expression(s.sources, file, s.diagnostics));
      const Loc loc{file, 0, static_cast<uint32_t>(o.value.size())};
      const size_t dot = name.find('.');
      if (dot != std::string::npos && step_fields.count(name.substr(0, dot)) != 0)
        add_to_step(name.substr(0, dot), name.substr(dot + 1), &s.overrides.back(), loc, true);
      else
        add(name, &s.overrides.back(), loc, true);
      if (std::find(std::begin(kShared), std::end(kShared), name) != std::end(kShared))
        check_used(name, loc, Severity::Error);
    }
  }

  // A field of the block holds for the steps without their own. There may be none such: a file that says so
  // is as it was written out with overrides, but an override would be lost.
  void check_used(const std::string& name, Loc loc, Severity severity) {
    if (!step_fields.empty() && std::all_of(step_fields.begin(), step_fields.end(),
                                            [&](const auto& step) { return step.second.count(name) != 0; })) {
      const std::string text =
          fmt::format("'{}' of the block has no effect: the steps {} have their own", name, step_names());
      severity == Severity::Error ? s.diagnostics.error(loc, text) : s.diagnostics.warning(loc, text);
    }
  }
  std::string step_names() const {
    std::string names;
    for (const StepFields& step : out.steps) names += (names.empty() ? "" : ", ") + step.name;
    return names;
  }

  // step d { params = D; loss = ...; optimizer = adam{} }
  void collect_step(const Stmt& step) {
    if (!step_fields.emplace(step.name, Fields()).second) {
      s.diagnostics.error(step.loc, fmt::format("step '{}' is declared twice", step.name));
      return;
    }
    StepFields f;
    f.name = step.name, f.loc = step.loc;
    out.steps.push_back(std::move(f));
    for (const Stmt& st : step.body)
      if (st.kind != Stmt::Kind::Assign || st.op != "=" || st.targets.size() != 1 || st.values.size() != 1)
        s.diagnostics.error(st.loc, fmt::format("a step has fields: {}; metrics stand beside it",
                                                fmt::join(kStepFields, ", ")));
      else
        add_to_step(step.name, st.targets[0].name, &st.values[0], st.targets[0].loc, false);
  }

  void add_to_step(const std::string& step, const std::string& name, const Expr* value, Loc loc,
                   bool replace) {
    const bool known = std::find(kStepFields.begin(), kStepFields.end(), name) != kStepFields.end();
    const bool of_block = std::find(kFields.begin(), kFields.end(), name) != kFields.end();
    if (!known && of_block) {
      s.diagnostics.error(
          loc, fmt::format("'{}' holds for all steps: write it beside step {}, not in it", name, step));
    } else if (!known) {
      const std::string near = nearest(name, kStepFields);
      s.diagnostics.error(loc, fmt::format("unknown field '{}' of step {}{}", name, step,
                                           near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    } else if (!replace && step_fields[step].count(name) != 0) {
      s.diagnostics.error(loc, fmt::format("'{}' is given twice", name));
    } else {
      step_fields[step][name] = value;
    }
  }

  void add(const std::string& name, const Expr* value, Loc loc, bool replace) {
    if (std::find(kLater.begin(), kLater.end(), name) != kLater.end()) {
      s.diagnostics.error(loc, fmt::format("'{}' is not available yet", name));
    } else if (std::find(kFields.begin(), kFields.end(), name) == kFields.end()) {
      std::string near = name == "learning_rate" ? "lr" : nearest(name, kFields);
      s.diagnostics.error(loc, fmt::format("unknown train field '{}'{}", name,
                                           near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    } else if (!replace && fields.count(name) != 0) {
      s.diagnostics.error(loc, fmt::format("'{}' is given twice", name));
    } else {
      fields[name] = value;
    }
  }

  int64_t integer(const char* name, int64_t otherwise, int64_t least) {
    auto it = fields.find(name);
    if (it == fields.end()) return otherwise;
    const int64_t n = e.constant_int(e.evaluate(*it->second, scope), name, it->second->loc);
    if (n < least || n > (int64_t(1) << 40))
      e.fail(it->second->loc, fmt::format("{} = {}: at least {}", name, n, least));
    return n;
  }

  // best(max = val.accuracy), patience(3, min = val.loss, delta = 0.01)
  Keep rule(const Expr& x, const std::string& function) {
    const std::string form =
        function == "best" ? "keep = best(max = val.accuracy)" : "stop = patience(3, min = val.loss)";
    if (!x.is(Expr::Kind::Call) || !x.kids[0].is_name(function)) e.fail(x.loc, "write " + form);
    Keep k;
    bool found = false;
    for (const Argument& a : x.arguments) {
      if (a.name == "max" || a.name == "min") {
        aim(a, k);
        found = true;
      } else if (a.name == "delta") {
        k.delta = e.constant_real(e.evaluate(a.value, scope), "delta", a.value.loc);
      } else if (a.name.empty() && function == "patience") {
        k.patience =
            static_cast<int>(e.constant_int(e.evaluate(a.value, scope), "the patience", a.value.loc));
      } else {
        e.fail(a.loc, "write " + form);
      }
    }
    if (!found || (function == "patience" && k.patience < 1)) e.fail(x.loc, "write " + form);
    return k;
  }

  // max = val.accuracy, min = val.loss: by which metric a rule goes.
  void aim(const Argument& a, Keep& k) {
    const std::string path = path_text(a.value);  // val.d.loss: the loss of the step d
    if (path.find('.') == std::string::npos) e.fail(a.value.loc, "write a metric of a split: val.accuracy");
    k.split = path.substr(0, path.find('.'));
    k.metric = path.substr(path.find('.') + 1);
    k.maximize = a.name == "max";
    k.loc = a.value.loc;
    check_metric(k, a.value.loc);
  }

  // lr = plateau(1e-3, min = val.loss, factor = 0.1, patience = 10, threshold = 1e-4, cooldown = 0, low = 0):
  // a number that the training lowers where a metric stays as it is.
  void plateau(StepFields& step) {
    const char* form =
        "write lr = plateau(1e-3, min = val.loss, factor = 0.1, patience = 10, threshold = "
        "1e-4, cooldown = 0, low = 0)";
    const Expr& x = *step.lr;
    Plateau p;
    p.rate = step.rate;
    auto whole = [&](const Argument& a) {
      const int64_t n = e.constant_int(e.evaluate(a.value, scope), a.name, a.value.loc);
      if (n < 0 || n > (int64_t(1) << 40)) e.fail(a.value.loc, fmt::format("{} = {}: at least 0", a.name, n));
      return n;
    };
    auto real = [&](const Argument& a, double below) {
      const double v = e.constant_real(e.evaluate(a.value, scope), a.name, a.value.loc);
      if (!(v >= 0 && v < below))
        e.fail(a.value.loc,
               fmt::format("{} = {}: at least 0{}", a.name, v,
                           below <= 1 ? ", and below 1: it is what a rate is multiplied by" : ""));
      return v;
    };
    for (size_t i = 0; i < x.arguments.size(); ++i) {
      const Argument& a = x.arguments[i];
      if (a.name.empty() && i == 0)
        step.lr = &a.value;
      else if (a.name == "max" || a.name == "min")
        aim(a, p.on);
      else if (a.name == "factor")
        p.factor = real(a, 1);
      else if (a.name == "threshold")
        p.threshold = real(a, 1e9);
      else if (a.name == "low")
        p.low = real(a, 1e9);
      else if (a.name == "patience")
        p.patience = whole(a);
      else if (a.name == "cooldown")
        p.cooldown = whole(a);
      else
        e.fail(a.loc, form);
    }
    if (step.lr == &x || p.on.metric.empty()) e.fail(x.loc, form);
    if (const Value first = e.evaluate_partial(*step.lr, scope); !first.is_number())
      e.fail(step.lr->loc,
             fmt::format("a plateau lowers a rate that is a number, not {}", e.describe(first)));
    const bool shared = std::any_of(out.spec.plateaus.begin(), out.spec.plateaus.end(),
                                    [&](const Plateau& other) { return other.rate == p.rate; });
    if (!shared) out.spec.plateaus.push_back(std::move(p));
  }

  // keep = best(max = val.accuracy), every(1000, last = 3), or a list of both.
  void keep(const Expr& x) {
    const bool list = x.is(Expr::Kind::List);
    for (const Expr& one : list ? x.kids : std::vector<Expr>{x}) {
      const bool is_every = one.is(Expr::Kind::Call) && one.kids[0].is_name("every");
      if (is_every ? out.spec.numbered.has_value() : out.spec.keep.has_value())
        e.fail(one.loc, fmt::format("'{}' is given twice", is_every ? "every" : "best"));
      if (is_every)
        out.spec.numbered = every(one, "keep = every(1000, last = 3)", true);
      else
        out.spec.keep = rule(one, "best");
    }
  }

  // every(1000), and where files are kept every(1000, last = 3), every(minutes = 10, last = 3).
  Numbered every(const Expr& x, const char* form, bool files) {
    Numbered n;
    auto whole = [&](const Argument& a, const char* what) {
      const int64_t v = e.constant_int(e.evaluate(a.value, scope), what, a.value.loc);
      if (v < 1 || v > (int64_t(1) << 40)) e.fail(a.value.loc, fmt::format("{} = {}: at least 1", what, v));
      return v;
    };
    if (!x.is(Expr::Kind::Call) || !x.kids[0].is_name("every")) e.fail(x.loc, fmt::format("write {}", form));
    for (const Argument& a : x.arguments) {
      if ((a.name.empty() || a.name == "steps") && n.steps == 0) {
        n.steps = whole(a, "steps");
      } else if (files && a.name == "minutes") {
        n.minutes = e.constant_real(e.evaluate(a.value, scope), "minutes", a.value.loc);
        if (!(n.minutes > 0 && n.minutes < 1e9)) e.fail(a.value.loc, "minutes are more than 0");
      } else if (files && a.name == "last") {
        n.last = whole(a, "last");
      } else {
        e.fail(a.loc, fmt::format("write {}", form));
      }
    }
    if (n.steps == 0 && n.minutes == 0) e.fail(x.loc, fmt::format("write {}", form));
    return n;
  }

  // freeze = "encoder.*", or a list of patterns.
  void freeze(const Expr& x) {
    const Value v = e.evaluate(x, scope);
    for (const Value& p : v.is(Kind::List) ? v.items : std::vector<Value>{v}) {
      if (!p.is(Kind::String) || p.text.empty())
        e.fail(x.loc, "freeze names parameters by their paths: freeze = [\"encoder.*\"]");
      out.freeze.push_back({p.text, false, x.loc});
    }
  }

  // params = D, params = [encoder.first, "head.*"]: names of layers as they stand, texts as freeze takes
  // them.
  static std::string path_text(const Expr& x) {
    if (x.is(Expr::Kind::Name)) return x.text;
    if (!x.is(Expr::Kind::Member)) return "";
    const std::string of = path_text(x.kids[0]);
    return of.empty() ? "" : of + "." + x.text;
  }
  std::vector<PathPattern> patterns(const Expr& x) {
    std::vector<PathPattern> all;
    const bool list = x.is(Expr::Kind::List);
    for (const Expr& one : list ? x.kids : std::vector<Expr>{x}) {
      const bool text = one.is(Expr::Kind::String);
      PathPattern p{text ? one.text : path_text(one), !text, one.loc};
      if (p.text.empty())
        e.fail(one.loc, "params names layers or parameters: params = D, params = [encoder, \"head.*\"]");
      all.push_back(std::move(p));
    }
    if (all.empty()) e.fail(x.loc, "params is an empty list: name the layers that this step trains");
    return all;
  }

  Clip clip(const Expr& c) {
    const bool norm = c.is(Expr::Kind::Call) && c.kids[0].is_name("norm"),
               value = c.is(Expr::Kind::Call) && c.kids[0].is_name("value");
    if ((!norm && !value) || c.arguments.size() != 1)
      e.fail(c.loc, "write clip = norm(1), of all gradients together, or clip = value(0.5), of each number");
    const std::string what = norm ? "the norm" : "the value";
    const double most = e.constant_real(e.evaluate(c.arguments[0].value, scope), what, c.loc);
    if (!(most > 0)) e.fail(c.loc, what + " to clip to is positive");
    return norm ? Clip{most, 0} : Clip{0, most};
  }

  // The updates of the block. Without `step` its own fields are the only one.
  void read_steps(const Block& block) {
    if (!out.steps.empty()) return read_named_steps(block);
    for (const char* needed : {"loss", "optimizer", "lr"})
      if (fields.count(needed) == 0)
        s.diagnostics.error(block.loc,
                            fmt::format("train {} has no field '{}'{}", block.name, needed,
                                        std::string_view(needed) == "lr" ? "; write lr = 1e-3" : ""));
    StepFields all;
    all.loc = block.loc;
    all.loss = field_of(fields, "loss"), all.optimizer = field_of(fields, "optimizer");
    all.lr = field_of(fields, "lr");
    out.steps.push_back(std::move(all));
  }

  // What a step does not say the block says for all of them.
  void read_named_steps(const Block& block) {
    if (const Expr* loss = field_of(fields, "loss"))
      s.diagnostics.error(
          loss->loc,
          fmt::format("a loss beside the steps {}: each step has a loss of its own", step_names()));
    for (StepFields& step : out.steps) {
      const Fields& own = step_fields.at(step.name);
      auto either = [&](const char* name) {
        const Expr* x = field_of(own, name);
        return x != nullptr ? x : field_of(fields, name);
      };
      auto needed = [&](const Expr* x, const char* field, const char* help) {
        if (x == nullptr)
          s.diagnostics.error(step.loc, fmt::format("step {} of train {} has no '{}'; {}", step.name,
                                                    block.name, field, help));
        return x;
      };
      if (const Expr* x = needed(field_of(own, "params"), "params", "write what it trains: params = D"))
        guarded([&] { step.params = patterns(*x); });
      step.loss = needed(field_of(own, "loss"), "loss", "each step has a loss of its own");
      step.optimizer = needed(either("optimizer"), "optimizer",
                              "write optimizer = adam{}, in the step or for all steps beside them");
      step.lr = needed(either("lr"), "lr", "write lr = 1e-3, in the step or for all steps beside them");
      if (own.count("lr") != 0) step.rate = "lr:" + step.name;
    }
  }

  void check_metric(const Keep& k, Loc loc) {
    if (k.split != "val" && k.split != "train")
      e.fail(loc, fmt::format("'{}' is no split that is measured after every epoch; there are val and train",
                              k.split));
    const std::vector<std::string>& known = out.spec.metrics;
    if (std::find(known.begin(), known.end(), k.metric) != known.end()) return;
    const std::string near = nearest(k.metric, known);
    e.fail(loc, fmt::format("'{}' is no metric of this block{}", k.metric,
                            near.empty() ? fmt::format("; there are {}", fmt::join(known, ", "))
                                         : fmt::format("; did you mean '{}'?", near)));
  }

  template <class F>
  void guarded(F f) {
    try {
      f();
    } catch (const CompileError& error) {
      e.report(error);
    }
  }

  void read(const Block& block) {
    collect(block);
    TrainSpec& t = out.spec;
    t.name = block.name;
    t.loc = block.loc;
    read_steps(block);
    for (const StepFields& step : out.steps) t.metrics.push_back(step.loss_name());
    for (const auto& [n, x] : out.metrics) t.metrics.push_back(n);
    for (StepFields& step : out.steps)
      guarded([&] {
        if (step.lr != nullptr && step.lr->is(Expr::Kind::Call) && step.lr->kids[0].is_name("plateau") &&
            !e.is_known("plateau", scope))
          plateau(step);
      });
    auto field = [&](const char* n) { return field_of(fields, n); };
    guarded([&] { t.batch = s.options.batch > 0 ? s.options.batch : integer("batch", 32, 1); });
    guarded([&] { t.epochs = integer("epochs", 1, 0); });
    guarded([&] { t.steps = integer("steps", 0, 0); });
    guarded([&] { t.seed = integer("seed", 0, 0); });
    guarded([&] { t.metric_rows = integer("metric_rows", t.metric_rows, 1); });
    guarded([&] { out.accumulate = t.accumulate = integer("accumulate", 1, 1); });
    guarded([&] {
      const Expr* x = field("ema");
      if (x == nullptr) return;
      out.ema = e.constant_real(e.evaluate(*x, scope), "ema", x->loc);
      if (!(out.ema > 0 && out.ema < 1))
        e.fail(x->loc, fmt::format("ema = {}: what the average keeps of itself in an update is between 0 and "
                                   "1; write ema = 0.999",
                                   out.ema));
    });
    guarded([&] {
      if (field("keep")) keep(*field("keep"));
    });
    guarded([&] {
      if (field("validate"))
        t.validate_every = every(*field("validate"), "validate = every(500)", false).steps;
    });
    guarded([&] {
      if (field("freeze")) freeze(*field("freeze"));
    });
    guarded([&] {
      if (field("stop")) t.stop = rule(*field("stop"), "patience");
    });
    for (StepFields& step : out.steps)
      guarded([&] {
        const Expr* own = step.name.empty() ? nullptr : field_of(step_fields.at(step.name), "clip");
        if (const Expr* c = own != nullptr ? own : field("clip")) step.clip = clip(*c);
      });
  }
};

}  // namespace

TrainFields read_train(const Block& block, Session& s, Elaborator& numbers, Scope& scope) {
  Reader r{s, numbers, scope, {}, {}};
  r.read(block);
  return std::move(r.out);
}

}  // namespace gradc::frontend
