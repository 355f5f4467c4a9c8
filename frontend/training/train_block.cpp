#include "frontend/training/train_block.h"

#include <algorithm>

#include "frontend/syntax/parser.h"

namespace gradc::frontend {
namespace {

using Kind = Value::Kind;
const std::vector<std::string> kFields = {"loss", "optimizer", "lr",   "batch", "epochs",   "steps",
                                          "seed", "keep",      "stop", "clip",  "validate", "freeze"};
const std::vector<std::string> kLater = {"accumulate", "sample", "skip_if"};

struct Reader {
  Session& s;
  Elaborator& e;
  Scope& scope;
  std::map<std::string, const Expr*> fields;
  TrainFields out;

  void collect(const Block& block) {
    for (const Stmt& st : block.body) {
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
    for (const Override& o : s.options.sets) {
      const std::string name = o.name.rfind("train.", 0) == 0 ? o.name.substr(6) : o.name;
      const uint32_t file = s.sources.add("--set " + o.name, o.value);
      s.overrides.push_back(parse_expression(s.sources, file, s.diagnostics));
      add(name, &s.overrides.back(), {file, 0, static_cast<uint32_t>(o.value.size())}, true);
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
        if (!a.value.is(Expr::Kind::Member) || !a.value.kids[0].is(Expr::Kind::Name))
          e.fail(a.value.loc, "write a metric of a split: val.accuracy");
        k.split = a.value.kids[0].text;
        k.metric = a.value.text;
        k.maximize = a.name == "max";
        check_metric(k, a.value.loc);
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
      out.freeze.push_back({p.text, x.loc});
    }
  }

  void check_metric(const Keep& k, Loc loc) {
    if (k.split != "val" && k.split != "train")
      e.fail(loc, fmt::format("'{}' is no split that is measured after every epoch; there is val", k.split));
    if (k.split == "train") e.fail(loc, "the choice by a metric of train is not available yet; use val");
    std::vector<std::string> known = {"loss"};
    for (const auto& [n, x] : out.metrics) known.push_back(n);
    if (std::find(known.begin(), known.end(), k.metric) != known.end()) return;
    const std::string near = nearest(k.metric, known);
    e.fail(loc, fmt::format("'{}' is no metric of this block{}", k.metric,
                            near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
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
    for (const char* needed : {"loss", "optimizer", "lr"})
      if (fields.count(needed) == 0)
        s.diagnostics.error(block.loc,
                            fmt::format("train {} has no field '{}'{}", block.name, needed,
                                        std::string_view(needed) == "lr" ? "; write lr = 1e-3" : ""));
    auto field = [&](const char* n) { return fields.count(n) != 0 ? fields[n] : nullptr; };
    out.loss = field("loss"), out.optimizer = field("optimizer"), out.lr = field("lr");
    guarded([&] { t.batch = s.options.batch > 0 ? s.options.batch : integer("batch", 32, 1); });
    guarded([&] { t.epochs = integer("epochs", 1, 0); });
    guarded([&] { t.steps = integer("steps", 0, 0); });
    guarded([&] { t.seed = integer("seed", 0, 0); });
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
    guarded([&] {
      const Expr* c = field("clip");
      if (c == nullptr) return;
      if (!c->is(Expr::Kind::Call) || !c->kids[0].is_name("norm") || c->arguments.size() != 1)
        e.fail(c->loc, "write clip = norm(1)");
      out.clip = e.constant_real(e.evaluate(c->arguments[0].value, scope), "the norm", c->loc);
      if (!(out.clip > 0)) e.fail(c->loc, "the norm to clip to is positive");
    });
    t.metrics = {"loss"};
    for (const auto& [n, x] : out.metrics) t.metrics.push_back(n);
  }
};

}  // namespace

TrainFields read_train(const Block& block, Session& s, Elaborator& numbers, Scope& scope) {
  Reader r{s, numbers, scope, {}, {}};
  r.read(block);
  return std::move(r.out);
}

}  // namespace gradc::frontend
