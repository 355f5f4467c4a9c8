// The labels of a contraction, as its spec "ab,bc->ac" spells them.
#pragma once

#include <string>
#include <vector>

#include "ir/graph/graph.h"

namespace gradc::graph {

struct EinsumSpec {
  std::string a, b, out;

  std::string text() const { return a + "," + b + "->" + out; }
  // Those that are summed, in the order of the chain: the last runs fastest.
  std::string reduced() const;
  // A label that the spec does not use.
  char unused() const;
};

inline bool has(const std::string& labels, char c) { return labels.find(c) != std::string::npos; }
// A contraction of two floats of which nothing is said but the labels: one that a rewrite may make anew. What
// asks for an order or an accumulator stays as it is.
bool is_plain_contraction(const Node& n);
// The conditions of the attribute `where`, "%i + %u - 4, 13 - %i - %u" over the labels of a spec: only terms
// for which all are >= 0 are summed. Variable i is label i of `labels`. Throws CompileError where they are
// not that.
std::vector<Index> parse_where(const std::string& text, const std::string& labels);
std::string where_text(const std::vector<Index>& conditions, const std::string& labels);
// Throws CompileError where the text is not of this form.
EinsumSpec parse_einsum(const std::string& text);

}  // namespace gradc::graph
