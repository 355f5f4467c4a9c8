// What the fields of a source must be to stand for the inputs of a model: their shapes, and numbers within
// the tables that they are looked up in. Training and prediction ask the same.
#pragma once

#include <string>
#include <vector>

#include "driver/open_axis.h"
#include "driver/sources/source.h"
#include "frontend/frontend.h"
#include "support/source.h"

namespace gradc {

const frontend::Input* input_named(const frontend::Unit& unit, const std::string& name);

// Its type, the first axis the batch; nothing where the model has no such input.
std::optional<Type> input_type(const frontend::Unit& unit, const std::string& name);

// Throws CompileError that says both shapes per example, and where the input is declared. `data` is what
// `read` brought; `open` is what its fields before this one say of the open axis, and then this one too.
void check_shape(const frontend::Input& in, const frontend::FieldSpec& f, const SourceData& read,
                 const runtime::Dataset& data, const Sources& sources, OpenAxis& open);
// Throws CompileError where a field holds no pictures [H, W] or [H, W, C], or a change could move one out of
// sight.
void check_picture(const frontend::PictureChangeSpec& c, const std::string& field, const runtime::Array& a,
                   const std::string& path);
// The first number that is no class of the input and where it is; "" where there is none. Numbers that stand
// for names are left to give_numbers.
std::string class_problem(const frontend::Input& in, const SourceData& read, const runtime::Dataset& data);
// Numbers the names of a field ("": of the sequence) as the vocabulary does; the first name that is not in it
// and where it is, or "".
std::string give_numbers(const std::vector<std::string>& vocabulary, const std::string& field,
                         SourceData& read, runtime::Dataset& data);

}  // namespace gradc
