#include <cstring>
#include <memory>

#include "driver/sources/source.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/tokenizer.h"
#include "runtime/vocabulary.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

// It goes into the header of the weights' file, which may have 100 MB.
constexpr int64_t kLargestTokenizer = int64_t(1) << 25;

// The windows are those of the spec's fields; which positions they start at, the chain of the data block
// says.
void set_windows(const SourceRequest& r, SourceData& to) {
  to.data.rows = to.data.sequence_length();
  for (size_t i = 0; i < r.spec.fields.size(); ++i)
    to.data.windows[r.spec.fields[i].name] = {static_cast<int64_t>(i),
                                              r.spec.fields[i].type->shape[0].constant_part()};
}

SourceData read_chars(const SourceRequest& r) {
  SourceData out;
  out.file = r.find(r.spec.paths[0], r.spec.loc);
  runtime::Coded text = runtime::read_characters(out.file);
  out.data.sequence = std::move(text.ids);
  out.names[""] = std::move(text.names);
  set_windows(r, out);
  return out;
}

SourceData read_raw(const SourceRequest& r) {
  SourceData out;
  out.file = r.find(r.spec.paths[0], r.spec.loc);
  out.data.sequence = runtime::read_bytes(out.file);
  out.raw_bytes = true;
  set_windows(r, out);
  out.place = [file = out.file](const std::string& field, int64_t element) {
    return fmt::format("{}: byte {}: {}", file, element + 1, field);
  };
  return out;
}

// Nothing where the source names no tokenizer.
std::optional<runtime::Tokenizer> take_tokenizer(const SourceRequest& r, SourceData& to) {
  std::string file = "gradc.tokenizer of the weights";
  if (r.tokenizer != nullptr)
    to.tokenizer = *r.tokenizer;
  else if (r.spec.tokenizer.empty())
    return std::nullopt;
  else
    to.tokenizer =
        runtime::read_file(file = r.find(r.spec.tokenizer, r.spec.tokenizer_loc), kLargestTokenizer);
  runtime::Tokenizer out(file, to.tokenizer);
  to.tokens = out.size();
  return out;
}

SourceData read_tokens(const SourceRequest& r) {
  SourceData out;
  out.file = r.find(r.spec.paths[0], r.spec.loc);
  const std::optional<runtime::Tokenizer> tokenizer = take_tokenizer(r, out);
  const std::vector<int32_t> ids = tokenizer.value().encode(runtime::read_file(out.file), out.file);
  out.data.sequence = runtime::make_array(runtime::DType::I32, {static_cast<int64_t>(ids.size())});
  std::memcpy(out.data.sequence.bytes.data(), ids.data(), ids.size() * sizeof ids[0]);
  set_windows(r, out);
  out.place = [file = out.file](const std::string& field, int64_t element) {
    return fmt::format("{}: token {}: {}", file, element + 1, field);
  };
  return out;
}

SourceData read_token_bins(const SourceRequest& r) {
  SourceData out;
  std::vector<std::string> files;
  for (const std::string& path : r.spec.paths) files.push_back(r.find(path, r.spec.loc));
  out.file = files.size() == 1 ? files[0] : fmt::format("{} and {} more", files[0], files.size() - 1);
  take_tokenizer(r, out);
  out.data.bins = std::make_shared<const runtime::TokenBins>(files, r.spec.token_bytes);
  constexpr int64_t kNumbers = int64_t(1) << 31;
  if (const auto i = out.data.bins->first_from(kNumbers))
    throw runtime::Error(runtime::Failure::Data,
                         fmt::format("{} is {}, and numbers of tokens are below {}", out.data.bins->place(*i),
                                     out.data.bins->at(*i), kNumbers));
  out.data.sequence = runtime::make_array(runtime::DType::I32, {0});
  set_windows(r, out);
  out.place = [bins = out.data.bins](const std::string& field, int64_t element) {
    return fmt::format("{}: {}", bins->place(element), field);
  };
  return out;
}

}  // namespace

std::span<const SourceReader> text_sources() {
  static constexpr SourceReader rows[] = {{"chars", read_chars, nullptr},
                                          {"bytes", read_raw, nullptr},
                                          {"tokens", read_tokens, nullptr},
                                          {"token_bins", read_token_bins, nullptr}};
  return rows;
}

}  // namespace gradc
