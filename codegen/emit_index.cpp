#include "codegen/emit_index.h"

#include "support/check.h"

namespace gradc::codegen {

using llvm::Value;

Index IndexEmitter::fold(const Index& e) const {
  if (constants_.empty() || e.is_constant()) return e;
  return e.substitute([&](int v) {
    auto it = constants_.find(v);
    return it == constants_.end() ? Index::var(v) : Index(it->second);
  });
}

void IndexEmitter::set_var(int var, Value* v, int64_t times) {
  if (vars_.count(var))
    for (Level& l : levels_)
      std::erase_if(l.cache, [&](const auto& entry) { return entry.first.uses_var(var); });
  vars_[var] = {v, static_cast<int>(levels_.size()) - 1, times};
}

int IndexEmitter::level_of(const std::vector<Atom>& factors) const {
  int level = 0;
  for (const Atom& a : factors) {
    if (a.kind == Atom::Kind::Var) {
      auto it = vars_.find(a.var);
      GRADC_CHECK(it != vars_.end(), "variable {} has no value", a.var);
      level = std::max(level, it->second.level);
    } else if (a.args) {
      level = std::max({level, level_of(a.args->first), level_of(a.args->second)});
    }
  }
  return level;
}
int IndexEmitter::level_of(const Index& e) const {
  int level = 0;
  for (const Index::Term& t : e.terms()) level = std::max(level, level_of(t.factors));
  return level;
}

Value* IndexEmitter::value(const Index& e) {
  if (e.is_constant()) return b_.getInt64(static_cast<uint64_t>(e.constant_part()));
  // The constant stays apart, so that neighbours share the rest.
  if (e.constant_part() != 0)
    return b_.CreateAdd(value(e - e.constant_part()), b_.getInt64(static_cast<uint64_t>(e.constant_part())));
  return at_level(e, level_of(e));
}

Value* IndexEmitter::at_level(const Index& e, int level) {
  Level& l = levels_[level];
  if (auto it = l.cache.find(e); it != l.cache.end()) return it->second;
  const bool innermost = level + 1 == static_cast<int>(levels_.size());
  llvm::IRBuilderBase::InsertPointGuard guard(b_);
  if (!innermost) b_.SetInsertPoint(levels_[level + 1].entry);
  Value* v = sum(e, level);
  return levels_[level].cache[e] = v;
}

// Terms of outer levels first, as one cached value; then those of this level.
Value* IndexEmitter::sum(const Index& e, int level) {
  Index outer;
  Value* total = nullptr;
  auto add = [&](Value* v) { total = total ? b_.CreateAdd(total, v) : v; };
  for (const Index::Term& t : e.terms())
    if (level_of(t.factors) < level) outer += Index::of(t);
  if (!outer.terms().empty()) add(value(outer));
  for (const Index::Term& t : e.terms()) {
    if (level_of(t.factors) >= level) add(product(t, level));
  }
  if (e.constant_part() != 0 || !total) add(b_.getInt64(static_cast<uint64_t>(e.constant_part())));
  return total;
}

Value* IndexEmitter::product(const Index::Term& t, int level) {
  Value* all = nullptr;
  int64_t coefficient = t.coefficient;
  for (const Atom& a : t.factors) {
    const int64_t times = a.kind == Atom::Kind::Var ? vars_.at(a.var).times : 1;
    const bool multiple = coefficient % times == 0;
    if (multiple) coefficient /= times;
    Value* f = multiple && times > 1 ? vars_.at(a.var).value : atom(a, level);
    all = all ? b_.CreateMul(all, f) : f;
  }
  return coefficient == 1 ? all : b_.CreateMul(all, b_.getInt64(static_cast<uint64_t>(coefficient)));
}

Value* IndexEmitter::atom(const Atom& a, int) {
  if (a.kind == Atom::Kind::Var) {
    const Var& v = vars_.at(a.var);
    return v.times == 1 ? v.value : b_.CreateExactUDiv(v.value, b_.getInt64(static_cast<uint64_t>(v.times)));
  }
  if (a.kind == Atom::Kind::Dim) return dims_.at(a.name);
  Value *x = value(a.args->first), *y = value(a.args->second);
  if (a.kind == Atom::Kind::Min) return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, x, y);
  if (a.kind == Atom::Kind::Max) return b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, x, y);
  // A symbolic divisor may be an extent of 0, of which nothing is computed but this may be hoisted.
  if (!llvm::isa<llvm::ConstantInt>(y))
    y = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, y, b_.getInt64(1));
  Value* q = b_.CreateSDiv(x, y);
  Value* r = b_.CreateSub(x, b_.CreateMul(q, y));
  Value* negative = b_.CreateICmpSLT(r, b_.getInt64(0));
  if (a.kind == Atom::Kind::Mod) return b_.CreateSelect(negative, b_.CreateAdd(r, y), r);
  return b_.CreateSelect(negative, b_.CreateSub(q, b_.getInt64(1)), q);
}

}  // namespace gradc::codegen
