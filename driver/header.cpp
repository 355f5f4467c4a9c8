#include "driver/header.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "codegen/codegen.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

std::string upper(std::string s) {
  for (char& c : s)
    c = static_cast<char>(
        std::isalnum(static_cast<unsigned char>(c)) != 0 ? std::toupper(static_cast<unsigned char>(c)) : '_');
  return s;
}

// Names of tensors or dimensions as parts of macros, no two of them equal. Upper case where that is clear;
// names that would meet each other, or one of `taken`, spell out what upper case hides, behind an n_ that
// nothing else begins with.
class MacroNames {
 public:
  explicit MacroNames(std::set<std::string> taken = {}) {
    for (const std::string& t : taken) ++uses_[t];
  }
  void add(const std::string& name) { ++uses_[upper(name)]; }
  std::string operator()(const std::string& name) const {
    if (uses_.at(upper(name)) == 1) return upper(name);
    std::string out = "n_";
    for (char c : name) {
      const auto u = static_cast<unsigned char>(c);
      if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')
        out += static_cast<char>(std::toupper(u));
      else
        out += fmt::format("x{:02x}", u);
    }
    return out;
  }

 private:
  std::map<std::string, int> uses_;
};

MacroNames names_of(const std::vector<runtime::Tensor>& tensors) {
  MacroNames names;
  for (const runtime::Tensor& t : tensors) names.add(t.name);
  return names;
}

// Names of the model may hold anything, the end of a comment too.
std::string comment_text(const std::string& text) {
  std::string out;
  for (char c : printable(text, 512))
    out += c == '*' ? "\\x2a" : c == '\n' || c == '\t' ? " " : std::string(1, c);
  return out;
}

std::string extent_text(const runtime::Extent& e, const std::vector<std::string>& dims) {
  if (e.dim < 0) return std::to_string(e.scale);
  return (e.scale == 1 ? "" : std::to_string(e.scale) + "*") + dims[static_cast<size_t>(e.dim)];
}

std::string list_text(const std::vector<runtime::Extent>& list, const std::vector<std::string>& dims) {
  std::string s = "[";
  for (const runtime::Extent& e : list) s += (s.size() > 1 ? ", " : "") + extent_text(e, dims);
  return s + "]";
}

std::string tensor_text(const runtime::Tensor& t, const std::vector<std::string>& dims) {
  return fmt::format("{} {}", runtime::name_of(t.dtype), list_text(t.shape, dims));
}

// Of indices, which are not negative: so that C's division is ours.
std::string c_text(const Index& e) {
  std::string sum;
  for (const Index::Term& t : e.terms()) {
    std::string product;
    for (const Atom& a : t.factors) {
      const bool division = a.kind == Atom::Kind::FloorDiv;
      GRADC_CHECK(a.kind == Atom::Kind::Var || division || a.kind == Atom::Kind::Mod, "{} in C", e.str());
      product += product.empty() ? "" : " * ";
      product += a.args ? fmt::format("({} {} {})", c_text(a.args->first), division ? "/" : "%",
                                      c_text(a.args->second))
                        : fmt::format("(int64_t)(i{})", a.var);
    }
    sum += (sum.empty() ? "" : " + ") + fmt::format("INT64_C({}) * {}", t.coefficient, product);
  }
  return sum.empty() ? fmt::format("INT64_C({})", e.constant_part()) : "(" + sum + ")";
}

// A state with a layout of its own: a macro that finds its elements.
std::string layout_text(const runtime::Tensor& t, const std::string& macro) {
  if (t.layout.plain()) return "";
  const int rank = static_cast<int>(t.shape.size());
  Shape shape;
  std::vector<Index> at;
  std::string names;
  for (int a = 0; a < rank; ++a) {
    shape.emplace_back(t.shape[static_cast<size_t>(a)].scale);
    at.push_back(Index::var(a));
    names += (a > 0 ? ", i" : "i") + std::to_string(a);
  }
  return fmt::format("#define {}_AT({}) {}\n", macro, names,
                     c_text(compiler_layout(t.layout, rank).address(shape, at)));
}

constexpr const char* kHead =
    R"(/* {0}: made by gradc. The functions allocate nothing, keep no globals and do no I/O.
 *
 * The caller owns three regions, each aligned to 64 bytes:
 *   state    {1}STATE_BYTES: parameters, states, optimiser slots. Written by {2}init.
 *   io       {1}IO_BYTES: inputs and outputs of a call, at the offsets below. Not kept between calls of different entries.
 *   scratch  {1}SCRATCH_BYTES(threads): has no contents between calls.
 * A call: fill the inputs, fill a table with <entry>_table (dimensions up to their maximum), call the entry. With one
 * thread: tid 0, nthreads 1, barrier NULL. With n: every thread calls with its own tid and a common barrier, whose wait()
 * returns once all n have called it. No result depends on n. Offsets are in bytes. Tensors are row-major, but for those
 * of the state with a macro _AT, which gives the place of an element, counted in elements; bytes between them are 0
 * before init. Who writes a state of which there are copies writes the copies too.
 */
#ifndef {1}{3}_H
#define {1}{3}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

#ifndef GRADC_ABI_VERSION
#define GRADC_ABI_VERSION 1
typedef struct gradc_barrier {{
  uint32_t struct_size;
  void (*wait)(void* context, uint32_t tid);
  void* context;
}} gradc_barrier;
#endif

)";

std::string tensors_text(const runtime::Entry& e, const std::string& macro) {
  std::string s;
  MacroNames dims;
  for (const std::string& d : e.dims) dims.add(d);
  for (size_t d = 0; d < e.dims.size(); ++d)
    s += fmt::format("#define {}MAX_{} INT64_C({})\n", macro, dims(e.dims[d]), e.max_dims[d]);
  for (const auto* list : {&e.inputs, &e.outputs}) {
    const MacroNames names = names_of(*list);
    for (const runtime::Tensor& t : *list) {
      GRADC_CHECK(t.layout.plain(), "{} has a layout, which callers do not know of", t.name);
      s += fmt::format("#define {}{}_{} INT64_C({}) /* {}: {} */\n", macro, list == &e.inputs ? "IN" : "OUT",
                       names(t.name), t.offset, comment_text(t.name), tensor_text(t, e.dims));
    }
  }
  return s;
}

// `build` is 0 in the object of this header, and nowhere else.
std::string entry_text(const runtime::Entry& e, const std::string& prefix, const std::string& build) {
  const std::string function = prefix + e.name, macro = upper(function) + "_";
  std::string s = fmt::format("/* {} */\n", e.name);
  s += tensors_text(e, macro);
  const size_t dims = e.dims.size(), length = dims + e.offsets.size();
  s += fmt::format("#define {}TABLE {}\n", macro, std::max<size_t>(1, length));
  s += fmt::format(
      "void {}(void* state, void* io, void* scratch, const int64_t* table, uint32_t tid, uint32_t "
      "nthreads,\n    const gradc_barrier* barrier);\n",
      function);
  std::string parameters = "int64_t* table", body;
  for (size_t d = 0; d < dims; ++d) {
    parameters += fmt::format(", int64_t dim_{}", e.dims[d]);
    body += fmt::format("  table[{}] = dim_{};\n", d, e.dims[d]);
  }
  for (size_t i = 0; i < e.offsets.size(); ++i)
    body += fmt::format("  table[{}] = INT64_C({});\n", dims + i, e.offsets[i]);
  body += fmt::format("  table[0] {}= {};\n", length == 0 ? "" : "+", build);
  return s + fmt::format("static inline void {}_table({}) {{\n{}}}\n\n", function, parameters, body);
}

std::string state_text(const runtime::Program& p, const runtime::Tensor& t, const std::string& macro) {
  std::string about = tensor_text(t, {});
  if (t.derived_from >= 0) about += ", a copy of " + p.state[static_cast<size_t>(t.derived_from)].tensor.name;
  return fmt::format("#define {} INT64_C({}) /* {}: {} */\n", macro, t.offset, comment_text(t.name),
                     comment_text(about)) +
         layout_text(t, macro);
}

}  // namespace

void check_prefix(const std::string& prefix) {
  bool good = prefix.empty() || std::isdigit(static_cast<unsigned char>(prefix[0])) == 0;
  for (char c : prefix) good = good && (c == '_' || (std::isalnum(static_cast<unsigned char>(c)) != 0));
  if (!good)
    throw CompileError(
        {}, fmt::format("--prefix '{}': names of C that start so need letters, digits and _, and no "
                        "digit in front",
                        prefix));
}

std::string c_header(const Compiled& c, const std::string& prefix, const codegen::Options& o) {
  check_prefix(prefix);
  const std::string build = codegen::build_symbol(c.steps, prefix, o);
  const std::string macro = upper(prefix);
  const runtime::Program& p = c.program;
  std::string s =
      fmt::format(kHead, comment_text(c.unit.model_name), macro, prefix, upper(build.substr(prefix.size())));
  s += fmt::format("/* Only in the object that was made with this header. */\nextern const int64_t {};\n\n",
                   build);
  int64_t io = 64, shared = 64, each = 64;
  for (const auto& [name, e] : p.entries) {
    io = std::max(io, e.io_bytes);
    shared = std::max(shared, (e.scratch_bytes + 63) / 64 * 64);
    each = std::max(each, (e.thread_scratch_bytes + 63) / 64 * 64);
  }
  s += fmt::format(
      "#define {}STATE_BYTES INT64_C({})\n#define {}IO_BYTES INT64_C({})\n#define {}SCRATCH_BYTES(threads) "
      "(INT64_C({}) + INT64_C({}) * (threads))\n",
      macro, std::max<int64_t>(64, p.state_bytes), macro, io, macro, shared, each);
  s += fmt::format("#define {}METRICS {} /* values of finish: ", macro, p.metrics.size());
  for (size_t i = 0; i < p.metrics.size(); ++i) s += (i > 0 ? ", " : "") + comment_text(p.metrics[i]);
  s += " */\n\n/* Tensors of the state region: name, byte offset. */\n";
  MacroNames names({"BYTES"});
  for (const runtime::StateTensor& t : p.state) names.add(t.tensor.name);
  for (const runtime::StateTensor& t : p.state)
    s += state_text(p, t.tensor, macro + "STATE_" + names(t.tensor.name));
  s += "\n";
  for (const auto& [name, e] : p.entries) s += entry_text(e, prefix, build);
  return s + "#ifdef __cplusplus\n}\n#endif\n\n#endif\n";
}

}  // namespace gradc
