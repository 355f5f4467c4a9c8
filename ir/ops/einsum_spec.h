// The labels of a contraction, as its spec "ab,bc->ac" spells them.
#pragma once

#include <string>

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
// Throws CompileError where the text is not of this form.
EinsumSpec parse_einsum(const std::string& text);

}  // namespace gradc::graph
