#include "passes/lower/lower_function.h"

#include <algorithm>
#include <optional>
#include <set>

#include "ir/ops/doubling.h"
#include "ir/ops/order_spec.h"
#include "ir/ops/running_spec.h"
#include "passes/lower/group_key.h"
#include "passes/lower/lift_keys.h"
#include "passes/lower/lower_order.h"
#include "passes/lower/lower_running.h"
#include "support/check.h"

namespace gradc::passes {
namespace {

using graph::Function;
using graph::kNone;
using step::Body;
using step::Step;

// A tensor in a buffer, possibly one slice of it: the leading indices are fixed by step loop variables. The
// axis behind them begins at `shift`.
struct View {
  int buffer = -1;
  std::vector<Index> prefix;
  int64_t shift = 0;
  bool operator==(const View&) const = default;

  View slice(const Index& at) const {
    View v{buffer, prefix};
    v.prefix.push_back(at + shift);
    return v;
  }
};

class StepBuilder {
 public:
  StepBuilder(const graph::Module& m, const Function& f, const FusedStep& fused, StepReport* report)
      : m_(m), fused_(fused), report_(report) {
    s_.name = f.name;
    s_.state_bytes = fused.state_bytes;
    // In the order in which the inputs name them: the batch, first axis of the first input, is first.
    for (NodeId p : f.params)
      for (const gradc::Dim& d : f.type(p).shape) {
        std::map<std::string, int> names;
        d.collect_dims(names);
        for (const auto& [name, n] : names) add_dim(name, f);
      }
    for (const auto& [name, info] : f.dims) add_dim(name, f);
    fma_ = f.fuses();
  }

  Step run(const Function& f);

 private:
  struct FunctionLowering;

  void add_dim(const std::string& name, const Function& f) {
    const bool known =
        std::any_of(s_.dims.begin(), s_.dims.end(), [&](const step::Dim& d) { return d.name == name; });
    if (auto it = f.dims.find(name); !known && it != f.dims.end()) {
      const graph::DimInfo& d = it->second;
      s_.dims.push_back({name, d.max, d.plan > 0 ? d.plan : d.max > 0 ? std::min<int64_t>(d.max, 64) : 64});
    }
  }

  // Where a parameter lies and, if it is state, the copies of it.
  struct Parameter {
    View view;
    std::vector<View> copies;
  };
  Parameter parameter(const Function& f, NodeId p) {
    const std::string& name = f.names.at(p);
    const Type& type = f.type(p);
    auto it = fused_.state.find(p);
    if (it == fused_.state.end()) {
      s_.inputs.push_back(buffer(name, type, step::Region::Io));
      return {{s_.inputs.back(), {}}, {}};
    }
    Parameter out{state_buffer(name, type, it->second.place, -1), {}};
    for (const StatePlace& copy : it->second.copies)
      out.copies.push_back(state_buffer(name + ".copy", type, copy, out.view.buffer));
    return out;
  }
  View state_buffer(const std::string& name, const Type& type, const StatePlace& place, int derived_from) {
    const int b = buffer(name, type, step::Region::State);
    s_.buffers[b].layout = place.layout;
    s_.buffers[b].offset = place.offset;
    s_.buffers[b].derived_from = derived_from;
    return {b, {}};
  }

  // Where a result goes: the donated parameter's storage, or an output of its own.
  View destination(const Function& f, size_t r, const std::map<NodeId, View>& params) {
    const graph::Result& result = f.results[r];
    if (result.into != kNone) return params.at(result.into);
    const std::string name = result.name.empty() ? fmt::format("result{}", r) : result.name;
    const int b = buffer(name, f.type(result.node), step::Region::Io);
    s_.outputs.push_back(b);
    return {b, {}};
  }

  int buffer(const std::string& name, const Type& t, step::Region region) {
    s_.buffers.push_back({unique(name), t.dtype, t.shape, {}, region});
    return static_cast<int>(s_.buffers.size()) - 1;
  }
  View scratch(const std::string& name, const Type& t) {
    return {buffer(name, t, step::Region::Scratch), {}};
  }

  std::string unique(const std::string& name) {
    const int n = names_[name]++;
    return n == 0 ? name : unique(fmt::format("{}.{}", name, n));
  }

  // Adds a kernel unless an equal one is there; returns its number.
  int intern(kernel::Kernel k) {
    const std::string text = kernel::canonical_text(k);
    auto [it, fresh] = kernels_.emplace(text, static_cast<int>(s_.kernels.size()));
    if (fresh) s_.kernels.push_back(std::move(k));
    return it->second;
  }

  Place place(const View& v) const {
    return {s_.buffers[v.buffer].shape, s_.buffers[v.buffer].layout, v.prefix.size(), v.shift};
  }

  // A kernel's number, and what its first parameters are in this run.
  struct Bound {
    int kernel = 0;
    std::vector<Index> keys;
  };
  // Gives a kernel's parameter buffers the shapes and layouts of the views' buffers: slices become leading
  // indices by kernel parameters, which stand behind those for random keys.
  Bound bind(kernel::Kernel k, const std::vector<View>& views) {
    Bound bound{0, lift_keys(k)};
    std::map<int, Lead> leads;
    for (size_t b = 0; b < views.size(); ++b) {
      k.buffers[b].shape = s_.buffers[views[b].buffer].shape;
      k.buffers[b].layout = s_.buffers[views[b].buffer].layout;
      for (size_t i = 0; i < views[b].prefix.size(); ++i) {
        k.params.push_back(k.vars++);
        leads[static_cast<int>(b)].prefix.push_back(Index::var(k.params.back()));
      }
      if (views[b].shift != 0) leads[static_cast<int>(b)].shift = views[b].shift;
    }
    if (!leads.empty()) k.body = with_leads(k.body, leads);
    kernel::verify(k);
    bound.kernel = intern(std::move(k));
    return bound;
  }

  void run(const Bound& bound, const std::vector<View>& views, const std::string& name,
           const std::string& members, Body& out) {
    step::Run run{bound.kernel, {}, bound.keys};
    for (const View& v : views) {
      run.buffers.push_back(v.buffer);
      run.params.insert(run.params.end(), v.prefix.begin(), v.prefix.end());
    }
    if (report_) report_->kernels.push_back({name, members, bound.kernel, {}});
    out.push_back(std::move(run));
  }

  struct Lead {  // of a view, for each of its kernel's accesses
    std::vector<Index> prefix;
    int64_t shift = 0;
  };
  static kernel::Body with_leads(const kernel::Body& body, const std::map<int, Lead>& leads) {
    auto insert = [&](int buffer, std::vector<Index>& at) {
      const auto lead = leads.find(buffer);
      if (lead == leads.end()) return;
      if (lead->second.shift != 0) at[0] += lead->second.shift;
      at.insert(at.begin(), lead->second.prefix.begin(), lead->second.prefix.end());
    };
    return kernel::map_statements(body, [&](kernel::Stmt s) {
      if (auto* l = std::get_if<kernel::Load>(&s)) insert(l->buffer, l->at);
      if (auto* w = std::get_if<kernel::Store>(&s)) insert(w->buffer, w->at);
      return s;
    });
  }

  void emit(Lowered l, const std::vector<View>& views, const std::string& members, Body& out) {
    const std::string name = l.kernel.name;
    run(bind(std::move(l.kernel), views), views, name, members, out);
  }

  void copy(const View& from, const View& to, const Type& t, Body& out) {
    if (from == to) return;
    Lowered l;
    l.kernel.name = "copy";
    l.kernel.fma = fma_;
    l.kernel.buffers = {{"from", t.dtype, t.shape, kernel::Space::In, {}},
                        {"to", t.dtype, t.shape, kernel::Space::Out, {}}};
    std::vector<Index> at;
    for (int a = 0; a < t.rank(); ++a) at.push_back(Index::var(l.kernel.vars++));
    kernel::Body body{kernel::Load{l.kernel.values++, 0, at, {}, {}}, kernel::Store{1, at, 0}};
    for (int a = t.rank(); a-- > 0;) body = {kernel::make_for({a, t.shape[a], kernel::LoopKind::Axis, body})};
    l.kernel.body = std::move(body);
    if (s_.buffers[to.buffer].derived_from == from.buffer) l.kernel.buffers[1].derived_from = 0;
    if (report_) ++report_->copies;
    emit(std::move(l), {from, to}, "copy", out);
  }

  const graph::Module& m_;
  const FusedStep& fused_;
  StepReport* report_;
  bool fma_ = true;
  Step s_;
  std::map<std::string, int> kernels_;
  std::map<std::string, int> names_;
};

// Lowers one function whose parameters are given views and whose results go to given views.
struct StepBuilder::FunctionLowering {
  // What is kept of a lowered group: its kernel, and for each buffer the place of its node in the key.
  struct Known {
    Bound bound;
    std::vector<size_t> buffers;
    std::string members;
  };

  StepBuilder& b;
  const Function& f;
  std::vector<View> params, dests;
  std::map<NodeId, View> views = {};                // of nodes that live in memory
  std::map<NodeId, std::vector<View>> tuples = {};  // of nodes with several results
  std::map<NodeId, NodeId> storage_of = {};
  GroupKeys keys = {};
  std::map<std::vector<uint64_t>, Known> known = {};

  void run(Body& out) {
    const Fusion& fusion = b.fused_.functions.at(f.name);
    for (size_t p = 0; p < f.params.size(); ++p) views[f.params[p]] = params[p];
    bind_results(fusion);
    for (const Group& g : fusion.groups) {
      if (g.opaque)
        lower_opaque(g.members[0].node, out);
      else
        lower(fusion, g, out);
    }
    copy_results(out);
  }

  // A result is computed where it belongs, unless it is a parameter, has no kernel of its own, or belongs to
  // two places or to a parameter that must be copied. Running sums read what they would overwrite: in place
  // of a parameter they are copied. What is updated is computed where the update belongs, if nothing else
  // reads it.
  void bind_results(const Fusion& fusion) {
    for (size_t r = 0; r < f.results.size(); ++r) {
      const graph::Result& result = f.results[r];
      const graph::OpDef& op = *f[result.node].op;
      const bool own = op.updates || (result.into == kNone && own_kernel_writes_once(op));
      if (views.count(result.node) || (!graph::has_meaning(f[result.node]) && !own)) continue;
      if (result.into != kNone && fusion.copied.count(result.into)) continue;
      views[result.node] = dests[r];
      if (result.into != kNone) storage_of[result.node] = result.into;
    }
    std::vector<int> readers(f.nodes.size(), 0);
    for (const graph::Result& r : f.results) ++readers[r.node];
    for (const graph::Node& n : f.nodes)
      for (NodeId q : n.operands) ++readers[q];
    for (NodeId n = static_cast<NodeId>(f.nodes.size()); n-- > 0;)
      if (f[n].op->updates && readers[f[n].operands[0]] == 1 && !views.count(f[n].operands[0]))
        views[f[n].operands[0]] = view_of(n);
  }
  // Outputs first, while all parameters hold their old values; then the parameters, each once nothing reads
  // its old value any more. Where they wait for each other in a circle, one value goes by way of a temporary.
  void copy_results(Body& out) {
    struct Move {
      View from, to;
      Type type;
    };
    std::vector<Move> moves;
    for (size_t r = 0; r < f.results.size(); ++r) {
      const graph::Result& result = f.results[r];
      const Move m{view_of(result.node), dests[r], f.type(result.node)};
      if (result.into == kNone)
        b.copy(m.from, m.to, m.type, out);
      else if (!(m.from == m.to))
        moves.push_back(m);
    }
    std::map<int, int> readers, writer;  // by buffer: moves that still read it, the move that writes it
    for (size_t i = 0; i < moves.size(); ++i) {
      ++readers[moves[i].from.buffer];
      writer[moves[i].to.buffer] = static_cast<int>(i);
    }
    std::vector<bool> done(moves.size(), false);
    auto perform = [&](size_t first) {  // the move, and those that waited for its source
      for (size_t i = first;;) {
        b.copy(moves[i].from, moves[i].to, moves[i].type, out);
        done[i] = true;
        const int source = moves[i].from.buffer;
        auto next = writer.find(source);
        if (--readers[source] > 0 || next == writer.end() || done[next->second]) return;
        i = static_cast<size_t>(next->second);
      }
    };
    for (size_t i = 0; i < moves.size(); ++i)
      if (!done[i] && readers[moves[i].to.buffer] == 0) perform(i);
    for (size_t i = 0; i < moves.size(); ++i) {
      if (done[i]) continue;
      const View kept = b.scratch("old", moves[i].type);
      const int buffer = moves[i].to.buffer;
      b.copy({buffer, {}}, kept, moves[i].type, out);
      for (Move& m : moves)
        if (m.from.buffer == buffer) m.from = kept;
      readers[kept.buffer] = std::exchange(readers[buffer], 0);
      perform(i);
    }
  }

  std::string name_of(NodeId n) const {
    const std::string* name = f.names.find(n);
    return name ? *name : fmt::format("v{}", n);
  }
  const View& view_of(NodeId n) {
    auto it = views.find(n);
    if (it != views.end()) return it->second;
    return views[n] = b.scratch(name_of(n), f.type(n));
  }

  void lower(const Fusion& fusion, const Group& g, Body& out) {
    const LowerInput in{f, fusion, storage_of, b.fma_};
    const GroupKeys::Key key = keys.key(in, g, [&](NodeId n) { return b.place(view_of(n)); });
    const std::string name = "k_" + name_of(g.members.back().node);
    auto it = known.find(key.numbers);
    if (it == known.end()) it = known.emplace(key.numbers, lower_new(in, g, key, name)).first;
    std::vector<View> views;
    for (size_t place : it->second.buffers) views.push_back(view_of(key.nodes[place]));
    b.run(it->second.bound, views, name, it->second.members, out);
  }

  Known lower_new(const LowerInput& in, const Group& g, const GroupKeys::Key& key, const std::string& name) {
    Lowered l = lower_group(in, g, name);
    std::vector<View> views;
    Known made;
    for (NodeId n : l.buffers) {
      views.push_back(view_of(n));
      made.buffers.push_back(
          static_cast<size_t>(std::find(key.nodes.begin(), key.nodes.end(), n) - key.nodes.begin()));
    }
    for (const Member& m : g.members)
      made.members += (made.members.empty() ? "" : " ") + std::string(f[m.node].op->name);
    made.bound = b.bind(std::move(l.kernel), views);
    return made;
  }

  static bool own_kernel_writes_once(const graph::OpDef& op) {
    return op.form == graph::Form::Running || op.form == graph::Form::Order;
  }

  void lower_opaque(NodeId n, Body& out) {
    switch (f[n].op->form) {
      case graph::Form::Get:
        views[n] = tuples.at(f[n].operands[0])[f[n].attrs.integer("index")];
        return;
      case graph::Form::Scan:
        return lower_scan(n, out);
      case graph::Form::Cond:
        return lower_cond(n, out);
      case graph::Form::While:
        return lower_while(n, out);
      case graph::Form::AddRows:
        return lower_add_rows(n, out);
      case graph::Form::Order:
        return lower_order(n, out);
      case graph::Form::Running:
        return lower_running_sum(n, out);
      default:
        GRADC_CHECK(false, "op {} reached the step unexpanded", f[n].op->name);
    }
  }

  const Function& callee(NodeId n, std::string_view attr) const { return b.m_.at(f[n].attrs.function(attr)); }

  void call(const Function& g, std::vector<View> arguments, std::vector<View> results, Body& out) {
    FunctionLowering{b, g, std::move(arguments), std::move(results)}.run(out);
  }

  // A carry has two places, which take turns: an iteration reads one and writes the other, and nothing is
  // copied. Where what iterations are handed or hand on is stacked, the stack has one place more and is both.
  void lower_scan(NodeId n, Body& out) {
    const graph::Node& node = f[n];
    const Function& body = callee(n, "function");
    const size_t consts = static_cast<size_t>(node.attrs.integer("consts"));
    const size_t carries = static_cast<size_t>(node.attrs.integer("carries"));
    const bool reverse = node.attrs.flag("reverse");
    step::For loop;
    loop.var = b.s_.vars++;
    loop.extent = node.attrs.shape("length")[0];
    const Index turn = Index::var(loop.var), t = reverse ? loop.extent - Index(1) - turn : turn;
    std::vector<View> args, results, all;
    std::map<size_t, View> stacks;  // by result
    for (size_t i = 0; i < node.operands.size(); ++i) {
      const View v = view_of(node.operands[i]);
      if (i < consts) {
        args.push_back(v);
      } else if (i >= consts + carries) {
        args.push_back(v.slice(t));
      } else {
        const bool stacked = stacks_carry(body, i, consts, carries, stacks);
        const auto place = [&](const Index& turns) {
          return !stacked ? turns.mod(2) : reverse ? loop.extent - turns : turns;
        };
        const Type& type = f.type(node.operands[i]);
        Type places = type;
        places.shape.insert(places.shape.begin(), stacked ? loop.extent + 1 : Dim(2));
        const View carry = b.scratch(name_of(n) + ".carry", places);
        for (auto& [r, stack] : stacks)
          if (stack.buffer < 0)
            stack = {carry.buffer, {}, (body.results[r].node == body.params[i]) == reverse};
        b.copy(v, carry.slice(place(0)), type, out);
        args.push_back(carry.slice(place(turn)));
        results.push_back(carry.slice(place(turn + 1)));
        all.push_back(carry.slice(place(loop.extent)));
      }
    }
    for (size_t r = carries; r < node.types.size(); ++r) {
      const auto stack = stacks.find(r);
      all.push_back(stack != stacks.end() ? stack->second : b.scratch(name_of(n) + ".out", node.types[r]));
      results.push_back(all.back().slice(t));
    }
    call(body, args, results, loop.body);
    bind_outputs(n, all);
    out.push_back(std::make_shared<const step::For>(std::move(loop)));
  }

  // Notes, without a buffer yet, the results that stack what iterations are handed of a carry or hand on, one
  // of each.
  static bool stacks_carry(const Function& body, size_t parameter, size_t consts, size_t carries,
                           std::map<size_t, View>& stacks) {
    bool any = false;
    for (const NodeId value : {body.params[parameter], body.results[parameter - consts].node})
      for (size_t r = carries; r < body.results.size(); ++r)
        if (body.results[r].node == value && stacks.emplace(r, View{}).second) {
          any = true;
          break;
        }
    return any;
  }

  std::vector<View> result_buffers(NodeId n) {
    std::vector<View> r;
    for (const Type& t : f[n].types) r.push_back(b.scratch(name_of(n) + ".out", t));
    return r;
  }
  // One result is the node itself, several are read through get.
  void bind_outputs(NodeId n, const std::vector<View>& r) {
    tuples[n] = r;
    if (r.size() == 1) views[n] = r[0];
  }

  void lower_cond(NodeId n, Body& out) {
    const graph::Operands& operands = f[n].operands;
    std::vector<View> args;
    for (size_t i = 1; i < operands.size(); ++i) args.push_back(view_of(operands[i]));
    const std::vector<View> r = result_buffers(n);
    step::If branch;
    View flag = view_of(operands[0]);
    if (!flag.prefix.empty()) {  // one of many: a branch reads a buffer of its own
      const View own = b.scratch(name_of(n) + ".flag", {DType::Bool, {}});
      b.copy(flag, own, {DType::Bool, {}}, out);
      flag = own;
    }
    branch.condition = flag.buffer;
    call(callee(n, "then"), args, r, branch.then_body);
    call(callee(n, "otherwise"), args, r, branch.else_body);
    bind_outputs(n, r);
    out.push_back(std::make_shared<const step::If>(std::move(branch)));
  }

  // At most `bound` rounds of the body, and the condition before each.
  void lower_while(NodeId n, Body& out) {
    const graph::Node& node = f[n];
    std::vector<View> state, next;
    for (NodeId q : node.operands) {
      state.push_back(b.scratch(name_of(n) + ".state", f.type(q)));
      next.push_back(b.scratch(name_of(n) + ".next", f.type(q)));
      b.copy(view_of(q), state.back(), f.type(q), out);
    }
    const View flag = b.scratch(name_of(n) + ".flag", {DType::Bool, {}});
    step::For loop;
    loop.var = b.s_.vars++;
    loop.extent = node.attrs.integer("bound");
    call(callee(n, "condition"), state, {flag}, out);
    loop.condition = flag.buffer;
    call(callee(n, "body"), state, next, loop.body);
    for (size_t i = 0; i < state.size(); ++i) b.copy(next[i], state[i], node.types[i], loop.body);
    call(callee(n, "condition"), state, {flag}, loop.body);
    out.push_back(std::make_shared<const step::For>(std::move(loop)));
    bind_outputs(n, state);
  }

  // Levels of merges until one run covers the axis, back and forth between the result and a second buffer so
  // that the last one writes the result.
  void lower_order(NodeId n, Body& out) {
    const graph::OrderSpec o = graph::order_spec(f[n].attrs);
    const NodeId x = f[n].operands[0];
    const int levels = std::max(1, graph::doublings(f, f.type(n).shape[o.axis] + 1));
    std::vector<View> places{view_of(n)};
    if (levels > 1) places.push_back(b.scratch(name_of(n) + ".runs", f.type(n)));
    for (int level = 0; level < levels; ++level) {
      const size_t to = static_cast<size_t>(levels - 1 - level) % 2;
      std::vector<View> views{view_of(x), places[to]};
      if (level > 0) views.insert(views.begin() + 1, places[1 - to]);
      emit_own(n, merge_kernel(o, f.type(x), level, b.fma_), views, out);
    }
  }

  // A kernel of an op's own has the op's name.
  void emit_own(NodeId n, kernel::Kernel k, const std::vector<View>& views, Body& out) {
    k.name = f[n].op->name;
    b.emit({std::move(k), {}}, views, std::string(f[n].op->name), out);
  }

  void lower_running_sum(NodeId n, Body& out) {
    const Type& t = f.type(n);
    emit_own(n, lower_running(graph::running_spec(*f[n].op, f[n].attrs, t.dtype), t, b.fma_),
             {view_of(f[n].operands[0]), view_of(n)}, out);
  }

  // Rows of u are added in ascending order, in all columns at once or in some by each thread.
  void lower_add_rows(NodeId n, Body& out) {
    const graph::Operands& operands = f[n].operands;
    const Type &table = f.type(n), &ids = f.type(operands[1]), &rows = f.type(operands[2]);
    const View target = view_of(n);
    b.copy(view_of(operands[0]), target, table, out);
    if (table.shape[0].is(0)) return;  // no number names a row
    kernel::Kernel k;
    k.fma = b.fma_;
    k.buffers = {{"ids", ids.dtype, ids.shape, kernel::Space::In, {}},
                 {"rows", rows.dtype, rows.shape, kernel::Space::In, {}},
                 {"table", table.dtype, table.shape, kernel::Space::InOut, {}}};
    std::vector<Index> id, row, element;
    for (int a = 0; a < ids.rank(); ++a) id.push_back(Index::var(k.vars++));
    row = id;
    const int bound = k.vars++;
    element.push_back(Index::max(0, Index::min(Index::var(bound), table.shape[0] - 1)));
    for (int a = 1; a < table.rank(); ++a) {
      const Index v = Index::var(k.vars++);
      row.push_back(v), element.push_back(v);
    }
    const kernel::Value v = k.values;
    k.values += 4;
    kernel::Body body{kernel::Load{v, 0, id, {}, {}}};
    kernel::Value index = v;
    if (ids.dtype != DType::I64) {
      body.push_back(kernel::Compute{v + 1, ScalarOp::Convert, DType::I64, {v, -1, -1}, {}, {}});
      index = v + 1;
    }
    body.push_back(kernel::Bind{bound, index});
    body.push_back(kernel::Load{v + 2, 1, row, {}, {}});
    body.push_back(kernel::Load{v + 3, 2, element, {}, {}});
    body.push_back(kernel::Compute{k.values, ScalarOp::Add, table.dtype, {v + 3, v + 2, -1}, {}, {}});
    body.push_back(kernel::Store{2, element, k.values++});
    for (int a = ids.rank(); a-- > 0;)
      body = {kernel::make_for({a, ids.shape[a], kernel::LoopKind::Serial, body})};
    if (!table.shape[0].is_constant())  // nor in a table that has none when it is called
      body = {kernel::make_for({k.vars++, Index::min(1, table.shape[0]), kernel::LoopKind::Serial, body})};
    for (int a = table.rank() - 1; a >= 1; --a)
      body = {kernel::make_for({bound + a, table.shape[a], kernel::LoopKind::Axis, body})};
    k.body = std::move(body);
    emit_own(n, std::move(k), {view_of(operands[1]), view_of(operands[2]), target}, out);
  }
};

Step StepBuilder::run(const Function& f) {
  std::set<NodeId> written;
  for (const graph::Result& r : f.results) written.insert(r.into);
  std::vector<View> views;
  std::vector<std::pair<NodeId, Parameter>> refreshed;  // states whose copies this step writes
  std::map<NodeId, View> view_of_param;
  for (NodeId p : f.params) {
    Parameter made = parameter(f, p);
    view_of_param[p] = made.view;
    views.push_back(made.copies.empty() || written.count(p) ? made.view : made.copies[0]);
    if (written.count(p)) refreshed.emplace_back(p, std::move(made));
  }
  FunctionLowering body{*this, f, views, {}};
  for (size_t r = 0; r < f.results.size(); ++r) body.dests.push_back(destination(f, r, view_of_param));
  body.run(s_.body);
  for (const auto& [p, made] : refreshed)
    for (const View& to : made.copies) copy(made.view, to, f.type(p), s_.body);
  return std::move(s_);
}

}  // namespace

Step lower_function(const graph::Module& m, const FusedStep& fused, StepReport* report) {
  const Function& f = m.at(fused.entry);
  return StepBuilder(m, f, fused, report).run(f);
}

}  // namespace gradc::passes
