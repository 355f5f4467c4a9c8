// Whole files in and out.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gradc::runtime {

// Owns a POSIX file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor();
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  int get() const { return fd_; }
  bool close();

 private:
  int fd_;
};

// A plain file read piece by piece, from its start unless told otherwise, never inflated. All members throw
// Error.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  int64_t size() const { return size_; }
  void read(void* to, int64_t size);  // the next `size` bytes, all of them
  void seek(int64_t offset);

 private:
  std::string path_;
  Descriptor file_;
  int64_t size_ = 0;
};

// The whole of a file or pipe, inflated when it starts as gzip does. Throws Error, with the path and the
// reason, also when there are more than `limit` bytes after inflation; then it stops in time to never hold
// much more.
std::string read_file(const std::string& path, int64_t limit = int64_t(16) << 30);

// The parts one after another. Readers see the old file or the new one, never a part, also after a crash:
// a temporary file in the same folder is synced, read back, and only then renamed. Links are followed; pipes
// and devices are refused. Throws Error, and then the old file stays.
void write_file_atomically(const std::string& path, std::span<const std::string_view> parts);
// Text for a file, or for a pipe or device that is there already.
void write_file(const std::string& path, std::string_view text);
// The file that write_file_atomically would replace; throws Error when it would refuse.
std::string check_target(const std::string& path);
// Whether it could be written today, found out by a temporary file that is gone again; throws Error if not.
void check_writable(const std::string& path);
// Removes temporary files of `name` (of any file: "") in the folder that no process writes any longer.
void clear_leftovers(const std::string& folder, const std::string& name);

void make_folders(const std::string& path);
bool is_folder(const std::string& path);
bool is_file(const std::string& path);
// Names in the folder, sorted, without . and ..; none where it cannot be read.
std::vector<std::string> names_in(const std::string& folder);

}  // namespace gradc::runtime
