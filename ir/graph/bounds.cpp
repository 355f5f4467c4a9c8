#include "ir/graph/bounds.h"

#include <algorithm>
#include <map>

#include "ir/graph/op_def.h"
#include "support/diagnostic.h"

namespace gradc::graph {
namespace {

int64_t largest(const Function& f, const std::string& dim) {
  auto it = f.dims.find(dim);
  return it == f.dims.end() ? 1 : std::max<int64_t>(1, it->second.max);
}

// The type rule tries small sizes; here every dimension has its maximum.
void check_slice(const Function& f, NodeId n) {
  const Shape& whole = f.type(f[n].operands[0]).shape;
  const Shape& limit = f[n].attrs.shape("limit");
  for (size_t i = 0; i < limit.size(); ++i) {
    const Index room = whole[i] - limit[i];
    std::map<std::string, int> names;
    room.collect_dims(names);
    if (names.empty() || names.size() > 8) continue;
    for (unsigned corner = 0; corner < 1u << names.size(); ++corner) {
      std::map<std::string, int64_t> size;
      for (const auto& [name, count] : names) size[name] = corner >> size.size() & 1 ? largest(f, name) : 1;
      if (room.evaluate([](int) -> int64_t { return 0; }, [&](const std::string& d) { return size.at(d); }) >=
          0)
        continue;
      std::string where;
      for (const auto& [name, value] : size)
        where += fmt::format("{}{} is {}", where.empty() ? "" : " and ", name, value);
      const Loc* loc = f.locs.find(n);
      throw CompileError(loc ? *loc : Loc{},
                         fmt::format("a slice up to {} reaches beyond axis {} of {} where {}", limit[i].str(),
                                     i, f.type(f[n].operands[0]).str(), where));
    }
  }
}

}  // namespace

void check_slices(const Function& f) {
  for (NodeId n = 0; n < f.nodes.size(); ++n)
    if (f[n].op->name == "slice") check_slice(f, n);
}

}  // namespace gradc::graph
