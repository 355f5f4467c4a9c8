#include "fuzz/parsers.h"

#include <new>

#include "frontend/frontend.h"
#include "ir/graph/graph.h"
#include "ir/kernel/kernel.h"
#include "ir/kernel/schedule.h"
#include "ir/step/step.h"
#include "passes/fuse/fusion.h"
#include "pictures/picture.h"
#include "pictures/resize.h"
#include "runtime/csv.h"
#include "runtime/error.h"
#include "runtime/idx.h"
#include "runtime/json.h"
#include "runtime/safetensors.h"
#include "runtime/tokenizer.h"
#include "support/check.h"

namespace gradc::fuzz {
namespace {

// What a verifier finds in a text that was read is a mistake of the text.
template <class F>
bool holds(F verify) {
  try {
    verify();
    return true;
  } catch (const InternalError&) {
    return false;
  }
}

// What was read and holds is printed; the print reads back to the same print.
template <class Print>
void same(const std::string& text, Print again) {
  const std::string second = again(text);
  GRADC_CHECK(second == text, "the print of what was printed is another:\n{}\n---\n{}", text, second);
}

void read_model(std::string_view bytes) {
  Sources sources;
  Diagnostics found;
  frontend::Options o;
  o.example_type = [](const frontend::SourceSpec&, const frontend::FieldSpec&) -> std::optional<Type> {
    return std::nullopt;
  };
  const uint32_t file = sources.add("model.grad", std::string(bytes));
  try {
    const frontend::Unit unit = frontend::compile_model(sources, file, o, found);
    if (!found.has_errors()) graph::verify(unit.module);
  } catch (const CompileError& e) {
    if (!e.reported) render(e.diagnostic, sources);
  }
  render(found, sources);
}

void read_graph(std::string_view bytes) {
  const graph::Module m = graph::parse(bytes, 0);
  if (!holds([&] { graph::verify(m); })) return;
  same(graph::print(m), [](const std::string& t) { return graph::print(graph::parse(t)); });
}

void read_groups(std::string_view bytes) {
  const passes::ParsedStep p = passes::parse_fused(bytes);
  if (!holds([&] { graph::verify(p.module), passes::verify(p.module, p.fused); })) return;
  same(passes::print(p.module, p.fused), [](const std::string& t) {
    const passes::ParsedStep again = passes::parse_fused(t);
    return passes::print(again.module, again.fused);
  });
}

void read_kernel(std::string_view bytes) {
  const kernel::Kernel k = kernel::parse_kernel(bytes);
  if (!holds([&] { kernel::verify(k); })) return;
  same(kernel::print(k), [](const std::string& t) { return kernel::print(kernel::parse_kernel(t)); });
}

void read_schedule(std::string_view bytes) {
  size_t at = 0;
  const kernel::NamedSchedule s = kernel::parse_schedule_at(bytes, at, 0);
  same(kernel::print(s.schedule, s.kernel), [](const std::string& t) {
    size_t from = 0;
    const kernel::NamedSchedule again = kernel::parse_schedule_at(t, from, 0);
    return kernel::print(again.schedule, again.kernel);
  });
}

void read_step(std::string_view bytes) {
  const step::Step s = step::parse_step(bytes);
  if (!holds([&] { step::verify(s); })) return;
  same(step::print(s), [](const std::string& t) { return step::print(step::parse_step(t)); });
}

void read_safetensors(std::string_view bytes) { runtime::nan_text(runtime::parse_safetensors("f", bytes)); }

void read_idx(std::string_view bytes) { runtime::parse_idx("f", bytes); }

void read_csv(std::string_view bytes) {
  const runtime::CsvTable t("f", std::string(bytes));
  runtime::summarize(t);
  // Each column reads all rows, and each complaint its line: not for thousands.
  for (size_t c = 0; c < t.columns().size() && c < 50; ++c) {
    const std::string& column = t.columns()[c];
    for (runtime::DType type : {runtime::DType::F32, runtime::DType::I64}) {
      try {
        t.column(column, type);
      } catch (const runtime::Error&) {
      }
    }
  }
}

void read_json(std::string_view bytes) {
  const runtime::Json j = runtime::parse_json(bytes);
  GRADC_CHECK(runtime::parse_json(runtime::quote_json(j.text)).text == j.text, "quoted text reads otherwise");
}

// Whatever table it is, numbers become the text again that they were of.
void read_tokenizer(std::string_view bytes) {
  const runtime::Tokenizer t("f", bytes);
  constexpr std::string_view text = "It's 42 \xD0\xB6,\n\n  <|endoftext|> \xF0\x9F\x98\x80 or\tso ";
  std::string back;
  for (const int32_t id : t.encode(text, "text")) {
    GRADC_CHECK(id >= 0 && id < t.size(), "token {} of {}", id, t.size());
    back += t.bytes_of(id);
  }
  GRADC_CHECK(back == text, "the tokens of '{}' are '{}'", text, back);
}

// As training reads it, to channels and a size that it asks for.
void read_picture(std::string_view bytes) {
  bool lost = false;
  const pictures::Picture p = pictures::with_channels(pictures::decode("f", bytes), 3, lost);
  GRADC_CHECK(p.samples.size() == static_cast<size_t>(p.height * p.width * 3), "samples are missing");
  pictures::resized(p, 5, 7, true);
}

}  // namespace

const std::vector<Parser>& parsers() {
  static const std::vector<Parser> all = {{"model", read_model},
                                          {"graph", read_graph},
                                          {"groups", read_groups},
                                          {"kernel", read_kernel},
                                          {"schedule", read_schedule},
                                          {"step", read_step},
                                          {"csv", read_csv},
                                          {"idx", read_idx},
                                          {"safetensors", read_safetensors},
                                          {"json", read_json},
                                          {"png", read_picture},
                                          {"jpeg", read_picture},
                                          {"tokenizer", read_tokenizer}};
  return all;
}

const Parser* find_parser(std::string_view name) {
  for (const Parser& p : parsers())
    if (p.name == name) return &p;
  return nullptr;
}

std::string finding(const Parser& p, std::string_view bytes) {
  try {
    p.read(bytes);
  } catch (const CompileError&) {
  } catch (const runtime::Error&) {
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const std::exception& e) {
    return e.what();
  }
  return "";
}

}  // namespace gradc::fuzz
