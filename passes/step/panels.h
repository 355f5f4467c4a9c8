// Which matrices lie in panels: the state of a program, chosen for all of its entries together, and what a
// loop of one step reads again and again.
#pragma once

#include <map>
#include <set>
#include <span>

#include "ir/step/step.h"
#include "passes/report.h"
#include "support/machine.h"

namespace gradc::passes {

// By offset in the state region; what is not there stays plain. None takes more places than a plain one.
using StateLayouts = std::map<int64_t, Layout>;

// Of steps with naive kernels and plain states. What `init` does decides nothing.
StateLayouts choose_panels(std::span<const step::Step> entries, const Machine& m);
// The states of one entry, and what its kernels know of them.
void lay_out_states(step::Step& s, const StateLayouts& layouts, StepReport* report);

// The buffers of one step, of a function's temporaries, that are made outside of a loop in which contractions
// read panels of them.
std::set<int> panels_of_loops(const step::Step& s, const Machine& m);
// Of a matrix in panels.
Layout panels(const Machine& m);

}  // namespace gradc::passes
