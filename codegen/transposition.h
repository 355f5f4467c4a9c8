// Squares of a matrix that change sides: code for one in its place would be most of what many kernels are,
// and LLVM is long about it, so that a module has a function for each kind.
#pragma once

#include <llvm/IR/Module.h>

namespace gradc::codegen {

// (source, elements from one of its vectors to the next, target, likewise): reads `in` vectors of `out`
// elements and writes `out` vectors of `in` elements; neither is more than `lanes`.
llvm::Function* transposition(llvm::Module& m, llvm::Type* element, int lanes, int in, int out);

}  // namespace gradc::codegen
