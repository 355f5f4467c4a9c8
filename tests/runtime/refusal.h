#pragma once

#include <functional>
#include <string>

#include "runtime/error.h"

namespace gradc::runtime {

// What the error says that f ends with; "" when it ends without one.
inline std::string refusal(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

}  // namespace gradc::runtime
