#include "runtime/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <ctime>

#include "runtime/error.h"

namespace gradc::runtime {
namespace {

constexpr const char* kLock = "/.lock";
constexpr const char* kLatest = "latest";

std::optional<int64_t> run_number(const std::string& name) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), n);
  if (error != std::errc{} || end != name.data() + name.size() || n < 0) return std::nullopt;
  return n;
}

// Others look whether a run goes on by taking its lock for a moment; a training waits for that long.
bool try_lock(int fd, int how) {
  for (int attempt = 0; attempt < 10; ++attempt) {
    if (::flock(fd, how | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return true;  // a file system without locks
    ::usleep(20000);
  }
  return false;
}

bool goes_on(const std::string& run) {
  const Descriptor file(::open((run + kLock).c_str(), O_RDONLY | O_CLOEXEC));
  return file.get() >= 0 && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

std::string holder(const std::string& run) {
  char text[32] = {};
  const Descriptor file(::open((run + kLock).c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t n = file.get() < 0 ? 0 : ::read(file.get(), text, sizeof text - 1);
  const std::string pid(text, n > 0 ? static_cast<size_t>(n) : 0);
  return pid.empty() ? "another process" : "process " + pid;
}

// A link cannot be locked as files are: that of a process which is gone is left over.
void clear_link(const std::string& root, const std::string& name) {
  const std::string prefix = std::string(kLatest) + ".tmp-", link = root + "/" + name;
  struct stat info {};
  if (name.rfind(prefix, 0) != 0 || ::lstat(link.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return;
  const auto pid = run_number(name.substr(prefix.size()));
  if (pid && ::kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH) (void)::unlink(link.c_str());
}

// What killed trainings left, of all runs that none writes now.
void clear_all(const std::string& root) {
  clear_leftovers(root, "");
  for (const std::string& name : names_in(root)) {
    clear_link(root, name);
    const std::string run = root + "/" + name;
    if (name != kLatest && is_file(run + kLock) && !goes_on(run)) clear_leftovers(run, "");
  }
}

bool holds_a_run(const std::string& folder) {
  for (const std::string& name : names_in(folder))
    if (name != kLock + 1) return true;
  return false;
}

const std::string& checked(const std::string& name) {
  if (name == kLatest || name.front() == '.' || name.front() == '-')
    throw Error(Failure::Usage, "--run " + name + ": no name for a run; a path has a slash, as in ./" + name);
  return name;
}

// A folder called latest is the user's and stays.
void check_latest(const std::string& root) {
  struct stat info {};
  const std::string link = root + "/" + kLatest;
  if (::lstat(link.c_str(), &info) == 0 && !S_ISLNK(info.st_mode))
    throw Error(Failure::Data, link + ": is no link; move it away");
}

void link_latest(const std::string& root, const std::string& run) {
  const std::string link = root + "/" + kLatest, beside = link + ".tmp-" + std::to_string(::getpid());
  (void)::unlink(beside.c_str());
  if (::symlink(run.substr(root.size() + 1).c_str(), beside.c_str()) == 0 &&
      ::rename(beside.c_str(), link.c_str()) == 0)
    return;
  const std::string why = std::strerror(errno);
  (void)::unlink(beside.c_str());
  throw Error(Failure::Data, link + ": cannot make the link: " + why);
}

// A name below root; "" for a path of the user's own.
std::string name_below(const std::string& root, std::string wanted) {
  if (wanted.rfind(root + "/", 0) == 0) {
    wanted.erase(0, root.size() + 1);
    while (!wanted.empty() && wanted.back() == '/') wanted.pop_back();
  }
  return wanted.find('/') == std::string::npos ? wanted : "";
}

}  // namespace

RunFolder::RunFolder(const std::string& root, const std::string& wanted, bool overwrite) : lock_(-1) {
  const std::string name = name_below(root, wanted);
  const bool own_path = !wanted.empty() && name.empty();
  if (!own_path) {
    make_folders(root);
    check_latest(root);
    clear_all(root);
  }
  if (wanted.empty())
    next_number(root);
  else
    take(own_path ? wanted : root + "/" + checked(name), overwrite);
  if (!own_path) link_latest(root, path_);
}

void RunFolder::take(const std::string& path, bool overwrite) {
  path_ = path;
  while (path_.size() > 1 && path_.back() == '/') path_.pop_back();
  make_folders(path_);
  auto refuse_used = [&] {
    if (!overwrite && holds_a_run(path_))
      throw Error(Failure::Usage,
                  path_ + ": is not empty; give the run another name, or --overwrite to replace its files");
  };
  if (!is_file(path_ + kLock)) refuse_used();  // and leave nothing in it
  if (!lock()) throw Error(Failure::Data, path_ + ": " + holder(path_) + " trains into this folder");
  clear_leftovers(path_, "");
  refuse_used();
}

void RunFolder::next_number(const std::string& root) {
  int64_t n = 0;
  for (const std::string& name : names_in(root)) n = std::max(n, run_number(name).value_or(0));
  for (;;) {
    path_ = root + "/" + std::to_string(++n);
    if (::mkdir(path_.c_str(), 0777) == 0) {
      if (lock()) return;
    } else if (errno != EEXIST) {
      throw Error(Failure::Data, path_ + ": cannot make the folder: " + std::strerror(errno));
    }
  }
}

bool RunFolder::lock() {
  const std::string name = path_ + kLock;
  lock_ = Descriptor(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666));
  if (lock_.get() < 0)
    throw Error(Failure::Data, path_ + ": cannot write into the folder: " + std::strerror(errno));
  if (!try_lock(lock_.get(), LOCK_EX)) return false;
  const std::string pid = std::to_string(::getpid());
  if (::ftruncate(lock_.get(), 0) != 0 ||
      ::pwrite(lock_.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    throw Error(Failure::Data, path_ + ": cannot write into the folder: " + std::strerror(errno));
  return true;
}

void RunFolder::write(const std::string& name, std::string_view text) const {
  write_file_atomically(path_ + "/" + name, std::span(&text, 1));
}

std::vector<ListedRun> list_runs(const std::string& root) {
  std::vector<ListedRun> out;
  for (const std::string& name : names_in(root)) {
    const std::string run = root + "/" + name;
    if (name == kLatest || !is_file(run + "/run.json")) continue;
    const bool running = goes_on(run);  // before its record: one that ends in between is not "killed"
    try {
      ListedRun r{name, read_record(run + "/run.json")};
      if (r.record.status == "running" && !running) r.record.status = "killed";
      out.push_back(std::move(r));
    } catch (const Error&) {
      continue;
    }
  }
  std::stable_sort(out.begin(), out.end(), [](const ListedRun& a, const ListedRun& b) {
    return std::pair(a.record.started, run_number(a.name)) < std::pair(b.record.started, run_number(b.name));
  });
  return out;
}

std::string weights_in(const std::string& run) {
  for (const char* name : {"/best.safetensors", "/last.safetensors"})
    if (is_file(run + name)) return run + name;
  throw Error(Failure::Data, run + ": " + (is_folder(run) ? "holds no weights yet" : "there is no such run") +
                                 "; train first, or name a file: --load FILE");
}

}  // namespace gradc::runtime
