#include "codegen/program_cache.h"

#include <fcntl.h>
#include <link.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Support/xxhash.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "support/check.h"

namespace gradc::codegen {
namespace {

constexpr std::string_view kFormat = "gradc-program-1";
constexpr off_t kLargest = off_t(1) << 30;
constexpr int64_t kKeptBytes = int64_t(512) << 20;  // beyond this, what was not used for longest goes

uint64_t hash_of(std::string_view s) { return llvm::xxh3_64bits(llvm::StringRef(s.data(), s.size())); }

struct Descriptor {
  int fd;
  explicit Descriptor(int fd) : fd(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

bool ours_alone(int fd, mode_t kind) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && (info.st_mode & S_IFMT) == kind && info.st_uid == ::geteuid() &&
         (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

int open_folder(const std::string& folder) {
  return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

std::string read_all(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0 || info.st_size > kLargest) return "";
  std::string text(static_cast<size_t>(info.st_size), '\0');
  size_t have = 0;
  while (have < text.size()) {
    const ssize_t got = ::read(fd, text.data() + have, text.size() - have);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return "";
    have += static_cast<size_t>(got);
  }
  return text;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    text.remove_prefix(static_cast<size_t>(put));
  }
  return true;
}

void make_folder(const std::string& folder) {
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::absolute(folder, ignored).lexically_normal();
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  (void)::mkdir(folder.c_str(), 0700);
}

std::string loose(const std::string& folder) {
  return fmt::format(
      "the cache {} is not used: it belongs to another user or others may write to it; chmod go-w it, or "
      "name another folder with GRADC_CACHE",
      folder);
}

std::string head_of(const std::string& key, std::string_view parts) {
  return fmt::format("{} {} {} {:016x}\n", kFormat, key.size(), parts.size(), hash_of(parts));
}

// Each part behind its length.
std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& o : parts) all += fmt::format("{}\n{}", o.size(), o);
  return all;
}
std::vector<std::string> separate(std::string_view all) {
  std::vector<std::string> parts;
  while (!all.empty()) {
    size_t length = 0;
    const auto [end, error] = std::from_chars(all.data(), all.data() + all.size(), length);
    const size_t begin = static_cast<size_t>(end - all.data()) + 1;
    if (error != std::errc() || begin > all.size() || length > all.size() - begin) return {};
    parts.emplace_back(all.substr(begin, length));
    all.remove_prefix(begin + length);
  }
  return parts;
}

struct Search {
  uintptr_t address;
  std::string path, id;
  bool found = false;
};

// The GNU build id among the notes of a segment, in hexadecimal.
std::string build_id(const char* at, size_t size) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) n;
    std::memcpy(&n, at, sizeof n);
    const size_t name = (n.n_namesz + 3) / 4 * 4, whole = sizeof n + name + (n.n_descsz + 3) / 4 * 4;
    if (whole > size) break;
    if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && std::memcmp(at + sizeof n, "GNU", 4) == 0) {
      std::string id;
      for (size_t i = 0; i < n.n_descsz; ++i)
        id += fmt::format("{:02x}", static_cast<uint8_t>(at[sizeof n + name + i]));
      return id;
    }
    at += whole, size -= whole;
  }
  return "";
}

int look(dl_phdr_info* info, size_t, void* data) {
  auto& s = *static_cast<Search*>(data);
  std::string id;
  bool holds = false;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& p = info->dlpi_phdr[i];
    const uintptr_t from = info->dlpi_addr + p.p_vaddr;
    if (p.p_type == PT_LOAD) holds |= s.address >= from && s.address < from + p.p_memsz;
    if (p.p_type == PT_NOTE && id.empty()) id = build_id(reinterpret_cast<const char*>(from), p.p_filesz);
  }
  if (!holds) return 0;
  s.found = true, s.id = id, s.path = info->dlpi_name;
  return 1;
}

// Of the executable or library that holds the address: its build id, else a hash of its file.
std::string identity_of(uintptr_t address) {
  Search s{address, "", ""};
  ::dl_iterate_phdr(look, &s);
  if (!s.id.empty()) return s.id;
  Descriptor file(::open(s.path.empty() ? "/proc/self/exe" : s.path.c_str(), O_RDONLY | O_CLOEXEC));
  const std::string text = file.fd < 0 ? "" : read_all(file.fd);
  return s.found && !text.empty() ? fmt::format("{:016x}", hash_of(text)) : "";
}

}  // namespace

std::string build_identity() {
  const std::string own = identity_of(reinterpret_cast<uintptr_t>(&look));
  // A target's description is LLVM's own data; the address of a function may be one in our linkage table.
  const auto targets = llvm::TargetRegistry::targets();
  const std::string llvm =
      targets.begin() == targets.end() ? "" : identity_of(reinterpret_cast<uintptr_t>(&*targets.begin()));
  return own.empty() || llvm.empty() ? "" : own + " " + llvm;
}

namespace {

// The names that store gives: 32 hexadecimal digits and .o, and behind that the writer's number until it is
// done.
enum class Kind { Entry, Leftover, Other };
Kind kind_of(const std::string& name) {
  constexpr size_t kDigits = 32;
  if (name.find_first_not_of("0123456789abcdef") != kDigits || name.compare(kDigits, 2, ".o") != 0)
    return Kind::Other;
  const std::string rest = name.substr(kDigits + 2);
  if (rest.empty()) return Kind::Entry;
  return rest.size() > 1 && rest[0] == '.' && rest.find_first_not_of("0123456789", 1) == rest.npos
             ? Kind::Leftover
             : Kind::Other;
}

template <class F>
void for_each_of_ours(const std::string& folder, F f) {
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const Kind kind = kind_of(at->path().filename().string());
    std::error_code ignored;
    if (kind != Kind::Other && at->symlink_status(ignored).type() == std::filesystem::file_type::regular)
      f(at->path(), kind);
  }
}

// Makes room for one more entry.
void trim(const std::string& folder) {
  struct Kept {
    std::filesystem::file_time_type used;
    int64_t bytes;
    std::filesystem::path path;
  };
  std::vector<Kept> all;
  int64_t total = 0;
  for_each_of_ours(folder, [&](const std::filesystem::path& path, Kind kind) {
    std::error_code gone;
    const auto used = std::filesystem::last_write_time(path, gone);
    const auto bytes = static_cast<int64_t>(gone ? 0 : std::filesystem::file_size(path, gone));
    if (gone || kind != Kind::Entry) return;
    all.push_back({used, bytes, path}), total += bytes;
  });
  std::sort(all.begin(), all.end(), [](const Kept& a, const Kept& b) { return a.used < b.used; });
  for (size_t i = 0; i < all.size() && total > kKeptBytes; ++i)
    total -= all[i].bytes, ::unlink(all[i].path.c_str());
}

void count(CacheContents& c, const std::filesystem::path& path, Kind kind) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  ++(kind == Kind::Entry ? c.entries : c.leftovers);
  if (!error) c.bytes += static_cast<int64_t>(size);
}

}  // namespace

ProgramCache::ProgramCache(std::string folder, const std::string& key) {
  if (folder.empty()) return;
  const std::string build = build_identity();
  if (build.empty()) return;
  key_ = build + "\n" + key;
  name_ = fmt::format("{:016x}{:016x}.o", hash_of(key_), hash_of(key_ + "#"));
  Descriptor dir(open_folder(folder));
  if (dir.fd >= 0 && !ours_alone(dir.fd, S_IFDIR))
    problem_ = loose(folder);
  else
    folder_ = std::move(folder);
}

std::vector<std::string> ProgramCache::load() const {
  if (folder_.empty()) return {};
  Descriptor dir(open_folder(folder_));
  if (dir.fd < 0 || !ours_alone(dir.fd, S_IFDIR)) return {};
  Descriptor file(::openat(dir.fd, name_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file.fd < 0 || !ours_alone(file.fd, S_IFREG)) return {};
  const std::string all = read_all(file.fd);
  (void)::futimens(file.fd, nullptr);  // used now
  const size_t line = all.find('\n');
  if (line == std::string::npos || all.compare(line + 1, key_.size(), key_) != 0) return {};
  const std::string_view parts = std::string_view(all).substr(line + 1 + key_.size());
  return all.compare(0, line + 1, head_of(key_, parts)) == 0 ? separate(parts) : std::vector<std::string>();
}

void ProgramCache::store(const std::vector<std::string>& parts) const {
  if (folder_.empty()) return;
  const std::string all = joined(parts);
  make_folder(folder_);
  Descriptor dir(open_folder(folder_));
  if (dir.fd < 0 || !ours_alone(dir.fd, S_IFDIR)) return;
  const std::string temporary = fmt::format("{}.{}", name_, ::getpid());
  Descriptor file(
      ::openat(dir.fd, temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.fd < 0) return;
  const bool written =
      write_all(file.fd, head_of(key_, all)) && write_all(file.fd, key_) && write_all(file.fd, all);
  trim(folder_);
  if (!written || ::renameat(dir.fd, temporary.c_str(), dir.fd, name_.c_str()) != 0)
    ::unlinkat(dir.fd, temporary.c_str(), 0);
}

CacheContents cache_contents(const std::string& folder) {
  CacheContents c;
  for_each_of_ours(folder, [&](const std::filesystem::path& path, Kind kind) { count(c, path, kind); });
  return c;
}

CacheContents clear_cache(const std::string& folder) {
  CacheContents stay;
  std::vector<std::pair<std::filesystem::path, Kind>> all;  // removing while listing may skip some
  for_each_of_ours(folder,
                   [&](const std::filesystem::path& path, Kind kind) { all.emplace_back(path, kind); });
  for (const auto& [path, kind] : all)
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) count(stay, path, kind);
  return stay;
}

std::string why_not_writable(const std::string& folder) {
  make_folder(folder);
  Descriptor dir(open_folder(folder));
  if (dir.fd < 0)
    return fmt::format("the cache {} cannot be made or opened: {}", folder, std::strerror(errno));
  if (!ours_alone(dir.fd, S_IFDIR)) return loose(folder);
  const std::string name = fmt::format("probe.{}", ::getpid());
  Descriptor file(::openat(dir.fd, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  const bool written = file.fd >= 0 && write_all(file.fd, std::string(4096, ' '));
  const int reason = errno;
  if (file.fd >= 0) ::unlinkat(dir.fd, name.c_str(), 0);
  return written ? "" : fmt::format("the cache {} cannot be written: {}", folder, std::strerror(reason));
}

}  // namespace gradc::codegen
