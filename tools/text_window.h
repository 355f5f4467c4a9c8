// What a model of windows of a text gives behind one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "frontend/frontend.h"
#include "runtime/runner.h"

namespace gradc {

class TextWindow {
 public:
  // `begins_whole`: @predict leaves what @extend goes on with.
  TextWindow(runtime::Runner& runner, const frontend::Input& in, std::string result, int64_t symbols,
             bool begins_whole);

  // The logits behind the last of the symbols, of which as many are looked at as the window holds. A longer
  // text begins as the one before did.
  std::vector<double> behind(const std::vector<int32_t>& ids);

 private:
  std::vector<double> predict(std::span<const int32_t> seen, int32_t filler);
  // By @extend, for the symbols that it has not met.
  std::vector<double> extend(std::span<const int32_t> ids);
  void set_input(std::span<const int32_t> ids, size_t length, int32_t filler);
  std::vector<double> logits_at(int64_t place) const;

  runtime::Runner& runner_;
  std::string input_, result_;
  size_t length_;
  int64_t symbols_;
  bool begins_whole_;
  size_t met_ = 0;  // by @extend
  bool checked_ = false;
};

}  // namespace gradc
