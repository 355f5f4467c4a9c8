// The axis that a model's inputs leave open, x: f32[B, T <= 256, d], and how long data makes it: as long as
// what a source has for every example, or by buckets.
#pragma once

#include <string>

#include "driver/sources/source.h"
#include "frontend/frontend.h"

namespace gradc {

struct OpenAxis {
  std::string dim, field;  // "" where none is open; the first field that has it
  int64_t extent = 0;      // in the source
  int64_t of_one = 1;      // what a place of the axis counts in lengths: the samples of a frame
};

// Throws CompileError where an axis of the field is open that is not the first of an example, not that of the
// fields before it, or not as long. `shape` is that of the data, its rows first.
void note_open_axis(OpenAxis& open, const frontend::Input& in, const frontend::FieldSpec& f,
                    const std::vector<int64_t>& shape);

// One for all rows, or by buckets(...). Throws CompileError where the axis is longer than the model takes, or
// a length is beyond the last bucket.
runtime::Buckets one_bucket(const OpenAxis& open, const frontend::Unit& unit, Loc loc);
runtime::Buckets buckets_of(const OpenAxis& open, const frontend::DataOp& op, const frontend::Unit& unit,
                            const runtime::Dataset& data, const std::string& file);

}  // namespace gradc
