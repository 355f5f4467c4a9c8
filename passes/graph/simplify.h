// The rules of the pass `simplify`, for the test that instantiates both sides of each.
#pragma once

#include <span>
#include <string_view>

namespace gradc::passes {

struct RewriteRule {
  std::string_view from, to;
};
std::span<const RewriteRule> rewrite_rules();

}  // namespace gradc::passes
