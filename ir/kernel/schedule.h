// A kernel's schedule as data: what is done to its loops, one step after the other, each with its reason.
// Here steps are printed and read; passes/kernel/replay.cpp knows their names and what they do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gradc::kernel {

struct Transform {
  std::string name;
  std::vector<std::string> loops;  // what it is done to
  int64_t by = 0;                  // a size; 0 where it takes none
  std::vector<std::string> into;   // the names of the loops that it makes
  std::string reason;              // without quotes and line breaks
};

// An axis loop is called i<n>, as in the kernel's text.
struct Schedule {
  std::string what;  // in a few words
  std::vector<Transform> steps;
};

std::string print(const Schedule& s, std::string_view kernel);
// The schedule that starts at byte `at` of a longer text and the kernel it names; `at` moves behind it.
// Throws CompileError with the place of a mistake.
struct NamedSchedule {
  std::string kernel;
  Schedule schedule;
};
NamedSchedule parse_schedule_at(std::string_view text, size_t& at, uint32_t file);

}  // namespace gradc::kernel
