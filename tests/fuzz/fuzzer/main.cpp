// fuzz PARSER [CORPUS] [--seconds N] [--seed S] [--out FOLDER]: mutations of the corpus, those that reach new
// edges of the libraries are mutated again. Findings are what tests/fuzz/README.md says; each kind is kept
// once, as a file in FOLDER, and the exit code is 1 when there was any.
//
// A child process runs the parser. Its input lies in memory that the parent shares, so that whatever ends the
// child leaves what ended it.
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "fuzz/parsers.h"

namespace {

namespace fs = std::filesystem;

constexpr size_t kLargest = size_t(64) << 10;
constexpr int kSlowExit = 99;

// Edges by a hash of where they come from and lead to, with how often they were taken in this run.
constexpr size_t kEdges = size_t(1) << 16;
uint8_t edges[kEdges];  // NOLINT: the hook below has no argument
uintptr_t before;       // NOLINT

}  // namespace

extern "C" __attribute__((no_sanitize("address", "undefined"))) void __sanitizer_cov_trace_pc() {
  const auto here = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  uint8_t& count = edges[((here * 0x9E3779B97F4A7C15ULL) >> 48) ^ before];
  count = static_cast<uint8_t>(count + (count < 255 ? 1 : 0));
  before = ((here * 0x9E3779B97F4A7C15ULL) >> 49);
}

extern "C" const char* __asan_default_options() {
  return "hard_rss_limit_mb=1024:max_allocation_size_mb=512:quarantine_size_mb=8:detect_leaks=0:"
         "allocator_may_return_null=0:handle_abort=1:detect_stack_use_after_return=0";
}

namespace {

using Random = std::mt19937_64;

// Counts the time of the processor: a machine with other work, or a process that was stopped, is no finding.
void end_after(int seconds) {
  itimerval t{};
  t.it_value.tv_sec = seconds;
  setitimer(ITIMER_PROF, &t, nullptr);
}

// What the parent sees when the child is gone.
struct Shared {
  size_t size = 0;
  uint64_t runs = 0, corpus = 0, found = 0;
  char bytes[kLargest];
};

struct Options {
  const gradc::fuzz::Parser* parser = nullptr;
  std::string corpus, out = "findings";
  double seconds = 300;
  uint64_t seed = 1;
};

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// "ir/index.cpp:12: check failed ..." without what differs from input to input.
std::string kind_of(const std::string& what) {
  const size_t check = what.find(": check failed");
  const std::string place = what.substr(0, check == std::string::npos ? 60 : check);
  std::string out;
  for (char c : place) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return out.substr(out.size() > 80 ? out.size() - 80 : 0);
}

void keep(const Options& o, const std::string& kind, const std::string& bytes, const std::string& what) {
  const fs::path path = fs::path(o.out) / (std::string(o.parser->name) + "-" + kind);
  if (fs::exists(path)) return;
  std::ofstream(path, std::ios::binary) << bytes;
  std::ofstream(path.string() + ".why") << what << "\n";
  std::printf("%s: FOUND %s: %.200s\n", o.parser->name, path.c_str(), what.c_str());
  std::fflush(stdout);
}

class Mutator {
 public:
  Mutator(std::vector<std::string>& corpus, Random& random) : corpus_(corpus), random_(random) {
    for (const std::string& text : corpus_) add_words(text);
  }
  std::string next() {
    std::string s = some();
    for (uint64_t n = uint64_t(1) << below(4); n > 0; --n) change(s);
    if (s.size() > kLargest) s.resize(kLargest);
    return s;
  }

 private:
  uint64_t below(uint64_t n) { return n == 0 ? 0 : random_() % n; }
  // Late additions reach what is new.
  const std::string& some() {
    const size_t n = corpus_.size();
    return corpus_[below(2) == 0 ? n - 1 - below(std::min<uint64_t>(n, 16)) : below(n)];
  }
  void add_words(const std::string& text) {
    for (size_t i = 0; i < text.size() && words_.size() < 20000;) {
      const size_t from = i;
      while (i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) != 0 || text[i] == '_'))
        ++i;
      if (i == from) ++i;
      words_.insert(text.substr(from, i - from));
    }
    list_.assign(words_.begin(), words_.end());
  }
  std::string word() {
    static constexpr const char* numbers[] = {"0",
                                              "-1",
                                              "1",
                                              "2",
                                              "7",
                                              "64",
                                              "255",
                                              "256",
                                              "65536",
                                              "2147483647",
                                              "2147483648",
                                              "-2147483648",
                                              "4294967296",
                                              "9223372036854775807",
                                              "-9223372036854775808",
                                              "9223372036854775808",
                                              "1e308",
                                              "1e400",
                                              "-0.0",
                                              "nan",
                                              "inf",
                                              "0x10",
                                              "1000000000"};
    return below(3) == 0 || list_.empty() ? numbers[below(std::size(numbers))] : list_[below(list_.size())];
  }
  // The range of a word at a random place.
  std::pair<size_t, size_t> word_at(const std::string& s) {
    auto inside = [&](size_t i) {
      return std::isalnum(static_cast<unsigned char>(s[i])) != 0 || s[i] == '_';
    };
    size_t from = below(s.size()), to = from;
    while (from > 0 && inside(from) && inside(from - 1)) --from;
    while (to < s.size() && inside(to)) ++to;
    return {from, std::max(to, from + 1) - from};
  }
  std::pair<size_t, size_t> line_at(const std::string& s) {
    const size_t at = below(s.size()), from = s.rfind('\n', at), to = s.find('\n', at);
    const size_t begin = from == std::string::npos || from == at ? at : from + 1;
    return {begin, (to == std::string::npos ? s.size() : to + 1) - begin};
  }
  void change(std::string& s) {
    if (s.empty()) s = word();
    const size_t at = below(s.size());
    switch (below(12)) {
      case 0:
        s[at] = static_cast<char>(s[at] ^ 1 << below(8));
        break;
      case 1:
        s[at] = static_cast<char>(random_());
        break;
      case 2:
        s.erase(at, 1 + below(16));
        break;
      case 3:
        s.insert(at, s.substr(below(s.size()), 1 + below(64)));
        break;
      case 4:
      case 5: {
        const auto [from, n] = word_at(s);
        s.replace(from, n, word());
        break;
      }
      case 6:
        s.insert(at, word());
        break;
      case 7: {
        const auto [from, n] = line_at(s);
        s.erase(from, n);
        break;
      }
      case 8: {
        const auto [from, n] = line_at(s);
        s.insert(line_at(s).first, s.substr(from, n));
        break;
      }
      case 9: {
        const std::string& other = some();
        if (other.empty()) break;
        const size_t from = below(other.size());
        s.insert(at, other.substr(from, 1 + below(256)));
        break;
      }
      case 10:
        repeat(s, at);
        break;
      default: {
        const auto [from, n] = word_at(s);
        const auto [to, m] = word_at(s);
        const std::string a = s.substr(from, n), b = s.substr(to, m);
        s.replace(from, n, b);
        break;
      }
    }
  }
  // Depth and length: what is quadratic or recursive shows here.
  void repeat(std::string& s, size_t at) {
    if (below(8) != 0) return;
    const std::string part = s.substr(at, 1 + below(24));
    std::string many;
    for (uint64_t n = uint64_t(1) << below(13); n > 0 && many.size() < kLargest; --n) many += part;
    s.insert(at, many);
  }

  std::vector<std::string>& corpus_;
  Random& random_;
  std::set<std::string> words_;
  std::vector<std::string> list_;
};

class Child {
 public:
  Child(const Options& o, Shared& shared, uint64_t round)
      : o_(o), shared_(shared), random_(o.seed * 1000003 + round) {}

  [[noreturn]] void work(double until) {
    std::signal(SIGPROF, [](int) { _exit(kSlowExit); });
    if (fs::is_directory(o_.corpus))
      for (const auto& e : fs::recursive_directory_iterator(o_.corpus))
        if (e.is_regular_file() && e.file_size() <= kLargest) corpus_.push_back(read(e.path()));
    std::sort(corpus_.begin(), corpus_.end());
    if (corpus_.empty()) corpus_.emplace_back("");
    Mutator mutate(corpus_, random_);
    const std::vector<std::string> given = corpus_;
    if (shared_.runs == 0)
      for (const std::string& s : given) run(s);
    while (now() < until) {
      const std::string s = mutate.next();
      if (run(s) && corpus_.size() < 20000) corpus_.push_back(s);
      shared_.corpus = corpus_.size();
    }
    _exit(0);
  }

 private:
  // Whether edges were taken that no run before took, or took so often.
  bool run(const std::string& s) {
    shared_.size = s.size();
    std::memcpy(shared_.bytes, s.data(), s.size());
    std::memset(edges, 0, sizeof edges);
    before = 0;
    end_after(o_.parser->seconds);
    const std::string what = gradc::fuzz::finding(*o_.parser, s);
    end_after(0);
    ++shared_.runs;
    if (!what.empty() && kinds_.insert(kind_of(what)).second) {
      ++shared_.found;
      keep(o_, kind_of(what), s, what);
    }
    bool fresh = false;
    for (size_t i = 0; i < kEdges; ++i) {
      if (edges[i] == 0) continue;
      const auto bit = static_cast<uint8_t>(1 << std::min(7, 31 - __builtin_clz(edges[i])));
      fresh |= (seen_[i] & bit) == 0;
      seen_[i] |= bit;
    }
    return fresh;
  }

  const Options& o_;
  Shared& shared_;
  Random random_;
  std::vector<std::string> corpus_;
  std::set<std::string> kinds_;
  std::vector<uint8_t> seen_ = std::vector<uint8_t>(kEdges);
};

// The report's summary, or how the child ended.
std::string ending(const std::string& log, int status) {
  if (WIFEXITED(status) && WEXITSTATUS(status) == kSlowExit) return "slow";
  const std::string text = read(log);
  for (const char* mark : {"SUMMARY: ", "runtime error: ", "hard rss limit", "terminate called"})
    if (const size_t at = text.find(mark); at != std::string::npos) {
      const size_t line = text.rfind('\n', at) + 1;
      return text.substr(line, text.find('\n', at) - line);
    }
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : "exit " + std::to_string(WEXITSTATUS(status));
}

int fuzz(const Options& o) {
  auto* shared = static_cast<Shared*>(
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (shared == MAP_FAILED) return 2;
  fs::create_directories(o.out);
  const std::string log = o.out + "/" + o.parser->name + ".log";
  const double began = now(), until = began + o.seconds;
  uint64_t ended = 0;
  for (uint64_t round = 0; now() < until; ++round) {
    const pid_t pid = fork();
    if (pid == 0) {
      if (std::freopen(log.c_str(), "w", stderr) == nullptr) _exit(2);
      Child(o, *shared, round).work(until);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (status == 0) break;
    ++ended;
    const std::string what = ending(log, status), bytes(shared->bytes, shared->size);
    // A frame's name tells findings of one sort apart; where there is none, the input does.
    keep(o, kind_of(what.starts_with("slow") ? what + std::to_string(ended) : what), bytes,
         what + "\n" + read(log));
  }
  std::printf("%s: %llu runs in %.0f s, corpus %llu, %llu found, %llu crashes or slow runs\n", o.parser->name,
              static_cast<unsigned long long>(shared->runs), now() - began,
              static_cast<unsigned long long>(shared->corpus), static_cast<unsigned long long>(shared->found),
              static_cast<unsigned long long>(ended));
  return shared->found + ended > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const bool value = word.starts_with("--") && i + 1 < argc;
    if (word == "--seconds" && value)
      o.seconds = std::atof(argv[++i]);
    else if (word == "--seed" && value)
      o.seed = std::strtoull(argv[++i], nullptr, 10);
    else if (word == "--out" && value)
      o.out = argv[++i];
    else if (o.parser == nullptr && gradc::fuzz::find_parser(word) != nullptr)
      o.parser = gradc::fuzz::find_parser(word);
    else if (o.corpus.empty())
      o.corpus = word;
  }
  if (o.parser == nullptr) {
    std::fprintf(stderr, "usage: fuzz PARSER [CORPUS] [--seconds N] [--seed S] [--out FOLDER]; parsers:");
    for (const auto& p : gradc::fuzz::parsers()) std::fprintf(stderr, " %s", p.name);
    std::fprintf(stderr, "\n");
    return 2;
  }
  return fuzz(o);
}
