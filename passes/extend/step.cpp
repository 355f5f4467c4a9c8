#include "passes/extend/step.h"

#include "ir/graph/op_def.h"

namespace gradc::passes {

using namespace graph;

std::optional<Stacked> stacked(const Function& f, NodeId n, int64_t places) {
  Stacked s;
  s.scan = n;
  if (f[n].op->form == Form::Get) {
    s.scan = f[n].operands[0];
    s.result = static_cast<size_t>(f[n].attrs.integer("index"));
  }
  const Node& scan = f[s.scan];
  if (scan.op->form != Form::Scan || scan.attrs.flag("reverse") || !scan.attrs.shape("length")[0].is(places))
    return std::nullopt;
  s.consts = static_cast<size_t>(scan.attrs.integer("consts"));
  s.carries = static_cast<size_t>(scan.attrs.integer("carries"));
  const bool whole_tuple = s.scan == n && scan.types.size() != 1;
  return whole_tuple || s.result < s.carries ? std::nullopt : std::optional(s);
}

Places places_of(const Function& f, const Stacked& s, std::span<const Places> known) {
  const Operands& operands = f[s.scan].operands;
  const Places everywhere{true, {}}, by_place{true, {{0, 0}}};
  Places out;
  for (size_t i = 0; i < operands.size(); ++i) {
    const Places& p = known[operands[i]];
    if (!p.tokens) continue;
    if (i < s.consts + s.carries || p.last.size() != 1 || p.last.begin()->first != 0 ||
        p.last.begin()->second > 0)
      return everywhere;
    out = by_place;
  }
  return out;
}

}  // namespace gradc::passes
