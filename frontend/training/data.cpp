#include "frontend/training/data.h"

#include <algorithm>
#include <cmath>

namespace gradc::frontend {
namespace {

using Kind = Value::Kind;

class DataReader {
 public:
  DataReader(Elaborator& e, Scope& scope) : e_(e), scope_(scope) {}

  DataSpec run(const Block& block) {
    spec_.name = block.name;
    spec_.loc = block.loc;
    for (const Stmt& st : block.body) {
      try {
        statement(st);
      } catch (const CompileError& error) {
        e_.report(error);
      }
    }
    auto split = [&](const char* name) {
      return names_.count(name) != 0 && names_[name].size() == 1 ? names_[name][0] : -1;
    };
    spec_.train = split("train"), spec_.val = split("val"), spec_.test = split("test");
    if (spec_.train < 0 && !e_.session().diagnostics.has_errors())
      e_.session().diagnostics.error(block.loc,
                                     fmt::format("data {} has no split 'train'; write train = csv(...), or "
                                                 "train, val, test = ... |> split(70%, 10%, 20%)",
                                                 block.name));
    return std::move(spec_);
  }

 private:
  void statement(const Stmt& st) {
    if (st.kind != Stmt::Kind::Assign || st.op != "=" || st.values.size() != 1)
      e_.fail(st.loc, "a data block binds names: train = csv(...), or train, val = all |> split(90%, 10%)");
    const std::vector<int> sets = evaluate(st.values[0]);
    if (sets.size() != st.targets.size())
      e_.fail(st.loc,
              fmt::format("{} names on the left, {} datasets on the right", st.targets.size(), sets.size()));
    for (size_t i = 0; i < sets.size(); ++i) {
      if (st.targets[i].type || st.targets[i].subscripts)
        e_.fail(st.targets[i].loc, "a dataset has a plain name");
      names_[st.targets[i].name] = {sets[i]};
    }
  }

  std::vector<int> evaluate(const Expr& e) {
    if (e.is(Expr::Kind::Name)) {
      auto it = names_.find(e.text);
      if (it != names_.end()) return it->second;
      std::vector<std::string> known;
      for (const auto& [n, s] : names_) known.push_back(n);
      const std::string near = nearest(e.text, known);
      e_.fail(e.loc, fmt::format("'{}' is no dataset of this block{}", e.text,
                                 near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
    }
    if (!e.is(Expr::Kind::Call) || !e.kids[0].is(Expr::Kind::Name))
      e_.fail(e.loc, "a dataset is csv(...), idx(...), or one of them |> shuffle(...) |> split(...)");
    const std::string& f = e.kids[0].text;
    if (f == "csv" || f == "idx") return {source(e, f == "csv")};
    if (f == "shuffle") return {shuffle(e)};
    if (f == "split") return split(e);
    const std::string near = nearest(f, {"csv", "idx", "shuffle", "split"});
    for (const char* later : {"augment", "windows", "chars", "token_bins", "npy"})
      if (f == later) e_.fail(e.kids[0].loc, fmt::format("'{}' is not available yet", f));
    e_.fail(e.kids[0].loc, fmt::format("unknown data function '{}'{}", f,
                                       near.empty() ? "; there are csv, idx, shuffle and split"
                                                    : fmt::format("; did you mean '{}'?", near)));
  }

  int add(DataOp op, int outputs = 1) {
    for (int i = 0; i < outputs; ++i) op.outputs.push_back(spec_.datasets++);
    spec_.ops.push_back(op);
    return op.outputs[0];
  }

  std::string text(const Expr& e, std::string_view what) {
    const Value v = e_.evaluate(e, scope_);
    if (!v.is(Kind::String)) e_.fail(e.loc, fmt::format("{} is a text in quotes", what));
    return v.text;
  }

  int source(const Expr& e, bool csv) {
    SourceSpec s;
    s.kind = csv ? SourceSpec::Kind::Csv : SourceSpec::Kind::Idx;
    s.loc = e.loc;
    for (const Argument& a : e.arguments) {
      if (a.name.empty()) {
        if (!csv || !s.path.empty())
          e_.fail(a.loc, csv ? "csv takes one path, then fields: x = columns(...), y = column(...)"
                             : "idx takes fields: x = \"images.gz\", y = \"labels.gz\"");
        s.path = text(a.value, "the path");
        s.loc = a.value.loc;
        continue;
      }
      FieldSpec f;
      f.name = a.name;
      f.loc = a.value.loc;
      if (csv)
        column(a.value, f);
      else
        f.path = text(a.value, "the path");
      s.fields.push_back(std::move(f));
    }
    if (csv && s.path.empty())
      e_.fail(e.loc, "csv needs a path: csv(\"rows.csv\", x = columns(except=\"y\"), y = column(\"y\"))");
    if (s.fields.empty()) e_.fail(e.loc, "a source needs a field, such as x = columns(except=\"y\")");
    DataOp op;
    op.kind = DataOp::Kind::Source;
    op.source = static_cast<int>(spec_.sources.size());
    op.loc = e.loc;
    spec_.sources.push_back(std::move(s));
    return add(op);
  }

  void column(const Expr& e, FieldSpec& f) {
    const bool one = e.is(Expr::Kind::Call) && e.kids[0].is_name("column"),
               many = e.is(Expr::Kind::Call) && e.kids[0].is_name("columns");
    if (!one && !many)
      e_.fail(e.loc, "a field of csv is column(\"name\"), columns(\"a\", \"b\") or columns(except=\"name\")");
    f.scalar = one;
    f.dtype = e_.float_type();
    for (const Argument& a : e.arguments) {
      const auto type = a.value.is(Expr::Kind::Name) ? dtype_named(a.value.text) : std::nullopt;
      if (a.name == "except") {
        const std::vector<const Expr*> list =
            a.value.is(Expr::Kind::List) ? pointers(a.value.kids) : std::vector<const Expr*>{&a.value};
        for (const Expr* x : list) f.except.push_back(text(*x, "a column"));
        f.all_columns = true;
      } else if (type) {
        f.dtype = *type;
      } else if (a.name.empty()) {
        f.columns.push_back(text(a.value, "a column"));
      } else {
        e_.fail(a.loc, fmt::format("{} has no argument '{}'", e.kids[0].text, a.name));
      }
    }
    if (one && f.columns.size() != 1) e_.fail(e.loc, "column takes one name: column(\"y\", i32)");
    if (many && f.columns.empty()) f.all_columns = true;
  }

  static std::vector<const Expr*> pointers(const std::vector<Expr>& list) {
    std::vector<const Expr*> out;
    for (const Expr& e : list) out.push_back(&e);
    return out;
  }

  int input(const Expr& e) {
    if (e.arguments.empty() || !e.arguments[0].name.empty())
      e_.fail(e.loc, fmt::format("{} needs a dataset: all |> {}(...)", e.kids[0].text, e.kids[0].text));
    const std::vector<int> sets = evaluate(e.arguments[0].value);
    if (sets.size() != 1) e_.fail(e.loc, "one dataset at a time");
    return sets[0];
  }

  int shuffle(const Expr& e) {
    DataOp op;
    op.kind = DataOp::Kind::Shuffle;
    op.input = input(e);
    op.loc = e.loc;
    for (size_t i = 1; i < e.arguments.size(); ++i) {
      if (!e.arguments[i].name.empty() && e.arguments[i].name != "seed")
        e_.fail(e.arguments[i].loc, fmt::format("shuffle has no argument '{}'", e.arguments[i].name));
      op.seed = e_.constant_int(e_.evaluate(e.arguments[i].value, scope_), "the seed", e.arguments[i].loc);
    }
    return add(op);
  }

  std::vector<int> split(const Expr& e) {
    DataOp op;
    op.kind = DataOp::Kind::Split;
    op.input = input(e);
    op.loc = e.loc;
    bool percent = false, counts = false;
    double total = 0;
    for (size_t i = 1; i < e.arguments.size(); ++i) {
      const Expr& part = e.arguments[i].value;
      const double n = e_.constant_real(e_.evaluate(part, scope_), "a part", part.loc);
      (part.percent || (n > 0 && n < 1) ? percent : counts) = true;
      if (n <= 0) e_.fail(part.loc, "a part of a split is positive");
      op.parts.push_back(n);
      total += n;
    }
    if (percent == counts)
      e_.fail(e.loc,
              "the parts of a split are all shares, split(70%, 10%, 20%), or all counts, split(55000, 5000)");
    op.fractions = percent;
    if (percent && std::abs(total - 1) > 1e-9)
      e_.fail(e.loc, fmt::format("the parts of the split add up to {:g} %, not 100 %", total * 100));
    const int first = add(op, static_cast<int>(op.parts.size()));
    std::vector<int> sets;
    for (size_t i = 0; i < op.parts.size(); ++i) sets.push_back(first + static_cast<int>(i));
    return sets;
  }

  Elaborator& e_;
  Scope& scope_;
  DataSpec spec_;
  std::map<std::string, std::vector<int>> names_;
};

}  // namespace

DataSpec read_data(const Block& block, Elaborator& numbers, Scope& scope) {
  return DataReader(numbers, scope).run(block);
}

}  // namespace gradc::frontend
