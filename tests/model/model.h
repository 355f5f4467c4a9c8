// A model text compiled in this process, and the same program run by the graph interpreter.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "driver/compiler.h"
#include "driver/load_data.h"
#include "ir/interp/interpret.h"
#include "runtime/trainer.h"

namespace gradc {

struct TestModel {
  Sources sources;
  Diagnostics diagnostics;
  Compiled compiled;

  explicit TestModel(const std::string& text, const ModelOptions& o = {},
                     const std::string& name = "test.grad") {
    const uint32_t file = sources.add(name, text);
    try {
      compiled = compile_model(sources, file, o, diagnostics);
    } catch (const CompileError& e) {
      ADD_FAILURE() << render(diagnostics, sources) << (e.reported ? "" : e.what());
    }
  }
  bool ok() const { return !compiled.steps.empty(); }
};

inline std::string read_example(const std::string& name) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/examples/" + name, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

inline Tensor scalar(DType t, double v) {
  Tensor s(t, {});
  s.set(0, v);
  return s;
}

// State by path, and calls of entries through the interpreter.
struct Reference {
  const Compiled& c;
  std::map<std::string, Tensor> state;
  std::map<std::string, Tensor> shifts;  // of the last call, by entry
  std::set<std::string> called;

  explicit Reference(const Compiled& compiled) : c(compiled) {
    for (const frontend::StateSpec& s : c.unit.state)
      state.emplace(s.parameter(), Tensor(s.type.dtype, concrete(s.type.shape, {})));
  }

  // Outputs by name; states that the entry writes are replaced.
  std::map<std::string, Tensor> call(const std::string& entry, std::map<std::string, Tensor>& inputs) {
    const graph::Function& f = c.primitive.at(entry);
    std::vector<Tensor> args;
    for (graph::NodeId p : f.params) {
      const std::string& name = f.names.at(p);
      auto it = state.find(name);
      if (name == "shifts") {  // as the runner does: NaN for the first batch, then what that batch gave
        Tensor& t = inputs[name] = Tensor(DType::F64, concrete(f.type(p).shape, {}));
        for (int64_t i = 0; i < t.count(); ++i) t.set(i, std::nan(""));
        if (auto last = shifts.find(entry); last != shifts.end()) t = last->second.clone();
      }
      if (name == "fresh") inputs[name] = scalar(DType::Bool, called.insert(entry).second ? 1 : 0);
      args.push_back(it != state.end() ? it->second.clone() : inputs.at(name).clone());
    }
    std::vector<Tensor> results = interpret(c.primitive, f, args);
    std::map<std::string, Tensor> out;
    for (size_t i = 0; i < results.size(); ++i) {
      if (f.results[i].into != graph::kNone)
        state[f.names.at(f.results[i].into)] = std::move(results[i]);
      else
        out[f.results[i].name] = std::move(results[i]);
    }
    if (auto it = out.find("next_shifts"); it != out.end()) shifts[entry] = it->second.clone();
    return out;
  }
};

inline Tensor to_tensor(const runtime::Array& a) {
  Tensor t(static_cast<DType>(a.dtype), a.shape);
  if (t.bytes() > 0) std::memcpy(t.data(), a.bytes.data(), static_cast<size_t>(t.bytes()));
  return t;
}

// Rows of made-up data for a model's inputs and fields; labels stay below their bound, open axes are so long.
constexpr int64_t kOpenExtent = 3;
inline runtime::Dataset made_up(const frontend::Unit& unit, int64_t rows, uint64_t seed) {
  runtime::Dataset d;
  d.rows = rows;
  for (const frontend::Input& in : unit.inputs) {
    std::vector<int64_t> shape = {rows};
    for (size_t i = 1; i < in.type.shape.size(); ++i)
      shape.push_back(in.type.shape[i].constant().value_or(kOpenExtent));
    runtime::Array a = runtime::make_array(static_cast<runtime::DType>(in.type.dtype), shape);
    for (int64_t i = 0; i < a.count(); ++i) {
      seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
      const double u = static_cast<double>(seed >> 11) * 0x1p-53;
      a.set(i, is_float(in.type.dtype)
                   ? 4 * u - 2
                   : std::floor(u * static_cast<double>(in.classes > 0 ? in.classes : 2)));
    }
    d.fields.emplace(in.name, std::move(a));
  }
  return d;
}

// The inputs of one training step over made-up rows, n of at most `rows`: set in the runner, where there is one, and
// returned as the interpreter takes them.
inline std::map<std::string, Tensor> inputs_of_step(const Compiled& c, const runtime::Dataset& data, int step,
                                                    int steps, runtime::Runner* runner) {
  const int64_t n = std::max<int64_t>(1, data.rows - step % 3);
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < n; ++i) rows.push_back((i * 7 + step) % data.rows);
  if (runner != nullptr) runner->begin("train_step", n, kOpenExtent);
  std::map<std::string, Tensor> inputs;
  for (const auto& [name, field] : data.fields) {
    if (runner != nullptr) runner->set_rows(name, field, rows);
    std::vector<int64_t> shape = field.shape;
    shape[0] = n;
    Tensor t(static_cast<DType>(field.dtype), shape);
    for (int64_t i = 0; i < n; ++i)
      std::memcpy(t.data() + i * field.row_bytes(),
                  field.bytes.data() + rows[static_cast<size_t>(i)] * field.row_bytes(),
                  static_cast<size_t>(field.row_bytes()));
    for (const frontend::Input& in : c.unit.inputs)
      if (in.name == name) inputs[in.parameter] = std::move(t);
  }
  const std::map<std::string, int64_t> numbers = {{"step", step}, {"total", steps}, {"seed", 5}};
  for (const auto& [name, v] : numbers) {
    inputs[name] = scalar(DType::I64, static_cast<double>(v));
    if (runner != nullptr) runner->set(name, static_cast<double>(v));
  }
  for (const auto& [name, v] : c.unit.train->hyper) {
    inputs[name] = scalar(DType::F64, v);
    if (runner != nullptr) runner->set(name, v);
  }
  return inputs;
}

// Trains `steps` steps on both sides and compares every state and output, bit for bit.
inline void expect_same_training(const Compiled& c, int threads, int steps, int64_t rows_at_most) {
  runtime::Runner runner(c.program, threads);
  Reference reference(c);
  const runtime::Dataset data = made_up(c.unit, rows_at_most, 7);
  std::map<std::string, Tensor> seed;
  seed["seed"] = scalar(DType::I64, 5);
  runner.init(5);
  reference.call("init", seed);
  for (int step = 0; step < steps; ++step) {
    std::map<std::string, Tensor> inputs = inputs_of_step(c, data, step, steps, &runner);
    runner.call();
    std::map<std::string, Tensor> out = reference.call("train_step", inputs);
    for (const char* name : {"loss", "sums"}) {
      std::string why;
      ASSERT_TRUE(bit_equal(to_tensor(runner.output(name)), out.at(name), &why))
          << name << " at step " << step << ": " << why;
    }
  }
  const runtime::SafeTensors state = runner.save();
  for (const frontend::StateSpec& s : c.unit.state) {
    std::string why;
    ASSERT_TRUE(bit_equal(to_tensor(state.tensors.at(s.path)), reference.state.at(s.parameter()), &why))
        << s.path << ": " << why;
  }
}

}  // namespace gradc
