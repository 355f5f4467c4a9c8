#include "ir/kernel/kernel.h"

namespace gradc::kernel {

void walk(const Body& body, const std::function<void(const Stmt&)>& visit) {
  for (const Stmt& s : body) {
    visit(s);
    if (auto* f = std::get_if<std::shared_ptr<const For>>(&s)) walk((*f)->body, visit);
    if (auto* i = std::get_if<std::shared_ptr<const If>>(&s)) walk((*i)->body, visit);
  }
}

}  // namespace gradc::kernel
