#include "frontend/training/picture_changes.h"

#include <algorithm>

namespace gradc::frontend {
namespace {

struct ChangeForm {
  std::string_view name;
  std::string_view number;  // what its number says; "" where it takes none
  bool named;               // the number is written with its name alone
  std::string_view usage;
};

constexpr ChangeForm kForms[] = {{"random_shift", "pixels", false, "random_shift(2)"},
                                 {"random_crop", "padding", true, "random_crop(padding=4)"},
                                 {"random_flip", "", false, "random_flip()"}};

const ChangeForm& form_of(const Expr& e, Elaborator& elaborator) {
  if (!e.is(Expr::Kind::Call) || !e.kids[0].is(Expr::Kind::Name))
    elaborator.fail(e.loc,
                    "a change of pictures is random_shift(2), random_crop(padding=4), random_flip(), or "
                    "a list of them");
  std::vector<std::string> known;
  for (const ChangeForm& f : kForms) {
    if (f.name == e.kids[0].text) return f;
    known.emplace_back(f.name);
  }
  const std::string near = nearest(e.kids[0].text, known);
  elaborator.fail(
      e.kids[0].loc,
      fmt::format("unknown change '{}'{}", e.kids[0].text,
                  near.empty() ? "; there are random_shift(2), random_crop(padding=4) and random_flip()"
                               : fmt::format("; did you mean '{}'?", near)));
}

PictureChangeSpec read_change(const Expr& call, Elaborator& e, Scope& scope) {
  const ChangeForm& form = form_of(call, e);
  PictureChangeSpec c;
  c.loc = call.loc;
  c.form = form.name;
  for (const Argument& a : call.arguments) {
    if (form.number.empty() || &a != &call.arguments.front() ||
        !(a.name == form.number || (a.name.empty() && !form.named)))
      e.fail(a.loc, fmt::format("write {}", form.usage));
    c.most = e.constant_int(e.evaluate(a.value, scope), form.number, a.loc);
    if (c.most < 1) e.fail(a.loc, fmt::format("{} is at least 1, not {}", form.number, c.most));
  }
  if (!form.number.empty() && call.arguments.empty())
    e.fail(call.loc, fmt::format("{} needs a number of pixels: {}", form.name, form.usage));
  return c;
}

}  // namespace

std::vector<PictureChangeSpec> read_changes(const Argument& field, Elaborator& e, Scope& scope) {
  std::vector<PictureChangeSpec> out;
  const Expr& value = field.value;
  if (value.is(Expr::Kind::List))
    for (const Expr& one : value.kids) out.push_back(read_change(one, e, scope));
  else
    out.push_back(read_change(value, e, scope));
  if (out.empty()) e.fail(value.loc, fmt::format("'{}' has an empty list of changes", field.name));
  return out;
}

}  // namespace gradc::frontend
