// Folders of runs, and when and how checkpoints are written and read back.
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

#include "runtime/checkpoint.h"
#include "runtime/file.h"
#include "runtime/refusal.h"
#include "runtime/run_folder.h"
#include "runtime/safetensors.h"

namespace gradc::runtime {
namespace {

namespace fs = std::filesystem;

struct Runs : testing::Test {
  fs::path dir;
  std::string root;
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "gradc_runs_XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    dir = name, root = (dir / "runs/m").string();
  }
  void TearDown() override { fs::remove_all(dir); }
  static bool says(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  static void put(const fs::path& path) { std::ofstream(path) << "text"; }
  std::string latest() const { return fs::read_symlink(root + "/latest").string(); }
};

TEST_F(Runs, LinksOfKilledTrainingsAreCleared) {
  { const RunFolder run(root, "", false); }
  const std::string gone = root + "/latest.tmp-999999999",
                    going = root + "/latest.tmp-" + std::to_string(getppid());
  for (const std::string& link : {gone, going}) fs::create_symlink("1", link);
  put(root + "/latest.tmp-mine");
  { const RunFolder run(root, "", false); }
  EXPECT_FALSE(fs::is_symlink(gone));
  EXPECT_TRUE(fs::is_symlink(going));
  EXPECT_TRUE(fs::exists(root + "/latest.tmp-mine"));
  EXPECT_EQ(latest(), "2");
}

TEST_F(Runs, NumbersGoOnAndLatestFollows) {
  for (const char* n : {"1", "2", "3"}) {
    const RunFolder run(root, "", false);
    EXPECT_EQ(run.path(), root + "/" + n);
    run.write("run.json", "{}");
    EXPECT_EQ(latest(), n);
  }
  fs::remove_all(root + "/2");  // numbers stay in the order of time
  EXPECT_EQ(RunFolder(root, "", false).path(), root + "/4");
  EXPECT_EQ(RunFolder(root, "name", false).path(), root + "/name");
  EXPECT_EQ(latest(), "name");
  EXPECT_EQ(RunFolder(root, root + "/other/", false).path(), root + "/other");  // the same in full
  EXPECT_EQ(latest(), "other");
  const std::string own = (dir / "deep/own").string();
  EXPECT_EQ(RunFolder(root, own, false).path(), own);
  EXPECT_EQ(latest(), "other");
  for (const char* bad : {"latest", ".hidden", "..", "-q"})
    EXPECT_TRUE(says(refusal([&] { RunFolder(root, bad, false); }), "no name for a run")) << bad;
}

TEST_F(Runs, WhatIsThereIsNotOverwrittenUnasked) {
  RunFolder(root, "a", false).write("best.safetensors", "kept");
  EXPECT_TRUE(says(refusal([&] { RunFolder(root, "a", false); }), "is not empty"));
  EXPECT_EQ(read_file(root + "/a/best.safetensors"), "kept");
  EXPECT_EQ(RunFolder(root, "a", true).path(), root + "/a");
  EXPECT_EQ(read_file(root + "/a/best.safetensors"), "kept");  // until there is something better
  const std::string mine = (dir / "mine").string();
  fs::create_directory(mine);
  put(mine + "/thesis");
  EXPECT_TRUE(says(refusal([&] { RunFolder(root, mine, false); }), "is not empty"));
  EXPECT_EQ(names_in(mine), std::vector<std::string>{"thesis"});
  fs::create_directory(root + "/empty");
  EXPECT_EQ(RunFolder(root, "empty", false).path(), root + "/empty");
  // A folder called latest is not taken away.
  fs::remove(root + "/latest");
  fs::create_directory(root + "/latest");
  EXPECT_TRUE(says(refusal([&] { RunFolder(root, "", false); }), "is no link"));
  EXPECT_FALSE(fs::exists(root + "/1"));
}

TEST_F(Runs, OneTrainingAFolder) {
  auto run = std::make_unique<RunFolder>(root, "a", false);
  EXPECT_TRUE(says(refusal([&] { RunFolder(root, "a", true); }),
                   "process " + std::to_string(getpid()) + " trains into this folder"));
  RunRecord r;
  r.status = "running", r.started = "1";
  run->write("run.json", to_json(r));
  ASSERT_EQ(list_runs(root).size(), 1u);
  EXPECT_EQ(list_runs(root)[0].record.status, "running");
  run.reset();
  EXPECT_EQ(list_runs(root)[0].record.status, "killed");
  EXPECT_EQ(RunFolder(root, "a", true).path(), root + "/a");
}

TEST_F(Runs, LeftoversOfTheDeadAreCleared) {
  const RunFolder lives(root, "lives", false);
  RunFolder(root, "dead", false).write("best.safetensors", "text");
  const std::string left = "/best.safetensors.tmp-123-0", not_ours = "/notes.tmp-draft";
  for (const char* run : {"/lives", "/dead"}) put(root + run + left), put(root + run + not_ours);
  RunFolder(root, "", false);
  EXPECT_TRUE(is_file(root + "/lives" + left));
  EXPECT_FALSE(is_file(root + "/dead" + left));
  EXPECT_TRUE(is_file(root + "/dead/best.safetensors"));
  EXPECT_TRUE(is_file(root + "/dead" + not_ours));
  // Beside a single file: of this name only.
  put(dir / "w.tmp-1-0"), put(dir / "x.tmp-1-0");
  clear_leftovers(dir.string(), "w");
  EXPECT_FALSE(is_file((dir / "w.tmp-1-0").string()));
  EXPECT_TRUE(is_file((dir / "x.tmp-1-0").string()));
}

TEST_F(Runs, DestinationsAreTriedWithoutATrace) {
  check_writable((dir / "w").string());
  EXPECT_TRUE(fs::is_empty(dir));
  EXPECT_TRUE(says(refusal([&] { check_writable((dir / "none/w").string()); }), "cannot create"));
  EXPECT_NE(refusal([&] { check_writable("/proc/w"); }), "");
  put(dir / "runs");  // a file where the folder would be
  EXPECT_TRUE(says(refusal([&] { RunFolder(root, "", false); }), "cannot make the folder"));
}

TEST_F(Runs, RecordsAreReadBack) {
  RunRecord r;
  r.status = "finished", r.note = "a \"note\"\n", r.command = {"gradc", "train", "m.grad"}, r.seed = -3;
  r.steps = 7, r.planned_steps = 8, r.epochs = 2, r.metric = "val.loss", r.best = 0.1, r.best_step = 4;
  r.started = utc_now(), r.results = {{"val.loss", 0.1}, {"val.m", std::nan("")}};
  RunFolder(root, "", false).write("run.json", to_json(r));
  const RunRecord s = read_record(root + "/1/run.json");
  EXPECT_EQ(to_json(s), to_json(r));
  EXPECT_EQ(s.best, 0.1);
  EXPECT_TRUE(std::isnan(s.results.at(1).second));
  put(root + "/1/run.json");  // no record: the run is left out, not the list
  RunFolder(root, "", false).write("run.json", to_json(r));
  ASSERT_EQ(list_runs(root).size(), 1u);
  EXPECT_EQ(list_runs(root)[0].name, "2");
}

TEST_F(Runs, WeightsOfARun) {
  EXPECT_TRUE(says(refusal([&] { weights_in(root); }), "there is no such run"));
  const RunFolder run(root, "", false);
  EXPECT_TRUE(says(refusal([&] { weights_in(run.path()); }), "holds no weights yet"));
  run.write("last.safetensors", "");
  EXPECT_EQ(weights_in(run.path()), run.path() + "/last.safetensors");
  run.write("best.safetensors", "");
  EXPECT_EQ(weights_in(run.path()), run.path() + "/best.safetensors");
}

TEST(SavePace, FirstAfterAnEpochOrHalfAMinute) {
  const SavePace p(100);
  EXPECT_TRUE(p.last_due(100.001, true));
  EXPECT_FALSE(p.last_due(129, false));
  EXPECT_TRUE(p.last_due(130, false));
  EXPECT_TRUE(p.best_due(100.001, 100.001));
}

TEST(SavePace, ThenAHundredthOfTheTime) {
  SavePace p(0);
  p.saved(1, 1.02);  // 20 ms
  EXPECT_FALSE(p.last_due(3.9, true));
  EXPECT_FALSE(p.best_due(3.9, 3.9));
  EXPECT_TRUE(p.best_due(4.1, 4.1));  // 40 of 4,100 ms
  EXPECT_FALSE(p.last_due(4.1, true));
  EXPECT_TRUE(p.last_due(11.1, false));
  p.saved(11.1, 16.1);  // a slow disk: a new best waits ten seconds, the last weights until it pays
  EXPECT_FALSE(p.best_due(26, 17));
  EXPECT_TRUE(p.best_due(27, 17));
  EXPECT_FALSE(p.last_due(1000, true));
  EXPECT_TRUE(p.last_due(1003, true));
}

SafeTensors weights(int64_t n) {
  SafeTensors f;
  f.tensors["l.w"] = make_array(DType::F32, {n});
  for (int64_t i = 0; i < n; ++i) f.tensors["l.w"].set(i, std::sin(static_cast<double>(i)));
  f.tensors["none"] = make_array(DType::F64, {0});
  f.metadata = {{"gradc.step", "12"}, {"gradc.seed", "1"}};
  f.metadata[kChecksum] = checksum(f);
  return f;
}

bool same(const SafeTensors& a, const SafeTensors& b) {
  if (a.tensors.size() != b.tensors.size()) return false;
  for (const auto& [name, x] : a.tensors) {
    const auto it = b.tensors.find(name);
    if (it == b.tensors.end() || it->second.dtype != x.dtype || it->second.shape != x.shape ||
        it->second.bytes != x.bytes)
      return false;
  }
  return true;
}

// 64 kB: every truncation is refused; every byte that changes is refused, or the weights are the same. One
// bit of each byte, or with GRADC_FLIPS=8 one after the other all.
TEST_F(Runs, DamageIsFound) {
  const SafeTensors good = weights(16320);
  const std::string path = (dir / "w").string();
  write_safetensors(path, good);
  const std::string text = read_file(path);
  ASSERT_GT(text.size(), 65000u);
  for (size_t n = 0; n < text.size(); ++n)
    ASSERT_THROW(parse_safetensors("w", std::string_view(text).substr(0, n)), Error) << n;
  std::string damaged = text;
  const char* given = std::getenv("GRADC_FLIPS");
  const auto bits = static_cast<size_t>(given != nullptr ? std::clamp(std::atoi(given), 1, 8) : 1);
  size_t harmless = 0;
  for (size_t i = 0; i < text.size() * bits; ++i) {
    const size_t byte = i / bits;
    damaged[byte] = static_cast<char>(damaged[byte] ^ (1 << (byte + i % bits) % 8));
    try {
      ASSERT_TRUE(same(parse_safetensors("w", damaged), good)) << byte;
      ++harmless;
    } catch (const Error&) {
    }
    damaged[byte] = text[byte];
  }
  EXPECT_LT(harmless, 40 * bits);  // the checksum's own name, spaces behind the header
  RecordProperty("truncations", static_cast<int>(text.size()));
  RecordProperty("harmless", static_cast<int>(harmless));
}

TEST_F(Runs, MomentsThatCannotBeAreRefused) {
  SafeTensors f;
  f.metadata = {{"gradc.step", "9007199254740992"}, {"gradc.epochs", "3"}, {"gradc.sums", "0x1p-1 nan"}};
  const Kept k = moment_of(f, "w");
  EXPECT_EQ(k.step, int64_t(1) << 53);
  EXPECT_EQ(k.standing.sums.size(), 2u);
  for (const char* key : {"gradc.step", "gradc.epochs", "gradc.best_step", "gradc.wait"})
    for (const char* bad : {"-1", "9007199254740993", "99999999999999999999", "1.5", "", "nan"}) {
      SafeTensors other = f;
      other.metadata[key] = bad;
      EXPECT_TRUE(says(refusal([&] { moment_of(other, "w"); }), std::string(key) + " is no number"))
          << key << " " << bad;
    }
  f.metadata["gradc.sums"] = "1 x";
  EXPECT_TRUE(says(refusal([&] { moment_of(f, "w"); }), "is no list of numbers"));
}

TEST_F(Runs, NanIsNamed) {
  SafeTensors f = weights(5);
  EXPECT_EQ(nan_text(f), "");
  f.tensors["l.w"].set(2, std::numeric_limits<double>::infinity());
  EXPECT_EQ(nan_text(f), "");
  f.tensors["l.w"].set(3, std::nan(""));
  EXPECT_EQ(nan_text(f), "'l.w' holds NaN in 1 of 5 numbers");
  f.tensors["z"] = f.tensors["l.w"];
  EXPECT_EQ(nan_text(f), "'l.w' holds NaN in 1 of 5 numbers; 1 more with NaN");
}

}  // namespace
}  // namespace gradc::runtime
