// How the sources of a data block are written: a row for each kind, and a row for each form of a field. The
// driver's readers (driver/sources/) carry out what is read here, by the same names.
#pragma once

#include <span>

#include "frontend/elaboration/elaborator.h"
#include "frontend/training/data_spec.h"

namespace gradc::frontend {

// `column("y", i32)` within csv(...).
struct FieldForm {
  std::string_view name;
  bool one = true;                         // takes one text, else any number, or all but except=
  bool real = true;                        // its numbers are floats unless a type is given; else i32
  bool typed = false;                      // takes an element type
  std::vector<std::string_view> settings;  // named numbers
  std::string_view needed = "";            // the setting that must be there
  bool cells = false;                      // says what becomes of missing cells: missing=
  bool unknown = false;                    // may say that what training lacks is 0: unknown=0
  bool picture = false;                    // u8 of the size that the file has; takes fit=
};

struct SourceKind {
  enum class Fields {
    Forms,    // x = column("a")
    Texts,    // x = "a.npy"
    Fixed,    // the format says them
    Windows,  // a text: windows(...) makes x and y
    Drawn,    // x = uniform(0, 1): no file, the program draws
  };
  std::string_view name;
  int least_paths = 0, most_paths = 0;
  Fields fields = Fields::Forms;
  std::vector<FieldForm> forms = {};
  std::vector<FieldSpec> fixed = {};
  std::string_view usage;                                                // said when it is written otherwise
  enum class Tokenizer { None, May, Must } tokenizer = Tokenizer::None;  // tokenizer="tokenizer.json"
  bool numbers = false;                                                  // may say u16 or u32
  bool many_inputs = false;  // predict takes any number of files, each an example
};

std::span<const SourceKind> source_kinds();
const SourceKind* source_kind(std::string_view name);  // null: there is none
SourceSpec read_source(const SourceKind& kind, const Expr& call, Elaborator& e, Scope& scope);

}  // namespace gradc::frontend
