#include "runtime/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "runtime/bad_step.h"
#include "runtime/checkpoint_writer.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/progress.h"
#include "runtime/progress_line.h"

namespace gradc::runtime {
namespace {

// The metric whose value says how good weights are.
Aim deciding(const Runner& r, const TrainOptions& o) {
  return o.keep ? o.keep->on : Aim{"val", r.program().metrics.at(0), false};
}

int64_t planned_steps(const Splits& data, const TrainOptions& o) {
  return o.steps > 0 ? o.steps : count_batches(data.train, o.batch) * o.epochs;
}

std::string text_of(const Buckets& b) {
  std::string text;
  for (int64_t extent : b.extents) text += (text.empty() ? "" : " ") + std::to_string(extent);
  return b.extents.size() > 1 ? text : "none";
}

Checkpoints files_of(const Runner& r, const Splits& data, const TrainOptions& o) {
  return {r,
          o.run_dir,
          {std::max<int64_t>(1, count_batches(data.train, o.batch)), o.batch, o.seed,
           static_cast<int64_t>(data.train.rows.size()), planned_steps(data, o),
           data.val || o.keep ? deciding(r, o).name() : "", o.run, o.metadata,
           o.numbered ? o.numbered->last : 0, text_of(data.train.buckets)}};
}

class Trainer {
 public:
  Trainer(Runner& r, const Splits& data, const TrainOptions& o, std::FILE* out)
      : r_(r),
        data_(data),
        o_(o),
        per_epoch_(count_batches(data.train, o.batch)),
        total_(planned_steps(data, o)),
        line_(out, o.quiet, per_epoch_, total_),
        order_(data_.train, o.batch, o.seed),
        files_(files_of(r, data, o)) {}

  TrainResult run() {
    if (per_epoch_ == 0) throw Error(Failure::Data, "the split train has no rows");
    if (data_.val && data_.val.rows.empty()) throw Error(Failure::Data, "the split val has no rows");
    if (data_.test && data_.test.rows.empty()) throw Error(Failure::Data, "the split test has no rows");
    for (const Split* s : {&data_.val, &data_.test})
      if (*s) r_.require_rows(*s);
    if (files_.has_folder()) make_folders(o_.run_dir);
    r_.init(o_.seed);
    if (o_.resume)
      resume(*o_.resume);
    else
      r_.fit(data_.train, o_.batch);
    if (o_.weights) o_.weights(r_);
    if (o_.numbered) files_.find_numbered(result_.step);
    if (plateaus_.empty())
      for (const Plateau& p : o_.plateaus) plateaus_.push_back({r_.program().hyper.at(p.rate), {}, 0, 0});
    first_step_ = result_.step;
    if (o_.started) o_.started(result_);
    weights_finite_ = r_.not_finite() == nullptr;
    started_ = numbered_at_ = now();
    line_.begin(first_step_);
    train_all();
    finish();
    result_.seconds = now() - started_;
    return std::move(result_);
  }

 private:
  bool stopped() const { return result_.interrupted || result_.limited; }
  // Between two steps: whether a signal or a limit ends the training here.
  bool ended() {
    result_.interrupted = o_.signal != nullptr && o_.signal->load() != 0;
    result_.limited =
        !result_.interrupted && ((o_.max_steps > 0 && result_.step - first_step_ >= o_.max_steps) ||
                                 (o_.max_seconds > 0 && now() - started_ >= o_.max_seconds));
    return stopped();
  }

  void resume(const TrainOptions::Start& from) {
    check_start(r_, data_, o_);
    const Kept k = moment_of(from.state, from.file);
    const Standing& s = k.standing;
    result_.step = k.step;
    // A training that ended within an epoch counted it, and may have got more steps since.
    result_.epochs = std::min(k.epoch, k.step / per_epoch_ + (k.step >= total_ ? 1 : 0));
    value_now_ = k.value, result_.best = s.best, result_.best_step = s.best_step;
    stop_best_ = s.stop_best, waited_ = s.waited;
    epoch_sums_ = s.sums;
    if (s.plateaus.size() == o_.plateaus.size())
      plateaus_ = s.plateaus;
    else
      result_.warnings.push_back(from.file +
                                 " does not say how far its learning rates have come down: "
                                 "plateau begins anew");
    const int64_t done = std::max<int64_t>(0, k.step - result_.epochs * per_epoch_);
    if (done > per_epoch_)
      throw Error(Failure::Data, from.file + ": its steps and epochs do not fit the data");
    const bool same = same_metrics(s);
    if (done > 0) r_.continue_split(same ? s.shifts : std::vector<double>());
    if (!same) {
      epoch_sums_.clear();
      if (done > 0)
        result_.warnings.push_back("the metrics are others than in " + from.file +
                                   "; those of the epoch under way are of its rest alone");
    }
    if (done == 0 && result_.epochs > 0 && !epoch_sums_.empty()) result_.train = train_values();
    if (const auto it = from.state.metadata.find("gradc.total");
        it != from.state.metadata.end() && it->second != std::to_string(total_))
      result_.warnings.push_back("of " + it->second + " steps planned when it began there are now " +
                                 std::to_string(total_) + ": schedules that depend on them change");
    if (o_.keep && s.best) resume_best(from);
  }

  // Whether the sums and shifts can be those of this program; none at all always can.
  bool same_metrics(const Standing& s) const {
    auto fits = [&](const char* entry, const char* input, const std::vector<double>& values) {
      const Tensor* t = r_.program().entry(entry)->input(input);
      return values.empty() || (t != nullptr && t->shape[0].scale == static_cast<int64_t>(values.size()));
    };
    return fits("finish", "sums", s.sums) && fits("train_step", "shifts", s.shifts);
  }

  void resume_best(const TrainOptions::Start& from) {
    if (!from.best) {
      result_.warnings.push_back(from.file + ": the best weights, of step " +
                                 std::to_string(result_.best_step) +
                                 ", are not beside it; the choice begins anew");
      result_.best.reset(), result_.best_step = 0;
      return;
    }
    const std::vector<std::byte> here_now = r_.snapshot();
    r_.load(*from.best, from.best_file, Runner::Wanted::All);
    Kept best = moment_of(*from.best, from.best_file);
    r_.snapshot_into(best.state);
    best_ = std::make_shared<const Kept>(std::move(best));
    r_.restore(here_now);
    best_saved_ = from.best_file == files_.path("best");
    best_found_ = now();
  }

  void epoch() {
    const int64_t number = result_.epochs;
    int64_t done = result_.step - number * per_epoch_;
    if (done == 0) {
      epoch_sums_.clear();
      r_.begin_split();
    }
    epoch_started_ = now();
    epoch_from_ = done;
    within_seconds_ = 0;
    remember();
    for (; done < per_epoch_ && result_.step < total_; ++done) {
      if (ended()) return;
      step(order_.of_step(result_.step));
      if (line_.is_due()) show_running(done + 1);
      if (stop_now()) return;
    }
    ++result_.epochs;
    result_.train = train_values();
    validate(result_.train, result_.epochs);
    save_when_due(true);
  }

  // After some step of an epoch, where it is no end of one.
  void validate_within() {
    if (o_.validate_every == 0 || !data_.val || result_.step % o_.validate_every != 0 || epoch_ends()) return;
    const double from = now();
    validate(train_values(), result_.epochs + 1, true);
    within_seconds_ += now() - from;
  }
  bool epoch_ends() const {
    return result_.step >= total_ || result_.step >= (result_.epochs + 1) * per_epoch_;
  }

  // The weights at hand, good once a step from them has had a finite loss.
  void remember() {
    const Stopwatch beside(result_.beside_seconds);
    candidate_ = here(std::move(candidate_.state));
    candidate_new_ = true, rate_changed_ = false;
    remembered_ = now();
  }

  // `rate`: whose being smaller may help.
  [[noreturn]] void diverge(const std::string& what, const std::string& rate = "lr") {
    std::string kept;
    try {
      settle(writer_.wait());
      const Snapshot good = good_ ? std::make_shared<const Kept>(good_) : nullptr;
      if (best_)
        put(CheckpointWriter::File::Best, best_);
      else if (good && (!files_.has_best() || (!o_.keep && good->epoch > 0)))
        put(CheckpointWriter::File::Best, good);
      if (good) put(CheckpointWriter::File::Last, good);
      must(writer_.wait());
      if (good && files_.has_folder())
        kept = "; " + files_.path("last") + " has the weights after step " + std::to_string(good->step) +
               " of epoch " + std::to_string(good->epoch);
      report();
    } catch (const Error& e) {
      kept = std::string("; and the last good weights could not be written: ") + e.what();
    }
    throw Error(Failure::Diverged,
                what + "; try a smaller rate: --set train." + rate + "=..." + kept + bad_step());
  }

  // The weights kept last may hold what is wrong already; those before them led to a finite loss.
  std::string bad_step() {
    if (!o_.bad_step) return "";
    bool sound = false;
    if (candidate_new_) {
      r_.restore(candidate_.state);
      sound = !weights_finite_ || r_.not_finite() == nullptr;
    }
    const Kept& from = candidate_new_ && (sound || !good_) ? candidate_ : good_;
    try {
      const auto found =
          find_bad_step(r_, data_.train, from, {0, total_, o_.seed, 0, rates(from.standing.plateaus)},
                        o_.batch, result_.step + 1);
      return found ? o_.bad_step(*found) : "";
    } catch (const Error& e) {
      return std::string("; and the step could not be kept: ") + e.what();
    }
  }

  void tell_threads() {
    const ThreadChoice* c = r_.thread_choice("train_step");
    if (c == nullptr || r_.threads() == 1 || !c->tried()) return;
    threads_told_ = true;
    std::string text = "threads " + std::to_string(c->chosen()) + ":";
    for (int n = r_.threads(); n > 0; n /= 2)
      if (c->seconds(n) > 0)
        text += (n == r_.threads() ? " a step takes " : ", ") + number("%.3f", c->seconds(n) * 1e3) +
                " ms with " + std::to_string(n);
    line_.tell(text);
  }

  // Steps are left, or a resumed epoch is not counted yet; and nothing stops the training early.
  bool unfinished() const {
    if (result_.step >= total_) return result_.step > result_.epochs * per_epoch_;
    return !stop_now();
  }

  // An index outside its range ends the training; the state is that of the step before, and is kept.
  void train_all() {
    try {
      while (unfinished() && !stopped()) epoch();
    } catch (const Error& e) {
      if (e.kind != Failure::Data || result_.step == 0 || !files_.has_folder()) throw;
      settle(writer_.wait());
      put_all();
      must(writer_.wait());
      throw Error(e.kind, std::string(e.what()) + "; " + files_.path("last") +
                              " has the weights after step " + std::to_string(last_step_));
    }
  }

  void step(const Batch& batch) {
    if (rate_changed_ || now() - remembered_ > kRememberSeconds) remember();
    run_step(r_, {result_.step, total_, o_.seed, order_.epoch_of(result_.step), rates(plateaus_)},
             data_.train, batch);
    if (!o_.quiet && !threads_told_) tell_threads();
    Array losses = r_.output("loss");
    if (const auto bad = bad_loss(losses)) {
      const std::string& name = r_.program().metrics.at(static_cast<size_t>(*bad));
      diverge(name + " became " + (std::isnan(losses.at(*bad)) ? "NaN" : "infinite") + " at step " +
                  std::to_string(result_.step) +
                  (result_.step > first_step_
                       ? "; it was " + number("%.4g", last_losses_.at(*bad)) + " a step before"
                       : ""),
              name.substr(0, name.size() - std::strlen("loss")) + "lr");
    }
    if (std::exchange(candidate_new_, false)) std::swap(good_, candidate_);
    last_losses_ = std::move(losses);
    const Array sums = r_.output("sums");
    epoch_sums_.resize(static_cast<size_t>(sums.count()));
    for (size_t i = 0; i < epoch_sums_.size(); ++i) epoch_sums_[i] += sums.at(static_cast<int64_t>(i));
    ++result_.step;
    value_now_.reset();
    validate_within();
    save_when_due(false);
  }

  std::vector<double> train_values() {
    r_.begin("finish");
    r_.set("sums", epoch_sums_);
    r_.call();
    const Array v = r_.output("values");
    std::vector<double> out;
    for (int64_t i = 0; i < v.count(); ++i) out.push_back(v.at(i));
    return out;
  }

  // Nothing where it is not measured now: train is while its epoch has not ended, val without such a split.
  std::optional<double> value(const Aim& on, const Report& now) const {
    const std::vector<double>& values = on.split == "train" ? now.train : result_.val;
    if (on.split == "train" ? now.within : !data_.val) return std::nullopt;
    const auto& names = r_.program().metrics;
    return values[static_cast<size_t>(std::find(names.begin(), names.end(), on.metric) - names.begin())];
  }
  // NaN is never better, not even than nothing.
  static bool better(const Rule& rule, double value, std::optional<double> best) {
    if (std::isnan(value)) return false;
    return !best || (rule.on.maximize ? value > *best + rule.delta : value < *best - rule.delta);
  }

  // The weights at hand; `within` an epoch, which goes on behind it.
  void validate(const std::vector<double>& train, int64_t epoch, bool within = false) {
    if (const StateTensor* s = weights_finite_ ? r_.not_finite() : nullptr)
      diverge("'" + s->tensor.name + "' is no longer finite after step " + std::to_string(result_.step - 1));
    const double from = now();
    const int64_t done = result_.step - (epoch - 1) * per_epoch_;
    Report report{
        result_, train, epoch, within, from - epoch_started_ - within_seconds_, 0, done - epoch_from_, 0};
    if (data_.val) {
      report.val_steps = count_batches(data_.val, o_.batch);
      result_.val = r_.evaluate(data_.val, o_.batch);
      report.val_seconds = now() - from;
    }
    judge(report);
    const Stopwatch beside(result_.beside_seconds);
    if (o_.measured) o_.measured(report);
    show(report, done);
  }
  // What the rules make of it.
  void judge(Report& report) {
    value_now_ = value(deciding(r_, o_), report);
    count_wait(report);  // before the best weights are taken, which say it
    lower_rates(report);
    if (!value_now_) return;
    if (o_.keep)
      report.best = choose();
    else
      result_.best = value_now_, result_.best_step = result_.step;
  }
  void count_wait(const Report& report) {
    const std::optional<double> v = o_.stop ? value(o_.stop->on, report) : std::nullopt;
    if (!v) return;
    if (better(*o_.stop, *v, stop_best_))
      stop_best_ = v, waited_ = 0;
    else
      ++waited_;
  }
  void lower_rates(const Report& report) {
    for (size_t i = 0; i < plateaus_.size(); ++i) {
      const std::optional<double> v = value(o_.plateaus[i].on, report);
      if (!v) continue;
      const double before = plateaus_[i].rate;
      plateaus_[i] = after(o_.plateaus[i], plateaus_[i], *v);
      if (plateaus_[i].rate == before) continue;
      rate_changed_ = true;  // weights are kept anew, so that steps from them have one rate
      if (!o_.quiet)
        line_.tell(o_.plateaus[i].rate + " " + number("%.4g", plateaus_[i].rate) + " after step " +
                   std::to_string(result_.step) + ": " + o_.plateaus[i].on.name() + " did not become better");
    }
  }
  std::map<std::string, double> rates(const std::vector<PlateauState>& states) const {
    std::map<std::string, double> by_name;
    for (size_t i = 0; i < states.size(); ++i) by_name[o_.plateaus[i].rate] = states[i].rate;
    return by_name;
  }
  bool stop_now() const { return o_.stop && waited_ >= o_.stop->patience; }

  bool choose() {
    if (!better(*o_.keep, *value_now_, result_.best)) return false;
    result_.best = value_now_, result_.best_step = result_.step;
    best_val_ = result_.val;
    best_ = snapshot();
    if (std::exchange(best_saved_, false)) best_found_ = now();
    return true;
  }

  Snapshot snapshot() const { return std::make_shared<const Kept>(here()); }

  Kept here(std::vector<std::byte> room = {}) const {
    const bool within = result_.step > result_.epochs * per_epoch_;  // an epoch, whose metrics go on
    Kept k{std::move(room),
           result_.step,
           result_.epochs,
           value_now_,
           {epoch_sums_, within ? r_.shifts() : std::vector<double>(), plateaus_, result_.best, stop_best_,
            result_.best_step, waited_}};
    r_.snapshot_into(k.state);
    return k;
  }

  // Called by the writer's thread.
  void write(CheckpointWriter::File file, const Kept& k) {
    switch (file) {
      case CheckpointWriter::File::Best:
        return files_.best(k);
      case CheckpointWriter::File::Last:
        return files_.last(k);
      case CheckpointWriter::File::Numbered:
        return files_.numbered(k);
    }
  }
  void put(CheckpointWriter::File file, Snapshot k, CheckpointWriter::Then then = {}) {
    if (files_.has_folder()) writer_.put(file, std::move(k), std::move(then));
  }
  // Weights that are no longer finite are not kept: those of a while ago are.
  void put_last(CheckpointWriter::Then then = {}) {
    const StateTensor* broken = weights_finite_ ? r_.not_finite() : nullptr;
    last_step_ = broken == nullptr ? result_.step : good_.step;
    if (broken != nullptr)
      result_.warnings.push_back(
          "'" + broken->tensor.name + "' is not finite after step " + std::to_string(result_.step - 1) +
          (good_ && files_.has_folder()
               ? "; " + files_.path("last") + " has the weights after step " + std::to_string(good_.step)
               : ""));
    if (!files_.has_folder()) return;
    if (broken == nullptr)
      put(CheckpointWriter::File::Last, snapshot(), std::move(then));
    else if (good_)
      put(CheckpointWriter::File::Last, std::make_shared<const Kept>(good_), std::move(then));
  }
  void put_best(CheckpointWriter::Then then = {}) {
    if (best_ && !best_saved_) put(CheckpointWriter::File::Best, best_, std::move(then)), best_saved_ = true;
  }
  // The best first: a last.safetensors that names a best step finds its weights on disk.
  void put_all() {
    put_best();
    put_last(reporter());
  }
  void report() {
    if (o_.saved) o_.saved(result_);
  }
  // Tells what is so now once its files are written.
  CheckpointWriter::Then reporter() const {
    return [this, result = result_] {
      if (o_.saved) o_.saved(result);
    };
  }

  // Files that were written, or not: the disk may be full for a while, the training goes on, and its end says
  // whether it is still so.
  void settle(const CheckpointWriter::Outcomes& outcomes) {
    if (outcomes.empty()) return;
    for (const CheckpointWriter::Outcome& o : outcomes) {
      result_.writing_seconds += o.to - o.from;
      if (o.error == nullptr) continue;
      if (o.file == CheckpointWriter::File::Best) best_saved_ = false, best_found_ = now();
      if (std::exchange(write_failed_, true)) continue;
      try {
        std::rethrow_exception(o.error);
      } catch (const Error& e) {
        result_.warnings.push_back(std::string("a checkpoint could not be written: ") + e.what());
      }
    }
    pace_.saved(outcomes.front().from, outcomes.back().to);
  }
  // At the end what is not written is an error.
  void must(const CheckpointWriter::Outcomes& outcomes) {
    for (const CheckpointWriter::Outcome& o : outcomes) {
      result_.writing_seconds += o.to - o.from;
      if (o.error != nullptr) std::rethrow_exception(o.error);
    }
  }

  void save_when_due(bool epoch_ended) {
    if (!files_.has_folder()) return;
    const Stopwatch beside(result_.beside_seconds);
    if (numbered_due(epoch_ended)) {
      numbered_at_ = now();
      put(CheckpointWriter::File::Numbered, snapshot());
    }
    if (writer_.busy()) return;
    settle(writer_.take());
    const double time = now();
    const bool last = pace_.last_due(time, epoch_ended);
    if (last)
      put_all();
    else if (best_ && !best_saved_ && pace_.best_due(time, best_found_))
      put_best(reporter());
  }

  // Where an epoch ends its numbered weights are those after its validation.
  bool numbered_due(bool epoch_ended) const {
    if (!o_.numbered || (!epoch_ended && epoch_ends())) return false;
    return (o_.numbered->steps > 0 && result_.step % o_.numbered->steps == 0) ||
           (o_.numbered->seconds > 0 && now() - numbered_at_ >= o_.numbered->seconds);
  }

  void finish() {
    settle(writer_.wait());
    put_best();
    put_last();
    must(writer_.wait());
    if (o_.keep && !best_ && result_.epochs > 0)
      result_.warnings.push_back(o_.keep->on.name() +
                                 " was NaN after every epoch; the last weights are kept");
    const bool sound = !weights_finite_ || r_.not_finite() == nullptr;
    const Snapshot chosen = best_             ? best_
                            : sound || !good_ ? snapshot()
                                              : std::make_shared<const Kept>(std::move(good_));
    const bool measured = result_.epochs > 0 || stop_now();
    const bool validate_again =
        o_.resume && data_.val && measured && !stopped() && (o_.keep ? best_val_ : result_.val).empty();
    if (best_val_.empty() && (!files_.has_best() || (!o_.keep && measured)))
      put(CheckpointWriter::File::Best, chosen);
    must(writer_.wait());
    r_.restore(chosen->state);
    if (!best_val_.empty()) result_.val = best_val_;
    if (validate_again) result_.val = r_.evaluate(data_.val, o_.batch);
    if (!o_.save.empty() && (result_.epochs > 0 || !stopped()))
      files_.write(o_.save, *chosen), result_.saved_chosen = true;
    if (data_.test && !stopped()) result_.test = r_.evaluate(data_.test, o_.batch);
    if (!files_.nan_found().empty()) result_.warnings.push_back(files_.nan_found());
  }

  void show_running(int64_t done) {
    const Stopwatch beside(result_.beside_seconds);
    std::string losses;
    for (int64_t i = 0; i < last_losses_.count(); ++i)
      losses += (i > 0 ? "  " : "") + r_.program().metrics.at(static_cast<size_t>(i)) + " " +
                number("%.4f", last_losses_.at(i));
    const double seconds = now() - epoch_started_ - within_seconds_;
    line_.show(line_.place(result_.epochs + 1, done, seconds, done - epoch_from_) + losses, result_.step, "");
  }
  void show(const Report& r, int64_t done) {
    if (o_.quiet) return;
    std::string line = line_.place(r.epoch, done, r.train_seconds, r.train_steps) +
                       metrics_text(r_.program(), r.train, true);
    if (data_.val)
      line += "  | val  " + metrics_text(r_.program(), result_.val) + "  " +
              step_text(r.val_seconds, r.val_steps);
    line_.show(line + (r.best ? "  *" : ""), result_.step, "\n");
  }

  Runner& r_;
  const Splits& data_;
  const TrainOptions& o_;
  TrainResult result_;
  int64_t per_epoch_ = 0, total_ = 0;
  ProgressLine line_;
  TrainBatches order_;
  std::vector<double> epoch_sums_;
  Array last_losses_;
  static constexpr double kRememberSeconds = 10;
  double started_ = 0, epoch_started_ = 0, remembered_ = 0;
  double within_seconds_ = 0;  // that validations took of the epoch under way
  double numbered_at_ = 0;
  bool rate_changed_ = false;  // since weights were remembered
  bool candidate_new_ = false, threads_told_ = false, weights_finite_ = true;
  std::optional<double> value_now_, stop_best_;  // value_now_: of the weights at hand
  std::vector<double> best_val_;
  std::vector<PlateauState> plateaus_;
  int waited_ = 0;
  Snapshot best_;
  Kept good_, candidate_;
  Checkpoints files_;
  SavePace pace_{now()};
  double best_found_ = 0;  // when the oldest improvement that is not on disk was found
  bool best_saved_ = true, write_failed_ = false;
  int64_t last_step_ = 0;                    // of the weights in last.safetensors
  int64_t first_step_ = 0, epoch_from_ = 0;  // where this call began, and within the epoch
  // The last member: it ends before what it writes.
  CheckpointWriter writer_{[this](CheckpointWriter::File file, const Kept& k) { write(file, k); }};
};

}  // namespace

void check_start(Runner& runner, const Splits& data, const TrainOptions& o) {
  runner.load(o.resume->state, o.resume->file, Runner::Wanted::All);
  files_of(runner, data, o).check(o.resume->state, o.resume->file);
  moment_of(o.resume->state, o.resume->file);
}

void require_memory_to_train(const Runner& runner) {
  constexpr int64_t kCopies = 4;
  const int64_t state = runner.program().state_bytes;
  require_memory(runner.arena_bytes() + (1 + kCopies) * state,
                 "weights (" + size_text(state) + "), " + std::to_string(kCopies) +
                     " copies of them to go back to and to save, and arena (" +
                     size_text(runner.arena_bytes()) + ") need");
}

TrainResult train(Runner& runner, const Splits& data, const TrainOptions& o, std::FILE* progress) {
  return Trainer(runner, data, o, progress).run();
}

}  // namespace gradc::runtime
