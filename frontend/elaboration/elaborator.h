// Elaboration: the bodies of a model and of what it calls are run, once for each compiled function, and leave
// a graph. Numbers are computed now, tensors become nodes. One Elaborator builds one function.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "frontend/elaboration/index_check.h"
#include "frontend/elaboration/session.h"
#include "ir/graph/builder.h"

namespace gradc::frontend {

enum class Mode : uint8_t { Init, Train, Eval, Predict, Fit };

// A value for as long as a block runs, however it ends.
template <class T>
class Meanwhile {
 public:
  Meanwhile(T& place, T value) : place_(place), before_(std::exchange(place, std::move(value))) {}
  ~Meanwhile() { place_ = std::move(before_); }
  Meanwhile(const Meanwhile&) = delete;
  Meanwhile& operator=(const Meanwhile&) = delete;

 private:
  T& place_;
  T before_;
};

// What a message calls a value: "x of relu", put together only there.
struct Subject {
  std::string_view before, name, between, of;
  std::string str() const { return fmt::format("{}{}{}{}", before, name, between, of); }
};

// A parameter, state or optimiser slot as the function under construction sees it.
struct Slot {
  StateSpec spec;
  graph::NodeId node = graph::kNone;     // the function's parameter; none where a carried state begins anew
  std::optional<Value> begin;            // of a carried state: the rows of this batch
  std::optional<Value> stored, initial;  // the last binding; Mode::Init: the first value
  bool fitted = false;
};

class Elaborator {
 public:
  // Several may be at work at once, each with functions and messages of its own.
  Elaborator(const Session& s, std::string name, Mode mode, graph::Module* module, Diagnostics& d);

  const Session& session() const { return s_; }
  Diagnostics& diagnostics() { return diagnostics_; }
  graph::Builder& builder() { return b_; }
  const graph::Builder& builder() const { return b_; }
  graph::Builder& finish() { return finish_; }
  Mode mode() const { return mode_; }

  // ---- expressions (expression.cpp)
  Value evaluate(const Expr& e, Scope& scope);
  // Allows a function whose last required arguments are not given: initialisers, schedules, configurations.
  Value evaluate_partial(const Expr& e, Scope& scope);
  void run(const std::vector<Stmt>& body, Scope& scope);  // statement.cpp
  bool returned() const { return !returns_.empty() && returns_.back().has_value(); }

  // ---- arithmetic on values (arithmetic.cpp)
  Value binary(const std::string& op, Value a, Value b, Loc loc);
  Value negate(const Value& v, Loc loc);
  Value unary(std::string_view op, const Value& v, Loc loc);  // a scalar op of the graph by name
  Value choose(const Value& condition, Value a, Value b, Loc loc);
  Value convert(const Value& v, DType t, Loc loc);
  Value reduce(const std::string& op, const Value& v, std::vector<int64_t> axes, bool keep, Loc loc);
  Value limit(const Value& like, bool least);  // the least or greatest number of an element type
  Value broadcast(const Value& v, const Shape& shape, Loc loc);
  Value tensor(const Value& v, DType t, Loc loc);  // a number or run-time scalar as a tensor of rank 0
  Value wrap(graph::NodeId n, bool deferred = false) const;
  // Equal types and shapes for an elementwise operation, by the rules of the language.
  void unify(Value& a, Value& b, const std::string& op, Loc loc);
  // The one shape among those of `values` that the others stretch to, in whatever order they stand.
  std::optional<Shape> common_shape(std::initializer_list<const Value*> values);
  graph::Builder& of(const Value& v) { return v.is(Value::Kind::Deferred) ? finish_ : b_; }
  const Shape& shape(const Value& v) { return of(v).shape(v.node); }
  DType dtype(const Value& v) { return of(v).dtype(v.node); }
  DType float_type() const { return wide ? DType::F64 : s_.options.float_type; }
  std::string describe(const Value& v);  // "x: [B, 784]", "the constant 64", for messages

  // ---- calls (call.cpp, builtin.cpp)
  Value call(const Value& f, std::vector<Value> positional, std::map<std::string, Value> named,
             const Expr* site, Loc loc, bool partial);
  Value call_builtin(const std::string& name, std::vector<Value> positional,
                     std::map<std::string, Value> named, Loc loc);
  Value make_instance(const Value& layer, std::map<std::string, Value> config, const std::string& segment,
                      Loc loc);
  Value apply(const std::shared_ptr<Instance>& instance, std::vector<Value> positional,
              std::map<std::string, Value> named, Loc loc);
  std::map<std::string, Value> bind_config(const Callable& c, const FileScope* home, const Expr& site,
                                           Scope& scope);

  Value call_standard(const std::string& name, std::vector<Value> positional, Loc loc);

  // ---- gradients (gradient.cpp)
  Value gradient(const Value& loss, const Value& x, Loc loc);

  // ---- index notation (index_notation.cpp)
  Value index_assignment(const Target& t, const Expr& e, Scope& scope);
  Value reduction(const Expr& e, Scope& scope);

  // ---- places and names
  [[noreturn]] void fail(Loc loc, std::string text, std::string help = "");
  [[noreturn]] static void silent();  // after an error that was reported
  void report(const CompileError& e);
  Loc user_place(Loc loc) const;                // the innermost call outside the standard library
  void warn(Loc loc, const std::string& text);  // once for each place
  int64_t constant_int(const Value& v, std::string_view what, Loc loc);
  double constant_real(const Value& v, std::string_view what, Loc loc);
  Value lookup(const std::string& name, Scope& scope, Loc loc);
  std::optional<Value> find_value(const std::string& name, Scope& scope);  // lookup without a message
  bool is_known(const std::string& name, Scope& scope);                    // whether that gives one
  Shape dims(const TypeExpr& t, Scope& scope);                             // every name bound
  DType element_type(const TypeExpr& t) const;
  void match_type(const TypeExpr& t, const Value& v, Scope& scope, const Subject& subject, Loc loc,
                  bool weak_numbers);

  // ---- parameters and states
  Slot& slot(const std::string& path, StateSpec::Role role, const Type& type, Loc loc);
  using Slots = std::unordered_map<std::string, Slot>;  // by path; slot_order says which order they have
  Slots& slots() { return slots_; }
  const Slots& slots() const { return slots_; }
  const std::vector<std::string>& slot_order() const { return slot_order_; }

  graph::NodeId carried_on(const Slot& s);  // carried.cpp

  // Reductions over the batch become accumulators that are finished once: in loss, metrics and fit(...).
  bool deferring = false;
  bool wide = false;  // in metrics: every float is f64
  bool training() const { return mode_ == Mode::Train; }
  std::string batch_dim = "B";
  std::string parameter_path;  // the parameter that an optimiser updates
  StateSpec::Role state_role = StateSpec::Role::State;
  int fit_phase = -1;                                   // Mode::Fit: the state to fit
  int fits = 0;                                         // states with fit(...) met so far
  std::optional<std::pair<std::string, Value>> fitted;  // path and finished value
  graph::NodeId step_node = graph::kNone, seed_node = graph::kNone, fresh_node = graph::kNone;
  bool in_model = false;      // the body of a model, whose layers may draw random numbers in every mode
  bool draws_always = false;  // one of them did
  std::vector<graph::NodeId> accumulators;  // f64 tensors in the main function
  int64_t accumulated = 0;                  // their elements
  graph::NodeId sums_node = graph::kNone;   // of the finishing function
  // Metrics subtract the split's first number before they square (std's r2): kept over the batches of a
  // split.
  Value first_number(const Value& v, Loc loc);
  // In a metric the rows of the whole split, in f64: what a step gives of them stands beside each other in
  // `row_values`, and the finishing function has all of them.
  Value all_rows(const Value& v, Loc loc);
  static constexpr const char* kRowsDim = "rows";
  std::vector<graph::NodeId> row_values;  // f64[B, n] in the main function
  int64_t row_columns = 0;                // all their n together
  graph::NodeId rows_node = graph::kNone;
  void expect_rows(int64_t columns, int64_t most) {
    finish_.dim(kRowsDim, {most, 0});
    rows_node = finish_.param("rows", {DType::F64, {Dim::dim(kRowsDim), Dim(columns)}});
  }
  graph::NodeId shifts_node = graph::kNone;  // f64, NaN before the first batch; none while they are counted
  std::vector<std::pair<graph::NodeId, graph::NodeId>> shifts;  // a batch's first number, the one in use
  // Labels that are a field of the data; true where they are checked when the data is loaded.
  std::function<bool(graph::NodeId labels, int64_t classes)> on_labels;
  std::vector<IndexSite> index_sites;  // reads by numbers that nothing proves in range
  void note_index(graph::NodeId index, const Dim& limit, graph::NodeId value, std::string what, Loc loc);
  std::vector<LayerNote> layers;

  void enter(Instance* root) { stack_.push_back(root); }  // layers made from here on belong to it
  void expect_sums(int64_t n) { sums_node = finish_.param("sums", {DType::F64, {Dim(n)}}); }
  Value evaluate_make(const Expr& e, Scope& scope, const std::string& bound_name);
  Value accumulate(const Value& sum, Loc loc);  // a tensor without batch axes, added up over a split
  Value random_key(bool always, Loc loc);       // `always`: outside training too
  bool has_batch(const Shape& shape) const;

 private:
  friend class IndexNotation;
  Value evaluate_inner(const Expr& e, Scope& scope);
  Value list_of(std::vector<Value> items, Loc loc);
  Value evaluate_binary(const Expr& e, Scope& scope);
  Value evaluate_call(const Expr& e, Scope& scope, bool partial);
  Value subscript(const Value& x, const Expr& e, Scope& scope);
  Value evaluate_subscript(const Expr& e, Scope& scope);
  Value evaluate_member(const Expr& e, Scope& scope);
  Value evaluate_constant(const FileScope& file, const std::string& name);
  Value integer_binary(const std::string& op, const Index& a, const Index& b, Loc loc);
  Value matmul(const Value& a, const Value& b, Loc loc);
  Value floor_divide(const Value& a, const Value& b);
  std::optional<Value> compare_with_literal(const std::string& op, const Value& x, const Value& literal,
                                            Loc loc);
  Value choice_of(const Value& condition, const Value& a, const Value& b, Loc loc);
  std::optional<Value> on_choice(const std::string& op, const Value& a, const Value& b, Loc loc);
  graph::NodeId literal(const Value& number, DType t, Loc loc);
  Value filled(bool truth, const Value& like);
  Value call_definition(const Closure& f, std::vector<Value> positional, std::map<std::string, Value> named,
                        Loc loc, bool partial);
  void check_logits(const Closure& f, Scope& scope, Loc loc);
  Value results_of(const Callable& c, Scope& scope, Loc loc);
  Value last_value(const std::string& name, const Type& type, const Value& last);
  void run_body(const Callable& c, Scope& scope, Loc loc);
  void statement(const Stmt& st, Scope& scope);
  void assign(const Stmt& st, Scope& scope);
  void bind(const Target& t, Value v, Scope& scope);
  void parameter(const Stmt& st, Scope& scope);
  void state(const Stmt& st, Scope& scope);
  Type carried_type(const Stmt& st, Scope& scope);  // carried.cpp
  Value carried(const Stmt& st, Scope& scope);
  std::string state_path(const Instance& owner, const std::string& name, bool carry) const;
  void store_states(const Instance& owner, Scope& scope);
  void conditional(const Stmt& st, Scope& scope);
  void repeat(const Stmt& st, Scope& scope);
  void run_iteration(const Stmt& st, Scope& scope, int64_t number);
  Value initial_value(const Value& init, const Type& type, const std::string& path, Loc loc);
  std::string child_path(Instance* parent, const std::string& type_name, const std::string& segment, Loc loc);
  std::string interpolate(const std::string& text, Scope& scope, Loc loc);
  Index dim_of(const Expr& e, Scope& scope);

  const Session& s_;
  Diagnostics& diagnostics_;
  Mode mode_;
  graph::Builder b_, finish_;
  Slots slots_;
  std::vector<std::string> slot_order_;
  std::vector<std::optional<Value>> returns_;
  std::vector<Instance*> stack_;     // layers under way
  std::vector<Loc> calls_;           // places of the calls under way, outermost first
  std::vector<int64_t> iterations_;  // of the repeats under way
  // The scan under way: y[:, t] = h collects one slice a step.
  struct Scan {
    const Instance* owner = nullptr;
    std::string index;
    Dim length;
    std::map<std::string, std::pair<size_t, std::vector<graph::NodeId>>> outputs;  // axis and slices by name
    // While its body is elaborated as that of a loop: nodes from `first` on, the parameter `step` among them.
    graph::NodeId first = 0, step = graph::kNone;
    struct Slice {
      graph::NodeId from;
      size_t axis;
      graph::NodeId parameter;
    };
    std::vector<Slice> slices;  // x[:, t] of what does not vary
  };
  // What stood before the first step of a scan.
  struct Rehearsal {
    struct Name {
      Value* place;
      Value value;
      std::string name;
    };
    std::vector<Name> names;
    std::map<std::string, graph::NodeId> stored;
    std::map<graph::NodeId, Loc> softmaxes;
    int draws = 0;
    size_t layers = 0, index_sites = 0, metrics = 0;
  };
  void scan(const Stmt& st, Scope& scope);  // scan.cpp
  void scan_step(const Stmt& st, Scope& scope, const Value& number, int64_t iteration);
  Rehearsal remember(Scope& scope);
  struct Carry {
    Value* place;
    Value initial;
    std::string name;
    graph::NodeId parameter;
  };
  std::string find_carries(const Stmt& st, const Rehearsal& before, std::vector<Carry>& carries);
  void loop_body(const Stmt& st, Scope& scope, const Rehearsal& before, std::vector<Carry>& carries);
  std::string loop(const Stmt& st, Scope& scope, const Rehearsal& before);
  int derivative_order(const std::string& function);
  void check_variable(const Value& loss, const std::vector<bool>& reached, const Value& x, Loc loc);
  Value narrow(const std::vector<bool>& reached, const Value& x);
  std::vector<graph::NodeId> outline(Scan& here, std::vector<graph::NodeId> parameters,
                                     const std::vector<graph::NodeId>& initial,
                                     const std::vector<graph::NodeId>& results);
  void collect_outputs(Scan& here, const Stmt& st, Scope& scope, int64_t n);
  bool collect(const Stmt& st, Scope& scope);
  Value slice_of_step(const Value& x, const Expr& e, size_t which, Scope& scope);
  graph::NodeId moved_axis(graph::NodeId x, size_t from, size_t to);
  graph::Module* module_;
  int scans_ = 0, gradients_ = 0;          // functions that were cut out of this one
  std::map<std::string, int> orders_;      // of derivatives, by function
  std::vector<graph::NodeId> loop_steps_;  // numbers of the steps of the loops under way
  Scan* scan_ = nullptr;
  std::vector<const Callable*> bodies_;        // functions, layers and models under way
  std::map<std::string, std::string> absent_;  // bound only in a branch that was not taken: when
  std::unordered_set<std::string> paths_;
  // What is under way, through expressions and calls, is bounded by the stack: a level is about 2 kB.
  class Level {
   public:
    Level(Elaborator& e, Loc loc, int levels = 1);
    ~Level() { e_.depth_ -= levels_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Elaborator& e_;
    int levels_;
  };
  int depth_ = 0;
  void count_work(Loc loc);  // statements, repeats and calls, against a model that never ends
  int64_t work_ = 0;
  graph::NodeId key_node_ = graph::kNone;  // while an initialiser runs: the parameter's key
  int key_draws_ = 0;
  std::map<graph::NodeId, Loc> softmaxes_;  // results of std's softmax and where it was called
  // Of the files' top levels what was met so far; null files are the built-in functions.
  using TopLevel = std::pair<const FileScope*, std::string>;
  std::map<TopLevel, Value> constants_;
  std::set<TopLevel> evaluating_;
  std::map<TopLevel, std::shared_ptr<const Closure>> closures_;
  std::shared_ptr<const Closure> closure(const Callable* definition, const FileScope* home,
                                         const std::string& name);
};

}  // namespace gradc::frontend
