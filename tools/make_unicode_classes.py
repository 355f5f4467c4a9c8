"""Writes runtime/unicode_classes.cpp: which characters the regular expressions of tokenizers call letters, numbers and
white space. usage: make_unicode_classes.py > runtime/unicode_classes.cpp

The classes are asked of Hugging Face's `tokenizers` (0.23.3: Unicode 16), so that texts are cut where it cuts them, and
compared with Python's own tables, which may be older but never of another mind.
"""
import unicodedata

from tokenizers import pre_tokenizers

PRE = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)


def pieces(text):
    return len(PRE.pre_tokenize_str(text))


def class_of(c):
    if pieces("a" + c) == 1:
        return "letters"
    if pieces("1" + c) == 1:
        return "numbers"
    return "spaces" if pieces("!" + c) == 2 else ""


found = {"letters": [], "numbers": [], "spaces": []}
for code in range(0x110000):
    if 0xD800 <= code < 0xE000:
        continue
    c = chr(code)
    kind = class_of(c)
    category = unicodedata.category(c)
    assert category == "Cn" or (kind == "letters") == (category[0] == "L"), hex(code)
    assert category == "Cn" or (kind == "numbers") == (category[0] == "N"), hex(code)
    if kind:
        ranges = found[kind]
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])

print("// Made by tools/make_unicode_classes.py.\n// clang-format off\n#include \"runtime/unicode_classes.h\"\n")
print("#include <algorithm>\n#include <iterator>\n\nnamespace gradc::runtime {\nnamespace {\n\nstruct Range {\n  char32_t first, last;\n};\n")
for kind, ranges in found.items():
    print("constexpr Range k%s[] = {" % kind.capitalize())
    line = "   "
    for first, last in ranges:
        item = " {0x%X, 0x%X}," % (first, last)
        if len(line) + len(item) > 118:
            print(line)
            line = "   "
        line += item
    print(line + "\n};\n")
print("""template <size_t n>
bool within(const Range (&ranges)[n], char32_t c) {
  const Range* behind = std::upper_bound(std::begin(ranges), std::end(ranges), c,
                                         [](char32_t x, const Range& r) { return x < r.first; });
  return behind != std::begin(ranges) && c <= behind[-1].last;
}

}  // namespace

CharacterClass class_of(char32_t c) {
  if (within(kLetters, c)) return CharacterClass::Letter;
  if (within(kNumbers, c)) return CharacterClass::Number;
  return within(kSpaces, c) ? CharacterClass::Space : CharacterClass::Other;
}

}  // namespace gradc::runtime""")
