// Schedule text: `schedule @k "what" { ... }`, a line for each step: its name, loops, size, new loops,
// reason.
#include "ir/kernel/schedule.h"

#include <fmt/format.h>

#include "ir/scanner.h"

namespace gradc::kernel {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& n : names) out += (out.empty() ? "" : ", ") + n;
  return out;
}

class Parser : Scanner {
 public:
  using Scanner::Scanner;

  NamedSchedule schedule() {
    NamedSchedule s;
    expect_word("schedule");
    expect("@");
    s.kernel = word();
    s.schedule.what = quoted();
    expect("{");
    while (!eat("}")) s.schedule.steps.push_back(step());
    return s;
  }
  size_t position() const { return all_.size() - t_.size(); }

 private:
  Transform step() {
    Transform t;
    t.name = word();
    t.loops = names();
    if (eat_word("by")) t.by = integer();
    if (eat("->")) t.into = names();
    t.reason = quoted();
    return t;
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    do out.push_back(word());
    while (eat(","));
    return out;
  }
  std::string quoted() {
    expect("\"");
    const size_t n = t_.find_first_of("\"\n");
    if (n == std::string_view::npos || t_[n] != '"') fail("a string is not closed");
    std::string s(t_.substr(0, n));
    t_.remove_prefix(n + 1);
    return s;
  }
};

}  // namespace

std::string print(const Schedule& s, std::string_view kernel) {
  std::string out = fmt::format("schedule @{} \"{}\" {{\n", kernel, s.what);
  for (const Transform& t : s.steps) {
    out += fmt::format("  {} {}", t.name, joined(t.loops));
    if (t.by != 0) out += fmt::format(" by {}", t.by);
    if (!t.into.empty()) out += " -> " + joined(t.into);
    out += fmt::format("  \"{}\"\n", t.reason);
  }
  return out + "}\n";
}

NamedSchedule parse_schedule_at(std::string_view text, size_t& at, uint32_t file) {
  Parser p(text, file, at);
  NamedSchedule s = p.schedule();
  at = p.position();
  return s;
}

}  // namespace gradc::kernel
