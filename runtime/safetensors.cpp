#include "runtime/safetensors.h"

#include <zlib.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/json.h"

namespace gradc::runtime {
namespace {

constexpr std::pair<DType, const char*> kTypes[] = {{DType::Bool, "BOOL"}, {DType::U8, "U8"},
                                                    {DType::I32, "I32"},   {DType::I64, "I64"},
                                                    {DType::F32, "F32"},   {DType::F64, "F64"}};
// Read, never written: half the bytes of F32, which they become.
constexpr std::pair<const char*, const char*> kNarrow[] = {{"F16", "f16"}, {"BF16", "bf16"}};
constexpr uint64_t kMaxHeader = 100000000;

[[noreturn]] void refuse(const std::string& path, const std::string& what) {
  throw Error(Failure::Data, path + ": " + what);
}

std::optional<uint64_t> size(const Json& v) {
  const std::optional<int64_t> n = v.whole();
  return n && *n >= 0 ? std::optional(static_cast<uint64_t>(*n)) : std::nullopt;
}

struct Row {
  std::string name;
  DType dtype;
  std::string narrow;  // "" where the file holds dtype
  std::vector<int64_t> shape;
  uint64_t begin, end;
};

Row read_row(const std::string& path, const std::string& name, const Json& v) {
  const Json *dtype = v.find("dtype"), *shape = v.find("shape"), *offsets = v.find("data_offsets");
  if (dtype == nullptr || shape == nullptr || offsets == nullptr || offsets->items.size() != 2)
    refuse(path, "tensor '" + name + "' lacks dtype, shape or data_offsets");
  Row r{name, DType::F32, "", {}, 0, 0};
  const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const auto& t) { return dtype->text == t.second; });
  const auto* narrow = std::find_if(std::begin(kNarrow), std::end(kNarrow),
                                    [&](const auto& t) { return dtype->text == t.first; });
  if (narrow != std::end(kNarrow))
    r.narrow = narrow->second;
  else if (type != std::end(kTypes))
    r.dtype = type->first;
  else
    refuse(path, "tensor '" + name + "' has the type " + dtype->text +
                     "; BOOL, U8, I32, I64, F16, BF16, F32 and F64 are read");
  uint64_t bytes = r.narrow.empty() ? static_cast<uint64_t>(size_of(r.dtype)) : 2;
  if (shape->items.size() > 16) refuse(path, "tensor '" + name + "' has more than 16 axes");
  for (const Json& d : shape->items) {
    const auto n = size(d);
    if (!n || *n > (uint64_t(1) << 40) || __builtin_mul_overflow(bytes, *n, &bytes))
      refuse(path, "tensor '" + name + "' has an impossible shape");
    r.shape.push_back(static_cast<int64_t>(*n));
  }
  const auto begin = size(offsets->items[0]), end = size(offsets->items[1]);
  if (!begin || !end || *begin > *end || *end - *begin != bytes)
    refuse(path, "tensor '" + name + "': its offsets do not fit its shape");
  r.begin = *begin, r.end = *end;
  return r;
}

// The same number; the bits of a NaN move to the top of the wider fraction.
float widened(uint16_t bits, bool bfloat) {
  if (bfloat) return std::bit_cast<float>(uint32_t(bits) << 16);
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 1023;
  // Denormals are whole multiples of 2^-24.
  if (exponent == 0)
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(static_cast<float>(fraction) * 0x1p-24F));
  return std::bit_cast<float>(sign | (exponent == 31 ? 255 : exponent + 112) << 23 | fraction << 13);
}

Array read_tensor(const Row& r, const char* from) {
  Array a = make_array(r.dtype, r.shape);
  if (r.narrow.empty()) {
    if (r.end > r.begin) std::memcpy(a.bytes.data(), from, r.end - r.begin);
    return a;
  }
  for (size_t i = 0; i < (r.end - r.begin) / 2; ++i) {
    uint16_t bits = 0;
    std::memcpy(&bits, from + 2 * i, 2);
    const float value = widened(bits, r.narrow == "bf16");
    std::memcpy(a.bytes.data() + i * sizeof value, &value, sizeof value);
  }
  return a;
}

}  // namespace

SafeTensors read_safetensors(const std::string& path) { return parse_safetensors(path, read_file(path)); }

SafeTensors parse_safetensors(const std::string& path, std::string_view text) {
  uint64_t n = 0;
  if (text.size() < 8) refuse(path, "no safetensors file: shorter than 8 bytes");
  std::memcpy(&n, text.data(), 8);
  if (n > kMaxHeader || n > text.size() - 8 || n < 2)
    refuse(path, "no safetensors file: a header of " + std::to_string(n) + " bytes");
  if (text[8] != '{') refuse(path, "no safetensors file: the header does not begin with '{'");
  Json header;
  try {
    header = parse_json(text.substr(8, n));
  } catch (const Error& e) {
    refuse(path, std::string("the header is ") + e.what());
  }
  SafeTensors out;
  std::vector<Row> rows;
  for (const auto& [name, v] : header.members) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : v.members) {
        if (value.kind != Json::Kind::String) refuse(path, "metadata '" + key + "' is no text");
        out.metadata[key] = value.text;
      }
    } else {
      rows.push_back(read_row(path, name, v));
    }
  }
  std::sort(rows.begin(), rows.end(),
            [](const Row& a, const Row& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t at = 0;
  for (const Row& r : rows) {
    if (r.begin != at) refuse(path, "tensor '" + r.name + "' leaves a hole or overlaps another");
    at = r.end;
  }
  if (8 + n + at != text.size())
    refuse(path, "the tensors take " + std::to_string(at) + " bytes, the file has " +
                     std::to_string(text.size() - 8 - n));
  for (const Row& r : rows) {
    if (!r.narrow.empty()) out.narrow.emplace(r.name, r.narrow);
    out.tensors.emplace(r.name, read_tensor(r, text.data() + 8 + n + r.begin));
  }
  if (auto it = out.metadata.find(kChecksum); it != out.metadata.end() && it->second != checksum(out))
    refuse(path, std::string("its contents do not give its checksum: the file is damaged, or another program "
                             "changed it and kept the metadata ") +
                     kChecksum);
  return out;
}

std::string checksum(const SafeTensors& file) {
  uLong sum = crc32_z(0, nullptr, 0);
  auto add = [&](const void* from, size_t n) {
    if (n > 0) sum = crc32_z(sum, static_cast<const Bytef*>(from), n);  // null would begin anew
  };
  auto text = [&](const std::string& s) { add(s.c_str(), s.size() + 1); };
  for (const auto& [key, value] : file.metadata)
    if (key != kChecksum) text(key), text(value);
  for (const auto& [name, a] : file.tensors) {
    text(name), text(name_of(a.dtype));
    add(a.shape.data(), a.shape.size() * sizeof a.shape[0]);
    add(a.bytes.data(), a.bytes.size());
  }
  return std::to_string(sum);
}

std::string nan_text(const SafeTensors& file) {
  std::string first;
  int64_t more = 0;
  for (const auto& [name, a] : file.tensors) {
    if (a.dtype != DType::F32 && a.dtype != DType::F64) continue;
    int64_t n = 0;
    for (int64_t i = 0; i < a.count(); ++i) n += std::isnan(a.at(i)) ? 1 : 0;
    if (n == 0) continue;
    if (first.empty())
      first = "'" + name + "' holds NaN in " + std::to_string(n) + " of " + std::to_string(a.count()) +
              " numbers";
    else
      ++more;
  }
  return first + (more > 0 ? "; " + std::to_string(more) + " more with NaN" : "");
}

void write_safetensors(const std::string& path, const SafeTensors& file) {
  std::vector<std::pair<std::string, const Array*>> rows;
  for (const auto& [name, a] : file.tensors) rows.push_back({name, &a});
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return size_of(a.second->dtype) > size_of(b.second->dtype);
  });
  std::string header = "{";
  if (!file.metadata.empty()) {
    header += "\"__metadata__\":{";
    for (const auto& [k, v] : file.metadata)
      header += (header.back() == '{' ? "" : ",") + quote_json(k) + ":" + quote_json(v);
    header += "}";
  }
  uint64_t at = 0;
  for (const auto& [name, a] : rows) {
    const auto* type = std::find_if(std::begin(kTypes), std::end(kTypes),
                                    [&](const auto& t) { return a->dtype == t.first; });
    header += (header.size() > 1 ? "," : "") + quote_json(name) + ":{\"dtype\":\"" + type->second +
              "\",\"shape\":[";
    for (size_t i = 0; i < a->shape.size(); ++i) header += (i > 0 ? "," : "") + std::to_string(a->shape[i]);
    header += "],\"data_offsets\":[" + std::to_string(at) + "," + std::to_string(at + a->bytes.size()) + "]}";
    at += a->bytes.size();
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t n = header.size();
  std::vector<std::string_view> parts = {{reinterpret_cast<const char*>(&n), 8}, header};
  for (const auto& [name, a] : rows)
    parts.push_back({reinterpret_cast<const char*>(a->bytes.data()), a->bytes.size()});
  write_file_atomically(path, parts);
}

}  // namespace gradc::runtime
