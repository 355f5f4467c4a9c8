#include "ir/step/addressable.h"

#include "support/check.h"
#include "support/diagnostic.h"

namespace gradc::step {

std::optional<int64_t> addressable_end(int64_t elements, DType t, int64_t before) {
  constexpr int64_t most = int64_t{1} << 56;
  int64_t bytes;
  if (__builtin_mul_overflow(elements, static_cast<int64_t>(size_of(t)), &bytes) || bytes > most - before)
    return {};
  return before + bytes;
}

int64_t addressable_end(const Buffer& b, const std::map<std::string, int64_t>& dims, int64_t before) {
  const auto value = [&](const std::string& d) {
    const auto it = dims.find(d);
    GRADC_CHECK(it != dims.end(), "dimension {} of {} has no value", d, b.name);
    return it->second;
  };
  const int64_t elements = b.layout.size(b.shape).evaluate([](int) -> int64_t { return 0; }, value);
  if (const std::optional<int64_t> end = addressable_end(elements, b.dtype, before)) return *end;
  throw CompileError(
      {}, fmt::format("with %{}, which is {}, the buffers take more bytes than a process can address; take "
                      "smaller tensors, or lower maxima of the dimensions",
                      b.name, Type{b.dtype, b.shape}.str()));
}

int64_t bytes_of(const Buffer& b, const std::map<std::string, int64_t>& dims) {
  return addressable_end(b, dims, 0);
}

}  // namespace gradc::step
