// Rates that a metric lowers, against those of PyTorch (tests/data/plateau.py).
#include "runtime/plateau.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

namespace gradc::runtime {
namespace {

// Texts of Python's, nan among them.
double number(std::istream& in) {
  std::string text;
  EXPECT_TRUE(in >> text);
  return text == "nan" ? std::nan("") : std::stod(text);
}

// A state that goes through a file between any two validations is the same.
TEST(Plateau, GivesTheRatesOfPyTorch) {
  std::ifstream in(std::string(GRADC_SOURCE_DIR) + "/tests/data/plateau.txt");
  int cases = 0, lowered = 0;
  for (std::string line; std::getline(in, line); ++cases) {
    SCOPED_TRACE(line.substr(0, 40));
    std::istringstream from(line);
    std::string mode;
    from >> mode;
    Plateau p;
    p.on.maximize = mode == "max";
    p.factor = number(from), p.patience = static_cast<int64_t>(number(from)), p.threshold = number(from);
    p.cooldown = static_cast<int64_t>(number(from)), p.low = number(from);
    PlateauState s{number(from), {}, 0, 0};
    int values = 0;
    for (; from >> std::ws && !from.eof(); ++values) {
      const double before = s.rate, value = number(from);
      const auto read = from_numbers(to_numbers({s, s}));
      ASSERT_TRUE(read && read->size() == 2);
      s = after(p, (*read)[1], value);
      EXPECT_EQ(s.rate, number(from)) << "validation " << values;
      lowered += s.rate < before;
    }
    EXPECT_EQ(values, 60);
  }
  EXPECT_EQ(cases, 6);
  EXPECT_GT(lowered, 20);
}

TEST(Plateau, RefusesNumbersThatAreNoStates) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinite = HUGE_VAL;
  EXPECT_TRUE(from_numbers({})->empty());
  EXPECT_TRUE(from_numbers({0.1, nan, 3, 0}));
  for (const std::vector<double>& bad : {std::vector<double>{0.1},
                                         {0.1, 1, 2, 3, 4},
                                         {nan, 1, 0, 0},
                                         {infinite, 1, 0, 0},
                                         {0.1, 1, -1, 0},
                                         {0.1, 1, 0, 0.5},
                                         {0.1, 1, infinite, 0},
                                         {0.1, 1, 0, nan}})
    EXPECT_FALSE(from_numbers(bad)) << bad.size();
}

}  // namespace
}  // namespace gradc::runtime
