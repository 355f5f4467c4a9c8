// Reads step text, the form that print gives: kernels, then the step that runs them. That a run fits its
// kernel is left to verify.
#include <algorithm>
#include <set>

#include "ir/scanner.h"
#include "ir/step/step.h"
#include "support/diagnostic.h"

namespace gradc::step {
namespace {

class Parser : Scanner {
 public:
  using Scanner::Scanner;

  // One behind the other, each with its kernels.
  std::vector<Step> steps() {
    std::vector<Step> all;
    do {
      s_ = {}, buffers_.clear(), vars_.clear();
      all.push_back(one());
    } while (!at_end());
    return all;
  }

  Step step() {
    Step s = one();
    if (!at_end()) fail("expected the end of the text after the step");
    return s;
  }

 private:
  Step one() {
    for (skip(); t_.starts_with("kernel") || t_.starts_with("schedule"); skip()) scheduled_kernel();
    header();
    while (eat_word("buffer")) buffer();
    expect_word("inputs");
    s_.inputs = names();
    expect_word("outputs");
    s_.outputs = names();
    s_.body = body();
    return std::move(s_);
  }

  // With its schedule before it; all kernels have one or none has.
  void scheduled_kernel() {
    size_t at = all_.size() - t_.size();
    std::string scheduled;
    if (t_.starts_with("schedule")) {
      kernel::NamedSchedule s = kernel::parse_schedule_at(all_, at, file_);
      scheduled = s.kernel;
      s_.schedules.push_back(std::move(s.schedule));
      t_ = all_.substr(at);
      skip();
    }
    const Loc place = here();
    s_.kernels.push_back(kernel::parse_kernel_at(all_, at, file_));
    t_ = all_.substr(at);
    const std::string& name = s_.kernels.back().name;
    if (!scheduled.empty() && scheduled != name)
      throw CompileError(place, fmt::format("the schedule before @{} is one of @{}", name, scheduled));
    if (!s_.schedules.empty() && s_.schedules.size() != s_.kernels.size())
      throw CompileError(
          place, fmt::format("{} of {} kernels have a schedule", s_.schedules.size(), s_.kernels.size()));
  }

  void header() {
    expect_word("step");
    expect("@");
    s_.name = word();
    expect("[");
    if (!eat("]")) {
      do {
        const std::string name = word();
        expect("<=");
        s_.dims.push_back({name, integer()});
        if (eat_word("plan")) s_.dims.back().plan = integer();
      } while (eat(","));
      expect("]");
    }
    s_.state_bytes = size("state");
    s_.io_bytes = size("io");
    s_.scratch_bytes = size("scratch");
    skip();
    if (t_.starts_with("thread")) s_.thread_bytes = size("thread");
    expect("{");
  }
  int64_t size(std::string_view region) {
    expect_word(region);
    expect("=");
    return integer();
  }

  void buffer() {
    Buffer b;
    expect("%");
    b.name = word();
    expect(":");
    const Type t = type();
    b.dtype = t.dtype;
    b.shape = t.shape;
    b.layout = layout(t.rank());
    if (eat_word("of")) b.derived_from = buffer_named();
    b.region = eat_word("state")    ? Region::State
               : eat_word("io")     ? Region::Io
               : eat_word("thread") ? Region::Thread
                                    : Region::Scratch;
    if (b.region == Region::Scratch) expect_word("scratch");
    expect_word("at");
    b.offset = integer();
    if (!buffers_.emplace(b.name, static_cast<int>(s_.buffers.size())).second)
      fail(fmt::format("%{} is declared twice", b.name));
    s_.buffers.push_back(std::move(b));
  }
  int buffer_named() {
    expect("%");
    const std::string w = word();
    const auto it = buffers_.find(w);
    if (it == buffers_.end()) fail(fmt::format("there is no buffer %{}", w));
    return it->second;
  }
  std::vector<int> names() {
    std::vector<int> out;
    skip();
    if (!t_.starts_with("%")) return out;
    do out.push_back(buffer_named());
    while (eat(","));
    return out;
  }

  int var_number(std::string_view w) const {
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (w.size() < 2 || w.size() > 7 || w[0] != 'i' || !std::all_of(w.begin() + 1, w.end(), is_digit))
      fail(fmt::format("expected %i<number>, not %{}", w));
    return std::stoi(std::string(w.substr(1)));
  }
  Index index() {
    return Scanner::index([&](std::string_view w) {
      const int v = var_number(w);
      if (!vars_.count(v)) fail(fmt::format("%{} is no variable here", w));
      return v;
    });
  }

  Body body() {
    Body b;
    if (++depth_ > 256) fail("nesting beyond 256");
    while (!eat("}")) b.push_back(statement());
    --depth_;
    return b;
  }
  Stmt statement() {
    if (eat_word("barrier")) return Barrier{};
    if (eat_word("run")) return run();
    if (eat_word("for")) return loop(false);
    if (eat_word("tasks")) return loop(true);
    if (eat_word("if")) return branch();
    fail("expected a statement");
  }
  Stmt run() {
    Run r;
    const int64_t k = integer();
    if (k < 0 || k >= static_cast<int64_t>(s_.kernels.size())) fail(fmt::format("there is no kernel {}", k));
    r.kernel = static_cast<int>(k);
    expect("(");
    r.buffers = names();
    if (eat(";")) do
        r.params.push_back(index());
      while (eat(","));
    expect(")");
    return r;
  }
  Stmt loop(bool tasks) {
    For f;
    f.tasks = tasks;
    expect("%");
    f.var = var_number(word());
    if (vars_.count(f.var)) fail(fmt::format("%i{} is defined twice", f.var));
    s_.vars = std::max(s_.vars, f.var + 1);
    expect_word("in");
    expect("0..");
    f.extent = index();
    if (eat_word("while")) f.condition = buffer_named();
    expect("{");
    vars_.insert(f.var);
    f.body = body();
    vars_.erase(f.var);
    return std::make_shared<const For>(std::move(f));
  }
  Stmt branch() {
    If i;
    i.condition = buffer_named();
    expect("{");
    i.then_body = body();
    expect_word("else");
    expect("{");
    i.else_body = body();
    return std::make_shared<const If>(std::move(i));
  }

  Step s_;
  std::map<std::string, int> buffers_;
  std::set<int> vars_;
  int depth_ = 0;
};

}  // namespace

Step parse_step(std::string_view text, uint32_t file) { return Parser(text, file).step(); }
std::vector<Step> parse_steps(std::string_view text, uint32_t file) { return Parser(text, file).steps(); }

}  // namespace gradc::step
