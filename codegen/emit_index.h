// Index expressions to i64 instructions. An expression is split by the loop level of its innermost variable,
// and each part is emitted once, in front of the loop that does not change it.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <map>
#include <string>
#include <vector>

#include "ir/index.h"

namespace gradc::codegen {

class IndexEmitter {
 public:
  explicit IndexEmitter(llvm::IRBuilder<>& b) : b_(b) { levels_.emplace_back(); }

  void set_dim(const std::string& name, llvm::Value* v) { dims_[name] = v; }
  // A variable known from here on, at the current level; or known times a number, as loops over vectors count
  // elements.
  void set_var(int var, llvm::Value* v, int64_t times = 1);
  bool knows(int var) const { return vars_.count(var) > 0 || constants_.count(var) > 0; }
  // An unrolled variable: folded into the expression before anything is emitted.
  void set_constant(int var, int64_t v) { constants_[var] = v; }
  void clear_constant(int var) { constants_.erase(var); }

  // What follows until leave() is inside a loop or branch that `entry` jumps to.
  void enter(llvm::Instruction* entry) { levels_.push_back({entry, {}}); }
  void leave() { levels_.pop_back(); }

  // The expression with unrolled variables folded.
  Index fold(const Index& e) const;
  // The value of a folded expression at the insertion point.
  llvm::Value* value(const Index& e);

 private:
  struct Level {
    llvm::Instruction* entry = nullptr;
    std::map<Index, llvm::Value*> cache;
  };
  struct Var {
    llvm::Value* value;
    int level;
    int64_t times;
  };
  int level_of(const std::vector<Atom>& factors) const;
  int level_of(const Index& e) const;
  llvm::Value* at_level(const Index& e, int level);
  llvm::Value* sum(const Index& e, int level);
  llvm::Value* product(const Index::Term& t, int level);
  llvm::Value* atom(const Atom& a, int level);

  llvm::IRBuilder<>& b_;
  std::vector<Level> levels_;
  std::map<int, Var> vars_;
  std::map<int, int64_t> constants_;
  std::map<std::string, llvm::Value*> dims_;
};

}  // namespace gradc::codegen
