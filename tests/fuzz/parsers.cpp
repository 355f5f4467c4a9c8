#include "fuzz/parsers.h"

#include <sys/mman.h>
#include <unistd.h>

#include <new>

#include "frontend/frontend.h"
#include "ir/graph/graph.h"
#include "ir/kernel/kernel.h"
#include "ir/kernel/schedule.h"
#include "ir/step/step.h"
#include "passes/fuse/fusion.h"
#include "pictures/picture.h"
#include "pictures/resize.h"
#include "runtime/checkpoint.h"
#include "runtime/cifar.h"
#include "runtime/csv.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/idx.h"
#include "runtime/json.h"
#include "runtime/npy.h"
#include "runtime/run_folder.h"
#include "runtime/safetensors.h"
#include "runtime/tokenizer.h"
#include "runtime/vocabulary.h"
#include "runtime/wav.h"
#include "runtime/zip.h"
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

// As weights, and as what a training goes on from.
void read_safetensors(std::string_view bytes) {
  const runtime::SafeTensors file = runtime::parse_safetensors("f", bytes);
  runtime::nan_text(file);
  runtime::moment_of(file, "f");
}

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

// The bytes as a file, for readers that take a path.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : file_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    for (std::string_view rest = bytes; !rest.empty();) {
      const ssize_t put = ::write(file_.get(), rest.data(), rest.size());
      GRADC_CHECK(put > 0, "cannot write {} bytes to memory", rest.size());
      rest.remove_prefix(static_cast<size_t>(put));
    }
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(file_.get()); }

 private:
  runtime::Descriptor file_;
};

// As the file's own type, and as each that it may be asked for.
template <class Open>
void read_arrays(Open open) {
  for (int t = -1; t <= static_cast<int>(runtime::DType::F64); ++t) {
    try {
      runtime::ByteStream from = open();
      const runtime::Array a = runtime::read_npy(
          from, [&](runtime::DType stored) { return t < 0 ? stored : static_cast<runtime::DType>(t); });
      GRADC_CHECK(a.bytes.size() == static_cast<size_t>(a.count() * runtime::size_of(a.dtype)),
                  "an array of {} elements has {} bytes", a.count(), a.bytes.size());
    } catch (const runtime::Error&) {  // what does not fit one type may fit another
    }
  }
}

void read_npy(std::string_view bytes) {
  const MemoryFile file(bytes);
  read_arrays([&] { return runtime::open_file(file.path()); });
}

void read_npz(std::string_view bytes) {
  const MemoryFile file(bytes);
  for (const char* member : {"i2.npy", "fortran.npy"})
    read_arrays([&] { return runtime::open_member(file.path(), member); });
}

void read_wav(std::string_view bytes) {
  const MemoryFile file(bytes);
  runtime::read_wav(file.path());
}

void read_cifar(std::string_view bytes) {
  const MemoryFile file(bytes);
  const std::string path = file.path();
  for (runtime::CifarKind kind : {runtime::CifarKind::Ten, runtime::CifarKind::Hundred}) {
    try {
      runtime::read_cifar({&path, 1}, kind, runtime::DType::F32);
    } catch (const runtime::Error&) {  // records of the other kind
    }
  }
}

void read_gzip(std::string_view bytes) {
  const MemoryFile file(bytes);
  runtime::read_file(file.path(), int64_t(1) << 24);
}

void read_run(std::string_view bytes) {
  const MemoryFile file(bytes);
  const std::string text = runtime::to_json(runtime::read_record(file.path()));
  same(text,
       [](const std::string& t) { return runtime::to_json(runtime::read_record(MemoryFile(t).path())); });
}

void read_characters(std::string_view bytes) {
  runtime::Coded text = runtime::number_characters(bytes, "f");
  std::string again;
  for (int64_t i = 0; i < text.ids.count(); ++i) again += text.names.at(static_cast<size_t>(text.ids.at(i)));
  GRADC_CHECK(again == bytes, "the characters are another text");
  runtime::character_place("f", text, text.ids.count());
}

}  // namespace

const std::vector<Parser>& parsers() {
  static const std::vector<Parser> all = {{"model", read_model, 60},
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
                                          {"npy", read_npy},
                                          {"npz", read_npz},
                                          {"wav", read_wav},
                                          {"cifar", read_cifar},
                                          {"gzip", read_gzip},
                                          {"run", read_run},
                                          {"characters", read_characters},
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
