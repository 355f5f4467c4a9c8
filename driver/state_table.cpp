#include "driver/state_table.h"

#include <map>

#include "ir/step/addressable.h"
#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

int64_t aligned(int64_t bytes) { return (bytes + 63) / 64 * 64; }

}  // namespace

// The rows lie side by side, 64-byte aligned.
passes::StateTable make_state_table(const frontend::Unit& unit, const ChooseLayout& choose) {
  passes::StateTable table;
  auto add = [&](const frontend::StateSpec& s, const Layout& layout, int derived_from) {
    const Type& t = s.type;
    const Dim places = layout.size(t.shape);
    GRADC_CHECK(places.is_constant(), "a state {} has no constant shape", t.str());
    table.rows.push_back({{layout, table.bytes}, derived_from});
    const std::optional<int64_t> end = step::addressable_end(places.constant_part(), t.dtype, table.bytes);
    if (!end)
      throw CompileError(s.loc, fmt::format("with {}, which is {}, weights and states take more bytes than a "
                                            "process can address; take smaller ones",
                                            s.path, t.str()));
    table.bytes = aligned(*end);
  };
  std::vector<std::pair<size_t, Layout>> copies;
  for (size_t s = 0; s < unit.state.size(); ++s) {
    StateLayout chosen = choose ? choose(unit.state[s]) : StateLayout{};
    add(unit.state[s], chosen.layout, -1);
    if (chosen.copy) copies.emplace_back(s, std::move(*chosen.copy));
  }
  for (const auto& [s, layout] : copies) add(unit.state[s], layout, static_cast<int>(s));
  return table;
}

void adopt(passes::StateTable& table, const std::vector<step::Step>& entries) {
  std::map<int64_t, const Layout*> at;
  for (const step::Step& s : entries)
    for (const step::Buffer& b : s.buffers)
      if (b.region == step::Region::State) at[b.offset] = &b.layout;
  for (passes::StateRow& row : table.rows)
    if (auto it = at.find(row.place.offset); it != at.end()) row.place.layout = *it->second;
}

std::vector<int> state_rows(const frontend::Unit& unit, const graph::Function& f) {
  std::map<std::string, int> row;
  for (size_t s = 0; s < unit.state.size(); ++s)
    GRADC_CHECK(row.emplace(unit.state[s].parameter(), static_cast<int>(s)).second,
                "two states are called {}", unit.state[s].path);
  std::vector<int> rows;
  for (graph::NodeId p : f.params) {
    auto it = row.find(f.names.at(p));
    rows.push_back(it == row.end() ? -1 : it->second);
  }
  return rows;
}

runtime::Layout runtime_layout(const Layout& l) {
  runtime::Layout out;
  out.order.assign(l.order().begin(), l.order().end());
  for (const Layout::Block& b : l.blocks()) out.blocks.push_back({b.axis, b.size});
  out.padding = l.padding();
  return out;
}

Layout compiler_layout(const runtime::Layout& l, int rank) {
  std::vector<Layout::Block> blocks;
  for (const runtime::Block& b : l.blocks) blocks.push_back({b.axis, b.size});
  return Layout::make(rank, {l.order.begin(), l.order.end()}, std::move(blocks), l.padding);
}

}  // namespace gradc
