// A kernel as an LLVM function: loops with lanes, tiles in registers, reads and writes under masks.
#pragma once

#include <fmt/format.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "codegen/call_frame.h"
#include "codegen/emit_index.h"
#include "ir/kernel/kernel.h"

namespace gradc::codegen {

using namespace kernel;
using LValue = llvm::Value*;

// Where the iterations of a vector loop stand: lane l of this chunk is iteration `base` + l.
struct Lanes {
  int var = -1;
  Index base;                  // over loop variables and `chunk`, or constant
  int64_t active = 0;          // lanes in use when known, else -1
  LValue remaining = nullptr;  // lanes in use when not known
};

class KernelEmitter {
 public:
  KernelEmitter(llvm::Module& m, const Kernel& k, const std::string& name, int lanes)
      : c_(m.getContext()), b_(c_), index_(b_), k_(k), width_(lanes) {
    declare(m, name);
  }
  llvm::Function* run();

 private:
  // the function
  void declare(llvm::Module& m, const std::string& name);
  LValue member(unsigned m, llvm::Type* t) { return frame_member(b_, f_->getArg(0), m, t); }
  LValue element(LValue base, LValue place, llvm::Type* t);
  LValue argument(size_t i);
  LValue parameter(LValue argument);  // what its argument says: in the frame, or behind the arguments
  void read_arguments();
  LValue share_of_work();
  LValue offset(LValue base, int64_t bytes);
  llvm::Type* vector_of(llvm::Type* t) const;

  // loops
  void emit_body(const Body& body);
  // `for v in from..to`; `fill` emits one iteration. The loop may count multiples of the variable.
  template <class F>
  void loop(int var, LValue from, LValue to, bool may_be_empty, F&& fill, int64_t times = 1) {
    auto* head = b_.GetInsertBlock();
    auto* body = llvm::BasicBlock::Create(c_, "body", f_);
    auto* exit = llvm::BasicBlock::Create(c_, "exit", f_);
    llvm::Instruction* jump =
        may_be_empty ? b_.CreateCondBr(b_.CreateICmpSLT(from, to), body, exit) : b_.CreateBr(body);
    b_.SetInsertPoint(body);
    llvm::PHINode* phi = b_.CreatePHI(b_.getInt64Ty(), 2);
    phi->addIncoming(from, head);
    index_.enter(jump);
    index_.set_var(var, phi, times);
    forget();
    fill();
    LValue next = b_.CreateAdd(phi, b_.getInt64(static_cast<uint64_t>(times)));
    phi->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, to), body, exit);
    index_.leave();
    b_.SetInsertPoint(exit);
    forget();
  }
  template <class F>
  void branch(LValue condition, F&& fill) {
    auto* then = llvm::BasicBlock::Create(c_, "then", f_);
    auto* after = llvm::BasicBlock::Create(c_, "after", f_);
    llvm::Instruction* jump = b_.CreateCondBr(condition, then, after);
    b_.SetInsertPoint(then);
    index_.enter(jump);
    forget();
    fill();
    b_.CreateBr(after);
    index_.leave();
    b_.SetInsertPoint(after);
    forget();
  }
  void emit(const std::shared_ptr<const For>& f);
  void emit_iteration(const For& f);
  void emit(const std::shared_ptr<const If>& i);
  void where(const If& i, const std::function<void()>& fill);

  // vector loops
  void emit_vector(const For& f, const Index& extent);
  void splat_in_front(const Body& body);
  bool in_sight(const For& f, const Index& extent) const;
  std::vector<Lanes> chunks_of(const For& f, const Index& extent) const;
  void chunk(const For& f, const Lanes& l);
  llvm::Constant* lane_numbers();
  // A constant for each lane.
  template <class F>
  llvm::Constant* by_lane(F&& of) const {
    llvm::SmallVector<llvm::Constant*, 16> all(static_cast<size_t>(width_));
    for (int l = 0; l < width_; ++l) all[static_cast<size_t>(l)] = of(l);
    return llvm::ConstantVector::get(all);
  }

  // values
  bool is_vector(LValue v) const { return v->getType()->isVectorTy(); }
  LValue splat(LValue v) { return is_vector(v) ? v : b_.CreateVectorSplat(static_cast<unsigned>(width_), v); }
  void define(Value v, DType t, LValue x) {
    values_[v] = x, types_[v] = t;
    packs_.erase(v);
  }
  void emit(const Compute& c);
  void emit(const Bind& b);
  bool varies(const Index& e) const;
  Index at_lane(const Index& e, int l);
  Index lane_expression(const Index& e, const Index& position, int l);
  LValue index_value(const Index& e);

  // tiles (emit_tiles.cpp)
  void find_vector_tiles(const Body& body, std::optional<int> lane);
  bool uses_tile(const For& f) const;
  llvm::AllocaInst* tile_register(int buffer, int64_t number);
  struct Element {
    llvm::AllocaInst* reg;
    int lane;  // of a vector register; -1 for all
  };
  Element tile_element(int buffer, const std::vector<Index>& at);
  LValue load_tile(const Load& l);
  void store_tile(const Store& s, LValue v);
  bool ends_with_tile(const Store& s) const;
  void emit(const Tree& t);
  LValue one_vector(const Tree& t);

  // what rows in turn do alike (emit_packs.cpp): how many statements were emitted at once
  size_t emit_pack(const Body& body, size_t from);
  size_t pack_trees(const Body& body, size_t from);
  size_t pack_computes(const Body& body, size_t from);
  size_t pack_stores(const Body& body, size_t from);
  void define_packed(Value v, DType t, LValue vector, int lane);

  // memory (emit_memory.cpp)
  void forget() { known_.clear(); }
  void forget(int buffer) {
    const std::string prefix = fmt::format("{}:", buffer);
    std::erase_if(known_, [&](const auto& k) { return k.first.starts_with(prefix); });
  }
  Index element_offset(int buffer, const std::vector<Index>& at);
  LValue pointer(int buffer, const Index& e);
  llvm::Align align(int buffer) const;
  LValue from_memory(LValue v, DType t);
  LValue to_memory(LValue v, DType t);
  void emit(const Load& l);
  bool lane_guards(const Load& l) const;
  std::string key_of(const Load& l, const Index& e) const;
  LValue load_memory(const Load& l, const Index& e, DType t);
  std::optional<Index> stride(const Index& e) const;
  std::optional<Index> at_lane_variable(const Atom& a, int lane) const;
  std::optional<Index> side_by_side(const Index& e);
  LValue guard_of(const std::vector<Index>& guards, const std::function<Index(const Index&)>& place);
  LValue load_scalar(const Load& l, const Index& e, DType t, const std::function<Index(const Index&)>& place);
  LValue load_contiguous(const Load& l, const Index& first, DType t);
  LValue guard_vector(const std::vector<Index>& guards);
  LValue load_lanes(const Load& l, const Index& e, DType t);
  void emit(const Store& s);
  void store_lanes(const Store& s, const Index& e, LValue stored);
  void store_past_caches(LValue stored, LValue place);

  // prefetching (emit_prefetch.cpp)
  bool fills_tile(const Stmt& s) const;
  void prefetch(const Body& body, size_t from);
  void prefetch_rows(const For& rows);
  void ask_for(int buffer, const Index& place, unsigned cache);
  bool walks_apart(const For& f) const;
  using Lines = std::vector<std::pair<int, Index>>;  // buffers, and elements in them
  Lines lines_ahead(const For& f, int ahead, int64_t steps, int64_t apart);
  void prefetch_ahead(const For& f);
  void prefetch_block(const For& f);
  bool pauses(const For& f) const;
  // A panel that is copied to scratch at the beginning of each iteration of a loop.
  struct Copy {
    const For* panels;
    std::vector<const For*> loops;  // over the rows of a panel
    const For* lanes;
    int buffer;
    Index offset;
  };
  void note_copies(const For& panels);
  void prefetch_panel();
  void collect_lines(const For& lanes, int row, Lines& lines);

  // squares that are copied to the transposed, and nothing else (emit_square.cpp)
  struct Walk {
    Index first, step;
  };
  bool copy_squares(const For& rows);
  std::optional<std::pair<const Load*, const Store*>> plain_copy(const For& f) const;
  std::optional<Walk> walk_of_rows(int buffer, const std::vector<Index>& at, const For& rows);
  Walk walk_of_lanes(int buffer, const std::vector<Index>& at, const For& rows);

  // blocks that lie transposed (emit_transposed.cpp)
  bool fills_block(const For& rows) const;
  bool follow_one_another(const kernel::Buffer& b, const std::vector<Index>& at, const kernel::For& rows);
  bool lies_transposed(int buffer, const std::vector<Index>& at, const For& rows);
  LValue exchange(size_t n);
  LValue exchanged_row(llvm::Type* element, size_t n, int r);
  void transpose(llvm::Type* element, int in, int out, std::pair<LValue, LValue> from,
                 std::pair<LValue, LValue> to);
  void read_blocks(const For& rows);
  static constexpr size_t kPlaces = 8;  // on the stack, a square each
  void read_some(const For& rows, std::span<const std::pair<const Load*, Lanes>> blocks);
  void hold_blocks(const For& rows);
  bool hold(const Store& s, LValue v);
  void write_blocks(const For& rows);

  llvm::LLVMContext& c_;
  llvm::IRBuilder<> b_;
  IndexEmitter index_;
  const Kernel& k_;
  int width_;
  llvm::Function* f_ = nullptr;
  llvm::BasicBlock* entry_ = nullptr;
  std::vector<LValue> bases_;
  LValue begin_ = nullptr, end_ = nullptr, nowhere_ = nullptr, mask_ = nullptr;
  bool stores_past_caches_ = false;
  std::optional<Lanes> lanes_;
  std::map<int, LValue> lane_vars_;  // bound variables that differ between lanes
  std::map<Value, LValue> values_;
  struct Packed {
    LValue vector;
    int lane;
  };
  std::map<Value, Packed> packs_;   // values that stand in one vector with others
  std::map<Value, LValue> splats_;  // of values in front of the vector loop around
  std::map<Value, DType> types_;
  std::map<int, bool> vector_tiles_;
  std::map<std::pair<int, int64_t>, llvm::AllocaInst*> tiles_;
  std::vector<llvm::AllocaInst*> registers_;
  std::vector<LValue> exchange_;         // places on the stack
  std::vector<const For*> around_;       // loops around what is emitted, neither unrolled nor along lanes
  std::vector<Copy> copies_;             // in those loops
  std::map<std::string, LValue> known_;  // loads since the last store, loop edge or branch
  // Of a store in the unrolled loop around: for each chunk of lanes what its rows store.
  struct HeldBlock {
    Lanes lanes;
    std::vector<LValue> rows;
  };
  std::vector<std::pair<const Store*, std::vector<HeldBlock>>> held_;
  int fresh_var_ = 1 << 24;
};

}  // namespace gradc::codegen
