// What this machine is, what it can do, and what of it is in the way of work.
#include <unistd.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "codegen/program_cache.h"
#include "driver/load_data.h"
#include "runtime/memory.h"
#include "runtime/team.h"
#include "support/diagnostic.h"
#include "tools/commands.h"
#include "tools/kept_rates.h"
#include "tools/model_options.h"
#include "tools/peak.h"

namespace gradc {

using runtime::size_text;
namespace {

// The first line of a file of the system, "" when there is none.
std::string line_of(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

struct CpuCache {
  int level = 0;
  int64_t bytes = 0;
};

// Of the first core, instructions' left out; empty where the system does not say.
std::vector<CpuCache> cpu_caches() {
  std::vector<CpuCache> all;
  for (int i = 0; i < 16; ++i) {
    const std::string folder = fmt::format("/sys/devices/system/cpu/cpu0/cache/index{}/", i);
    const std::string level = line_of(folder + "level"), size = line_of(folder + "size");
    if (level.empty() || size.empty() || line_of(folder + "type") == "Instruction") continue;
    std::istringstream text(size);
    int64_t n = 0;
    char unit = 0;
    text >> n >> unit;
    all.push_back({level[0] - '0', n * (unit == 'M' ? 1 << 20 : unit == 'K' ? 1024 : 1)});
  }
  return all;
}

int64_t cache_of_level(const std::vector<CpuCache>& all, int level, int64_t otherwise) {
  for (const CpuCache& c : all)
    if (c.level == level && c.bytes > 0) return c.bytes;
  return otherwise;
}

// Instructions that schedules and code profit from, of those that the code generator finds here.
std::vector<std::string> telling_features(const std::string& features) {
  std::vector<std::string> out;
  for (const char* f : {"sse4.2", "avx", "avx2", "fma", "avx512f", "avx512vl", "avx512bf16", "avx512vnni",
                        "amx-tile", "amx-bf16", "neon", "sve"})
    if (("," + features + ",").find(fmt::format(",+{},", f)) != std::string::npos) out.emplace_back(f);
  return out;
}

void show_processor(const std::vector<CpuCache>& caches) {
  const codegen::TargetInfo t = codegen::resolve({});
  const std::string model = processor_name();
  fmt::print("processor     {}\n", model.empty() ? "unknown" : printable(model));
  fmt::print("code for      {}, {}\n", t.cpu, t.triple);
  fmt::print("features      {}\n", fmt::join(telling_features(t.features), " "));
  fmt::print("lanes         {} f32 in a vector, {} registers, {} multiply-add\n", t.lanes, t.vector_registers,
             t.fma ? "fused" : "no fused");
  fmt::print("cores         {} of {}\n", runtime::available_cores(), sysconf(_SC_NPROCESSORS_CONF));
  std::string text;
  for (const CpuCache& c : caches)
    text += fmt::format("{}L{} {}", text.empty() ? "" : ", ", c.level, size_text(c.bytes));
  fmt::print("caches        {}\n", text.empty() ? "unknown" : text);
}

// The choice of /sys/.../enabled: the word in brackets.
std::string chosen(const std::string& line) {
  const size_t open = line.find('['), close = line.find(']');
  return open < close && close != line.npos ? line.substr(open + 1, close - open - 1) : "unknown";
}

void show_memory() {
  const int64_t total = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  std::string text = size_text(total);
  if (const int64_t free = runtime::available_memory(); free < total)
    text += fmt::format(", {} available", size_text(free));
  fmt::print("memory        {}\n", text);
  fmt::print("huge pages    {}\n", chosen(line_of("/sys/kernel/mm/transparent_hugepage/enabled")));
}

void show_places(std::vector<std::string>& problems) {
  const std::string folder = cache_folder();
  if (folder.empty()) {
    fmt::print("cache folder  off: every start compiles\n");
  } else {
    const std::string problem = codegen::why_not_writable(folder);
    const codegen::CacheContents c = codegen::cache_contents(folder);
    fmt::print("cache folder  {}: {} entries, {}, {}\n", printable(folder), c.entries, size_text(c.bytes),
               problem.empty() ? "can be written" : "not usable");
    if (!problem.empty()) problems.push_back(problem);
  }
  const std::string root = data_root("");
  std::error_code ignored;
  const bool there = std::filesystem::is_directory(root, ignored);
  fmt::print("data root     {}: {}\n", printable(root), there ? "is there" : "is not there");
  // A root that nobody named may well be missing: files beside the model are found without it.
  const char* named = std::getenv("GRADC_DATA");
  if (!there && named != nullptr && *named != 0)
    problems.push_back(fmt::format("GRADC_DATA names {}, which is no folder", root));
}

// What takes a moment says so where somebody watches.
class Progress {
 public:
  void at(const char* what) const {
    if (shown_) std::fprintf(stderr, "\r\033[Kmeasuring %s ...", what), std::fflush(stderr);
  }
  ~Progress() {
    if (shown_) std::fprintf(stderr, "\r\033[K");
  }

 private:
  bool shown_ = isatty(1) != 0 && isatty(2) != 0;
};

void show_rates(const std::vector<CpuCache>& caches) {
  const int cores = runtime::available_cores();
  std::string text;
  {
    const Progress progress;
    progress.at("multiply-adds");
    Rates rates;
    rates.gops = measure_peak_gflops(1);
    text += fmt::format("multiply-add  {:.1f} Gflop/s on one core, {:.1f} on {}\n", rates.gops,
                        measure_peak_gflops(cores), cores);
    const int64_t l1 = cache_of_level(caches, 1, 32 << 10), l2 = cache_of_level(caches, 2, 512 << 10);
    // Well beyond the last level, as far as it is this process's; bounded, so that it ends soon anywhere.
    const int64_t last = std::max(cache_of_level(caches, 3, 0), l2);
    const int64_t memory = std::clamp<int64_t>(4 * last, 64 << 20, 256 << 20);
    text += "reading       one core, GB/s:";
    for (const auto& [name, bytes] : {std::pair{"L1", l1 / 2}, {"L2", l2 / 2}, {"memory", memory}}) {
      progress.at(name);
      const double gbs = measure_read_gbs(bytes);
      if (bytes != l1 / 2) (bytes == memory ? rates.far_gbs : rates.near_gbs) = gbs;
      text += fmt::format(" {} {:.1f} ({})", name, gbs, size_text(bytes));
    }
    keep_rates(rates);
  }
  fmt::print("{}\n", text);
}

}  // namespace

int run_doctor(const Arguments& a) {
  std::vector<std::string> problems;
  fmt::print("gradc         {}, {}\n", kVersion, codegen::version());
  const std::vector<CpuCache> caches = cpu_caches();
  show_processor(caches);
  show_memory();
  show_places(problems);
  if (!a.quick) show_rates(caches);
  std::fflush(stdout);
  for (const std::string& p : problems) std::cerr << "problem: " << printable(p) << "\n";
  if (problems.empty()) fmt::print("all well\n");
  return problems.empty() ? kOk : kError;
}

}  // namespace gradc
