#include "runtime/zip.h"

#include <zlib.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "runtime/error.h"
#include "runtime/file.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kLargestDirectory = int64_t(64) << 20;
constexpr int64_t kLargestRatio = 1040;  // deflate gives at most 1032 bytes for one
constexpr uint32_t kStored = 0, kDeflated = 8;

[[noreturn]] void fail(const std::string& name, const std::string& reason) {
  throw Error(Failure::Data, name + ": " + reason);
}

uint64_t number(std::string_view text, size_t at, size_t bytes) {
  uint64_t v = 0;
  for (size_t i = bytes; i-- > 0;) v = v << 8 | static_cast<uint8_t>(text[at + i]);
  return v;
}

struct Member {
  std::string name;
  uint32_t method = 0, flags = 0, crc = 0;
  int64_t packed = 0, size = 0, header = 0;
};

class Archive {
 public:
  explicit Archive(const std::string& path) : path_(path), file_(path) { read_directory(); }

  const std::vector<Member>& members() const { return members_; }

  // The bytes of a member begin behind its own header, whose name and extra field may differ from the
  // directory's in length.
  int64_t data_of(const Member& m) {
    const std::string head = piece(m.header, 30);
    if (head.substr(0, 4) != "PK\3\4") fail(path_, "the member '" + m.name + "' has no header");
    const int64_t at = m.header + 30 + static_cast<int64_t>(number(head, 26, 2) + number(head, 28, 2));
    if (m.packed > file_.size() - at)
      fail(path_, "the member '" + m.name + "' promises " + std::to_string(m.packed) +
                      " bytes, the file has " + std::to_string(std::max<int64_t>(0, file_.size() - at)) +
                      " behind its header");
    return at;
  }
  InputFile& file() { return file_; }

 private:
  std::string piece(int64_t at, int64_t n) {
    if (at < 0 || n < 0 || n > file_.size() || at > file_.size() - n) fail(path_, "the archive is cut off");
    std::string text(static_cast<size_t>(n), '\0');
    file_.seek(at);
    file_.read(text.data(), n);
    return text;
  }

  void read_directory() {
    const int64_t tail_size = std::min<int64_t>(file_.size(), 22 + 65535);
    const std::string tail = piece(file_.size() - tail_size, tail_size);
    const size_t end = tail.rfind("PK\5\6");
    if (end == tail.npos || tail.size() - end < 22) fail(path_, "is not a ZIP archive, or is cut off");
    uint64_t count = number(tail, end + 10, 2), size = number(tail, end + 12, 4),
             at = number(tail, end + 16, 4);
    if (end >= 20 && tail.compare(end - 20, 4, "PK\6\7") == 0) {
      const std::string z = piece(static_cast<int64_t>(number(tail, end - 12, 8)), 56);
      if (z.substr(0, 4) != "PK\6\6") fail(path_, "the Zip64 end of the directory is damaged");
      count = number(z, 32, 8), size = number(z, 40, 8), at = number(z, 48, 8);
    }
    if (size > static_cast<uint64_t>(kLargestDirectory) || at > static_cast<uint64_t>(file_.size()))
      fail(path_, "the directory of the archive is damaged");
    const std::string directory = piece(static_cast<int64_t>(at), static_cast<int64_t>(size));
    size_t place = 0;
    for (uint64_t i = 0; i < count; ++i) read_entry(directory, place);
  }

  void read_entry(const std::string& d, size_t& at) {
    if (d.size() - at < 46 || d.compare(at, 4, "PK\1\2") != 0)
      fail(path_, "the directory of the archive is damaged");
    const size_t name = number(d, at + 28, 2), extra = number(d, at + 30, 2), comment = number(d, at + 32, 2);
    if (d.size() - at - 46 < name + extra + comment) fail(path_, "the directory of the archive is cut off");
    Member m;
    m.flags = static_cast<uint32_t>(number(d, at + 8, 2)),
    m.method = static_cast<uint32_t>(number(d, at + 10, 2));
    m.crc = static_cast<uint32_t>(number(d, at + 16, 4));
    m.name = d.substr(at + 46, name);
    uint64_t packed = number(d, at + 20, 4), size = number(d, at + 24, 4), header = number(d, at + 42, 4);
    wide(std::string_view(d).substr(at + 46 + name, extra), {&size, &packed, &header});
    for (uint64_t n : {packed, size, header})
      if (n > uint64_t(1) << 62) fail(path_, "the member '" + m.name + "' has impossible sizes");
    m.packed = static_cast<int64_t>(packed), m.size = static_cast<int64_t>(size);
    m.header = static_cast<int64_t>(header);
    members_.push_back(std::move(m));
    at += 46 + name + extra + comment;
  }

  // Zip64: what does not fit 32 bits stands in an extra field, in this order.
  void wide(std::string_view extra, std::initializer_list<uint64_t*> values) const {
    for (size_t at = 0; at + 4 <= extra.size();) {
      const size_t size = number(extra, at + 2, 2);
      if (size > extra.size() - at - 4) return;
      if (number(extra, at, 2) == 1) {
        size_t from = at + 4;
        for (uint64_t* v : values) {
          if (*v != 0xFFFFFFFF) continue;
          if (from + 8 > at + 4 + size) fail(path_, "a Zip64 entry is cut off");
          *v = number(extra, from, 8);
          from += 8;
        }
      }
      at += 4 + size;
    }
  }

  std::string path_;
  InputFile file_;
  std::vector<Member> members_;
};

// The bytes of one member, inflated as they are asked for.
class MemberReader {
 public:
  MemberReader(Archive archive, Member member, std::string name)
      : archive_(std::move(archive)), m_(std::move(member)), name_(std::move(name)), left_(m_.size) {
    if ((m_.flags & 1) != 0) fail(name_, "is encrypted");
    if (m_.method != kStored && m_.method != kDeflated)
      fail(name_, "is compressed by method " + std::to_string(m_.method) + "; stored and deflated are read");
    if (m_.method == kStored && m_.packed != m_.size)
      fail(name_, "is stored in " + std::to_string(m_.packed) + " bytes, but has " + std::to_string(m_.size));
    packed_left_ = m_.packed;
    archive_.file().seek(archive_.data_of(m_));
    if (m_.size / kLargestRatio > m_.packed)
      fail(name_, "promises " + std::to_string(m_.size) + " bytes from " + std::to_string(m_.packed));
    if (m_.method == kDeflated && inflateInit2(&z_, -15) != Z_OK) fail(name_, "cannot start zlib");
  }
  MemberReader(const MemberReader&) = delete;
  ~MemberReader() {
    if (m_.method == kDeflated) inflateEnd(&z_);
  }

  void read(void* to, int64_t n) {
    if (n > left_) fail(name_, "is cut off");
    left_ -= n;
    auto* at = static_cast<Bytef*>(to);
    for (int64_t done = 0; done < n;) {
      const auto part = static_cast<uInt>(std::min<int64_t>(n - done, int64_t(1) << 30));
      m_.method == kStored ? archive_.file().read(at + done, part) : inflate_into(at + done, part);
      crc_ = ::crc32(crc_, at + done, part);
      done += part;
    }
  }

  void finish() const {
    if (left_ != 0) fail(name_, "has " + std::to_string(left_) + " bytes behind its data");
    if (crc_ != m_.crc) fail(name_, "the checksum does not agree; the archive is damaged");
  }

 private:
  void inflate_into(Bytef* to, uInt n) {
    z_.next_out = to, z_.avail_out = n;
    while (z_.avail_out > 0) {
      if (z_.avail_in == 0) {
        const int64_t more = std::min<int64_t>(packed_left_, static_cast<int64_t>(chunk_.size()));
        archive_.file().read(chunk_.data(), more);
        packed_left_ -= more;
        z_.next_in = reinterpret_cast<Bytef*>(chunk_.data()), z_.avail_in = static_cast<uInt>(more);
      }
      const int code = inflate(&z_, Z_NO_FLUSH);
      if (code == Z_OK) continue;
      if (code == Z_STREAM_END && z_.avail_out == 0) return;
      fail(name_, code == Z_STREAM_END || code == Z_BUF_ERROR ? "the compressed data is cut off"
                                                              : "the compressed data is damaged");
    }
  }

  Archive archive_;
  Member m_;
  std::string name_;
  int64_t left_ = 0, packed_left_ = 0;
  uLong crc_ = 0;
  std::vector<char> chunk_ = std::vector<char>(size_t(1) << 16);
  z_stream z_{};
};

}  // namespace

ByteStream open_file(const std::string& path) {
  auto file = std::make_shared<InputFile>(path);
  auto left = std::make_shared<int64_t>(file->size());
  return {path, file->size(),
          [file, left](void* to, int64_t n) {
            file->read(to, n);
            *left -= n;
          },
          [path, left] {
            if (*left != 0) fail(path, "has " + std::to_string(*left) + " bytes behind its data");
          }};
}

ByteStream open_member(const std::string& path, const std::string& member) {
  Archive archive(path);
  for (const Member& m : archive.members()) {
    if (m.name != member) continue;
    const Member found = m;
    const std::string name = path + ": " + member;
    auto reader = std::make_shared<MemberReader>(std::move(archive), found, name);
    return {name, found.size, [reader](void* to, int64_t n) { reader->read(to, n); },
            [reader] { reader->finish(); }};
  }
  std::string list;
  size_t shown = 0;
  for (const Member& m : archive.members())
    if (++shown <= 20) list += (list.empty() ? "" : ", ") + m.name;
  throw Error(Failure::Data,
              path + ": has no member '" + member + "' (it has: " + list + (shown > 20 ? ", ..." : "") + ")");
}

}  // namespace gradc::runtime
