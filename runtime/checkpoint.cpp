#include "runtime/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/progress.h"

namespace gradc::runtime {
namespace {

constexpr const char* kBuckets = "gradc.buckets";  // where there are some
constexpr int64_t kMostSteps = int64_t(1) << 53;   // a step is a number of f64 in the program

// In base 16, which loses nothing and knows NaN.
std::string list_text(const std::vector<double>& values) {
  std::string out;
  for (double v : values) out += (out.empty() ? "" : " ") + number("%a", v);
  return out;
}

class Reader {
 public:
  Reader(const SafeTensors& file, const std::string& path) : metadata_(file.metadata), path_(path) {}

  int64_t whole(const char* key) const {
    const std::string* text = find(key);
    int64_t n = 0;
    if (text == nullptr) refuse(key, "is not there");
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), n);
    if (error != std::errc{} || end != text->data() + text->size() || n < 0 || n > kMostSteps)
      refuse(key, "is no number of 0 to 2^53");
    return n;
  }
  int64_t whole_or_0(const char* key) const { return find(key) == nullptr ? 0 : whole(key); }
  std::optional<double> value(const char* key) const {
    const std::vector<double> v = list(key);
    return v.size() == 1 ? std::optional(v[0]) : std::nullopt;
  }
  std::vector<double> list(const char* key) const {
    std::vector<double> out;
    const std::string* text = find(key);
    for (const char* at = text == nullptr ? "" : text->c_str(); *at != 0;) {
      char* end = nullptr;
      out.push_back(std::strtod(at, &end));
      if (end == at) refuse(key, "is no list of numbers");
      at = end;
    }
    return out;
  }

  std::vector<PlateauState> plateaus() const {
    const auto states = from_numbers(list("plateaus"));
    if (!states) refuse("plateaus", "is no list of rates and counts");
    return *states;
  }

 private:
  const std::string* find(const char* key) const {
    const auto it = metadata_.find(std::string("gradc.") + key);
    return it == metadata_.end() ? nullptr : &it->second;
  }
  [[noreturn]] void refuse(const char* key, const char* what) const {
    throw Error(Failure::Data, path_ + ": no training can go on from it: the metadata gradc." + key + " " +
                                   what + "; --init-from takes the weights alone");
  }
  const std::map<std::string, std::string>& metadata_;
  const std::string& path_;
};

std::string numbered_name(int64_t step) { return "step-" + number("%08.0f", static_cast<double>(step)); }

}  // namespace

Kept moment_of(const SafeTensors& file, const std::string& path) {
  const Reader r(file, path);
  Kept k;
  k.step = r.whole("step"), k.epoch = r.whole("epochs"), k.value = r.value("value");
  Standing& s = k.standing;
  s.sums = r.list("sums"), s.shifts = r.list("shifts");
  s.plateaus = r.plateaus();
  s.best = r.value("best"), s.stop_best = r.value("stop_best");
  s.best_step = r.whole_or_0("best_step"), s.waited = static_cast<int>(r.whole_or_0("wait"));
  return k;
}

bool Checkpoints::has_best() const { return has_folder() && is_file(path("best")); }

void Checkpoints::check(const SafeTensors& file, const std::string& path) const {
  const std::pair<const char*, std::string> same[] = {
      {"model_hash", std::to_string(runner_.program().model_hash)},
      {"batch", std::to_string(facts_.batch)},
      {"seed", std::to_string(facts_.seed)},
      {"rows", std::to_string(facts_.rows)}};
  std::string text;
  for (const auto& [key, ours] : same) {
    const auto it = file.metadata.find(std::string("gradc.") + key);
    if (it == file.metadata.end() || it->second == ours) continue;
    text += std::string(text.empty() ? "" : ", ") + key + " " + it->second + " (now " + ours + ")";
  }
  const auto buckets = file.metadata.find(kBuckets);
  if (const std::string had = buckets == file.metadata.end() ? "none" : buckets->second;
      had != facts_.buckets)
    text += std::string(text.empty() ? "" : ", ") + "buckets " + had + " (now " + facts_.buckets + ")";
  if (!text.empty())
    throw Error(Failure::Mismatch, path + ": the training would not go on as it began; it has " + text +
                                       "; --init-from takes the weights alone");
}

void Checkpoints::in_folder(const std::string& which, const Kept& k) {
  if (!has_folder()) return;
  const Standing& s = k.standing;
  std::map<std::string, std::string> m{{"gradc.total", std::to_string(facts_.total)},
                                       {"gradc.epochs", std::to_string(k.epoch)},
                                       {"gradc.wait", std::to_string(s.waited)},
                                       {"gradc.sums", list_text(s.sums)},
                                       {"gradc.shifts", list_text(s.shifts)}};
  if (!s.plateaus.empty()) m["gradc.plateaus"] = list_text(to_numbers(s.plateaus));
  if (!facts_.run.empty()) m["gradc.run"] = facts_.run;
  if (s.best) m["gradc.best"] = number("%.17g", *s.best), m["gradc.best_step"] = std::to_string(s.best_step);
  if (s.stop_best) m["gradc.stop_best"] = number("%.17g", *s.stop_best);
  write(path(which), k, m);
}

void Checkpoints::numbered(const Kept& k) {
  in_folder(numbered_name(k.step), k);
  std::erase(numbered_, k.step);
  numbered_.push_back(k.step);
  while (facts_.numbered > 0 && static_cast<int64_t>(numbered_.size()) > facts_.numbered) {
    const std::string oldest = path(numbered_name(numbered_.front()));
    numbered_.erase(numbered_.begin());
    std::error_code error;
    std::filesystem::remove(oldest, error);
    if (error) throw Error(Failure::Data, oldest + ": cannot remove the file: " + error.message());
  }
}

void Checkpoints::find_numbered(int64_t from) {
  if (!has_folder() || facts_.numbered == 0 || facts_.run.empty()) return;
  for (const std::string& name : names_in(folder_)) {
    int64_t step = 0;
    if (!name.starts_with("step-")) continue;
    std::from_chars(name.data() + 5, name.data() + name.size(), step);
    if (step > from || folder_ + "/" + name != path(numbered_name(step))) continue;
    try {
      const SafeTensors file = read_safetensors(folder_ + "/" + name);
      const auto run = file.metadata.find("gradc.run");
      if (run != file.metadata.end() && run->second == facts_.run) numbered_.push_back(step);
    } catch (const Error&) {  // whatever it is, this training did not write it
    }
  }
  std::sort(numbered_.begin(), numbered_.end());
}

void Checkpoints::write(const std::string& path, const Kept& k,
                        const std::map<std::string, std::string>& more) {
  SafeTensors file = runner_.unpack(k.state);
  file.metadata = facts_.metadata;
  file.metadata.insert(more.begin(), more.end());
  auto say = [&](const char* key, int64_t v) {
    file.metadata[std::string("gradc.") + key] = std::to_string(v);
  };
  say("step", k.step);
  say("epoch", k.step == 0 ? 0 : (k.step - 1) / facts_.per_epoch);
  say("sample", k.step % facts_.per_epoch * facts_.batch);
  say("seed", facts_.seed);
  say("batch", facts_.batch);
  say("rows", facts_.rows);
  if (facts_.buckets != "none") file.metadata[kBuckets] = facts_.buckets;
  file.metadata["gradc.model_hash"] = std::to_string(runner_.program().model_hash);
  if (k.value) {
    file.metadata["gradc.metric"] = facts_.metric;
    file.metadata["gradc.value"] = number("%.17g", *k.value);
  }
  file.metadata[kChecksum] = checksum(file);
  if (const std::string nan = nan_text(file); !nan.empty()) nan_ = path + ": " + nan;
  write_safetensors(path, file);
}

}  // namespace gradc::runtime
