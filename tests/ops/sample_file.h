// A file of samples, values from outside this project: read, and compared with what an engine gave.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "ir/tensor.h"

namespace gradc {

struct Sample {
  int line = 0;
  std::string kind, op;  // what to do with the text, and what it is a sample of
  std::string text;      // of several lines where there are several
  std::vector<Tensor> in, out;
  std::vector<std::string> in_names, out_names;  // beside them; "" where the line has no name
  std::string compare;
  double relative = 0, absolute = 0;  // near
  double ulps = 0;
};

inline double float_of(DType t, const std::string& word) {
  return t == DType::F32 ? static_cast<double>(std::strtof(word.c_str(), nullptr))
                         : std::strtod(word.c_str(), nullptr);
}

// f32[2,3] 1 2 3 4 5 6, or with a name before the type: dense.weight f32[2] 1 2
inline Tensor read_tensor(std::istringstream& words, std::string& name) {
  std::string type, word;
  words >> type;
  if (type.find('[') == type.npos) name = type, words >> type;
  const size_t open = type.find('[');
  const DType t = *dtype_named(type.substr(0, open));
  std::vector<int64_t> shape;
  std::istringstream extents(type.substr(open + 1));
  for (int64_t n; extents >> n; extents.get()) shape.push_back(n);
  Tensor x(t, shape);
  for (int64_t i = 0; i < x.count(); ++i) {
    EXPECT_TRUE(words >> word) << "too few values for " << type;
    if (t == DType::I64)
      x.as<int64_t>()[static_cast<size_t>(i)] = std::strtoll(word.c_str(), nullptr, 10);
    else
      x.set(i, float_of(t, word));
  }
  EXPECT_FALSE(words >> word) << "too many values for " << type;
  return x;
}

inline std::vector<Sample> read_samples(const std::string& path) {
  std::ifstream file(std::string(GRADC_SOURCE_DIR) + "/" + path);
  std::vector<Sample> all;
  std::string line, word;
  for (int number = 1; std::getline(file, line); ++number) {
    std::istringstream words(line);
    if (!(words >> word)) continue;
    if (word == "text") {
      std::string& text = all.back().text;
      text += (text.empty() ? "" : "\n") + line.substr(5);
    } else if (word == "in" || word == "out") {
      Sample& s = all.back();
      std::vector<std::string>& names = word == "in" ? s.in_names : s.out_names;
      names.emplace_back();
      (word == "in" ? s.in : s.out).push_back(read_tensor(words, names.back()));
    } else if (word == "compare") {
      Sample& s = all.back();
      words >> s.compare;
      if (s.compare == "ulp") words >> s.ulps;
      if (s.compare == "near") words >> s.relative >> s.absolute;
    } else {
      all.emplace_back();
      all.back().line = number, all.back().kind = word;
      words >> all.back().op;
    }
  }
  return all;
}

// The distance of neighbours at x.
inline double unit(DType t, double x) {
  x = std::abs(x);
  if (t == DType::F64) return std::nextafter(x, std::numeric_limits<double>::infinity()) - x;
  const float f = static_cast<float>(x);
  return static_cast<double>(std::nextafterf(f, std::numeric_limits<float>::infinity())) - x;
}

inline bool is_near(const Sample& s, DType t, double got, double want) {
  if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
  if (got == want) return s.compare == "near" || std::signbit(got) == std::signbit(want);
  if (std::isinf(want)) return false;
  if (std::isinf(got)) return s.compare == "ulp" && s.ulps >= 1 && std::isinf(want + unit(t, want));
  const double allowed =
      s.compare == "ulp" ? s.ulps * unit(t, want) : s.relative * std::abs(want) + s.absolute;
  return std::abs(got - want) <= allowed;
}

// What is wrong with a result, or "".
inline std::string difference(const Sample& s, const Tensor& got, const Tensor& want) {
  std::string why;
  if (bit_equal(want, got, &why)) return "";
  if (got.shape() != want.shape() || got.dtype() != want.dtype() || s.compare == "exact") return why;
  for (int64_t i = 0; i < got.count(); ++i) {
    if (is_near(s, got.dtype(), got.at(i), want.at(i))) continue;
    std::string operands;
    for (const Tensor& x : s.in)
      if (x.count() == got.count()) operands += fmt::format(" {:.17g}", x.at(i));
    return fmt::format("element {}: {:.17g} instead of {:.17g} for{}", i, got.at(i), want.at(i), operands);
  }
  return "";
}

}  // namespace gradc
