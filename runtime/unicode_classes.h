// Unicode's general categories as far as tokenizers ask: \p{L}, \p{N}, \s.
#pragma once

#include <cstdint>

namespace gradc::runtime {

enum class CharacterClass : uint8_t { Letter, Number, Space, Other };
CharacterClass class_of(char32_t c);

}  // namespace gradc::runtime
