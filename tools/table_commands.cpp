// Commands on tables: what is in them.
#include "runtime/csv.h"
#include "support/diagnostic.h"
#include "tools/commands.h"

namespace gradc {

int inspect_table(const Arguments& a) {
  const runtime::CsvTable table = runtime::read_csv(a.file);
  fmt::print("{}: {} rows, {} columns\n", a.file, table.rows(), table.columns().size());
  for (const runtime::ColumnSummary& s : runtime::summarize(table)) {
    std::string line = fmt::format("  {:28} {:8}", printable(s.name, 256), s.type);
    if (s.type != "text") line += fmt::format(" {:>12g} .. {:<12g} mean {:<12g}", s.min, s.max, s.mean);
    if (s.missing > 0) line += fmt::format(" {} missing", s.missing);
    line += fmt::format(" {} distinct", s.distinct > 1000 ? "more than 1000" : std::to_string(s.distinct));
    if (s.distinct <= 10 && table.rows() > 0) {
      line += ":";
      for (const auto& [value, n] : s.top)
        line += fmt::format(" {} {:.1f}%", printable(value, 256),
                            100.0 * static_cast<double>(n) / static_cast<double>(table.rows()));
    }
    fmt::print("{}\n", line);
  }
  return kOk;
}

}  // namespace gradc
