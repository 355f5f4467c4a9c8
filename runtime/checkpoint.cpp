#include "runtime/checkpoint.h"

#include <algorithm>

#include "runtime/file.h"
#include "runtime/progress.h"

namespace gradc::runtime {

bool Checkpoints::has_best() const { return has_folder() && is_file(path("best")); }

void Checkpoints::last(const Kept& k, const std::map<std::string, std::string>& more) {
  if (has_folder()) write(path("last"), k, more);
}

void Checkpoints::best(const Kept& k) {
  if (has_folder()) write(path("best"), k);
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
