// The binary batches of CIFAR-10 and CIFAR-100, plain or gzipped, one or several files.
#pragma once

#include <span>
#include <string>

#include "runtime/array.h"

namespace gradc::runtime {

enum class CifarKind { Ten, Hundred };

struct CifarData {
  Array images;  // [n, 32, 32, 3] of the type asked for, 0..255; files keep the channels one after another
  Array labels;  // i32 [n]; of CIFAR-100 the fine ones
  Array coarse;  // i32 [n] of CIFAR-100, else empty
};

// Throws Error when a file is not whole records or a label is none.
CifarData read_cifar(std::span<const std::string> paths, CifarKind kind, DType images);

}  // namespace gradc::runtime
