#include "runtime/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <string_view>

#include "runtime/error.h"
#include "runtime/zip.h"

namespace gradc::runtime {
namespace {

constexpr int64_t kLongestHeader = 1 << 16;
constexpr size_t kMostAxes = 8;

[[noreturn]] void fail(const ByteStream& from, const std::string& reason) {
  throw Error(Failure::Data, from.name + ": " + reason);
}

// Elements of the file as i64 or f64, which hold every value of the types that are read.
using LoadWhole = int64_t (*)(const char*);
using LoadReal = double (*)(const char*);

template <class T>
int64_t whole(const char* from) {
  T v;
  std::memcpy(&v, from, sizeof v);
  return static_cast<int64_t>(v);
}
template <class T>
double real(const char* from) {
  T v;
  std::memcpy(&v, from, sizeof v);
  return static_cast<double>(v);
}
double half(const char* from) {
  uint16_t bits;
  std::memcpy(&bits, from, sizeof bits);
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 31)
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  const double scaled = exponent == 0 ? fraction : fraction + 1024;
  return sign * scaled *
         std::bit_cast<double>(static_cast<uint64_t>(1023 + std::max(exponent, 1) - 25) << 52);
}

struct Stored {
  std::string_view code;  // of the header, without the byte order
  DType dtype;
  size_t bytes;
  LoadWhole whole;
  LoadReal real;
};

constexpr Stored kStored[] = {
    {"b1", DType::Bool, 1, whole<uint8_t>, nullptr},
    {"u1", DType::U8, 1, whole<uint8_t>, nullptr},
    {"i1", DType::I32, 1, whole<int8_t>, nullptr},
    {"u2", DType::I32, 2, whole<uint16_t>, nullptr},
    {"i2", DType::I32, 2, whole<int16_t>, nullptr},
    {"i4", DType::I32, 4, whole<int32_t>, nullptr},
    {"u4", DType::I64, 4, whole<uint32_t>, nullptr},
    {"i8", DType::I64, 8, whole<int64_t>, nullptr},
    {"f2", DType::F32, 2, nullptr, half},
    {"f4", DType::F32, 4, nullptr, real<float>},
    {"f8", DType::F64, 8, nullptr, real<double>},
};

bool is_whole(DType t) { return t != DType::F32 && t != DType::F64; }

struct Header {
  const Stored* stored = nullptr;
  bool swapped = false, fortran = false;
  std::vector<int64_t> shape;
  int64_t count = 1;
};

// The header is the text of a Python dictionary with three keys.
class HeaderParser {
 public:
  HeaderParser(const ByteStream& from, std::string_view text) : from_(from), text_(text) {}

  Header run() {
    bool descr = false, order = false, shape = false;
    expect('{');
    while (!take('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !descr)
        read_type(), descr = true;
      else if (key == "fortran_order" && !order)
        read_order(), order = true;
      else if (key == "shape" && !shape)
        read_shape(), shape = true;
      else
        damaged();
      if (!take(',')) {
        expect('}');
        break;
      }
    }
    if (!descr || !order || !shape) damaged();
    skip();
    if (at_ != text_.size()) damaged();
    return std::move(h_);
  }

 private:
  [[noreturn]] void damaged() const { fail(from_, "the NPY header is damaged"); }
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool take(char c) {
    skip();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!take(c)) damaged();
  }
  bool take_word(std::string_view w) {
    skip();
    if (text_.substr(at_, w.size()) != w) return false;
    at_ += w.size();
    return true;
  }
  std::string_view quoted() {
    expect('\'');
    const size_t end = text_.find('\'', at_);
    if (end == text_.npos) damaged();
    const std::string_view word = text_.substr(at_, end - at_);
    at_ = end + 1;
    return word;
  }

  void read_type() {
    skip();
    if (at_ < text_.size() && text_[at_] == '[') fail(from_, "has records; arrays of numbers are read");
    const std::string_view descr = quoted();
    const char order = descr.empty() ? ' ' : descr[0];
    if (order != '<' && order != '>' && order != '|' && order != '=') damaged();
    for (const Stored& s : kStored)
      if (s.code == descr.substr(1)) h_.stored = &s;
    if (h_.stored == nullptr)
      fail(from_, "has elements of type '" + std::string(descr.substr(0, 16)) +
                      "'; bool, integers up to 64 bits but u64, and floats of 16, 32 and 64 bits are read");
    h_.swapped = h_.stored->bytes > 1 && order == (std::endian::native == std::endian::little ? '>' : '<');
  }
  void read_order() {
    h_.fortran = take_word("True");
    if (!h_.fortran && !take_word("False")) damaged();
  }
  void read_shape() {
    expect('(');
    while (!take(')')) {
      skip();
      int64_t d = 0;
      const auto [end, code] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), d);
      if (code != std::errc() || d < 0) damaged();
      at_ = static_cast<size_t>(end - text_.data());
      h_.shape.push_back(d);
      if (h_.shape.size() > kMostAxes) fail(from_, "has more than 8 axes");
      if (!take(',')) {
        expect(')');
        break;
      }
    }
  }

  const ByteStream& from_;
  std::string_view text_;
  size_t at_ = 0;
  Header h_;
};

Header read_header(ByteStream& from) {
  char start[12] = {};
  if (from.size < 10) fail(from, "is not an NPY array");
  from.read(start, 8);
  if (std::memcmp(start, "\x93NUMPY", 6) != 0) fail(from, "is not an NPY array");
  const int version = start[6];
  if (version < 1 || version > 3)
    fail(from, "has NPY version " + std::to_string(version) + "; 1 to 3 are read");
  const int width = version == 1 ? 2 : 4;
  if (from.size < 8 + width) fail(from, "the NPY header is cut off");
  from.read(start + 8, width);
  int64_t length = 0;
  for (int i = width; i-- > 0;) length = length << 8 | static_cast<uint8_t>(start[8 + i]);
  const int64_t rest = from.size - 8 - width;
  if (length > kLongestHeader || length > rest)
    fail(from, "the NPY header is " + std::to_string(length) + " bytes long, where " +
                   std::to_string(std::min(rest, kLongestHeader)) + " can be");
  std::string text(static_cast<size_t>(length), '\0');
  from.read(text.data(), length);
  Header h = HeaderParser(from, text).run();
  if (h.shape.empty()) fail(from, "is a single number; the first axis is that of the examples");
  int64_t bytes = static_cast<int64_t>(h.stored->bytes);
  bool overflow = false;
  for (int64_t d : h.shape) overflow |= __builtin_mul_overflow(bytes, d, &bytes);
  if (overflow || bytes != rest - length)
    fail(from, "the NPY header promises " + (overflow ? "far more" : std::to_string(bytes)) +
                   " bytes of data, there are " + std::to_string(rest - length));
  h.count = bytes / static_cast<int64_t>(h.stored->bytes);
  return h;
}

// Row-major places of the elements in the order in which the file has them.
class Places {
 public:
  Places(const std::vector<int64_t>& shape, bool fortran)
      : shape_(shape), step_(shape.size()), index_(shape.size()), fortran_(fortran) {
    int64_t step = 1;
    for (size_t a = shape.size(); a-- > 0; step *= shape[a]) step_[a] = step;
  }
  int64_t next() {
    const int64_t now = at_;
    if (!fortran_) return ++at_, now;
    for (size_t a = 0; a < shape_.size(); ++a) {
      at_ += step_[a];
      if (++index_[a] < shape_[a]) break;
      at_ -= step_[a] * shape_[a];
      index_[a] = 0;
    }
    return now;
  }

 private:
  std::vector<int64_t> shape_, step_, index_;
  bool fortran_;
  int64_t at_ = 0;
};

void check_fits(const ByteStream& from, DType t, int64_t v, int64_t element) {
  if (!holds(t, v))
    fail(from, "element " + std::to_string(element) + " is " + std::to_string(v) + ", which no " +
                   name_of(t) + " is");
}

void convert(ByteStream& from, const Header& h, Array& to) {
  const size_t bytes = h.stored->bytes;
  std::vector<char> chunk(size_t(1) << 16);
  Places places(h.shape, h.fortran);
  for (int64_t done = 0; done < h.count;) {
    const int64_t n = std::min<int64_t>(h.count - done, static_cast<int64_t>(chunk.size() / bytes));
    from.read(chunk.data(), n * static_cast<int64_t>(bytes));
    for (int64_t i = 0; i < n; ++i) {
      char* element = chunk.data() + static_cast<size_t>(i) * bytes;
      if (h.swapped) std::reverse(element, element + bytes);
      const int64_t place = places.next();
      if (h.stored->real != nullptr) {
        to.set(place, h.stored->real(element));
        continue;
      }
      const int64_t v = h.stored->whole(element);
      check_fits(from, to.dtype, v, done + i);
      to.set_whole(place, v);
    }
    done += n;
  }
}

}  // namespace

Array read_npy(ByteStream& from, const ChooseType& choose) {
  const Header h = read_header(from);
  DType t = choose(h.stored->dtype);
  if (is_whole(t) != is_whole(h.stored->dtype)) t = h.stored->dtype;  // refused by who asked
  Array out = make_array(t, h.shape);
  const bool as_is = t == h.stored->dtype && size_of(t) == static_cast<int64_t>(h.stored->bytes) &&
                     t != DType::Bool && !h.swapped && !h.fortran;
  if (as_is)
    from.read(out.bytes.data(), static_cast<int64_t>(out.bytes.size()));
  else
    convert(from, h, out);
  from.finish();
  return out;
}

ArrayInfo npy_info(ByteStream& from) {
  Header h = read_header(from);
  return {h.stored->dtype, std::move(h.shape)};
}

std::string npy_head(DType dtype, const std::vector<int64_t>& shape) {
  const auto stored = std::find_if(std::begin(kStored), std::end(kStored), [&](const Stored& s) {
    return s.dtype == dtype && s.bytes == static_cast<size_t>(size_of(dtype));
  });
  const char order = stored->bytes == 1 ? '|' : std::endian::native == std::endian::little ? '<' : '>';
  std::string text =
      "{'descr': '" + (order + std::string(stored->code)) + "', 'fortran_order': False, 'shape': (";
  for (int64_t d : shape) text += std::to_string(d) + ",";
  text += "), }";
  constexpr size_t kBefore = 10;  // the magic number, the version, the length
  text.append(63 - (kBefore + text.size()) % 64, ' ');
  text += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(text.size() & 255) +
         static_cast<char>(text.size() >> 8) + text;
}

}  // namespace gradc::runtime
