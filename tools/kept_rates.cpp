#include "tools/kept_rates.h"

#include <fmt/format.h>

#include <fstream>

#include "codegen/program_cache.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "tools/model_options.h"

namespace gradc {
namespace {

std::string place() {
  const std::string folder = cache_folder();
  return folder.empty() ? "" : folder + "/rates";
}

}  // namespace

std::string processor_name() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t colon = line.find(':');
    const size_t from = colon == line.npos ? colon : line.find_first_not_of(" \t", colon + 1);
    return from == line.npos ? "" : line.substr(from);
  }
  return "";
}

std::optional<Rates> kept_rates() {
  std::ifstream in(place());
  std::string name;
  Rates r;
  const bool read = std::getline(in, name) && in >> r.gops >> r.near_gbs >> r.far_gbs;
  if (!read || name != processor_name()) return std::nullopt;
  for (double rate : {r.gops, r.near_gbs, r.far_gbs})
    if (!(rate > 0 && rate < 1e9)) return std::nullopt;
  return r;
}

void keep_rates(const Rates& r) {
  const std::string path = place();
  if (path.empty() || !codegen::why_not_writable(cache_folder()).empty()) return;
  const std::string text =
      fmt::format("{}\n{:.1f} {:.1f} {:.1f}\n", processor_name(), r.gops, r.near_gbs, r.far_gbs);
  const std::string_view parts[] = {text};
  try {
    runtime::write_file_atomically(path, parts);
  } catch (const runtime::Error&) {  // nothing depends on it
  }
}

}  // namespace gradc
