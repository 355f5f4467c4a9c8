// The syntax tree of a .grad file, as plain values. Every node carries its place; nothing is resolved here.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/source.h"

namespace gradc::frontend {

struct Argument;
struct Subscript;

struct Expr {
  enum class Kind : uint8_t {
    Integer,    // integer
    Real,       // number
    String,     // text
    Bool,       // integer is 0 or 1
    Name,       // text
    List,       // [kids...]
    Tuple,      // (kids..., ) with at least two
    Unary,      // text: - not; kids[0]
    Binary,     // text: + - * / // @ ** == != < <= > >= and or; kids[0], kids[1]
    Choose,     // kids[0] if kids[1] else kids[2]
    Call,       // kids[0] (arguments)
    Make,       // kids[0] {arguments} as text
    Subscript,  // kids[0] [subscripts]
    Member,     // kids[0] . text
    Reduce,     // text[indices where kids[1]] kids[0]
  };
  Kind kind = Kind::Integer;
  Loc loc;
  std::string text;
  int64_t integer = 0;
  double number = 0;
  std::vector<Expr> kids;
  std::vector<Argument> arguments;
  std::vector<Subscript> subscripts;
  std::vector<std::string> indices;  // Reduce
  std::vector<Loc> index_locs;
  bool parenthesised = false;
  bool named = false;    // Make: has `as`
  bool piped = false;    // Call: made by |>
  bool percent = false;  // Real: written with %
  int height = 1;        // levels of this tree; bounded, because what walks it recurses

  bool is(Kind k) const { return kind == k; }
  bool is_name(std::string_view s) const { return kind == Kind::Name && text == s; }
};

struct Argument {
  std::string name;  // "" when positional
  Expr value;
  Loc loc;
};

struct Subscript {  // "...", an index, or a slice with optional ends
  enum class Kind : uint8_t { Ellipsis, Index, Slice } kind = Kind::Index;
  std::optional<Expr> low, high;  // Index: low
  Loc loc;
};

struct DimExpr {
  bool ellipsis = false;
  std::optional<Expr> value, bound;
  Loc loc;
};

struct TypeExpr {
  std::string dtype;  // "" when not written
  std::vector<DimExpr> dims;
  Loc loc;
};

struct Formal {  // of a signature, its config, or its results
  std::string name;
  std::optional<TypeExpr> type;
  std::string type_name;  // `x: int`
  std::optional<Expr> otherwise;
  Loc loc;
};

struct Target {
  std::string name;
  std::optional<TypeExpr> type;
  std::optional<std::vector<Subscript>> subscripts;
  Loc loc;
};

struct Stmt {
  enum class Kind : uint8_t {
    Param,    // name : type = values[0]
    State,    // name : type = values[0], kept from batch to batch with `carry`
    Const,    // targets[n] = values[n]
    Metric,   // name = values[0]
    Require,  // values[0], text
    Return,   // values
    If,       // values[0] body otherwise
    Repeat,   // name in values[0] body
    Scan,     // name in values[0] body
    Step,     // of a train block: name body
    Assign,   // targets op values
  };
  Kind kind = Kind::Assign;
  Loc loc;
  bool carry = false;
  std::string name, text, op = "=";
  std::optional<TypeExpr> type;
  std::vector<Target> targets;
  std::vector<Expr> values;
  std::vector<Stmt> body, otherwise;
};

struct Callable {
  enum class Kind : uint8_t { Fn, Layer, Model } kind = Kind::Fn;
  std::string name;
  std::vector<Formal> config, formals, results;
  std::optional<Expr> value;  // `= expr`
  std::vector<Stmt> body;
  Loc loc;  // of the name
  bool has_config = false;
};

struct Block {  // data NAME {...}; train NAME on DATA {...}
  std::string name, data;
  std::vector<Stmt> body;
  Loc loc, data_loc;
};

struct Import {
  std::string path;
  Loc loc;
};

struct InitFrom {  // init NAME from "path" [partial]
  std::string name, path;
  bool partial = false;
  Loc loc, path_loc;
};

struct File {
  std::vector<Import> imports;
  std::vector<Stmt> consts;
  std::vector<Callable> callables;
  std::vector<Block> data, train;
  std::vector<InitFrom> init;
};

}  // namespace gradc::frontend
