// gradc generate: a text goes on, symbol by symbol, as a model of its windows has it.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>

#include "driver/compiler.h"
#include "driver/field_checks.h"
#include "driver/load_data.h"
#include "driver/load_inputs.h"
#include "frontend/training/source_kinds.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/runner.h"
#include "runtime/tokenizer.h"
#include "runtime/vocabulary.h"
#include "support/diagnostic.h"
#include "tools/commands.h"
#include "tools/model_options.h"
#include "tools/sampling.h"
#include "tools/text_window.h"
#include "tools/weights.h"

namespace gradc {
namespace {

using runtime::Failure;
using Names = std::vector<std::string>;

template <class... A>
runtime::Error usage(fmt::format_string<A...> text, A&&... args) {
  return {Failure::Usage, fmt::format(text, std::forward<A>(args)...)};
}

// The model's only input, windows of a text.
const frontend::Input& window_input(const frontend::Unit& unit) {
  const frontend::SourceSpec* source = training_source(unit);
  const bool text = source != nullptr &&
                    frontend::source_kind(source->kind)->fields == frontend::SourceKind::Fields::Windows;
  const frontend::Input* found = nullptr;
  int inputs = 0;
  for (const frontend::Input& in : unit.inputs)
    if (in.model_input) found = &in, ++inputs;
  if (!text || inputs != 1 || found->type.rank() != 2 || found->type.dtype != DType::I32 ||
      !found->type.shape[1].is_constant())
    throw usage(
        "generate takes a model of one input, trained on windows of chars(...), bytes(...), tokens(...) or "
        "token_bins(...)");
  return *found;
}

// The result with a number for each symbol at each place of the window.
std::string logits_of(const Arguments& a, const Compiled& c, const frontend::Input& in, int64_t symbols) {
  if (a.results.size() > 1) throw usage("--results: one result has the logits");
  Names fitting;
  const std::vector<Type> types = c.unit.module.at("predict").result_types();
  for (size_t i = 0; i < c.unit.outputs.size(); ++i) {
    const Shape& s = types[i].shape;
    if (is_float(types[i].dtype) && s.size() == 3 && s[0] == in.type.shape[0] && s[1] == in.type.shape[1] &&
        s[2].is_constant() && (s[2].constant_part() >= symbols || symbols == 0))
      fitting.push_back(c.unit.outputs[i]);
  }
  if (a.results.empty() && fitting.size() == 1) return fitting[0];
  if (!a.results.empty() && std::find(fitting.begin(), fitting.end(), a.results[0]) != fitting.end())
    return a.results[0];
  throw usage("{}", fitting.empty()
                        ? fmt::format("no result has a number for each of the {} symbols at each "
                                      "of the {} places of the window",
                                      symbols, in.type.shape[1].str())
                        : fmt::format("choose the logits with --results: {}", fmt::join(fitting, ", ")));
}

// What the numbers of a model's symbols stand for.
struct Alphabet {
  int64_t size = 0;  // 0: as many as the model tells apart
  std::function<std::vector<int32_t>(const std::string& prompt)> numbers;
  std::function<std::string(int32_t)> text;
};

constexpr const char* kPrompt = "the prompt";

Alphabet of_bytes() {
  return {0,
          [](const std::string& prompt) {
            std::vector<int32_t> ids;
            for (const char c : prompt) ids.push_back(static_cast<uint8_t>(c));
            return ids;
          },
          [](int32_t id) { return std::string(1, static_cast<char>(id)); }};
}

// Numbers as the weights have them.
Alphabet of_characters(const Names& vocabulary) {
  auto numbers = [vocabulary](const std::string& prompt) {
    SourceData read;
    read.file = kPrompt;
    runtime::Coded coded = runtime::number_characters(prompt, read.file);
    read.data.sequence = std::move(coded.ids);
    read.names[""] = std::move(coded.names);
    if (const std::string p = give_numbers(vocabulary, "", read, read.data); !p.empty())
      throw runtime::Error(Failure::Data, p);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < read.data.sequence.count(); ++i)
      ids.push_back(static_cast<int32_t>(read.data.sequence.whole_at(i)));
    return ids;
  };
  return {static_cast<int64_t>(vocabulary.size()), numbers,
          [vocabulary](int32_t id) { return vocabulary[static_cast<size_t>(id)]; }};
}

Alphabet of_tokens(const std::string& path, const std::string& json) {
  const auto tokenizer = std::make_shared<const runtime::Tokenizer>(path, json);
  return {tokenizer->size(),
          [tokenizer](const std::string& prompt) { return tokenizer->encode(prompt, kPrompt); },
          [tokenizer](int32_t id) { return tokenizer->bytes_of(id); }};
}

Alphabet alphabet_of(const Arguments& a, const frontend::SourceSpec& source, const std::string& input,
                     const Weights& weights) {
  const FittedFields fitted = fitted_of(weights);
  const auto vocabulary = fitted.vocabulary.find(input);
  const bool of_a_byte = vocabulary != fitted.vocabulary.end() && vocabulary->second == Names{"bytes"};
  const bool characters = vocabulary != fitted.vocabulary.end() && !of_a_byte;
  const auto tokenizer = fitted.tokenizers.find(input);
  const bool tokens = tokenizer != fitted.tokenizers.end();
  auto wrong = [&](const char* key, const char* of) {
    return runtime::Error(Failure::Mismatch,
                          fmt::format("{}: its gradc.{}.{} is not that of {}", weights.path, key, input, of));
  };
  if (source.kind == "bytes") {
    if (characters || tokens) throw wrong(tokens ? "tokenizer" : "vocabulary", "bytes");
    return of_bytes();
  }
  if (source.kind == "chars") {
    if (!characters) throw wrong("vocabulary", "characters");
    return of_characters(vocabulary->second);
  }
  if (characters || of_a_byte) throw wrong("vocabulary", "tokens");
  if (tokens)
    return of_tokens(fmt::format("gradc.tokenizer.{} of {}", input, weights.path), tokenizer->second);
  // Weights of another program know nothing of it.
  if (source.tokenizer.empty())
    throw usage("the tokens of {}(...) have no text: name tokenizer=\"tokenizer.json\" in the data block",
                source.kind);
  const std::string path = find_data(source.tokenizer, places_of(a), source.tokenizer_loc);
  return of_tokens(path, runtime::read_file(path));
}

void print_now(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

int generate(const Arguments& a, const Compiled& c) {
  const frontend::Input& in = window_input(c.unit);
  runtime::Runner runner(c.program, threads_of(a));
  const Weights weights = weights_of(a);
  runner.init(0);
  runner.load(weights.file, weights.path);
  const Alphabet alphabet = alphabet_of(a, *training_source(c.unit), in.name, weights);
  const std::string result = logits_of(a, c, in, alphabet.size);
  int64_t symbols = alphabet.size;
  if (symbols == 0) {  // as many as the model tells apart
    runner.begin("predict", 0);
    symbols = std::min<int64_t>(256, runner.output(result).shape[2]);
  }
  std::vector<int32_t> ids = alphabet.numbers(a.prompt);
  if (const int32_t most = *std::max_element(ids.begin(), ids.end()); most >= symbols)
    throw runtime::Error(
        Failure::Data, fmt::format("the prompt has a byte {}, but the model needs 0..{}", most, symbols - 1));
  TextWindow window(runner, in, result, symbols, c.extended.from_whole);
  Sampler sampler(a.temperature, a.top_k, a.top_p, a.seed);
  Ending ending(a.stops);
  print_now(a.prompt);
  for (int64_t i = 0; i < a.tokens && !ending.ended() && std::ferror(stdout) == 0; ++i) {
    ids.push_back(sampler.next(window.behind(ids)));
    print_now(ending.add(alphabet.text(ids.back())));
  }
  if (!ending.ended()) print_now(ending.rest());
  return kOk;
}

}  // namespace gradc
