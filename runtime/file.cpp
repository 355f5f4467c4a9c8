#include "runtime/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "runtime/error.h"

namespace gradc::runtime {
namespace {

constexpr size_t kChunk = size_t(1) << 20;
constexpr int64_t kLargestPipe = int64_t(1) << 30;

[[noreturn]] void fail(const std::string& path, const std::string& reason) {
  throw Error(Failure::Data, path + ": " + reason);
}

[[noreturn]] void fail_errno(const std::string& path, const char* doing) {
  fail(path, std::string(doing) + ": " + std::strerror(errno));
}

const char* kind_of(mode_t mode) {
  return S_ISDIR(mode) ? "a folder" : S_ISFIFO(mode) ? "a pipe" : S_ISSOCK(mode) ? "a socket" : "a device";
}

int open_to_read(const std::string& path, struct stat& info) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0 || ::fstat(fd, &info) != 0) fail_errno(path, "cannot open");
  return fd;
}

// The file that the name stands for, also when links lead to one that does not exist yet.
std::string behind_links(const std::string& path) {
  std::filesystem::path at = path;
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(at, error); ++links) {
    if (links == 40) fail(path, "the links go round in a circle");
    const std::filesystem::path to = std::filesystem::read_symlink(at, error);
    if (error) fail(path, "cannot read the link: " + error.message());
    at = at.parent_path() / to;  // `to` alone when it is absolute
  }
  return at.string();
}

// Up to `size` bytes; fewer only at the end of the file.
size_t read_some(int fd, const std::string& path, char* to, size_t size) {
  size_t have = 0;
  while (have < size) {
    const ssize_t got = ::read(fd, to + have, std::min(size - have, size_t(1) << 30));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno(path, "cannot read");
    if (got == 0) break;
    have += size_t(got);
  }
  return have;
}

void check_limit(const std::string& path, int64_t size, int64_t limit) {
  if (size > limit) fail(path, "is larger than the limit of " + std::to_string(limit) + " bytes");
}

// Appends what remains of the file to `text`. The size from stat is only a first guess: pipes have none.
void read_rest(int fd, const std::string& path, std::string& text, int64_t guess, int64_t limit) {
  size_t have = text.size();
  size_t room = std::max(size_t(guess) + 1, have + kChunk);
  for (;;) {
    text.resize(room);
    have += read_some(fd, path, text.data() + have, room - have);
    check_limit(path, int64_t(have), limit);
    if (have < room) break;
    room += std::max(kChunk, room / 2);
  }
  text.resize(have);
}

struct InflateEnd {
  void operator()(z_stream* z) const { inflateEnd(z); }
};

// A gzip file is one or more members, one after another.
class Inflater {
 public:
  Inflater(const std::string& path, int64_t limit) : path_(path), limit_(limit) {
    if (inflateInit2(&z_, 15 + 16) != Z_OK) fail(path_, "cannot start zlib");
    guard_.reset(&z_);
  }

  void feed(char* data, size_t size) {
    z_.next_in = reinterpret_cast<Bytef*>(data);
    z_.avail_in = uInt(size);
    while (z_.avail_in > 0) {
      if (ended_) inflateReset(&z_);
      ended_ = step();
    }
  }

  // Room for the size that a file's trailer claims; pages that are not used cost nothing.
  void expect(size_t size) { text_.reserve(size); }

  std::string take() {
    if (!ended_) fail(path_, "the gzip data is cut off");
    text_.resize(have_);
    return std::move(text_);
  }

 private:
  bool step() {
    if (have_ == text_.size()) {
      const size_t more = std::max(kChunk, have_ + have_ / 2);
      text_.resize(text_.capacity() > have_ ? std::min(more, text_.capacity()) : more);
    }
    const size_t room = std::min(text_.size() - have_, size_t(1) << 30);
    z_.next_out = reinterpret_cast<Bytef*>(text_.data() + have_);
    z_.avail_out = uInt(room);
    const int code = inflate(&z_, Z_NO_FLUSH);
    have_ += room - z_.avail_out;
    check_limit(path_, int64_t(have_), limit_);
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
      fail(path_, std::string("the gzip data is damaged: ") + (z_.msg ? z_.msg : "unexpected data"));
    return code == Z_STREAM_END;
  }

  const std::string& path_;
  int64_t limit_;
  z_stream z_{};
  std::unique_ptr<z_stream, InflateEnd> guard_;
  std::string text_;
  size_t have_ = 0;
  bool ended_ = false;
};

// The last four bytes of a gzip file are its size, modulo 2^32; deflate gains at most a factor of 1032.
size_t claimed_size(int fd, int64_t stored, int64_t limit) {
  uint8_t b[4];
  if (stored < 18 || pread(fd, b, 4, stored - 4) != 4) return 0;
  const int64_t claim = int64_t(b[0]) | int64_t(b[1]) << 8 | int64_t(b[2]) << 16 | int64_t(b[3]) << 24;
  return size_t(std::min({claim, limit, stored * 1032})) + 1;
}

std::string inflate_file(int fd, const std::string& path, std::string chunk, int64_t stored, int64_t limit) {
  Inflater inflater(path, limit);
  inflater.expect(claimed_size(fd, stored, limit));
  size_t size = chunk.size();
  chunk.resize(kChunk);
  do inflater.feed(chunk.data(), size);
  while ((size = read_some(fd, path, chunk.data(), kChunk)) > 0);
  return inflater.take();
}

void write_all(int fd, const std::string& path, std::string_view part) {
  while (!part.empty()) {
    const ssize_t put = ::write(fd, part.data(), std::min(part.size(), size_t(1) << 30));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_errno(path, "cannot write");
    part.remove_prefix(size_t(put));
  }
}

constexpr std::string_view kTemporary = ".tmp-";

// Opens a new file next to `path`, locked as long as it is open, so that what a killed process left is told
// from what another one writes. Not mkstemp, whose files only their owner may read.
Descriptor create_beside(const std::string& path, std::string& name) {
  for (int attempt = 0;; ++attempt) {
    name = path + std::string(kTemporary) + std::to_string(::getpid()) + "-" + std::to_string(attempt);
    Descriptor file(::open(name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (file.get() < 0 && (errno != EEXIST || attempt == 1000)) fail_errno(path, "cannot create");
    if (file.get() < 0) continue;
    (void)::flock(file.get(), LOCK_EX);  // some file systems have no locks
    struct stat info {};
    if (::fstat(file.get(), &info) == 0 && info.st_nlink > 0) return file;
    if (attempt == 1000) fail(path, "cannot create: another process removes its temporary files");
  }
}

// name.tmp-PID-ATTEMPT
bool is_temporary(std::string_view file, std::string_view name) {
  const size_t at = file.rfind(kTemporary);
  if (at == std::string_view::npos || (!name.empty() && file.substr(0, at) != name)) return false;
  const std::string_view tail = file.substr(at + kTemporary.size());
  return !tail.empty() && tail.find_first_not_of("0123456789-") == std::string_view::npos;
}

// What the disk gives back, as far as the system can be asked to forget what it holds in memory.
void verify_written(int fd, const std::string& path, std::span<const std::string_view> parts) {
  (void)::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  if (::lseek(fd, 0, SEEK_SET) != 0) fail_errno(path, "cannot read back");
  std::string chunk(kChunk, '\0');
  for (std::string_view part : parts)
    while (!part.empty()) {
      const size_t n = std::min(part.size(), chunk.size());
      if (read_some(fd, path, chunk.data(), n) != n || std::memcmp(chunk.data(), part.data(), n) != 0)
        fail(path, "the disk does not give back what was written");
      part.remove_prefix(n);
    }
}

std::pair<std::string, std::string> folder_and_name(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {path.substr(0, slash + 1), path.substr(slash + 1)};
}

// Makes the rename itself durable. Some file systems cannot sync a folder; the file is whole all the same.
void sync_folder(const std::string& folder) {
  Descriptor dir(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (dir.get() >= 0) (void)::fsync(dir.get());
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

bool Descriptor::close() { return ::close(std::exchange(fd_, -1)) == 0; }

InputFile::InputFile(const std::string& path) : path_(path), file_(-1) {
  struct stat info {};
  file_ = Descriptor(open_to_read(path, info));
  if (!S_ISREG(info.st_mode)) fail(path, "is not a regular file");
  size_ = info.st_size;
}

void InputFile::read(void* to, int64_t size) {
  if (read_some(file_.get(), path_, static_cast<char*>(to), size_t(size)) != size_t(size))
    fail(path_, "the file is cut off");
}

void InputFile::seek(int64_t offset) {
  if (::lseek(file_.get(), offset, SEEK_SET) != offset) fail_errno(path_, "cannot read");
}

std::string read_file(const std::string& path, int64_t limit) {
  struct stat info {};
  Descriptor file(open_to_read(path, info));
  if (!S_ISREG(info.st_mode) && !S_ISFIFO(info.st_mode))
    fail(path, std::string("is ") + kind_of(info.st_mode) + ", not a file");
  if (S_ISFIFO(info.st_mode)) limit = std::min(limit, kLargestPipe);  // it may have no end
  std::string text(2, '\0');
  text.resize(read_some(file.get(), path, text.data(), text.size()));
  if (text == "\x1f\x8b") return inflate_file(file.get(), path, std::move(text), info.st_size, limit);
  check_limit(path, info.st_size, limit);
  read_rest(file.get(), path, text, info.st_size, limit);
  return text;
}

std::string check_target(const std::string& path) {
  const std::string target = behind_links(path);
  struct stat info {};
  if (::stat(target.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    fail(path, std::string("is ") + kind_of(info.st_mode) + ", not a regular file; name another file");
  return target;
}

void check_writable(const std::string& path) {
  const std::string target = check_target(path);
  struct stat info {};
  if (::stat(target.c_str(), &info) == 0 && ::access(target.c_str(), W_OK) != 0)
    fail_errno(path, "cannot write");  // a rename would not ask
  std::string temporary;
  const Descriptor file = create_beside(target, temporary);
  ::unlink(temporary.c_str());
}

void clear_leftovers(const std::string& folder, const std::string& name) {
  for (const std::string& each : names_in(folder)) {
    if (!is_temporary(each, name)) continue;
    const std::string path = folder + "/" + each;
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    struct stat info {};
    if (file.get() < 0 || ::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
  }
}

void write_file_atomically(const std::string& path, std::span<const std::string_view> parts) {
  const std::string target = check_target(path);
  std::string temporary;
  Descriptor file = create_beside(target, temporary);
  try {
    struct stat old {};
    if (::stat(target.c_str(), &old) == 0) (void)::fchmod(file.get(), old.st_mode & 0777);
    for (std::string_view part : parts) write_all(file.get(), path, part);
    if (::fsync(file.get()) != 0) fail_errno(path, "cannot write");
    verify_written(file.get(), path, parts);
    if (::rename(temporary.c_str(), target.c_str()) != 0) fail_errno(path, "cannot replace");
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (!file.close()) fail_errno(path, "cannot write");
  sync_folder(folder_and_name(target).first);
}

void write_file(const std::string& path, std::string_view text) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode) || S_ISDIR(info.st_mode))
    return write_file_atomically(path, std::span(&text, 1));
  Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (file.get() < 0) fail_errno(path, "cannot open");
  write_all(file.get(), path, text);
  if (!file.close()) fail_errno(path, "cannot write");
}

void make_folders(const std::string& path) {
  for (size_t i = 1; i <= path.size(); ++i) {
    if (i < path.size() && path[i] != '/') continue;
    const std::string part = path.substr(0, i);
    if (::mkdir(part.c_str(), 0777) == 0) continue;
    const int why = errno;
    if (!is_folder(part)) fail(part, std::string("cannot make the folder: ") + std::strerror(why));
  }
}

bool is_folder(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool is_file(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace gradc::runtime
