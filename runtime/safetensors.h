// The safetensors file format: named tensors and text metadata, checked in full before anything is believed.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "runtime/array.h"

namespace gradc::runtime {

struct SafeTensors {
  std::map<std::string, Array> tensors;
  std::map<std::string, std::string> metadata;
  std::map<std::string, std::string>
      narrow;  // tensors that the file holds as "f16" or "bf16", and are f32 here
};

// BOOL, U8, I32, I64, F32 and F64 as they are, F16 and BF16 as F32, which holds each of their values. Throws
// Error that names the file and what is wrong; never takes more memory than a small multiple of the file's
// size.
SafeTensors read_safetensors(const std::string& path);
SafeTensors parse_safetensors(const std::string& path, std::string_view text);
// Replaces the file atomically. Largest element types first, then by name, as the reference writer does.
void write_safetensors(const std::string& path, const SafeTensors& file);

// Over names, shapes, contents and metadata but this one; the metadata kChecksum, where a file has it, is
// compared when it is read.
inline constexpr const char* kChecksum = "gradc.checksum";
std::string checksum(const SafeTensors& file);
// "'dense.weight' holds NaN in 3 of 640 numbers"; "" when none does.
std::string nan_text(const SafeTensors& file);

}  // namespace gradc::runtime
