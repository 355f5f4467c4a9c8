// The safetensors file format: named tensors and text metadata, checked in full before anything is believed.
#pragma once

#include <map>
#include <string>

#include "runtime/array.h"

namespace gradc::runtime {

struct SafeTensors {
  std::map<std::string, Array> tensors;
  std::map<std::string, std::string> metadata;
};

// BOOL, U8, I32, I64, F32 and F64. Throws Error that names the file and what is wrong; never takes more
// memory than a small multiple of the file's size.
SafeTensors read_safetensors(const std::string& path);
// Replaces the file atomically. Largest element types first, then by name, as the reference writer does.
void write_safetensors(const std::string& path, const SafeTensors& file);

}  // namespace gradc::runtime
