// The twelve steps of bench/models: their texts, and digests of what training leaves after so many updates.
#pragma once

#include <array>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "model/model.h"

namespace gradc::test {

inline const std::vector<std::string> kTwelve = {"tab_b32_sgd",       "tab_b32_adam",     "mlp_b64_sgd",
                                                 "mlp_b64_adam",      "mlp_b256_sgd",     "mlp_b256_adam",
                                                 "lenet_b64_sgd",     "lenet_b64_adam",   "resnet20_b32_sgd",
                                                 "charlstm_b32_adam", "gptmini_b16_adam", "gpt768x2_b4_adam"};

inline std::string text_of_step(const std::string& name) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/bench/models/" + name + ".grad");
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

// FNV-1a over the bits of what is added.
struct Digest {
  uint64_t value = 0xcbf29ce484222325ULL;
  void add(const std::byte* bytes, size_t n) {
    for (size_t i = 0; i < n; ++i) value = (value ^ static_cast<uint64_t>(bytes[i])) * 0x100000001b3ULL;
  }
  void add(const runtime::Array& a) { add(a.bytes.data(), a.bytes.size()); }
  void add(const Tensor& t) { add(static_cast<const std::byte*>(t.data()), static_cast<size_t>(t.bytes())); }
};

// After each of these updates the losses and sums so far, and every state: weights, moments, moving averages.
constexpr std::array kMarks = {2, 20};
using Digests = std::map<int, uint64_t>;

inline Digests trained(const Compiled& c, int threads, int updates) {
  runtime::Runner runner(c.program, threads);
  const runtime::Dataset data = made_up(c.unit, c.unit.train->batch, 7);
  runner.init(5);
  Digest outputs;
  Digests out;
  for (int step = 0; step < updates; ++step) {
    inputs_of_step(c, data, step, kMarks.back(), &runner);
    runner.call();
    for (const char* name : {"loss", "sums"}) outputs.add(runner.output(name));
    if (std::find(kMarks.begin(), kMarks.end(), step + 1) == kMarks.end()) continue;
    Digest all = outputs;
    for (const auto& [path, array] : runner.save().tensors) all.add(array);
    out[step + 1] = all.value;
  }
  return out;
}

inline Digests interpreted(const Compiled& c, int updates) {
  Reference reference(c);
  const runtime::Dataset data = made_up(c.unit, c.unit.train->batch, 7);
  std::map<std::string, Tensor> seed;
  seed["seed"] = scalar(DType::I64, 5);
  reference.call("init", seed);
  Digest outputs;
  Digests out;
  for (int step = 0; step < updates; ++step) {
    std::map<std::string, Tensor> inputs = inputs_of_step(c, data, step, kMarks.back(), nullptr);
    const std::map<std::string, Tensor> results = reference.call("train_step", inputs);
    for (const char* name : {"loss", "sums"}) outputs.add(results.at(name));
    if (std::find(kMarks.begin(), kMarks.end(), step + 1) == kMarks.end()) continue;
    Digest all = outputs;
    std::map<std::string, const Tensor*> by_path;
    for (const frontend::StateSpec& s : c.unit.state) by_path[s.path] = &reference.state.at(s.parameter());
    for (const auto& [path, tensor] : by_path) all.add(*tensor);
    out[step + 1] = all.value;
  }
  return out;
}

inline ModelOptions options_of_step(int lanes = 0, const std::vector<std::string>& without = {}) {
  ModelOptions o;
  o.only = {"init", "train_step"};
  o.compile.codegen.target.lanes = lanes;
  o.compile.without = without;
  return o;
}

}  // namespace gradc::test
