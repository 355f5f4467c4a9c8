#include "ir/kernel/kernel.h"

namespace gradc::kernel {

void walk(const Body& body, const std::function<void(const Stmt&)>& visit) {
  for (const Stmt& s : body) {
    visit(s);
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) walk((*f)->body, visit);
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) walk((*i)->body, visit);
  }
}

Body map_statements(const Body& body, const std::function<Stmt(const Stmt&)>& f) {
  Body out;
  for (const Stmt& s : body) {
    if (auto* l = std::get_if<std::shared_ptr<const For>>(&s))
      out.push_back(make_for({(*l)->var, (*l)->extent, (*l)->kind, map_statements((*l)->body, f)}));
    else if (auto* i = std::get_if<std::shared_ptr<const If>>(&s))
      out.push_back(make_if({(*i)->conditions, map_statements((*i)->body, f)}));
    else
      out.push_back(f(s));
  }
  return out;
}

}  // namespace gradc::kernel
