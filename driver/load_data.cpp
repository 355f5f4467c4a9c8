#include "driver/load_data.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <numeric>

#include "driver/field_checks.h"
#include "driver/fit_fills.h"
#include "runtime/error.h"
#include "runtime/shuffle.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;
using frontend::DataOp;
using frontend::FieldSpec;
using frontend::SourceSpec;

SourceRequest request_of(const SourceSpec& s, const DataPlaces& places,
                         std::function<std::optional<Type>(const std::string&)> input) {
  return {s,
          [&places](const std::string& path, Loc loc) { return find_data(path, places, loc); },
          [&places](const std::string& path, Loc loc) { return find_data(path, places, loc, true); },
          std::move(input),
          nullptr,
          false};
}

// A dataset under way: rows, or the part of a text that is not yet, or was, cut into windows.
struct Set {
  int source = -1;
  runtime::Split split;
  int64_t begin = 0, end = 0;  // of a text
  bool text = false;
};

class Loader {
 public:
  Loader(const frontend::Unit& unit, const DataPlaces& places, const Sources& sources)
      : unit_(unit), places_(places), sources_(sources) {}

  LoadedData run() {
    const frontend::DataSpec& spec = *unit_.data;
    sets_.resize(static_cast<size_t>(spec.datasets));
    read_.resize(spec.sources.size());
    data_.resize(spec.sources.size());
    open_.resize(spec.sources.size());
    for (const DataOp& op : spec.ops) carry_out(op);
    for (const DataOp& op : spec.ops)
      for (size_t i = 0; i < op.outputs.size(); ++i) check_rows(op, i);
    fit_vocabularies();
    fit_fills();
    for (const SourceData& read : read_)
      out_.remarks.insert(out_.remarks.end(), read.remarks.begin(), read.remarks.end());
    out_.splits = {split_of(spec.train), split_of(spec.val), split_of(spec.test)};
    if (unit_.carries())
      for (auto [split, name] :
           {std::pair{&out_.splits.train, "train"}, {&out_.splits.val, "val"}, {&out_.splits.test, "test"}})
        follow_on(*split, name);
    for (auto& d : data_)
      if (d) out_.sources.push_back(std::move(d));
    return std::move(out_);
  }

 private:
  void carry_out(const DataOp& op) {
    switch (op.kind) {
      case DataOp::Kind::Source:
        return load(op);
      case DataOp::Kind::Only:
        return only(op);
      case DataOp::Kind::Shuffle:
        return shuffle(op);
      case DataOp::Kind::Split:
        return split(op);
      case DataOp::Kind::Windows:
        return windows(op);
      case DataOp::Kind::Augment:
        return augment(op);
      case DataOp::Kind::Buckets:
        return buckets(op);
    }
  }
  Set& set(int n) { return sets_[static_cast<size_t>(n)]; }

  runtime::Split split_of(int n) {
    if (n < 0) return {};
    const Set& s = set(n);
    const auto source = static_cast<size_t>(s.source);
    runtime::Split split = s.split;
    if (split.buckets.extents.empty())
      split.buckets = one_bucket(open_[source], unit_, unit_.data->sources[source].loc);
    return split;
  }

  void load(const DataOp& op) {
    const auto number = static_cast<size_t>(op.source);
    const SourceSpec& s = unit_.data->sources[number];
    SourceData& read = read_[number];
    auto input = [&](const std::string& field) { return input_type(unit_, field); };
    try {
      read = source_reader(s.kind).read(request_of(s, places_, input));
    } catch (const runtime::Error& e) {
      throw CompileError(s.loc, e.what());
    }
    data_[number] = std::make_unique<runtime::Dataset>(std::move(read.data));
    for (const auto& [field, columns] : read.columns) out_.columns[field] = columns;
    for (const FieldSpec& f : s.fields) check_field(s, f, read, *data_[number], open_[number]);
    Set& all = set(op.outputs[0]);
    all.source = op.source;
    all.split.data = data_[number].get();
    all.end = data_[number]->rows;
    all.text = !data_[number]->windows.empty();
    if (all.text) return;
    all.split.rows.resize(static_cast<size_t>(all.end));
    std::iota(all.split.rows.begin(), all.split.rows.end(), 0);
    if (read.names.empty()) read.place = nullptr;  // lets go of the text of a table
  }

  void check_field(const SourceSpec& s, const FieldSpec& f, const SourceData& read,
                   const runtime::Dataset& data, OpenAxis& open) {
    const frontend::Input* in = input_named(unit_, f.name);
    if (in == nullptr) return;
    check_shape(*in, f, read, data, sources_, open);
    if (const std::string p = class_problem(*in, read, data); !p.empty()) throw CompileError(s.loc, p);
  }

  // Names that the rows of the training split hold, of one field in all sources.
  std::vector<std::string> names_in_training(const std::string& field) {
    const Set& train = set(unit_.data->train);
    const SourceData& read = read_[static_cast<size_t>(train.source)];
    const auto it = read.names.find(field);
    if (it == read.names.end()) return {};
    const runtime::Dataset& data = *train.split.data;
    std::vector<bool> used(it->second.size());
    auto mark = [&](const runtime::Array& ids, int64_t i) {
      used[static_cast<size_t>(ids.whole_at(i))] = true;
    };
    if (field.empty())
      for (int64_t i = train.begin; i < train.end; ++i) mark(data.sequence, i);
    else
      for (int64_t row : train.split.rows) {
        const runtime::Array& ids = data.fields.at(field);
        const int64_t width = ids.count() / data.rows;
        for (int64_t i = row * width; i < (row + 1) * width; ++i) mark(ids, i);
      }
    std::vector<std::string> names;
    for (size_t i = 0; i < used.size(); ++i)
      if (used[i]) names.push_back(it->second[i]);
    std::sort(names.begin(), names.end());
    const bool first_is_none = read.unknown.count(field) + read.padded.count(field) != 0;
    if (first_is_none && (names.empty() || !names[0].empty())) names.insert(names.begin(), "");
    return names;
  }

  void fit_vocabularies() {
    std::map<std::string, std::vector<std::string>> fitted;
    for (size_t i = 0; i < read_.size(); ++i) {
      if (!data_[i]) continue;
      for (auto& [field, names] : read_[i].names) {
        auto [at, fresh] = fitted.try_emplace(field);
        if (fresh) at->second = names_in_training(field);
        apply(at->second, field, i);
      }
      if (read_[i].raw_bytes)
        for (const auto& [name, window] : data_[i]->windows) out_.vocabulary[name] = {"bytes"};
      if (!read_[i].tokenizer.empty()) keep_tokenizer(i);
    }
  }

  // One for all sources, and once in the weights: the labels are the same text, one token on.
  void keep_tokenizer(size_t source) {
    const SourceSpec& spec = unit_.data->sources[source];
    for (const auto& [name, window] : data_[source]->windows) {
      const frontend::Input* in = input_named(unit_, name);
      if (in == nullptr) continue;
      if (in->classes > 0 && read_[source].tokens > in->classes)
        throw CompileError(spec.tokenizer_loc,
                           fmt::format("{} has {} tokens, but the model needs 0..{} as {}", spec.tokenizer,
                                       read_[source].tokens, in->classes - 1, name));
      if (!in->model_input) continue;
      const auto [at, fresh] = out_.tokenizers.emplace(name, read_[source].tokenizer);
      if (at->second != read_[source].tokenizer)
        throw CompileError(spec.tokenizer_loc,
                           fmt::format("{} is another tokenizer than that of the source before, so the same "
                                       "numbers are other tokens; one file serves all",
                                       spec.tokenizer));
    }
  }

  // What the training split says holds for all sources, so its source comes first.
  void fit_fills() {
    const Set& train = set(unit_.data->train);
    std::vector<size_t> order = {static_cast<size_t>(train.source)};
    for (size_t i = 0; i < read_.size(); ++i)
      if (data_[i] && i != order[0]) order.push_back(i);
    for (size_t i : order)
      for (const FieldSpec& f : unit_.data->sources[i].fields) fit_fill(f, i);
  }

  void fit_fill(const FieldSpec& f, size_t source) {
    const std::vector<std::string>& columns = read_[source].columns[f.name];
    if (f.form == "is_missing" || f.form == "category" || f.form == "letters" || f.form == "length")
      out_.forms[f.name] = f.form;
    if (f.missing.policy == frontend::MissingCells::Policy::Fill)
      out_.fills.try_emplace(f.name, columns.size(), f.missing.fills[0]);
    const auto missing = read_[source].missing.find(f.name);
    if (missing == read_[source].missing.end()) return;
    const Set& train = set(unit_.data->train);
    const SourceData& trained = read_[static_cast<size_t>(train.source)];
    const auto values = train.split.data->fields.find(f.name);
    const auto at = trained.columns.find(f.name);
    if (values == train.split.data->fields.end() || at == trained.columns.end() || at->second != columns)
      throw CompileError(f.loc, fmt::format("the training split has no field {} of these columns, which "
                                            "would say what fills missing cells",
                                            f.name));
    if (out_.fills.count(f.name) == 0) {
      const auto known = trained.missing.find(f.name);
      out_.fills[f.name] =
          fitted_fills(f, columns, values->second, train.split.rows,
                       known == trained.missing.end() ? std::vector<int64_t>{} : known->second);
    }
    fill_missing(data_[source]->fields.at(f.name), missing->second, out_.fills.at(f.name));
  }

  void apply(const std::vector<std::string>& vocabulary, const std::string& field, size_t source) {
    runtime::Dataset& data = *data_[source];
    SourceData& read = read_[source];
    const SourceSpec& spec = unit_.data->sources[source];
    if (const std::string p = give_numbers(vocabulary, field, read, data); !p.empty())
      throw CompileError(spec.loc, p);
    if (!field.empty()) return keep_vocabulary(field, vocabulary, read.file, spec.loc);
    for (const auto& [name, window] : data.windows) keep_vocabulary(name, vocabulary, read.file, spec.loc);
  }

  void keep_vocabulary(const std::string& field, const std::vector<std::string>& vocabulary,
                       const std::string& file, Loc loc) {
    out_.vocabulary[field] = vocabulary;
    const frontend::Input* in = input_named(unit_, field);
    if (in != nullptr && in->classes > 0 && static_cast<int64_t>(vocabulary.size()) > in->classes)
      throw CompileError(loc,
                         fmt::format("{}: {} has {} different values in the training split, but the model "
                                     "needs 0..{}",
                                     file, field, vocabulary.size(), in->classes - 1));
  }

  // An empty split has no loss; said here, before anything is trained.
  void check_rows(const DataOp& op, size_t part) {
    const frontend::DataSpec& spec = *unit_.data;
    const int number = op.outputs[part];
    const char* name = number == spec.train  ? "train"
                       : number == spec.val  ? "val"
                       : number == spec.test ? "test"
                                             : "";
    if (*name == 0 || !set(number).split.rows.empty()) return;
    if (op.kind == DataOp::Kind::Windows)
      throw CompileError(op.loc,
                         fmt::format("the split {} has no windows: {} need {} symbols, its text has {}", name,
                                     op.length, op.length + 1, set(number).end - set(number).begin));
    if (op.kind != DataOp::Kind::Split) {
      const bool source = op.kind == DataOp::Kind::Source;
      throw CompileError(source ? spec.sources[static_cast<size_t>(op.source)].loc : op.loc,
                         fmt::format("the split {} has no rows", name));
    }
    const size_t rows = set(op.input).split.rows.size();
    const std::string share =
        op.fractions ? fmt::format("{:g}%", 100 * op.parts[part]) : fmt::format("{:g} rows", op.parts[part]);
    throw CompileError(op.loc, fmt::format("the split {} has no rows: {} of {} rows; give it a larger share",
                                           name, share, rows));
  }

  void only(const DataOp& op) {
    Set to = set(op.input);
    const auto source = static_cast<size_t>(to.source);
    const runtime::Array& field = to.split.data->fields.at(op.field);
    if (read_[source].names.count(op.field) != 0)
      throw CompileError(op.loc, fmt::format("{} holds names, which are numbered by the training split; only "
                                             "chooses rows by whole numbers",
                                             op.field));
    const bool whole = field.dtype == runtime::DType::U8 || field.dtype == runtime::DType::I32 ||
                       field.dtype == runtime::DType::I64;
    if (!whole || field.shape.size() != 1)
      throw CompileError(op.loc, fmt::format("{} is {}[{}] in {}; only chooses rows by one whole number each",
                                             op.field, runtime::name_of(field.dtype),
                                             fmt::join(field.shape, ", "), read_[source].file_of(op.field)));
    std::erase_if(to.split.rows, [&](int64_t row) {
      return std::find(op.values.begin(), op.values.end(), field.whole_at(row)) == op.values.end();
    });
    set(op.outputs[0]) = std::move(to);
  }

  void shuffle(const DataOp& op) {
    Set to = set(op.input);
    const std::vector<int64_t> from = std::move(to.split.rows);
    to.split.rows.clear();
    for (int64_t i : runtime::permutation(static_cast<uint64_t>(op.seed), ~uint64_t(0),
                                          static_cast<int64_t>(from.size())))
      to.split.rows.push_back(from[static_cast<size_t>(i)]);
    set(op.outputs[0]) = std::move(to);
  }

  void split(const DataOp& op) {
    const Set from = set(op.input);
    const auto n = from.text ? from.end - from.begin : static_cast<int64_t>(from.split.rows.size());
    int64_t at = 0;
    for (size_t i = 0; i < op.parts.size(); ++i) {
      const bool last = i + 1 == op.parts.size();
      // 0.7 * n in binary may fall just short of a whole number.
      int64_t size = op.fractions ? static_cast<int64_t>(op.parts[i] * static_cast<double>(n) + 1e-9)
                                  : static_cast<int64_t>(op.parts[i]);
      if (op.fractions && last) size = n - at;
      if (size > n - at)
        throw CompileError(op.loc, fmt::format("the split asks for more {} than the {} there are",
                                               from.text ? "symbols" : "rows", n));
      Set& part = set(op.outputs[i]);
      part = {from.source, {from.split.data, {}}, from.begin + at, from.begin + at + size, from.text};
      part.split.changes = from.split.changes, part.split.buckets = from.split.buckets;
      if (!from.text) part.split.rows = {from.split.rows.begin() + at, from.split.rows.begin() + at + size};
      at += size;
    }
  }

  // Row r of a batch goes on where row r of the batch before ended: the text is cut into as many parts as a
  // batch has rows, and what is left is dropped.
  void follow_on(runtime::Split& split, const char* name) {
    if (!split) return;
    const int64_t batch = unit_.train->batch, all = static_cast<int64_t>(split.rows.size());
    const int64_t steps = all / batch;
    if (steps == 0)
      throw CompileError(unit_.train->loc,
                         fmt::format("the split {} has {} windows; a state is carried in {} rows, the batch, "
                                     "which needs a window for each",
                                     name, all, batch));
    if (all > steps * batch)
      out_.remarks.push_back(fmt::format("{}: {} of {} windows are left out, which fill no batch of {} rows",
                                         name, all - steps * batch, all, batch));
    std::vector<int64_t> rows;
    for (int64_t step = 0; step < steps; ++step)
      for (int64_t row = 0; row < batch; ++row)
        rows.push_back(split.rows[static_cast<size_t>(row * steps + step)]);
    split.rows = std::move(rows), split.in_order = true;
  }

  // A row is named by the position of its first symbol. The last label, one symbol on, is still of this part.
  void windows(const DataOp& op) {
    Set to = set(op.input);
    to.text = false;
    for (int64_t at = to.begin; at + op.length < to.end; at += op.stride) to.split.rows.push_back(at);
    set(op.outputs[0]) = std::move(to);
  }

  void buckets(const DataOp& op) {
    const auto source = static_cast<size_t>(op.source);
    if (unit_.carries())
      throw CompileError(op.loc, "a state is carried from batch to batch, and buckets mix the rows");
    Set to = set(op.input);
    to.split.buckets = buckets_of(open_[source], op, unit_, *to.split.data, read_[source].file_of(op.field));
    set(op.outputs[0]) = std::move(to);
  }

  void augment(const DataOp& op) {
    Set to = set(op.input);
    for (const auto& [field, changes] : op.changes)
      for (const frontend::PictureChangeSpec& c : changes) {
        check_picture(c, field, to.split.data->fields.at(field),
                      read_[static_cast<size_t>(to.source)].file_of(field));
        to.split.changes[field].push_back({c.form == "random_flip" ? runtime::PictureChange::Kind::Flip
                                                                   : runtime::PictureChange::Kind::Shift,
                                           c.most});
      }
    set(op.outputs[0]) = std::move(to);
  }

  const frontend::Unit& unit_;
  const DataPlaces& places_;
  const Sources& sources_;
  std::vector<Set> sets_;
  std::vector<SourceData> read_;                         // by source, without the data
  std::vector<std::unique_ptr<runtime::Dataset>> data_;  // by source
  std::vector<OpenAxis> open_;                           // by source
  LoadedData out_;
};

}  // namespace

std::string data_root(const std::string& given) {
  const char* env = std::getenv("GRADC_DATA");
  if (!given.empty()) return given;
  return env != nullptr && *env != 0 ? env : "../shared/data";
}

std::string find_data(const std::string& path, const DataPlaces& places, Loc loc, bool folder) {
  const std::string root = data_root(places.root);
  const fs::path beside = fs::path(places.model_folder) / path, below = fs::path(root) / path;
  std::error_code ignored;
  for (const fs::path& p : {beside, below})
    if (folder ? fs::is_directory(p, ignored) : fs::is_regular_file(p, ignored))
      return p.lexically_normal().string();
  throw CompileError(
      loc, fmt::format("cannot find {}'{}': neither {} nor {} is there; --data DIR names another root",
                       folder ? "the folder " : "", path, beside.lexically_normal().string(),
                       below.lexically_normal().string()));
}

LoadedData load_data(const frontend::Unit& unit, const DataPlaces& places, const Sources& sources) {
  return Loader(unit, places, sources).run();
}

std::optional<Type> example_type(const SourceSpec& source, const FieldSpec& field, const DataPlaces& places) {
  try {
    const SourceReader& reader = source_reader(source.kind);
    if (reader.type == nullptr) return std::nullopt;
    return reader.type(request_of(source, places, [](const std::string&) { return std::nullopt; }), field);
  } catch (const std::exception&) {
    return std::nullopt;  // said when the data is loaded
  }
}

}  // namespace gradc
