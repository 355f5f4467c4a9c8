#include "tools/model_options.h"

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "driver/operations.h"
#include "runtime/error.h"
#include "runtime/team.h"
#include "support/check.h"
#include "tools/kept_rates.h"

namespace gradc {
namespace {

std::vector<frontend::Override> overrides(const std::vector<std::string>& list, const char* option) {
  std::vector<frontend::Override> out;
  for (const std::string& s : list) {
    const size_t at = s.find('=');
    if (at == std::string::npos)
      throw runtime::Error(runtime::Failure::Usage, fmt::format("{} {}: write NAME=VALUE", option, s));
    out.push_back({s.substr(0, at), s.substr(at + 1)});
  }
  return out;
}

}  // namespace

// GRADC_CACHE names the folder of compiled code, "" switches it off; else it is the user's cache folder.
std::string cache_folder() {
  if (const char* own = std::getenv("GRADC_CACHE"); own != nullptr) return own;
  const char *xdg = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  if (xdg != nullptr && *xdg != 0) return std::string(xdg) + "/gradc";
  return home != nullptr && *home != 0 ? std::string(home) + "/.cache/gradc" : "";
}

// More threads than cores only wait for each other: then as many as pay, as without the option.
int threads_of(const Arguments& a) { return a.threads <= runtime::available_cores() ? a.threads : 0; }
DataPlaces places_of(const Arguments& a) {
  return {std::filesystem::path(a.file).parent_path().string(), a.data};
}

ModelOptions options_of(const Arguments& a) {
  ModelOptions o;
  o.frontend.defines = overrides(a.defines, "-D");
  o.frontend.sets = overrides(a.sets, "--set");
  o.frontend.float_type = a.float_type == "f64" ? DType::F64 : DType::F32;
  o.frontend.fma = !a.no_fma;
  o.frontend.batch = a.batch;
  o.frontend.example_type = [places = places_of(a)](const frontend::SourceSpec& s,
                                                    const frontend::FieldSpec& f) {
    return example_type(s, f, places);
  };
  o.compile.codegen.target.cpu = a.cpu;
  o.compile.codegen.target.lanes = a.lanes;
  if (o.frontend.fma && emulates_fma(o.compile.codegen.target)) o.frontend.fma = false;
  o.compile.without = a.without;
  if (a.emit == "schedule" && (a.cpu.empty() || a.cpu == "native")) o.compile.rates = kept_rates();
  o.compile.memory = a.memory;
  o.compile.memory_threads = a.object ? 1 : threads_of(a) > 0 ? threads_of(a) : runtime::available_cores();
  o.cache_dir = cache_folder();
  return o;
}

bool emulates_fma(const codegen::Target& target) {
  const codegen::TargetInfo t = codegen::resolve(target);
  if (!t.fma)
    std::cerr << fmt::format(
        "warning: the cpu '{}' has no fused multiply-add; every multiplication is rounded, as with "
        "--no-fma\n",
        t.cpu);
  return !t.fma;
}

double work_of(const Compiled& c, const std::string& entry) {
  const graph::Function* f = c.primitive.find(entry);
  return f == nullptr ? 0 : count_operations(c.primitive, *f);
}

}  // namespace gradc
