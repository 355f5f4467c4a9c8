// Arrays as NumPy reads and writes them: .npy files, and the members of .npz archives.
#pragma once

#include <functional>
#include <string>

#include "runtime/array.h"

namespace gradc::runtime {

struct ByteStream;

struct ArrayInfo {
  DType dtype = DType::F32;  // the type that holds every number of the file; f16 becomes f32
  std::vector<int64_t> shape;
};

// Of what the file holds, the type to read it as.
using ChooseType = std::function<DType(DType)>;

// bool, integers but u64, and floats, in either byte order and either order of the axes. Integers are
// converted to integers, with an Error for what does not fit, and floats to floats. Nothing is held but the
// array.
Array read_npy(ByteStream& from, const ChooseType& choose);
ArrayInfo npy_info(ByteStream& from);
// What stands in a file before the elements, row-major in the machine's byte order.
std::string npy_head(DType dtype, const std::vector<int64_t>& shape);

}  // namespace gradc::runtime
