// Scans rewritten with their bodies, those of inner ones first.
#pragma once

#include <string>

#include "passes/graph/expand.h"

namespace gradc::passes {

// Operations one after the other in sums that rewrites look through.
constexpr int kDeepestSum = 256;

// A `Rewrite` is of one scan of a function under construction: `plan` says whether there is anything to do,
// `make_body` gives the body that takes the place of the old one, `replace` the results by the new body's
// name.
template <class Rewrite>
class OverScans {
 public:
  OverScans(const graph::Module& m, std::string suffix) : in_(m), suffix_(std::move(suffix)) {}

  graph::Module run() {
    for (const auto& [name, f] : in_.functions) visit(name);
    return std::move(out_);
  }

 private:
  // Bodies before what runs them.
  const graph::Function& visit(const std::string& name) {
    if (auto it = out_.functions.find(name); it != out_.functions.end()) return it->second;
    const graph::Function& f = in_.at(name);
    for (const graph::Node& n : f.nodes)
      for (const auto& [attr, value] : n.attrs.list())
        if (const auto* r = std::get_if<graph::FunctionRef>(&value)) visit(r->name);
    graph::Function g = rebuild(
        f, out_, [&](graph::Builder& b, graph::NodeId i, const std::vector<graph::NodeId>& made) -> Results {
          if (f[i].op->form != graph::Form::Scan) return std::nullopt;
          Rewrite rewrite(b, out_, f, i, made);
          if (!rewrite.plan()) return std::nullopt;
          const std::string body = fresh(f[i].attrs.function("function"));
          out_.functions.emplace(body, rewrite.make_body(out_, body));
          return rewrite.replace(body);
        });
    return out_.functions.emplace(name, std::move(g)).first->second;
  }

  std::string fresh(const std::string& body) const {
    for (int i = 0;; ++i) {
      std::string name = body + "." + suffix_ + (i ? std::to_string(i) : "");
      if (!in_.functions.count(name) && !out_.functions.count(name)) return name;
    }
  }

  const graph::Module& in_;
  std::string suffix_;
  graph::Module out_;
};

template <class Rewrite>
graph::Module over_scans(const graph::Module& m, const std::string& suffix) {
  return has_scans(m) ? OverScans<Rewrite>(m, suffix).run() : m;
}

}  // namespace gradc::passes
