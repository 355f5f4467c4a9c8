// From the loops that are wanted to the steps that make them: `replay` backwards.
#include <utility>

#include "passes/kernel/schedule.h"

namespace gradc::passes {
namespace {

using namespace kernel;

class Writer {
 public:
  Writer(const Kernel& k, const LoopForm& form, const Reasons& why)
      : k_(k), f_(form), why_(why), axes_(nest_of(k).loops.size()), s_{why.what, {}} {}

  Schedule run() {
    split();
    order();
    if (f_.stage_tiles) add("stage", {row_}, 0, {}, "far apart in memory and read by every panel");
    if (f_.stage)
      add("stage", {column_}, f_.stage_rows, {}, "far apart in memory and read by every tile of rows");
    if (f_.stage_all)
      add("stage_all", {column_}, f_.stage_rows, {}, "lanes lie apart, and windows read the same many times");
    if (f_.interleave)
      add("interleave", {row_}, 0, {}, "what one row waits for the others use");
    else if (!row_.empty())
      add("unroll", {row_}, 0, {}, "accumulators stay in registers");
    if (f_.distribute)
      add("distribute", {tile_}, 0, {}, "rows wait for nothing in a stage, and their numbers fill lanes");
    if (!column_.empty()) add("vectorise", {column_}, 0, {}, why_.lanes);
    if (f_.divide) add("divide", {column_}, 0, {}, "guards stay the same in each stretch");
    if (f_.parallel) add("parallelise", {outermost_}, 0, {}, why_.parallel);
    return std::move(s_);
  }

 private:
  std::string name(int axis) const { return axis_name(k_, static_cast<size_t>(axis)); }
  void add(std::string step, std::vector<std::string> loops, int64_t by, std::vector<std::string> into,
           std::string why) {
    s_.steps.push_back({std::move(step), std::move(loops), by, std::move(into), std::move(why)});
  }

  void split() {
    const auto pieces = [&](int axis, int64_t size, std::string& all, std::string& one,
                            const std::string& why) {
      all = name(axis) + ".pieces", one = name(axis) + ".piece";
      add("split", {name(axis)}, size, {all, one}, why);
    };
    if (f_.row_axis >= 0) pieces(f_.row_axis, f_.rows, tile_, row_, why_.rows);
    if (f_.columns > 0) pieces(f_.vector_axis, f_.columns, panel_, column_, why_.columns);
    if (f_.vector_axis >= 0 && f_.columns == 0) column_ = name(f_.vector_axis);
    if (f_.block > 0) split_into_blocks();
    if (f_.terms == 0) return;
    const std::string sum = axis_name(k_, axes_);
    terms_ = sum + ".blocks";
    add("split", {sum}, f_.terms, {terms_, sum + ".block"}, why_.terms);
  }
  bool rows_in_blocks() const { return f_.row_blocks || f_.distribute; }
  void split_into_blocks() {
    const std::string axis = name(rows_in_blocks() ? f_.row_axis : f_.vector_axis);
    std::string& blocked = rows_in_blocks() ? tile_ : panel_;
    block_ = axis + ".blocks";
    add("split", {blocked}, f_.block, {block_, axis + ".block"}, why_.block);
    blocked = axis + ".block";
  }

  // The axes that stay whole outside, then the pieces and their elements, of those that there are; or a panel
  // before all. No step where they stand so.
  void order() {
    std::vector<std::string> tail{f_.columns_outer ? panel_ : tile_, f_.columns_outer ? tile_ : panel_, row_,
                                  column_};
    if (f_.block > 0)
      tail = {block_, rows_in_blocks() ? panel_ : tile_, rows_in_blocks() ? tile_ : panel_, row_, column_};
    std::vector<std::string> then;
    if (f_.panel_first) then.push_back(std::exchange(tail[0], ""));
    for (const size_t a : f_.outer) then.push_back(axis_name(k_, a));
    if (f_.terms > 0) {  // behind the blocks of pieces, if there are any
      std::vector<std::string> pause{terms_};
      if (f_.block > 0) pause.insert(pause.begin(), std::exchange(tail[0], ""));
      then.insert(then.begin() + static_cast<long>(f_.outside), pause.begin(), pause.end());
    }
    for (const std::string& n : tail)
      if (!n.empty()) then.push_back(n);
    if (!then.empty()) outermost_ = then.front();
    if (then != as_split()) add("reorder", then, 0, {}, why_.order);
  }

  // The loops as they stand behind the splits.
  std::vector<std::string> as_split() const {
    std::vector<std::string> now;
    for (int a = 0; a < static_cast<int>(axes_); ++a) {
      const bool pieces = a == f_.row_axis || (a == f_.vector_axis && f_.columns > 0);
      const bool blocks = f_.block > 0 && a == (rows_in_blocks() ? f_.row_axis : f_.vector_axis);
      now.push_back(name(a) + (blocks ? ".blocks" : pieces ? ".pieces" : ""));
      if (blocks) now.push_back(name(a) + ".block");
      if (pieces) now.push_back(name(a) + ".piece");
    }
    if (f_.terms > 0) now.push_back(terms_);
    return now;
  }

  const Kernel& k_;
  const LoopForm& f_;
  const Reasons& why_;
  size_t axes_;
  Schedule s_;
  std::string block_, terms_, panel_, tile_, row_, column_,
      outermost_;  // loops, "" for those that there are not
};

}  // namespace

Schedule write_schedule(const Kernel& k, const LoopForm& form, const Reasons& why) {
  return Writer(k, form, why).run();
}

}  // namespace gradc::passes
