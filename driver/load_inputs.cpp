#include "driver/load_inputs.h"

#include <algorithm>
#include <numeric>

#include "driver/field_checks.h"
#include "driver/sources/source.h"
#include "frontend/training/source_kinds.h"
#include "ir/graph/op_def.h"
#include "pictures/picture.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using frontend::DataOp;
using frontend::DataSpec;
using frontend::FieldSpec;
using frontend::Input;
using frontend::SourceSpec;
using runtime::Failure;
using Names = std::vector<std::string>;

// The bytes of a text are numbers that no training has to fit.
const Names kBytes = {"bytes"};

template <class... A>
runtime::Error failure(Failure kind, fmt::format_string<A...> text, A&&... args) {
  return {kind, fmt::format(text, std::forward<A>(args)...)};
}

const Names* find(const std::map<std::string, Names>& from, const std::string& field) {
  const auto it = from.find(field);
  return it == from.end() ? nullptr : &it->second;
}

const DataOp* maker_of(const DataSpec& d, int dataset) {
  for (const DataOp& op : d.ops)
    if (std::find(op.outputs.begin(), op.outputs.end(), dataset) != op.outputs.end()) return &op;
  return nullptr;
}

// The chain that ends in the training split, from its end.
std::vector<const DataOp*> chain_of_training(const DataSpec& d) {
  std::vector<const DataOp*> chain;
  for (const DataOp* op = maker_of(d, d.train); op != nullptr; op = maker_of(d, op->input))
    chain.push_back(op);
  return chain;
}

// A model without a data block takes the columns that its weights name.
SourceSpec table_of(const frontend::Unit& unit, const FittedFields& fitted) {
  SourceSpec s;
  s.kind = "csv";
  for (const Input& in : unit.inputs) {
    if (!in.model_input || find(fitted.columns, in.name) == nullptr) continue;
    FieldSpec f;
    f.name = in.name;
    const Names* names = find(fitted.vocabulary, in.name);
    const auto form = fitted.forms.find(in.name);
    f.form = form != fitted.forms.end() ? form->second
             : names != nullptr         ? "label"
             : in.type.rank() == 1      ? "column"
                                        : "columns";
    // No name is empty but the one that stands for those that training lacks.
    f.unknown = f.form == "category" && names != nullptr && !names->empty() && names->front().empty();
    if (f.unknown) f.missing.policy = frontend::MissingCells::Policy::Unknown;
    if (f.form == "letters" && in.type.rank() == 2 && in.type.shape[1].is_constant())
      f.numbers["length"] = in.type.shape[1].constant_part();
    f.texts = *find(fitted.columns, in.name);
    f.exact = true;
    f.dtype = in.type.dtype;
    f.loc = s.loc = in.loc;
    s.fields.push_back(std::move(f));
  }
  return s;
}

class InputLoader {
 public:
  InputLoader(const frontend::Unit& unit, const FittedFields& fitted, const Sources& sources)
      : unit_(unit), fitted_(fitted), sources_(sources) {
    if (unit.data) chain_ = chain_of_training(*unit.data);
  }

  LoadedInputs run(const Names& files) {
    const SourceSpec* trained = training_source(unit_);
    SourceSpec spec = inputs_of(trained == nullptr ? table_of(unit_, fitted_) : *trained);
    Names named = files;
    for (std::string& f : named) name_standard_input(f);
    take_files(spec, named);
    auto as_given = [](const std::string& path, Loc) { return path; };
    SourceData read = source_reader(spec.kind).read(
        {spec, as_given, as_given, [&](const std::string& field) { return input_type(unit_, field); },
         tokenizer_of(spec), true});
    LoadedInputs out{std::move(read.data), {}, {}, std::move(read.row_names), {}};
    OpenAxis open;
    for (const FieldSpec& f : spec.fields)
      check_shape(*input_named(unit_, f.name), f, read, out.data, sources_, open);
    out.buckets = buckets(open, spec, read, out.data);
    number_names(spec, read, out.data);
    for (const FieldSpec& f : spec.fields)
      if (const std::string p = class_problem(*input_named(unit_, f.name), read, out.data); !p.empty())
        throw runtime::Error(Failure::Data, p);
    set_rows(out, read.file);
    out.remarks = std::move(read.remarks);
    return out;
  }

 private:
  // The source with the fields that are inputs, of which every one must be there, and with the columns that
  // the weights were fitted to.
  SourceSpec inputs_of(SourceSpec spec) const {
    std::erase_if(spec.fields, [&](const FieldSpec& f) {
      const Input* in = input_named(unit_, f.name);
      return in == nullptr || !in->model_input;
    });
    for (FieldSpec& f : spec.fields)
      if (const Names* columns = find(fitted_.columns, f.name); columns != nullptr && !f.form.empty())
        f.texts = *columns, f.exact = true, f.except.clear();
    for (FieldSpec& f : spec.fields) take_fills(f);
    for (const Input& in : unit_.inputs)
      if (in.model_input && std::none_of(spec.fields.begin(), spec.fields.end(),
                                         [&](const FieldSpec& f) { return f.name == in.name; }))
        throw CompileError(in.loc, fmt::format("nothing says which columns the input '{}' takes", in.name));
    return spec;
  }

  // As in training, where the lengths are an input.
  runtime::Buckets buckets(const OpenAxis& open, const SourceSpec& spec, const SourceData& read,
                           const runtime::Dataset& data) const {
    for (const DataOp* op : chain_)
      if (op->kind == DataOp::Kind::Buckets && data.fields.count(op->field) != 0)
        return buckets_of(open, *op, unit_, data, read.file_of(op->field));
    return one_bucket(open, unit_, spec.loc);
  }

  void take_fills(FieldSpec& f) const {
    const auto fills = fitted_.fills.find(f.name);
    if (fills == fitted_.fills.end() && !f.missing.fitted()) return;
    if (fills == fitted_.fills.end() || fills->second.size() != f.texts.size())
      throw failure(Failure::Mismatch,
                    "nothing says what fills missing cells of '{}': the weights have no gradc.fill.{} of its "
                    "columns",
                    f.name, f.name);
    f.missing = {frontend::MissingCells::Policy::Fill, fills->second, ""};
  }

  // "-", and "INPUT=-" where each input has a file.
  static void name_standard_input(std::string& file) {
    if (file == "-" || file.ends_with("=-")) file.replace(file.size() - 1, 1, kStandardInput);
  }

  static void take_files(SourceSpec& spec, const Names& files) {
    if (spec.kind == "points") spec.kind = "npy";  // there is no file of the training's kind
    // One picture is all that an example is: no table has to list it.
    if (spec.kind == "image_table" && spec.fields.size() == 1 && spec.fields[0].form == "image" &&
        std::all_of(files.begin(), files.end(), [](const std::string& f) {
          return runtime::is_folder(f) || pictures::is_picture_name(f);
        }))
      spec.kind = "image_folder";
    const frontend::SourceKind& kind = *frontend::source_kind(spec.kind);
    if (kind.most_paths > 0) {
      if (!kind.many_inputs && !are_recordings(spec, files) &&
          static_cast<int>(files.size()) > kind.most_paths)
        throw failure(Failure::Usage, "--input is given {} times, {} takes one file", files.size(),
                      kind.name);
      spec.paths = files;
      return;
    }
    Names wanted;
    for (const FieldSpec& f : spec.fields) wanted.push_back(fmt::format("--input {}=FILE", f.name));
    for (FieldSpec& f : spec.fields) f.texts.clear();
    for (const std::string& file : files) take_file(spec, file, fmt::format("{}", fmt::join(wanted, " ")));
    for (const FieldSpec& f : spec.fields)
      if (f.texts.empty())
        throw failure(Failure::Usage, "the input '{}' has no file: write {}", f.name, fmt::join(wanted, " "));
  }

  static void take_file(SourceSpec& spec, const std::string& file, const std::string& wanted) {
    const size_t at = file.find('=');
    for (FieldSpec& f : spec.fields) {
      const bool named = at != file.npos && file.substr(0, at) == f.name;
      if (!named && spec.fields.size() > 1) continue;
      if (!f.texts.empty()) throw failure(Failure::Usage, "the input '{}' has two files", f.name);
      f.texts = {named ? file.substr(at + 1) : file};
      return;
    }
    throw failure(Failure::Usage, "--input {}: write {}", file, wanted);
  }

  // Tokens mean what they meant in training, whatever has become of the file.
  const std::string* tokenizer_of(const SourceSpec& spec) const {
    for (const FieldSpec& f : spec.fields)
      if (const auto it = fitted_.tokenizers.find(f.name); it != fitted_.tokenizers.end()) return &it->second;
    if (spec.kind != "tokens") return nullptr;
    throw failure(Failure::Mismatch,
                  "nothing says what the tokens are: the weights have no gradc.tokenizer.{}; train them with "
                  "tokens(...)",
                  spec.fields[0].name);
  }

  // By the vocabulary of the weights, and no other.
  void number_names(const SourceSpec& spec, SourceData& read, runtime::Dataset& data) const {
    for (const FieldSpec& f : spec.fields) {
      const std::string key = data.windows.count(f.name) != 0 ? "" : f.name;
      const Names* known = find(fitted_.vocabulary, f.name);
      if (key.empty() && known != nullptr && read.raw_bytes != (*known == kBytes))
        throw failure(Failure::Mismatch, "the weights were trained with {} as '{}', not with {}",
                      read.raw_bytes ? "characters" : "bytes", f.name,
                      read.raw_bytes ? "bytes" : "characters");
      if (read.names.count(key) == 0) continue;
      if (known == nullptr)
        throw failure(Failure::Mismatch,
                      "nothing says what the numbers of '{}' stand for: the weights have no "
                      "gradc.vocabulary.{}",
                      f.name, f.name);
      if (const std::string p = give_numbers(*known, key, read, data); !p.empty())
        throw runtime::Error(Failure::Data, p);
    }
  }

  // Windows follow one another as in training, but need no symbol behind them.
  void set_rows(LoadedInputs& out, const std::string& file) const {
    if (out.data.windows.empty()) {
      out.rows.resize(static_cast<size_t>(out.data.rows));
      std::iota(out.rows.begin(), out.rows.end(), 0);
      return;
    }
    const auto op = std::find_if(chain_.begin(), chain_.end(),
                                 [](const DataOp* x) { return x->kind == DataOp::Kind::Windows; });
    const int64_t length = (*op)->length, n = out.data.sequence_length();
    for (int64_t at = 0; at + length <= n; at += (*op)->stride) out.rows.push_back(at);
    if (out.rows.empty())
      throw failure(Failure::Data, "{}: a window needs {} symbols, the text has {}", file, length, n);
  }

  const frontend::Unit& unit_;
  const FittedFields& fitted_;
  const Sources& sources_;
  std::vector<const DataOp*> chain_;  // empty without a data block
};

}  // namespace

LoadedInputs load_inputs(const frontend::Unit& unit, const std::vector<std::string>& files,
                         const FittedFields& fitted, const Sources& sources) {
  return InputLoader(unit, fitted, sources).run(files);
}

const SourceSpec* training_source(const frontend::Unit& unit) {
  if (!unit.data) return nullptr;
  const std::vector<const DataOp*> chain = chain_of_training(*unit.data);
  return chain.empty() ? nullptr : &unit.data->sources[static_cast<size_t>(chain.back()->source)];
}

const std::vector<std::string>* class_names(const frontend::Unit& unit, size_t i,
                                            const FittedFields& fitted) {
  const graph::Function& f = unit.module.at("predict");
  const graph::Node& node = f[f.results[i].node];
  if (node.op->name != "argmax" && node.op->name != "argmin") return nullptr;
  const auto axis = static_cast<size_t>(node.attrs.integers("axes").at(0));
  const Dim& classes = f.type(node.operands[0]).shape[axis];
  const std::vector<std::string>* found = nullptr;
  for (const Input& in : unit.inputs) {
    const Names* names = find(fitted.vocabulary, in.name);
    if (in.model_input || names == nullptr || *names == kBytes || !(classes == Dim(in.classes))) continue;
    if (found != nullptr && *found != *names) return nullptr;  // either might be meant
    found = names;
  }
  return found;
}

}  // namespace gradc
