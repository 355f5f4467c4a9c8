// The rows of a compiled program as bytes, kept in the cache beside its objects.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "driver/extension.h"
#include "runtime/program.h"

namespace gradc {

// All but the functions' addresses and the checks, which the front end's tables give.
std::string pack(const std::map<std::string, runtime::Entry>& entries);
// Nothing where the bytes are not what `pack` gave.
std::optional<std::map<std::string, runtime::Entry>> unpack_entries(std::string_view bytes);

std::string pack(const Extended& e);
std::optional<Extended> unpack_extended(std::string_view bytes);

// How the rows of the state lie, one behind the other.
std::string pack(const std::vector<runtime::StateTensor>& rows);
std::optional<std::vector<runtime::Layout>> unpack_layouts(std::string_view bytes);

}  // namespace gradc
