#include "tools/text_window.h"

#include <fmt/format.h>

#include "runtime/error.h"

namespace gradc {

TextWindow::TextWindow(runtime::Runner& runner, const frontend::Input& in, std::string result,
                       int64_t symbols, bool begins_whole)
    : runner_(runner),
      input_(in.name),
      result_(std::move(result)),
      length_(static_cast<size_t>(in.type.shape[1].constant_part())),
      symbols_(symbols),
      begins_whole_(begins_whole) {}

std::vector<double> TextWindow::behind(const std::vector<int32_t>& ids) {
  const runtime::Entry* extends = runner_.program().entry("extend");
  if (extends != nullptr && extends->output(result_) != nullptr && ids.size() <= length_) return extend(ids);
  // A window that moves on has every symbol at another place.
  const std::span<const int32_t> seen =
      std::span(ids).subspan(ids.size() > length_ ? ids.size() - length_ : 0);
  const std::vector<double> logits = predict(seen, 0);
  if (seen.size() == length_ || checked_) return logits;
  // Places that are not yet filled must not matter.
  checked_ = true;
  if (predict(seen, static_cast<int32_t>(symbols_ - 1)) != logits)
    throw runtime::Error(
        runtime::Failure::Usage,
        fmt::format("this model looks at what follows a place: give it a prompt that fills its window of {}",
                    length_));
  return logits;
}

std::vector<double> TextWindow::predict(std::span<const int32_t> seen, int32_t filler) {
  runner_.begin("predict", 1);
  runner_.set_batch_number(static_cast<int64_t>(seen.size()));
  set_input(seen, length_, filler);
  runner_.call();
  return logits_at(static_cast<int64_t>(seen.size()) - 1);
}

std::vector<double> TextWindow::extend(std::span<const int32_t> ids) {
  // A long prompt is cheaper as one window than place by place.
  if (met_ == 0 && begins_whole_ && ids.size() > length_ / 8) {
    met_ = ids.size();
    return predict(ids, 0);
  }
  for (; met_ < ids.size(); ++met_) {
    runner_.begin("extend");
    runner_.set("place", static_cast<double>(met_));
    set_input(ids.subspan(met_, 1), 1, 0);
    runner_.call();
  }
  return logits_at(0);
}

void TextWindow::set_input(std::span<const int32_t> ids, size_t length, int32_t filler) {
  runtime::Array row = runtime::make_array(runtime::DType::I32, {1, static_cast<int64_t>(length)});
  for (size_t i = 0; i < length; ++i)
    row.set_whole(static_cast<int64_t>(i), i < ids.size() ? ids[i] : filler);
  const int64_t only = 0;
  runner_.set_rows(input_, row, std::span(&only, 1));
}

std::vector<double> TextWindow::logits_at(int64_t place) const {
  const int64_t first[] = {0, place};
  const runtime::Array all = runner_.output(result_, first);
  std::vector<double> logits;
  for (int64_t i = 0; i < symbols_; ++i) logits.push_back(all.at(i));
  return logits;
}

}  // namespace gradc
