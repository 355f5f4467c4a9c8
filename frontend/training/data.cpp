#include "frontend/training/data.h"

#include <algorithm>
#include <cmath>

#include "frontend/training/picture_changes.h"
#include "frontend/training/source_kinds.h"

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
    for (const auto& [name, set] : {std::pair("val", spec_.val), std::pair("test", spec_.test)})
      if (auto it = augmented_.find(set); it != augmented_.end())
        e_.diagnostics().error(
            it->second, fmt::format("'{}' is measured on what the files hold, and is augmented here; split "
                                    "first, then train = train |> augment(...)",
                                    name));
    for (int set : {spec_.train, spec_.val, spec_.test})
      if (auto it = texts_.find(set); it != texts_.end())
        e_.diagnostics().error(spec_.sources[static_cast<size_t>(it->second)].loc,
                               "a text is trained on in windows; write ... |> windows(128)");
    if (spec_.train < 0 && !e_.diagnostics().has_errors())
      e_.diagnostics().error(block.loc,
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
      e_.fail(e.loc, "a dataset is a source such as csv(...), or one |> shuffle(...) |> split(...)");
    const std::string& f = e.kids[0].text;
    if (const SourceKind* kind = source_kind(f)) return {source(e, *kind)};
    if (f == "only") return {only(e)};
    if (f == "shuffle") return {shuffle(e)};
    if (f == "split") return split(e);
    if (f == "windows") return windows(e);
    if (f == "augment") return {augment(e)};
    if (f == "buckets") return buckets(e);
    unknown_function(e.kids[0]);
  }

  [[noreturn]] void unknown_function(const Expr& name) {
    std::vector<std::string> known;
    for (const SourceKind& k : source_kinds()) known.emplace_back(k.name);
    known.insert(known.end(), {"only", "shuffle", "split", "windows", "augment", "buckets"});
    std::string list = known[0];
    for (size_t i = 1; i < known.size(); ++i) list += (i + 1 == known.size() ? " and " : ", ") + known[i];
    const std::string near = nearest(name.text, known);
    e_.fail(name.loc,
            fmt::format("unknown data function '{}'{}", name.text,
                        near.empty() ? "; there are " + list : fmt::format("; did you mean '{}'?", near)));
  }

  int add(DataOp op, int outputs = 1) {
    for (int i = 0; i < outputs; ++i) {
      const int set = spec_.datasets++;
      op.outputs.push_back(set);
      sources_.push_back(op.input < 0 ? op.source : sources_[static_cast<size_t>(op.input)]);
      if (op.kind == DataOp::Kind::Augment)
        augmented_.emplace(set, op.loc);
      else if (const auto it = augmented_.find(op.input); it != augmented_.end())
        augmented_.emplace(set, it->second);
    }
    spec_.ops.push_back(op);
    return op.outputs[0];
  }

  int source(const Expr& e, const SourceKind& kind) {
    DataOp op;
    op.kind = DataOp::Kind::Source;
    op.source = static_cast<int>(spec_.sources.size());
    op.loc = e.loc;
    spec_.sources.push_back(read_source(kind, e, e_, scope_));
    const int set = add(op);
    if (kind.fields == SourceKind::Fields::Windows) texts_[set] = op.source;
    return set;
  }

  int input(const Expr& e) {
    if (e.arguments.empty() || !e.arguments[0].name.empty())
      e_.fail(e.loc, fmt::format("{} needs a dataset: all |> {}(...)", e.kids[0].text, e.kids[0].text));
    const std::vector<int> sets = evaluate(e.arguments[0].value);
    if (sets.size() != 1) e_.fail(e.loc, "one dataset at a time");
    return sets[0];
  }

  // only(y = [0, 1, 2]): the rows whose y is one of these.
  int only(const Expr& e) {
    DataOp op;
    op.kind = DataOp::Kind::Only;
    op.input = input(e);
    op.loc = e.loc;
    if (e.arguments.size() != 2 || e.arguments[1].name.empty())
      e_.fail(e.loc, "only takes one field and the whole numbers that it may be: only(y = [0, 1, 2])");
    by_numbers(e.arguments[1], op);
    return add(op);
  }

  void by_numbers(const Argument& a, DataOp& op) {
    op.source = sources_[static_cast<size_t>(op.input)];
    const SourceSpec& source = spec_.sources[static_cast<size_t>(op.source)];
    if (source_kind(source.kind)->fields == SourceKind::Fields::Windows)
      e_.fail(a.loc, fmt::format("{} gives a text, and {} looks at numbers of rows", source.kind,
                                 op.kind == DataOp::Kind::Only ? "only" : "buckets"));
    check_field(source, a);
    op.field = a.name;
    const Value v = e_.evaluate(a.value, scope_);
    for (const Value& n : v.is(Kind::List) ? v.items : std::vector<Value>{v})
      op.values.push_back(e_.constant_int(n, fmt::format("a value of {}", a.name), a.value.loc));
  }

  // buckets(n = [4, 8, 12]): rows whose n is at most 4, above that at most 8, ... share batches.
  std::vector<int> buckets(const Expr& e) {
    if (e.arguments.size() != 2 || !e.arguments[0].name.empty() || e.arguments[1].name.empty())
      e_.fail(e.loc, "buckets takes a field of lengths and where each bucket ends: buckets(n = [4, 8, 12])");
    const Argument& a = e.arguments[1];
    std::vector<int> sets;
    for (int set : evaluate(e.arguments[0].value)) {
      DataOp op;
      op.kind = DataOp::Kind::Buckets;
      op.input = set;
      op.loc = a.value.loc;
      by_numbers(a, op);
      if (op.values.empty()) e_.fail(a.value.loc, "buckets end somewhere: buckets(n = [4, 8, 12])");
      for (size_t i = 0; i < op.values.size(); ++i)
        if (op.values[i] <= (i == 0 ? 0 : op.values[i - 1]))
          e_.fail(a.value.loc, fmt::format("a bucket that ends at {} behind one that ends at {}",
                                           op.values[i], i == 0 ? 0 : op.values[i - 1]));
      sets.push_back(add(op));
    }
    return sets;
  }

  int shuffle(const Expr& e) {
    DataOp op;
    op.kind = DataOp::Kind::Shuffle;
    op.input = input(e);
    op.loc = e.loc;
    if (texts_.count(op.input) != 0)
      e_.fail(e.loc,
              "the characters of a text keep their order; shuffle its windows: windows(128) |> shuffle()");
    for (size_t i = 1; i < e.arguments.size(); ++i) {
      if (!e.arguments[i].name.empty() && e.arguments[i].name != "seed")
        e_.fail(e.arguments[i].loc, fmt::format("shuffle has no argument '{}'", e.arguments[i].name));
      op.seed = e_.constant_int(e_.evaluate(e.arguments[i].value, scope_), "the seed", e.arguments[i].loc);
    }
    return add(op);
  }

  int augment(const Expr& e) {
    DataOp op;
    op.kind = DataOp::Kind::Augment;
    op.input = input(e);
    op.loc = e.loc;
    const SourceSpec& source = spec_.sources[static_cast<size_t>(sources_[static_cast<size_t>(op.input)])];
    for (size_t i = 1; i < e.arguments.size(); ++i) {
      const Argument& a = e.arguments[i];
      if (a.name.empty()) e_.fail(a.loc, "a change is of a field: augment(x = random_shift(2))");
      if (op.changes.count(a.name) != 0) e_.fail(a.loc, fmt::format("'{}' is given twice", a.name));
      check_augmented(source, a);
      op.changes.emplace(a.name, read_changes(a, e_, scope_));
    }
    if (op.changes.empty()) e_.fail(e.loc, "augment needs a field: augment(x = random_shift(2))");
    return add(op);
  }

  void check_augmented(const SourceSpec& source, const Argument& field) {
    if (source_kind(source.kind)->fields == SourceKind::Fields::Windows)
      e_.fail(field.loc, fmt::format("{} gives a text, and augment changes pictures", source.kind));
    check_field(source, field);
  }

  void check_field(const SourceSpec& source, const Argument& field) {
    std::vector<std::string> known;
    for (const FieldSpec& f : source.fields) known.push_back(f.name);
    if (std::find(known.begin(), known.end(), field.name) != known.end()) return;
    const std::string near = nearest(field.name, known);
    e_.fail(field.loc, fmt::format("'{}' is no field of this dataset; {}", field.name,
                                   near.empty() ? fmt::format("it has {}", fmt::join(known, ", "))
                                                : fmt::format("did you mean '{}'?", near)));
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
    for (size_t i = 0; i < op.parts.size(); ++i) {
      sets.push_back(first + static_cast<int>(i));
      if (auto it = texts_.find(op.input); it != texts_.end()) texts_[sets.back()] = it->second;
    }
    return sets;
  }

  // Windows of each part of a text, so that none reaches into the next part.
  std::vector<int> windows(const Expr& e) {
    if (e.arguments.empty() || !e.arguments[0].name.empty())
      e_.fail(e.loc, "windows needs a text: chars(\"input.txt\") |> windows(128)");
    const std::vector<int> from = evaluate(e.arguments[0].value);
    DataOp op;
    op.kind = DataOp::Kind::Windows;
    op.loc = e.loc;
    for (size_t i = 1; i < e.arguments.size(); ++i) {
      const Argument& a = e.arguments[i];
      if (!(a.name.empty() && i == 1) && a.name != "length" && a.name != "stride")
        e_.fail(a.loc, "windows takes a length and a stride: windows(128, stride=64)");
      const int64_t n = e_.constant_int(e_.evaluate(a.value, scope_), "a length", a.loc);
      if (n < 1) e_.fail(a.loc, fmt::format("windows are at least 1 long and apart, not {}", n));
      (a.name == "stride" ? op.stride : op.length) = n;
    }
    if (op.length == 0) e_.fail(e.loc, "windows need a length: windows(128)");
    if (op.stride == 0) op.stride = op.length;
    std::vector<int> sets;
    for (int set : from) {
      const auto text = texts_.find(set);
      if (text == texts_.end())
        e_.fail(e.loc, "windows are cut from a text: chars(...), bytes(...), tokens(...) or token_bins(...)");
      window_fields(spec_.sources[static_cast<size_t>(text->second)], op);
      op.input = set;
      sets.push_back(add(op));
      op.outputs.clear();
    }
    return sets;
  }

  void window_fields(SourceSpec& source, const DataOp& op) {
    const Type type{DType::I32, {Dim(op.length)}};
    if (!source.fields.empty() && source.fields[0].type != type)
      e_.fail(op.loc, fmt::format("windows of {} here, of {} elsewhere from the same text", op.length,
                                  source.fields[0].type->shape[0].str()));
    if (!source.fields.empty()) return;
    for (const char* name : {"x", "y"}) {  // y is one symbol on
      FieldSpec f;
      f.name = name, f.dtype = DType::I32, f.type = type, f.loc = op.loc;
      source.fields.push_back(std::move(f));
    }
  }

  Elaborator& e_;
  Scope& scope_;
  DataSpec spec_;
  std::map<std::string, std::vector<int>> names_;
  std::vector<int> sources_;      // of each dataset
  std::map<int, Loc> augmented_;  // datasets that are, or come from, an augmented one
  std::map<int, int> texts_;      // the source of each dataset that is a text not yet cut into windows
};

}  // namespace

DataSpec read_data(const Block& block, Elaborator& numbers, Scope& scope) {
  return DataReader(numbers, scope).run(block);
}

}  // namespace gradc::frontend
