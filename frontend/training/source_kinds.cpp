#include "frontend/training/source_kinds.h"

#include <algorithm>
#include <cmath>

namespace gradc::frontend {
namespace {

using Fields = SourceKind::Fields;

constexpr int kAnyNumber = 1000;

FieldSpec fixed(std::string name, DType dtype, std::vector<int64_t> shape) {
  FieldSpec f;
  f.name = std::move(name);
  f.dtype = dtype;
  f.type = Type{dtype, {}};
  for (int64_t d : shape) f.type->shape.push_back(Dim(d));
  return f;
}

// The model's input says what becomes of the files, else the first of them.
FieldSpec fixed_picture(std::string name) {
  FieldSpec f;
  f.name = std::move(name);
  f.form = "image";
  f.dtype = DType::U8;
  return f;
}

const std::vector<SourceKind>& table() {
  static const FieldForm column{.name = "column", .typed = true, .cells = true},
      columns{.name = "columns", .one = false, .typed = true, .cells = true},
      is_missing{.name = "is_missing", .one = false, .typed = true},
      label{.name = "label", .real = false, .cells = true},
      category{.name = "category", .real = false, .cells = true, .unknown = true},
      letters{.name = "letters", .real = false, .settings = {"length"}, .needed = "length"},
      audio{.name = "audio", .settings = {"length", "rate", "frame"}, .needed = "length"},
      length{.name = "length", .real = false, .settings = {"length"}},
      picture{.name = "image", .picture = true};
  static const FieldSpec image = fixed("x", DType::F32, {32, 32, 3}), label_of = fixed("y", DType::I32, {}),
                         coarse = fixed("coarse", DType::I32, {}), pixels = fixed_picture("x");
  static const std::vector<SourceKind> rows = {
      {"csv",
       1,
       1,
       Fields::Forms,
       {column, columns, label, category, is_missing, letters, length},
       {},
       "csv(\"rows.csv\", x = columns(except=\"y\"), y = column(\"y\"))"},
      {"idx", 0, 0, Fields::Texts, {}, {}, "idx(x = \"images.gz\", y = \"labels.gz\")"},
      {"npy", 0, 0, Fields::Texts, {}, {}, "npy(x = \"x.npy\", y = \"y.npy\")"},
      {"npz", 1, 1, Fields::Texts, {}, {}, "npz(\"data.npz\", x = \"x\", y = \"y\")"},
      {"safetensors", 1, 1, Fields::Texts, {}, {}, "safetensors(\"data.safetensors\", x = \"x\", y = \"y\")"},
      {"cifar10",
       1,
       kAnyNumber,
       Fields::Fixed,
       {},
       {image, label_of},
       "cifar10(\"data_batch_1.bin\", \"data_batch_2.bin\")"},
      {"cifar100", 1, kAnyNumber, Fields::Fixed, {}, {image, label_of, coarse}, "cifar100(\"train.bin\")"},
      {"chars", 1, 1, Fields::Windows, {}, {}, "chars(\"input.txt\") |> split(90%, 10%) |> windows(128)"},
      {"bytes", 1, 1, Fields::Windows, {}, {}, "bytes(\"input.txt\") |> split(90%, 10%) |> windows(128)"},
      {.name = "tokens",
       .least_paths = 1,
       .most_paths = 1,
       .fields = Fields::Windows,
       .usage = "tokens(\"input.txt\", tokenizer=\"tokenizer.json\") |> split(90%, 10%) |> windows(128)",
       .tokenizer = SourceKind::Tokenizer::Must},
      {.name = "token_bins",
       .least_paths = 1,
       .most_paths = kAnyNumber,
       .fields = Fields::Windows,
       .usage = "token_bins(\"train.bin\") |> windows(128), or token_bins(\"a.bin\", \"b.bin\", u32, "
                "tokenizer=\"tokenizer.json\")",
       .tokenizer = SourceKind::Tokenizer::May,
       .numbers = true},
      {"wav",
       1,
       1,
       Fields::Forms,
       {audio, length, label, category, column, letters},
       {},
       "wav(\"train.tsv\", x = audio(\"file\", length=8000), y = label(\"transcript\"))"},
      {"image_folder",
       1,
       1,
       Fields::Fixed,
       {},
       {pixels, label_of},
       "image_folder(\"pictures\", fit=crop)",
       SourceKind::Tokenizer::None,
       false,
       true},
      {"image_table",
       1,
       1,
       Fields::Forms,
       {picture, label, category, column, columns, letters, length},
       {},
       "image_table(\"train.csv\", x = image(\"file\"), y = label(\"kind\"))"},
      {"points", 0, 0, Fields::Drawn, {}, {}, "points(10000, x = uniform(0, 1), seed=1)"},
  };
  return rows;
}

class SourceReader {
 public:
  SourceReader(const SourceKind& kind, Elaborator& e, Scope& scope) : kind_(kind), e_(e), scope_(scope) {}

  SourceSpec run(const Expr& call) {
    SourceSpec s;
    s.kind = kind_.name;
    s.loc = call.loc;
    for (const Argument& a : call.arguments) {
      if (kind_.fields == Fields::Drawn && (a.name.empty() || a.name == "seed"))
        number(a, s);
      else if (a.name == "tokenizer" && kind_.tokenizer != SourceKind::Tokenizer::None)
        s.tokenizer = text(a.value, "the tokenizer"), s.tokenizer_loc = a.value.loc;
      else if (a.name.empty() && kind_.numbers && (a.value.is_name("u16") || a.value.is_name("u32")))
        s.token_bytes = a.value.is_name("u16") ? 2 : 4;
      else if (a.name.empty() && kind_.numbers && a.value.is(Expr::Kind::Name) &&
               !e_.is_known(a.value.text, scope_))
        misuse(a.loc);
      else if (a.name == "fit" && has_pictures())
        fit_ = fit(a.value);
      else if (!a.name.empty())
        s.fields.push_back(field(a));
      else if (static_cast<int>(s.paths.size()) == kind_.most_paths)
        misuse(a.loc);
      else
        s.paths.push_back(text(a.value, "the path"));
    }
    if (static_cast<int>(s.paths.size()) < kind_.least_paths)
      e_.fail(call.loc, fmt::format("{} needs a path: {}", kind_.name, kind_.usage));
    if (kind_.tokenizer == SourceKind::Tokenizer::Must && s.tokenizer.empty())
      e_.fail(call.loc, fmt::format("{} needs a tokenizer: {}", kind_.name, kind_.usage));
    if (s.paths.size() == 1) s.loc = call.arguments[path_argument(call)].value.loc;
    for (FieldSpec f : kind_.fixed) {
      f.loc = call.loc;
      f.fit = fit_;
      if (is_float(f.dtype)) f.type->dtype = f.dtype = e_.float_type();
      s.fields.push_back(std::move(f));
    }
    if (s.fields.empty() && kind_.fields != Fields::Windows)
      e_.fail(call.loc, fmt::format("a source needs a field: {}", kind_.usage));
    if (kind_.fields == Fields::Drawn && s.rows == 0)
      e_.fail(call.loc, fmt::format("points needs a number of rows: {}", kind_.usage));
    return s;
  }

 private:
  [[noreturn]] void misuse(Loc loc) const { e_.fail(loc, fmt::format("write {}", kind_.usage)); }

  bool has_pictures() const {
    return std::any_of(kind_.fixed.begin(), kind_.fixed.end(),
                       [](const FieldSpec& f) { return f.form == "image"; });
  }

  PictureFit fit(const Expr& e) const {
    for (const auto& [word, fit] : {std::pair{"crop", PictureFit::Crop}, {"stretch", PictureFit::Stretch}})
      if (e.is_name(word)) return fit;
    e_.fail(e.loc,
            "pictures of another size are refused unless they are scaled: fit=crop scales height and width "
            "alike and cuts off what stands over, fit=stretch scales each by itself");
  }

  static size_t path_argument(const Expr& call) {
    const auto& all = call.arguments;
    return static_cast<size_t>(
        std::find_if(all.begin(), all.end(), [](const Argument& a) { return a.name.empty(); }) - all.begin());
  }

  std::string text(const Expr& e, std::string_view what) {
    const Value v = e_.evaluate(e, scope_);
    if (!v.is(Value::Kind::String)) e_.fail(e.loc, fmt::format("{} is a text in quotes", what));
    return v.text;
  }

  FieldSpec field(const Argument& a) {
    if (kind_.fields == Fields::Fixed || kind_.fields == Fields::Windows) misuse(a.loc);
    FieldSpec f;
    f.name = a.name;
    f.loc = a.value.loc;
    f.dtype = e_.float_type();
    if (kind_.fields == Fields::Drawn)
      uniform(a.value, f);
    else if (kind_.fields == Fields::Texts)
      f.texts.push_back(text(a.value, kind_.most_paths > 0 ? "the member" : "the path"));
    else
      form(a.value, f);
    return f;
  }

  // Of drawn points: how many, and from which numbers.
  void number(const Argument& a, SourceSpec& s) {
    constexpr int64_t kMostRows = int64_t(1) << 32;
    const bool rows = a.name.empty();
    if (rows && s.rows != 0) misuse(a.loc);
    const int64_t n =
        e_.constant_int(e_.evaluate(a.value, scope_), rows ? "the number of rows" : "the seed", a.loc);
    if (rows && (n < 1 || n > kMostRows)) e_.fail(a.loc, fmt::format("points: {} rows", n));
    (rows ? s.rows : s.seed) = n;
  }

  // uniform(low, high), or several numbers a row: uniform(low, high, 2)
  void uniform(const Expr& e, FieldSpec& f) {
    const bool call = e.is(Expr::Kind::Call) && e.kids[0].is_name("uniform");
    if (!call || e.arguments.size() < 2 || e.arguments.size() > 3) misuse(e.loc);
    for (const Argument& a : e.arguments)
      if (!a.name.empty()) misuse(a.loc);
    auto real = [&](size_t i) {
      const Expr& x = e.arguments[i].value;
      return e_.constant_real(e_.evaluate(x, scope_), "a bound", x.loc);
    };
    f.low = real(0), f.high = real(1);
    if (!(f.low < f.high) || !std::isfinite(f.high - f.low))
      e_.fail(e.loc, fmt::format("uniform({:g}, {:g}): the first bound is below the second", f.low, f.high));
    f.type = Type{f.dtype, {}};
    if (e.arguments.size() < 3) return;
    const Argument& a = e.arguments[2];
    const int64_t n = e_.constant_int(e_.evaluate(a.value, scope_), "a number of values", a.loc);
    if (n < 1 || n > (int64_t(1) << 20)) e_.fail(a.loc, fmt::format("uniform: {} values a row", n));
    f.type->shape.push_back(Dim(n));
  }

  const FieldForm& form_of(const Expr& e) {
    if (e.is(Expr::Kind::Call) && e.kids[0].is(Expr::Kind::Name))
      for (const FieldForm& f : kind_.forms)
        if (f.name == e.kids[0].text) return f;
    std::string list;
    for (size_t i = 0; i < kind_.forms.size(); ++i)
      list += fmt::format("{}{}(\"name\"{})",
                          i == 0                        ? ""
                          : i + 1 == kind_.forms.size() ? " or "
                                                        : ", ",
                          kind_.forms[i].name, kind_.forms[i].one ? "" : ", ...");
    e_.fail(e.loc, fmt::format("a field of {} is {}; write {}", kind_.name, list, kind_.usage));
  }

  void form(const Expr& e, FieldSpec& f) {
    const FieldForm& row = form_of(e);
    f.form = row.name;
    if (!row.real) f.dtype = DType::I32;
    if (row.picture) f.dtype = DType::U8;
    for (const Argument& a : e.arguments) argument(row, a, f);
    if (row.one && f.texts.size() != 1)
      e_.fail(e.loc,
              fmt::format("{} takes one name: {}(\"y\"{})", row.name, row.name, row.typed ? ", i32" : ""));
    if (!f.texts.empty() && !f.except.empty())
      e_.fail(e.loc, fmt::format("{} takes names or except=, not both", row.name));
    if (!row.needed.empty() && f.numbers.count(std::string(row.needed)) == 0)
      e_.fail(e.loc, fmt::format("{} needs {}=: {}", row.name, row.needed, kind_.usage));
    if (const auto frame = f.numbers.find("frame"); frame != f.numbers.end())
      if (const int64_t n = f.numbers.at("length"); n % frame->second != 0)
        e_.fail(e.loc, fmt::format("{} samples are no whole frames of {}; write length={}", n, frame->second,
                                   (n / frame->second + 1) * frame->second));
    check_missing(row, e, f);
    f.type = type_of(row, f);
  }

  void argument(const FieldForm& row, const Argument& a, FieldSpec& f) {
    const auto type = a.value.is(Expr::Kind::Name) ? dtype_named(a.value.text) : std::nullopt;
    if (a.name == "except" && !row.one) {
      if (a.value.is(Expr::Kind::List))
        for (const Expr& x : a.value.kids) f.except.push_back(text(x, "a column"));
      else
        f.except.push_back(text(a.value, "a column"));
    } else if (a.name == "missing" && row.cells) {
      missing(row, a.value, f);
    } else if (a.name == "unknown" && row.unknown) {
      if (e_.constant_int(e_.evaluate(a.value, scope_), "the number of unknown categories", a.loc) != 0)
        e_.fail(a.loc, "unknown categories are number 0, before the known ones: unknown=0");
      f.unknown = true;
    } else if (a.name == "fit" && row.picture) {
      f.fit = fit(a.value);
    } else if (type && row.typed) {
      f.dtype = *type;
    } else if (a.name.empty()) {
      f.texts.push_back(text(a.value, "a column"));
    } else {
      if (std::find(row.settings.begin(), row.settings.end(), a.name) == row.settings.end())
        e_.fail(a.loc, fmt::format("{} has no argument '{}'", row.name, a.name));
      const int64_t n = e_.constant_int(e_.evaluate(a.value, scope_), a.name, a.loc);
      if (n < 1) e_.fail(a.loc, fmt::format("{} is at least 1, not {}", a.name, n));
      f.numbers[a.name] = n;
    }
  }

  // drop, mean, median, unknown, a number or a category
  void missing(const FieldForm& row, const Expr& e, FieldSpec& f) {
    using Policy = MissingCells::Policy;
    const bool names = !row.real;
    if (e.is(Expr::Kind::Name))
      for (const auto& [word, policy] : {std::pair{"refuse", Policy::Refuse},
                                         {"drop", Policy::Drop},
                                         {"mean", Policy::Mean},
                                         {"median", Policy::Median},
                                         {"unknown", Policy::Unknown}})
        if (e.text == word) {
          f.missing.policy = policy;
          if (f.missing.fitted() ? !names : policy != Policy::Unknown || row.unknown) return;
          e_.fail(e.loc, fmt::format("{} has no '{}'; {}", row.name, word, usage_of_missing(row)));
        }
    const Value v =
        e.is(Expr::Kind::Name) && !e_.is_known(e.text, scope_) ? Value{} : e_.evaluate(e, scope_);
    const bool text = v.is(Value::Kind::String);
    if (text != names || (text && v.text.empty()) ||
        !(text || v.is(Value::Kind::Integer) || v.is(Value::Kind::Real)))
      e_.fail(e.loc, usage_of_missing(row));
    f.missing.policy = text ? Policy::Name : Policy::Fill;
    if (text)
      f.missing.name = v.text;
    else
      f.missing.fills = {e_.constant_real(v, "what fills missing cells", e.loc)};
  }

  static std::string usage_of_missing(const FieldForm& row) {
    if (row.real)
      return "missing cells of numbers are refused, dropped with their row or filled: missing=drop, "
             "missing=mean, missing=median, missing=0";
    return fmt::format(
        "missing cells of names are refused, dropped with their row or made a {}: "
        "missing=drop, missing=\"none\"{}",
        row.name, row.unknown ? ", or missing=unknown beside unknown=0" : "");
  }

  void check_missing(const FieldForm& row, const Expr& e, const FieldSpec& f) {
    if (f.missing.policy == MissingCells::Policy::Unknown && !f.unknown)
      e_.fail(e.loc,
              fmt::format("missing=unknown needs a number for unknown categories: {}(\"{}\", unknown=0, "
                          "missing=unknown)",
                          row.name, f.texts[0]));
  }

  static std::optional<Type> type_of(const FieldForm& row, const FieldSpec& f) {
    if (row.picture) return std::nullopt;
    Type t{f.dtype, {}};
    // All columns of a file, or patterns of them.
    auto open = [](const std::string& s) { return s.find('*') != s.npos || s.find("..") != s.npos; };
    if (!row.one && (f.texts.empty() || std::any_of(f.texts.begin(), f.texts.end(), open)))
      return std::nullopt;
    if (!row.one) t.shape.push_back(Dim(static_cast<int64_t>(f.texts.size())));
    if (row.needed.empty()) return t;
    const int64_t n = f.numbers.at(std::string(row.needed));
    const auto frame = f.numbers.find("frame");
    if (frame == f.numbers.end())
      t.shape.push_back(Dim(n));
    else
      t.shape = {Dim(n / frame->second), Dim(frame->second)};
    return t;
  }

  const SourceKind& kind_;
  Elaborator& e_;
  Scope& scope_;
  PictureFit fit_ = PictureFit::Exact;  // of the pictures of a source whose fields its format says
};

}  // namespace

std::span<const SourceKind> source_kinds() { return table(); }

const SourceKind* source_kind(std::string_view name) {
  for (const SourceKind& k : table())
    if (k.name == name) return &k;
  return nullptr;
}

SourceSpec read_source(const SourceKind& kind, const Expr& call, Elaborator& e, Scope& scope) {
  return SourceReader(kind, e, scope).run(call);
}

}  // namespace gradc::frontend
