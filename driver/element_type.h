// Element types of the compiler as those of the runtime, which ships without it and has its own. Both number
// them alike: a value, name or size that differs does not compile.
#pragma once

#include "ir/dtype.h"
#include "runtime/program.h"

namespace gradc {

constexpr runtime::DType runtime_type(DType t) { return static_cast<runtime::DType>(t); }
constexpr DType compiler_type(runtime::DType t) { return static_cast<DType>(t); }

static_assert(kDTypes == runtime::kDTypes);
static_assert(runtime_type(DType::Bool) == runtime::DType::Bool);
static_assert(runtime_type(DType::U8) == runtime::DType::U8);
static_assert(runtime_type(DType::I32) == runtime::DType::I32);
static_assert(runtime_type(DType::I64) == runtime::DType::I64);
static_assert(runtime_type(DType::F32) == runtime::DType::F32);
static_assert(runtime_type(DType::F64) == runtime::DType::F64);
static_assert([] {
  for (int i = 0; i < kDTypes; ++i) {
    const DType t = static_cast<DType>(i);
    if (name_of(t) != runtime::name_of(runtime_type(t)) || size_of(t) != runtime::size_of(runtime_type(t)))
      return false;
  }
  return true;
}());

}  // namespace gradc
