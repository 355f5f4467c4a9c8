#include "driver/entry_archive.h"

#include <cstring>
#include <type_traits>
#include <vector>

namespace gradc {
namespace {

// Numbers as they lie in memory, lists and texts behind their lengths: the cache is this machine's own.
class Writer {
 public:
  template <class T>
  void operator()(const T& number) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void operator()(const std::string& text) {
    (*this)(text.size());
    bytes_ += text;
  }
  template <class T, class F>
  void list(const std::vector<T>& all, F each) {
    (*this)(all.size());
    for (const T& one : all) each(one);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  template <class T>
  void operator()(T& number) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    if (sizeof number > rest_.size()) return fail();
    std::memcpy(&number, rest_.data(), sizeof number);
    rest_.remove_prefix(sizeof number);
  }
  void operator()(std::string& text) {
    size_t length = 0;
    (*this)(length);
    if (length > rest_.size()) return fail();
    text = rest_.substr(0, length);
    rest_.remove_prefix(length);
  }
  template <class T, class F>
  void list(std::vector<T>& all, F each) {
    size_t length = 0;
    (*this)(length);
    for (size_t i = 0; i < length && ok_; ++i) each(all.emplace_back());
  }
  bool done() const { return ok_ && rest_.empty(); }
  bool ok() const { return ok_; }

 private:
  void fail() { ok_ = false, rest_ = {}; }
  std::string_view rest_;
  bool ok_ = true;
};

// One walk over the fields for both directions: `E` and what is below it are const for the writer.
template <class Archive, class L>
void layout(Archive& a, L& l) {
  auto each = [&](auto& x) { a(x); };
  a.list(l.order, each);
  a.list(l.blocks, [&](auto& b) { a(b.axis), a(b.size); });
  a.list(l.padding, each);
}

template <class Archive, class T>
void tensor(Archive& a, T& t) {
  a(t.name), a(t.dtype), a(t.offset), a(t.derived_from);
  a.list(t.shape, [&](auto& e) { a(e.scale), a(e.dim); });
  layout(a, t.layout);
}

template <class Archive, class E>
void entry(Archive& a, E& e) {
  auto each = [&](auto& x) { a(x); };
  a(e.name), a(e.io_bytes), a(e.scratch_bytes), a(e.thread_scratch_bytes);
  a.list(e.dims, each), a.list(e.max_dims, each), a.list(e.offsets, each);
  a.list(e.inputs, [&](auto& t) { tensor(a, t); });
  a.list(e.outputs, [&](auto& t) { tensor(a, t); });
}

template <class Archive, class E>
void extended(Archive& a, E& e) {
  a(e.refusal), a(e.from_whole);
  a.list(e.kept, [&](auto& s) {
    a(s.role), a(s.path), a(s.type.dtype);
    a.list(s.type.shape, [&](auto& d) {
      int64_t extent = d.constant_part();
      a(extent);
      if constexpr (!std::is_const_v<std::remove_reference_t<decltype(d)>>) d = extent;
    });
  });
}

}  // namespace

std::string pack(const std::map<std::string, runtime::Entry>& entries) {
  Writer w;
  for (const auto& [name, e] : entries) entry(w, e);
  return w.take();
}

std::optional<std::map<std::string, runtime::Entry>> unpack_entries(std::string_view bytes) {
  Reader r(bytes);
  std::map<std::string, runtime::Entry> entries;
  while (r.ok() && !r.done()) {
    runtime::Entry e;
    entry(r, e);
    std::string name = e.name;
    if (r.ok()) entries[name] = std::move(e);
  }
  return r.ok() ? std::optional(std::move(entries)) : std::nullopt;
}

std::string pack(const Extended& e) {
  Writer w;
  extended(w, e);
  return w.take();
}

std::optional<Extended> unpack_extended(std::string_view bytes) {
  Reader r(bytes);
  Extended e;
  extended(r, e);
  return r.done() ? std::optional(std::move(e)) : std::nullopt;
}

std::string pack(const std::vector<runtime::StateTensor>& rows) {
  Writer w;
  for (const runtime::StateTensor& row : rows) layout(w, row.tensor.layout);
  return w.take();
}

std::optional<std::vector<runtime::Layout>> unpack_layouts(std::string_view bytes) {
  Reader r(bytes);
  std::vector<runtime::Layout> rows;
  while (r.ok() && !r.done()) layout(r, rows.emplace_back());
  return r.ok() ? std::optional(std::move(rows)) : std::nullopt;
}

}  // namespace gradc
