// GRADC_CHECK: our own mistakes. Always on; throws InternalError, which the tool turns into exit code 70.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace gradc {

class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

}  // namespace gradc

#define GRADC_CHECK(condition, ...)                                                               \
  do {                                                                                            \
    if (!(condition))                                                                             \
      throw ::gradc::InternalError(fmt::format("{}:{}: check failed: {}: {}", __FILE__, __LINE__, \
                                               #condition, fmt::format(__VA_ARGS__)));            \
  } while (0)
