// The proof that a plan gives the function's own rows: no element of a row depends on what stands behind the
// new place, which kept values do not know. Masked scores, say, are a constant there whatever the scores
// were, their weights 0, and 0 times a kept value is 0.
//
// Taken as given: kept values are finite, and so is what is computed from them before it meets such a 0. A
// sum that comes to zero by underflow may have the other sign of zero.
#pragma once

#include "passes/extend/plan.h"

namespace gradc::passes {

// Throws CompileError at the first node whose row may depend on more.
void prove_settled(const graph::Function& f, const graph::Module& m, const Sequence& sequence,
                   const Plan& plan);

}  // namespace gradc::passes
