// The object file and header of digits.grad in a C program, as examples/aot_c/README.md says: its weights
// after two epochs equal the JIT's bit for bit, however the states lie.
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "driver/compiler.h"
#include "driver/header.h"
#include "layouts/draw.h"
#include "runtime/csv.h"
#include "runtime/runner.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// `hosts`: what a C++ host that includes the header wants to be true.
void train_in_c(const ModelOptions& o, const std::string& hosts) {
  const std::string root = GRADC_SOURCE_DIR;
  std::string name = (fs::temp_directory_path() / "gradc_aot_XXXXXX").string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  const fs::path dir = name;
  Sources sources;
  Diagnostics d;
  const Compiled c =
      compile_model(sources, sources.add("digits.grad", read(root + "/examples/digits.grad")), o, d);
  std::ofstream(dir / "digits.o", std::ios::binary) << codegen::emit_object(c.steps, "digits_", {});
  std::ofstream(dir / "digits.h") << c_header(c, "digits_", {});
  const std::string at = dir.string(), csv = root + "/examples/data/digits.csv";
  const std::string build = "cc -std=c11 -O2 -Wall -Wextra -Werror -I" + at + " " + root +
                            "/examples/aot_c/train_digits.c " + at + "/digits.o -o " + at + "/train -lm";
  ASSERT_EQ(std::system(build.c_str()), 0) << build;
  ASSERT_EQ(std::system((at + "/train " + csv + " 2 " + at + "/state.bin > " + at + "/log").c_str()), 0);
  EXPECT_NE(read(dir / "log").find("epoch 2  loss"), std::string::npos);
  // A C++ host can include the header too.
  std::ofstream(dir / "host.cpp") << "#include \"digits.h\"\nint main() { return " << hosts
                                  << " ? 0 : 1; }\n";
  EXPECT_EQ(std::system(("c++ -std=c++20 -Wall -Wextra -Werror -I" + at + " " + at + "/host.cpp -o " + at +
                         "/host && " + at + "/host")
                            .c_str()),
            0);

  const runtime::CsvTable table = runtime::read_csv(csv);
  std::vector<std::string> features = table.columns();
  features.pop_back();
  const runtime::Array x = table.columns(features, runtime::DType::F32),
                       y = table.column("digit", runtime::DType::I32);
  runtime::Runner runner(c.program, 2);
  runner.init(1);
  const int64_t batch = 32, steps = (table.rows() + batch - 1) / batch;
  for (int64_t step = 0; step < 2 * steps; ++step) {
    const int64_t from = step % steps * batch, n = std::min(batch, table.rows() - from);
    std::vector<int64_t> rows(static_cast<size_t>(n));
    std::iota(rows.begin(), rows.end(), from);
    runner.begin("train_step", n);
    runner.set_rows("x", x, rows);
    runner.set_rows("y", y, rows);
    runner.set("step", static_cast<double>(step));
    runner.set("total", static_cast<double>(2 * steps));
    runner.set("seed", 1);
    runner.call();
  }
  const std::string state = read(dir / "state.bin");
  const std::vector<std::byte> jit = runner.snapshot();
  ASSERT_EQ(state.size(), jit.size());
  EXPECT_EQ(std::memcmp(state.data(), jit.data(), jit.size()), 0);
  fs::remove_all(dir);
}

TEST(Aot, TheCProgramTrainsToTheSameBitsAsTheJit) { train_in_c({}, "DIGITS_METRICS == 2"); }

// The macros of the header find elements where the compiler puts them.
TEST(Aot, StatesWithLayoutsAndCopies) {
  ModelOptions o;
  o.layouts = [](const frontend::StateSpec& s) -> StateLayout {
    if (s.role != frontend::StateSpec::Role::Param) return {};
    return {test::draw_layout(s.type, s.path.size()), test::blocked(s.type.rank())};
  };
  Sources sources;
  Diagnostics d;
  const Compiled c = lower_model(
      sources, sources.add("digits.grad", read(std::string(GRADC_SOURCE_DIR) + "/examples/digits.grad")), o,
      d);
  std::string hosts = "DIGITS_METRICS == 2";
  for (size_t i = 0; i < c.unit.state.size(); ++i) {
    const frontend::StateSpec& s = c.unit.state[i];
    if (s.role != frontend::StateSpec::Role::Param || s.type.rank() != 2) continue;
    std::string macro;
    for (char ch : s.path) macro += ch == '.' ? '_' : static_cast<char>(std::toupper(ch));
    const std::vector<Index> last{s.type.shape[0] - 1, s.type.shape[1] - 2};
    const Layout first = o.layouts(s).layout, copy = *o.layouts(s).copy;
    if (!first.is_plain())
      hosts += fmt::format(" && DIGITS_STATE_{}_AT({}, {}) == {}", macro, last[0].str(), last[1].str(),
                           first.address(s.type.shape, last).str());
    hosts += fmt::format(" && DIGITS_STATE_{}_COPY_AT({}, {}) == {}", macro, last[0].str(), last[1].str(),
                         copy.address(s.type.shape, last).str());
  }
  EXPECT_NE(hosts.find("_WEIGHT_AT("), std::string::npos) << hosts;
  train_in_c(o, hosts);
}

}  // namespace
}  // namespace gradc
