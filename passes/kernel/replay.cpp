// The steps that a schedule may hold, each a mechanism with its check. They work on the names and sizes of
// loops; apply_schedule.cpp writes the loops that result.
#include <algorithm>
#include <set>

#include "passes/kernel/rewrite.h"
#include "passes/kernel/schedule.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using namespace kernel;

// A loop over an axis, over blocks of pieces of it, over pieces, or over the elements of a piece; or over
// blocks of the terms of the sum inside.
struct Loop {
  enum Part : uint8_t { Whole, Blocks, Pieces, Piece, Terms };
  std::string name;
  size_t axis;
  Part part = Whole;
  int64_t size = 0;  // of a piece, or of a block in pieces
  LoopKind kind = LoopKind::Serial;
};

class Replay {
 public:
  Replay(const Kernel& k, const Schedule& s) : k_(k), s_(s), nest_(nest_of(k)) {
    for (size_t a = 0; a < nest_.loops.size(); ++a) loops_.push_back({axis_name(k, a), a});
    walk(*nest_.body, [&](const Stmt& st) {
      if (auto* f = std::get_if<std::shared_ptr<const For>>(&st)) {
        has_loop_ = true;
        untileable_ |= (*f)->kind != LoopKind::Serial;
        for (size_t a = 0; a < nest_.loops.size(); ++a)
          if ((*f)->extent.uses_var(nest_.loops[a]->var)) ragged_.insert(a);
      }
      untileable_ |=
          std::holds_alternative<Tree>(st) || std::holds_alternative<std::shared_ptr<const If>>(st);
    });
    for (const Buffer& b : k.buffers) untileable_ |= b.space == Space::Scratch;
  }

  LoopForm run() {
    using Mechanism = void (Replay::*)(const Transform&);
    static constexpr std::pair<std::string_view, Mechanism> kMechanisms[] = {
        {"split", &Replay::split},           {"reorder", &Replay::reorder},
        {"stage", &Replay::stage},           {"unroll", &Replay::unroll},
        {"vectorise", &Replay::vectorise},   {"parallelise", &Replay::parallelise},
        {"stage_all", &Replay::stage_all},   {"divide", &Replay::divide},
        {"interleave", &Replay::interleave}, {"distribute", &Replay::distribute}};
    for (const Transform& t : s_.steps) {
      step_ = &t;
      auto it = std::find_if(std::begin(kMechanisms), std::end(kMechanisms),
                             [&](const auto& m) { return m.first == t.name; });
      require(it != std::end(kMechanisms), "is no step of a schedule");
      (this->*it->second)(t);
    }
    return form();
  }

 private:
  void require(bool legal, std::string_view why) const {
    const std::string loop = step_->loops.empty() ? "" : " " + step_->loops[0];
    GRADC_CHECK(legal, "schedule of @{}: {}{} {}", k_.name, step_->name, loop, why);
  }
  size_t place(const std::string& name) const {
    auto it = std::find_if(loops_.begin(), loops_.end(), [&](const Loop& l) { return l.name == name; });
    require(it != loops_.end(), "names a loop that is not there");
    return static_cast<size_t>(it - loops_.begin());
  }
  Loop& only_loop(const Transform& t) {
    require(t.loops.size() == 1, "is done to one loop");
    return loops_[place(t.loops[0])];
  }

  // --- steps ---------------------------------------------------------------------------------------------
  // A whole axis becomes pieces of `by` elements, the last one shorter where `by` does not divide; full
  // pieces become blocks of `by` pieces, which must divide.
  void split(const Transform& t) {
    if (t.loops == std::vector<std::string>{sum_name()}) return split_sum(t);
    Loop& l = only_loop(t);
    require((l.part == Loop::Whole || l.part == Loop::Pieces) && l.kind == LoopKind::Serial,
            "is of a loop that something was done to");
    check_names(t);
    const size_t at = place(t.loops[0]);
    const bool blocks = l.part == Loop::Pieces;
    const Loop piece{t.into[1], l.axis, blocks ? Loop::Pieces : Loop::Piece, blocks ? l.size : t.by};
    l = {t.into[0], l.axis, blocks ? Loop::Blocks : Loop::Pieces, t.by};
    loops_.insert(loops_.begin() + static_cast<long>(at) + 1, piece);
  }

  void check_names(const Transform& t) const {
    require(t.by >= 1 && t.into.size() == 2, "needs a size and the names of two loops");
    for (const std::string& name : t.into)
      require(std::none_of(loops_.begin(), loops_.end(), [&](const Loop& o) { return o.name == name; }) &&
                  t.into[0] != t.into[1],
              "makes a name twice");
  }

  // The outermost loop inside the axes.
  std::string sum_name() const { return axis_name(k_, nest_.loops.size()); }
  // The sum pauses after each block of its terms, the last one smaller where `by` does not divide. The loop
  // over blocks is innermost until it is put elsewhere.
  void split_sum(const Transform& t) {
    require(parts_of_sum(*nest_.body, k_).has_value(), "is of what is no sum");
    require(none(Loop::Terms), "is the second of a sum");
    check_names(t);
    loops_.push_back({t.into[0], nest_.loops.size(), Loop::Terms, t.by});
  }

  // Iterations of axis loops are independent, so that any order gives the same.
  void reorder(const Transform& t) {
    require(t.loops.size() == loops_.size(), "does not name all loops");
    std::vector<Loop> sorted;
    for (const std::string& name : t.loops) sorted.push_back(loops_[place(name)]);
    for (size_t i = 0; i < sorted.size(); ++i)
      for (size_t j = i + 1; j < sorted.size(); ++j) {
        require(sorted[i].name != sorted[j].name, "names a loop twice");
        require(sorted[i].axis != sorted[j].axis || sorted[i].part < sorted[j].part,
                "puts the elements of a piece around the pieces");
      }
    for (const Loop& l : sorted) require(l.kind == LoopKind::Serial, "comes after what needs an order");
    loops_ = std::move(sorted);
  }

  void stage(const Transform& t) {
    const Loop& l = only_loop(t);
    require(l.part == Loop::Piece, "is of no piece of an axis");
    require(has_loop_ && !untileable_, "needs loops that are all serial");
    require(t.by == 0 || t.by >= 2, "needs blocks of two elements or more");
    staged_.push_back({static_cast<int>(l.axis), t.by});
  }

  // All that a piece may read, for the axes inside.
  void stage_all(const Transform& t) {
    stage(t);
    all_ = static_cast<int>(staged_.back().first);
    staged_.pop_back();
    by_all_ = t.by;
  }

  void unroll(const Transform& t) {
    Loop& l = only_loop(t);
    require(l.part == Loop::Piece && l.kind == LoopKind::Serial, "is of a loop that is no piece of an axis");
    require(!untileable_, "needs loops that are all serial");
    require(none(LoopKind::Unroll), "is the second of a kernel");
    require(!ragged_.count(l.axis), "is of an axis that the ends of inner loops depend on");
    l.kind = LoopKind::Unroll;
  }

  // Iterations of axis loops are independent: their statements may take turns, each with arrays of its own.
  void interleave(const Transform& t) {
    Loop& l = only_loop(t);
    require(l.part == Loop::Piece && l.kind == LoopKind::Serial, "is of a loop that is no piece of an axis");
    require(none(LoopKind::Unroll) && none(LoopKind::Vector), "comes after what makes a tile");
    require(&l == &loops_.back(), "is of a loop that is not the innermost");
    l.kind = LoopKind::Unroll;
    interleave_ = true;
  }

  // What the turns are of, stage by stage for all pieces of a block.
  void distribute(const Transform& t) {
    const Loop& l = only_loop(t);
    require(interleave_, "comes before iterations take turns");
    require(l.part == Loop::Pieces && l.axis == loops_.back().axis && !none(Loop::Blocks),
            "is of a loop that is no block of the pieces that take turns");
    require(&l + 1 == &loops_.back(), "is of a loop that is not around the pieces");
    distribute_ = true;
  }

  void vectorise(const Transform& t) {
    Loop& l = only_loop(t);
    require(!interleave_, "has iterations inside that take turns");
    require((l.part == Loop::Whole || l.part == Loop::Piece) && l.kind == LoopKind::Serial,
            "is of pieces or a loop of another kind");
    require(none(LoopKind::Vector), "is the second of a kernel");
    require(!ragged_.count(l.axis), "is of an axis that the ends of inner loops depend on");
    require(&l == &loops_.back(), "is of a loop that is not the innermost");
    require(!untileable_ && (l.part == Loop::Piece || !has_loop_), "has other loops inside");
    require(!has_loop_ || all_ == static_cast<int>(l.axis) || nest_.loops[l.axis]->extent.is_constant(),
            "is of columns that are not constant");
    l.kind = LoopKind::Vector;
  }

  void divide(const Transform& t) {
    const Loop& l = only_loop(t);
    require(l.kind == LoopKind::Vector && l.part == Loop::Whole,
            "is of a loop that is no whole axis in lanes");
    const For& axis = *nest_.loops[l.axis];
    require(axis.extent.is_constant(), "is of an axis whose size is not constant");
    require(!guard_changes(*nest_.body, axis.var, axis.extent.constant_part()).empty(),
            "finds nothing that changes");
    divide_ = true;
  }

  void parallelise(const Transform& t) {
    Loop& l = only_loop(t);
    require(
        &l == &loops_.front() && l.kind == LoopKind::Serial && l.part != Loop::Piece && l.part != Loop::Terms,
        "is of a loop that is not the outermost, or of another kind");
    l.kind = LoopKind::Parallel;
  }

  bool none(Loop::Part part) const {
    return std::none_of(loops_.begin(), loops_.end(), [&](const Loop& l) { return l.part == part; });
  }
  bool none(LoopKind kind) const {
    return std::none_of(loops_.begin(), loops_.end(), [&](const Loop& l) { return l.kind == kind; });
  }

  // --- the form ------------------------------------------------------------------------------------------
  // Whole loops, then the pieces, then the elements of the pieces, rows around columns; pieces of columns may
  // stand around the whole loops, and blocks of them around the rows. Blocks of terms stand between whole
  // loops, there behind blocks of pieces. That is what code is written for.
  LoopForm form() {
    LoopForm f;
    std::vector<const Loop*> pieces;
    for (const Loop& l : loops_) {
      f.parallel |= l.kind == LoopKind::Parallel;
      if (l.part == Loop::Pieces || l.part == Loop::Blocks) pieces.push_back(&l);
      if (l.part == Loop::Blocks) f.block = l.size;
      if (l.part == Loop::Terms)
        put_terms(f, l, pieces);
      else
        put(f, l, pieces.size());
    }
    check(f.row_axis < 0 || f.vector_axis < 0 ||
              (f.columns > 0 && (all_ == f.vector_axis ||
                                 nest_.loops[static_cast<size_t>(f.vector_axis)]->extent.is_constant())),
          "rows of whole columns, or of columns that are not constant");
    if (pieces.size() >= 2) f.columns_outer = static_cast<int>(pieces[0]->axis) == f.vector_axis;
    if (f.block > 0 && !distribute_) put_blocks(f, pieces);
    check(!f.panel_first ||
              (f.row_axis >= 0 && !f.row_blocks && static_cast<int>(pieces[0]->axis) == f.vector_axis),
          "a whole loop inside pieces that are not of columns around rows");
    check(f.terms == 0 || !f.panel_first, "blocks of terms of a panel that is around whole loops");
    check(f.terms == 0 || f.vector_axis >= 0 || f.row_axis >= 0, "blocks of terms without a tile");
    if (f.terms > 0) check_kept(f);
    f.divide = divide_, f.interleave = interleave_, f.distribute = distribute_;
    for (const auto& [axis, by] : staged_) put_staged(f, axis, by);
    if (all_ >= 0) put_all(f);
    return f;
  }

  void check(bool known, std::string_view why) const {
    GRADC_CHECK(known, "schedule of @{}: no code for {}", k_.name, why);
  }
  void put(LoopForm& f, const Loop& l, size_t pieces) const {
    const int axis = static_cast<int>(l.axis);
    if (l.kind == LoopKind::Vector) {
      f.vector_axis = axis;
      f.columns = l.size;
    } else if (l.kind == LoopKind::Unroll) {
      check(f.vector_axis < 0, "rows inside columns");
      f.row_axis = axis;
      f.rows = l.size;
    } else {
      check(l.part != Loop::Piece, "a piece that is neither unrolled nor vectorised");
      check(f.vector_axis < 0 && f.row_axis < 0, "a loop inside a tile");
      if (l.part == Loop::Whole) {
        check(pieces <= (f.outer.empty() || f.panel_first || terms_in_block_ ? 1 : 0),
              "a whole loop inside pieces");
        f.panel_first = pieces > 0 && !terms_in_block_;
        f.outer.push_back(l.axis);
      }
    }
  }
  void put_terms(LoopForm& f, const Loop& l, const std::vector<const Loop*>& pieces) {
    check(pieces.empty() || (pieces.size() == 1 && pieces[0]->part == Loop::Blocks && !f.panel_first),
          "blocks of terms inside pieces");
    f.terms = l.size;
    f.outside = f.outer.size();
    terms_in_block_ = !pieces.empty();
  }
  void put_blocks(LoopForm& f, const std::vector<const Loop*>& pieces) const {
    check(f.vector_axis >= 0 && f.row_axis >= 0 && pieces.size() == 3 && pieces[0]->part == Loop::Blocks &&
              pieces[1]->axis != pieces[0]->axis,
          "blocks that are not around the pieces of another axis");
    f.row_blocks = static_cast<int>(pieces[0]->axis) == f.row_axis;
    f.columns_outer = true;
    check(f.row_blocks ||
              nest_.loops[static_cast<size_t>(f.vector_axis)]->extent.exact_div(f.columns * f.block),
          "blocks of columns that leave a rest");
    check(f.terms == 0 || (terms_in_block_ && (f.row_blocks || f.outside == f.outer.size())),
          "blocks around blocks of terms");
  }
  // Partial sums take memory of a size that is known.
  void check_kept(const LoopForm& f) const {
    for (size_t a = 0; a < nest_.loops.size(); ++a) {
      const auto end = f.outer.begin() + static_cast<long>(f.outside);
      const bool kept =
          std::find(f.outer.begin(), end, a) == end && !(f.row_blocks && static_cast<int>(a) == f.row_axis);
      check(!kept || nest_.loops[a]->extent.is_constant(), "partial sums along an axis that is not constant");
    }
  }
  void put_staged(LoopForm& f, int axis, int64_t by) const {
    const bool rows = axis == f.row_axis && axis != f.vector_axis;
    check(f.columns_outer && (rows ? f.row_blocks : axis == f.vector_axis),
          "a panel that is not around the rows, or rows that are not in blocks");
    check(rows || nest_.loops[static_cast<size_t>(axis)]->extent.is_constant(),
          "a panel of an axis whose size is not constant");
    check(!rows || by == 0, "rows in blocks that are transposed");
    check(rows ? !f.stage_tiles : !f.stage, "a second copy");
    if (rows)
      f.stage_tiles = true;
    else
      f.stage = true, f.stage_rows = by;
  }

  void put_all(LoopForm& f) const {
    check(all_ == f.vector_axis && f.panel_first && f.block == 0 && f.terms == 0 && !f.stage,
          "copies of all that something else than a panel around whole loops reads");
    check(nest_.loops[static_cast<size_t>(f.row_axis)]->extent.is(f.rows),
          "copies of all that some of the rows read");
    f.stage_all = true, f.stage_rows = by_all_;
  }

  const Kernel& k_;
  const Schedule& s_;
  Nest nest_;
  std::vector<Loop> loops_;  // outermost first
  const Transform* step_ = nullptr;
  bool has_loop_ = false;    // inside the axis loops
  bool untileable_ = false;  // what is inside them is not made of serial loops and simple statements
  std::set<size_t> ragged_;  // axes that the ends of inner loops depend on
  bool divide_ = false, interleave_ = false, distribute_ = false;
  bool terms_in_block_ = false;
  std::vector<std::pair<int, int64_t>> staged_;  // axes, and sizes of blocks that are transposed
  int all_ = -1;                                 // the axis of whose pieces all is copied
  int64_t by_all_ = 0;
};

}  // namespace

std::string axis_name(const Kernel& k, size_t depth) { return fmt::format("i{}", k.params.size() + depth); }

LoopForm replay(const Kernel& k, const Schedule& s) { return Replay(k, s).run(); }

}  // namespace gradc::passes
