#include "runtime/token_bins.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kHeader = 1024;

struct HeaderKind {
  int32_t magic, version;
  int width;
};
constexpr HeaderKind kLlmC[] = {{20240520, 1, 2}, {20240801, 7, 4}};  // of GPT-2, of Llama 3

}  // namespace

// One file, mapped for as long as it lives.
class TokenBins::File {
 public:
  File(const std::string& path, int width, int64_t first) : path_(path), first_(first) {
    size_ = InputFile(path).size();  // also refuses what is no plain file
    if (size_ == 0) refuse("holds no tokens");
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    void* at = file.get() < 0
                   ? MAP_FAILED
                   : ::mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (at == MAP_FAILED) refuse(std::string("cannot be mapped into memory: ") + std::strerror(errno));
    data_ = static_cast<const std::byte*>(at);
    try {
      read_layout(width);
    } catch (...) {
      unmap();
      throw;
    }
  }
  ~File() { unmap(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  int64_t first() const { return first_; }
  int64_t count() const { return count_; }
  int64_t at(int64_t i) const { return width_ == 2 ? number<uint16_t>(i) : number<uint32_t>(i); }
  std::optional<int64_t> first_from(int64_t limit) const {
    return width_ == 2 ? search<uint16_t>(limit) : search<uint32_t>(limit);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const { throw Error(Failure::Data, path_ + ": " + what); }

  void unmap() { ::munmap(const_cast<std::byte*>(data_), static_cast<size_t>(size_)); }

  void read_layout(int width) {
    width_ = width == 0 ? 2 : width;
    if (!read_header(width)) count_ = size_ / width_;
    if ((size_ - begin_) % width_ != 0)
      refuse(std::to_string(size_ - begin_) + " bytes are no whole numbers of " + std::to_string(width_) +
             " bytes; token_bins(\"a.bin\", u32) reads those of 4");
  }

  bool read_header(int width) {
    int32_t words[3];
    if (size_ < kHeader) return false;
    std::memcpy(words, data_, sizeof words);
    const auto* kind = std::find_if(std::begin(kLlmC), std::end(kLlmC), [&](const HeaderKind& k) {
      return words[0] == k.magic && words[1] == k.version;
    });
    if (kind == std::end(kLlmC)) return false;
    if (width != 0 && width != kind->width)
      refuse("its header says numbers of " + std::to_string(kind->width) + " bytes, the model file of " +
             std::to_string(width));
    width_ = kind->width, begin_ = kHeader, count_ = words[2];
    if (words[2] < 1 || int64_t(words[2]) * width_ != size_ - kHeader)
      refuse("its header promises " + std::to_string(words[2]) + " tokens of " + std::to_string(width_) +
             " bytes, behind it are " + std::to_string(size_ - kHeader) + " bytes");
    return true;
  }

  template <class T>
  int64_t number(int64_t i) const {
    T n;
    std::memcpy(&n, data_ + begin_ + i * static_cast<int64_t>(sizeof n), sizeof n);
    return n;
  }

  template <class T>
  std::optional<int64_t> search(int64_t limit) const {
    if (limit > std::numeric_limits<T>::max()) return std::nullopt;
    for (int64_t i = 0; i < count_; ++i)
      if (number<T>(i) >= limit) return i;
    return std::nullopt;
  }

  std::string path_;
  int64_t first_, size_ = 0, begin_ = 0, count_ = 0;
  int width_ = 2;
  const std::byte* data_ = nullptr;
};

TokenBins::TokenBins(std::span<const std::string> paths, int width) {
  for (const std::string& path : paths) {
    files_.push_back(std::make_unique<File>(path, width, count_));
    count_ += files_.back()->count();
  }
}

TokenBins::~TokenBins() = default;

const TokenBins::File& TokenBins::file_of(int64_t i) const {
  const auto behind = std::upper_bound(files_.begin(), files_.end(), i,
                                       [](int64_t x, const auto& file) { return x < file->first(); });
  return **(behind - 1);
}

int64_t TokenBins::at(int64_t i) const {
  const File& file = file_of(i);
  return file.at(i - file.first());
}

std::optional<int64_t> TokenBins::first_from(int64_t limit) const {
  for (const auto& file : files_)
    if (const auto i = file->first_from(limit)) return file->first() + *i;
  return std::nullopt;
}

Array TokenBins::windows(std::span<const int64_t> rows, int64_t offset, int64_t length) const {
  Array out = make_array(DType::I32, {static_cast<int64_t>(rows.size()), length});
  std::byte* to = out.bytes.data();
  for (const int64_t row : rows)
    for (int64_t i = 0; i < length; ++i, to += sizeof(int32_t)) {
      const auto id = static_cast<int32_t>(at(row + offset + i));
      std::memcpy(to, &id, sizeof id);
    }
  return out;
}

std::string TokenBins::place(int64_t i) const {
  const File& file = file_of(i);
  return file.path() + ": token " + std::to_string(i - file.first() + 1);
}

}  // namespace gradc::runtime
