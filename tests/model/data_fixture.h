// A folder of data files with a root below it, and models of three classes over them.
#pragma once

#include "model/model.h"
#include "model/temp_folder.h"

namespace gradc {

struct Data : TempFolder {
  void SetUp() override {
    TempFolder::SetUp();
    std::filesystem::create_directories(dir / "root");
  }

  static std::string model(const std::string& data, const std::string& input = "x: f32[B, 2]",
                           const std::string& features = "x") {
    return "model m(" + input + ") -> (logits: [B, 3]) { logits = " + features +
           " |> Dense{3} }\ndata d {\n" + data +
           "\n}\ntrain m on d {\n  loss = cross_entropy(logits, y)\n  optimizer = sgd{}\n  lr = 0.1\n}\n";
  }
  std::string refusal(const std::string& text) {
    const TestModel m(text);
    try {
      load_data(m.compiled.unit, {dir.string(), (dir / "root").string()}, m.sources);
    } catch (const CompileError& e) {
      return e.diagnostic.text;
    }
    return "";
  }
};

}  // namespace gradc
