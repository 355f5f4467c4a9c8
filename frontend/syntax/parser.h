// Tokens to a syntax tree, by recursive descent over the grammar of docs/language.md. A mistake is reported
// and parsing goes on at the end of its statement.
#pragma once

#include "frontend/syntax/ast.h"
#include "support/diagnostic.h"

namespace gradc::frontend {

File parse(const Sources& sources, uint32_t file, Diagnostics& diagnostics);
// One expression, as in -D name=value. `text` must be all of the source `file`.
Expr parse_expression(const Sources& sources, uint32_t file, Diagnostics& diagnostics);

}  // namespace gradc::frontend
