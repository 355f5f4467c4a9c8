// Step text: kernels, each behind its schedule if it has one, then dimensions, buffers with their places, and
// the order in which kernels run.
#include <fmt/format.h>

#include "ir/step/step.h"

namespace gradc::step {
namespace {

constexpr std::string_view kRegions[] = {"state", "io", "scratch", "thread"};

class Printer {
 public:
  explicit Printer(const Step& s) : s_(s) {}

  std::string text() const {
    std::string out;
    for (size_t k = 0; k < s_.kernels.size(); ++k) {
      if (k < s_.schedules.size()) out += kernel::print(s_.schedules[k], s_.kernels[k].name);
      out += kernel::print(s_.kernels[k]) + "\n";
    }
    out += fmt::format("step @{}[", s_.name);
    for (size_t i = 0; i < s_.dims.size(); ++i)
      out +=
          fmt::format("{}{} <= {} plan {}", i ? ", " : "", s_.dims[i].name, s_.dims[i].max, s_.dims[i].plan);
    out += fmt::format("] state={} io={} scratch={}", s_.state_bytes, s_.io_bytes, s_.scratch_bytes);
    if (s_.thread_bytes) out += fmt::format(" thread={}", s_.thread_bytes);
    out += " {\n";
    for (const Buffer& b : s_.buffers) {
      out += fmt::format("  buffer %{}: {}{}{}", b.name, name_of(b.dtype), str(b.shape), b.layout.str());
      if (b.derived_from >= 0) out += " of %" + s_.buffers[b.derived_from].name;
      out += fmt::format(" {} at {}\n", kRegions[static_cast<int>(b.region)], b.offset);
    }
    out += "  inputs" + names(s_.inputs) + "\n  outputs" + names(s_.outputs) + "\n";
    body(s_.body, 1, out);
    return out + "}\n";
  }

 private:
  std::string names(const std::vector<int>& list) const {
    std::string out;
    for (int b : list) out += (out.empty() ? " %" : ", %") + s_.buffers[b].name;
    return out;
  }
  static std::string var(int v) { return fmt::format("%i{}", v); }
  void body(const Body& b, int depth, std::string& out) const {
    const std::string pad(static_cast<size_t>(depth) * 2, ' ');
    for (const Stmt& s : b) {
      if (auto* r = std::get_if<Run>(&s)) {
        out +=
            fmt::format("{}run {}({}", pad, r->kernel, names(r->buffers).substr(r->buffers.empty() ? 0 : 1));
        for (size_t i = 0; i < r->params.size(); ++i) out += (i ? ", " : "; ") + r->params[i].str(var);
        out += fmt::format(")  // @{}\n", s_.kernels[r->kernel].name);
      } else if (std::holds_alternative<Barrier>(s)) {
        out += pad + "barrier\n";
      } else if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) {
        out += fmt::format("{}{} {} in 0..{}", pad, (*f)->tasks ? "tasks" : "for", var((*f)->var),
                           (*f)->extent.str(var));
        if ((*f)->condition >= 0) out += " while %" + s_.buffers[(*f)->condition].name;
        out += " {\n";
        body((*f)->body, depth + 1, out);
        out += pad + "}\n";
      } else {
        const If& i = *std::get<std::shared_ptr<const If>>(s);
        out += fmt::format("{}if %{} {{\n", pad, s_.buffers[i.condition].name);
        body(i.then_body, depth + 1, out);
        out += pad + "} else {\n";
        body(i.else_body, depth + 1, out);
        out += pad + "}\n";
      }
    }
  }

  const Step& s_;
};

}  // namespace

std::string print(const Step& s) { return Printer(s).text(); }

}  // namespace gradc::step
