// Pictures of a batch, moved and mirrored at random: new ones in every epoch, the same ones whenever that
// epoch is trained again.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "runtime/dataset.h"

namespace gradc::runtime {

// The pictures [H, W] or [H, W, C] of these rows, each after one change after another. What comes from
// outside a picture is 0. A draw depends on the seed, the epoch, the row's number in the data and the place
// of its change in the list, and on nothing else: fields with equal lists move alike, a picture and its mask.
Array augment_rows(const Array& pictures, std::span<const PictureChange> changes, uint64_t seed,
                   int64_t epoch, std::span<const int64_t> rows);

// The fields of a split that its `changes` name, for a batch of these rows.
std::map<std::string, Array> augmented(const Split& split, uint64_t seed, int64_t epoch,
                                       std::span<const int64_t> rows);

}  // namespace gradc::runtime
