// The state region of a model: what lies where and how, decided once for all entries.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "frontend/frontend.h"
#include "ir/step/step.h"
#include "passes/state_table.h"
#include "runtime/program.h"

namespace gradc {

// How one state lies. Entries that only read it read `copy`, where there is one; those that write it write
// both.
struct StateLayout {
  Layout layout;
  std::optional<Layout> copy;
};
using ChooseLayout = std::function<StateLayout(const frontend::StateSpec&)>;

// A row for each state of the unit, by its number there, then rows for the copies. Without `choose` all are
// plain and there are no copies.
passes::StateTable make_state_table(const frontend::Unit& unit, const ChooseLayout& choose);

// What the entries' kernels made of the layouts (passes/step/panels.h); each takes as many places as before.
void adopt(passes::StateTable& table, const std::vector<step::Step>& entries);

// The row of each parameter of an entry; -1 for an input. Here, where the front end's functions come in,
// names become numbers; nothing behind it looks for a state by name.
std::vector<int> state_rows(const frontend::Unit& unit, const graph::Function& f);

// The same layout in the runtime's own words.
runtime::Layout runtime_layout(const Layout& l);
Layout compiler_layout(const runtime::Layout& l, int rank);

}  // namespace gradc
