// What a carried state wants of the data: windows of a text that follow one another. The model decides it, so
// that nothing in the data block can contradict: the states would go on with what they were not left by.
#include <algorithm>
#include <utility>

#include "frontend/training/model_compiler.h"

namespace gradc::frontend {
namespace {

const DataOp* maker_of(const DataSpec& data, int set) {
  for (const DataOp& op : data.ops)
    for (int made : op.outputs)
      if (made == set) return &op;
  return nullptr;
}

// Why rows of the set do not go on where the row before ended; "" where they do.
std::string break_in(const DataSpec& data, int set) {
  for (const DataOp* op = maker_of(data, set); op != nullptr; op = maker_of(data, op->input)) {
    if (op->kind == DataOp::Kind::Shuffle) return "shuffle mixes its rows";
    if (op->kind == DataOp::Kind::Source) break;
    if (op->kind != DataOp::Kind::Windows) continue;
    if (op->stride == op->length) return "";
    return fmt::format("its windows of {} start {} apart", op->length, op->stride);
  }
  return "its rows are no windows of a text";
}

}  // namespace

void ModelCompiler::check_carried_data() {
  if (!unit_.data || !unit_.carries()) return;
  const auto state = std::find_if(unit_.state.begin(), unit_.state.end(),
                                  [](const StateSpec& s) { return s.role == StateSpec::Role::Carry; });
  for (const auto& [name, set] : {std::pair<const char*, int>{"train", unit_.data->train},
                                  {"val", unit_.data->val},
                                  {"test", unit_.data->test}}) {
    const std::string why = set < 0 ? "" : break_in(*unit_.data, set);
    if (why.empty()) continue;
    throw CompileError(Diagnostic{
        Severity::Error,
        maker_of(*unit_.data, set)->loc,
        fmt::format("a carried state goes on from batch to batch, but the split {} does not: {}", name, why),
        {},
        {{state->loc, "the state"}},
        "cut the text into windows that follow one another: chars(\"input.txt\") |> windows(64)"});
  }
}

}  // namespace gradc::frontend
