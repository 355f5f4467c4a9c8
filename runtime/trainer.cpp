#include "runtime/trainer.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "runtime/bad_step.h"
#include "runtime/checkpoint.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/progress.h"
#include "runtime/shuffle.h"

namespace gradc::runtime {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The metric whose value says how good weights are.
std::string deciding_metric(const TrainOptions& o, const Splits& data) {
  return data.val ? "val." + (o.keep ? o.keep->metric : "loss") : "";
}

int64_t steps_per_epoch(const Splits& data, const TrainOptions& o) {
  return (static_cast<int64_t>(data.train.rows.size()) + o.batch - 1) / o.batch;
}
int64_t planned_steps(const Splits& data, const TrainOptions& o) {
  return o.steps > 0 ? o.steps : steps_per_epoch(data, o) * o.epochs;
}

Checkpoints files_of(const Runner& r, const Splits& data, const TrainOptions& o) {
  return {r,
          o.run_dir,
          {std::max<int64_t>(1, steps_per_epoch(data, o)), o.batch, o.seed,
           static_cast<int64_t>(data.train.rows.size()), planned_steps(data, o), deciding_metric(o, data),
           o.run, o.metadata}};
}

class Trainer {
 public:
  Trainer(Runner& r, const Splits& data, const TrainOptions& o, std::FILE* out)
      : r_(r),
        data_(data),
        o_(o),
        out_(out),
        live_(!o.quiet && isatty(fileno(out)) != 0),
        per_epoch_(steps_per_epoch(data, o)),
        total_(planned_steps(data, o)),
        files_(files_of(r, data, o)) {}

  TrainResult run() {
    if (per_epoch_ == 0) throw Error(Failure::Data, "the split train has no rows");
    if (data_.val && data_.val.rows.empty()) throw Error(Failure::Data, "the split val has no rows");
    if (data_.test && data_.test.rows.empty()) throw Error(Failure::Data, "the split test has no rows");
    if (files_.has_folder()) make_folders(o_.run_dir);
    r_.init(o_.seed);
    if (o_.resume)
      resume(*o_.resume);
    else
      r_.fit(data_.train, o_.batch);
    if (o_.weights) o_.weights(r_);
    first_step_ = result_.step;
    if (o_.started) o_.started(result_);
    weights_finite_ = r_.not_finite() == nullptr;
    started_ = now();
    train_all();
    finish();
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
    result_.epochs = k.step >= total_ ? k.epoch : std::min(k.epoch, k.step / per_epoch_);
    value_now_ = k.value, result_.best = s.best, result_.best_step = s.best_step;
    stop_best_ = s.stop_best, waited_ = s.waited;
    epoch_sums_ = s.sums;
    const int64_t done = std::max<int64_t>(0, k.step - result_.epochs * per_epoch_);
    if (done > per_epoch_)
      throw Error(Failure::Data, from.file + ": its steps and epochs do not fit the data");
    if (!same_metrics(s)) {
      epoch_sums_.clear();
      if (done > 0)
        result_.warnings.push_back("the metrics are others than in " + from.file +
                                   "; those of the epoch under way are of its rest alone");
    } else if (done > 0) {
      r_.set_shifts(s.shifts);
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
    best_ = moment_of(*from.best, from.best_file);
    r_.snapshot_into(best_.state);
    r_.restore(here_now);
    best_saved_ = from.best_file == files_.path("best");
    best_found_ = now();
  }

  void epoch() {
    const int64_t number = result_.epochs;
    const std::vector<int64_t> order =
        permutation(static_cast<uint64_t>(o_.seed), static_cast<uint64_t>(number),
                    static_cast<int64_t>(data_.train.rows.size()));
    std::vector<int64_t> rows(order.size());
    for (size_t i = 0; i < order.size(); ++i) rows[i] = data_.train.rows[static_cast<size_t>(order[i])];
    int64_t done = result_.step - number * per_epoch_;
    if (done == 0) {
      epoch_sums_.clear();
      r_.begin_split();
    }
    epoch_started_ = now();
    epoch_from_ = done;
    remember();
    for (; done < per_epoch_ && result_.step < total_; ++done) {
      if (ended()) return;
      const size_t from = static_cast<size_t>(done * o_.batch);
      step(
          std::span(rows).subspan(from, std::min<size_t>(static_cast<size_t>(o_.batch), rows.size() - from)));
      if (live_ && now() - shown_ > 0.1) show(done + 1, false);
    }
    train_seconds_ = now() - epoch_started_;
    steps_here_ = done - epoch_from_;
    ++result_.epochs;
    result_.train = train_values();
    if (const StateTensor* s = weights_finite_ ? r_.not_finite() : nullptr)
      diverge("'" + s->tensor.name + "' is no longer finite after step " + std::to_string(result_.step - 1));
    validate();
    show(done, true);
  }

  // The weights at hand, good once a step from them has had a finite loss.
  void remember() {
    candidate_ = here(std::move(candidate_.state));
    candidate_new_ = true;
    remembered_ = now();
  }

  [[noreturn]] void diverge(const std::string& what) {
    std::string kept;
    try {
      if (best_)
        files_.best(best_);
      else if (good_ && (!files_.has_best() || (!o_.keep && good_.epoch > 0)))
        files_.best(good_);
      if (good_) files_.last(good_);
      if (good_ && files_.has_folder())
        kept = "; " + files_.path("last") + " has the weights after step " + std::to_string(good_.step) +
               " of epoch " + std::to_string(good_.epoch);
      report();
    } catch (const Error& e) {
      kept = std::string("; and the last good weights could not be written: ") + e.what();
    }
    throw Error(Failure::Diverged, what + "; try a smaller rate: --set train.lr=..." + kept + bad_step());
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
          find_bad_step(r_, data_.train, from, {0, total_, o_.seed}, o_.batch, result_.step + 1);
      return found ? o_.bad_step(*found) : "";
    } catch (const Error& e) {
      return std::string("; and the step could not be kept: ") + e.what();
    }
  }

  void tell_threads() {
    const ThreadChoice* c = r_.thread_choice("train_step");
    if (c == nullptr || r_.threads() == 1 || !c->tried()) return;
    threads_told_ = true;
    std::fprintf(out_, "%sthreads %d:", live_ ? "\r\033[K" : "", c->chosen());
    for (int n = r_.threads(); n > 0; n /= 2)
      if (c->seconds(n) > 0)
        std::fprintf(out_, "%s %.3f ms with %d", n == r_.threads() ? " a step takes" : ",",
                     c->seconds(n) * 1e3, n);
    std::fprintf(out_, "\n");
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
      save_all();
      throw Error(e.kind, std::string(e.what()) + "; " + files_.path("last") +
                              " has the weights after step " + std::to_string(last_step_));
    }
  }

  void step(std::span<const int64_t> rows) {
    if (now() - remembered_ > kRememberSeconds) remember();
    run_step(r_, {result_.step, total_, o_.seed}, data_.train, rows);
    if (!o_.quiet && !threads_told_) tell_threads();
    const double loss = r_.output("loss").at(0);
    if (!std::isfinite(loss))
      diverge("loss became " + std::string(std::isnan(loss) ? "NaN" : "infinite") + " at step " +
              std::to_string(result_.step) +
              (result_.step > 0 ? "; it was " + number("%.4g", last_loss_) + " a step before" : ""));
    if (std::exchange(candidate_new_, false)) std::swap(good_, candidate_);
    last_loss_ = loss;
    const Array sums = r_.output("sums");
    epoch_sums_.resize(static_cast<size_t>(sums.count()));
    for (size_t i = 0; i < epoch_sums_.size(); ++i) epoch_sums_[i] += sums.at(static_cast<int64_t>(i));
    ++result_.step;
    value_now_.reset();
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

  double metric(const std::vector<double>& values, const std::string& name) const {
    const auto& names = r_.program().metrics;
    return values[static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin())];
  }
  // NaN is never better, not even than nothing.
  static bool better(const Rule& rule, double value, std::optional<double> best) {
    if (std::isnan(value)) return false;
    return !best || (rule.maximize ? value > *best + rule.delta : value < *best - rule.delta);
  }

  void validate() {
    improved_ = false;
    val_seconds_ = 0;
    if (data_.val) {
      const double from = now();
      result_.val = r_.evaluate(data_.val, o_.batch);
      val_seconds_ = now() - from;
      value_now_ = metric(result_.val, o_.keep ? o_.keep->metric : "loss");
      count_wait();  // before the best weights are taken, which say it
      if (o_.keep)
        choose();
      else
        result_.best = value_now_, result_.best_step = result_.step;
    }
    if (o_.epoch_done) o_.epoch_done(report_of_epoch());
    save_when_due(true);
  }
  EpochReport report_of_epoch() const {
    const int64_t rows = data_.val ? static_cast<int64_t>(data_.val.rows.size()) : 0;
    return {result_, train_seconds_, val_seconds_, steps_here_, (rows + o_.batch - 1) / o_.batch, improved_};
  }
  void count_wait() {
    if (!o_.stop) return;
    const double v = metric(result_.val, o_.stop->metric);
    if (better(*o_.stop, v, stop_best_))
      stop_best_ = v, waited_ = 0;
    else
      ++waited_;
  }
  bool stop_now() const { return o_.stop && result_.epochs > 0 && waited_ >= o_.stop->patience; }

  void choose() {
    if (!better(*o_.keep, *value_now_, result_.best)) return;
    improved_ = true;
    result_.best = value_now_, result_.best_step = result_.step;
    best_val_ = result_.val;
    best_ = here(std::move(best_.state));
    if (std::exchange(best_saved_, false)) best_found_ = now();
  }

  Kept here(std::vector<std::byte> room = {}) const {
    const bool within = result_.step > result_.epochs * per_epoch_;  // an epoch, whose metrics go on
    Kept k{std::move(room),
           result_.step,
           result_.epochs,
           value_now_,
           {epoch_sums_, within ? r_.shifts() : std::vector<double>(), result_.best, stop_best_,
            result_.best_step, waited_}};
    r_.snapshot_into(k.state);
    return k;
  }

  // Weights that are no longer finite are not kept: those of a while ago are.
  void save_last() {
    const StateTensor* broken = weights_finite_ ? r_.not_finite() : nullptr;
    last_step_ = broken == nullptr ? result_.step : good_.step;
    if (broken != nullptr)
      result_.warnings.push_back(
          "'" + broken->tensor.name + "' is not finite after step " + std::to_string(result_.step - 1) +
          (good_ && files_.has_folder()
               ? "; " + files_.path("last") + " has the weights after step " + std::to_string(good_.step)
               : ""));
    if (broken == nullptr)
      files_.last(here());
    else if (good_)
      files_.last(good_);
  }
  void save_best() {
    if (best_ && !best_saved_) files_.best(best_), best_saved_ = true;
  }
  // The best first: a last.safetensors that names a best step finds its weights on disk.
  void save_all() {
    save_best();
    save_last();
    report();
  }
  void report() {
    if (o_.saved) o_.saved(result_);
  }

  // The disk may be full for a while: the training goes on, and its end says whether it is still so.
  void save_when_due(bool epoch_ended) {
    if (!files_.has_folder()) return;
    const double from = now();
    const bool last = pace_.last_due(from, epoch_ended);
    if (!last && (best_saved_ || !best_ || !pace_.best_due(from, best_found_))) return;
    try {
      save_best();
      if (last) save_last();
      report();
    } catch (const Error& e) {
      if (std::exchange(write_failed_, true)) return pace_.saved(from, now());
      result_.warnings.push_back(std::string("a checkpoint could not be written: ") + e.what());
    }
    pace_.saved(from, now());
  }

  void finish() {
    save_best();
    save_last();
    if (o_.keep && !best_ && result_.epochs > 0)
      result_.warnings.push_back("val." + o_.keep->metric +
                                 " was NaN after every epoch; the last weights are kept");
    const bool sound = !weights_finite_ || r_.not_finite() == nullptr;
    const Kept chosen = best_ ? std::move(best_) : sound || !good_ ? here() : std::move(good_);
    const bool validate_again = o_.resume && data_.val && result_.epochs > 0 && !stopped() &&
                                (o_.keep ? best_val_ : result_.val).empty();
    if (best_val_.empty() && (!files_.has_best() || (!o_.keep && result_.epochs > 0))) files_.best(chosen);
    r_.restore(chosen.state);
    if (!best_val_.empty()) result_.val = best_val_;
    if (validate_again) result_.val = r_.evaluate(data_.val, o_.batch);
    if (!o_.save.empty() && (result_.epochs > 0 || !stopped()))
      files_.write(o_.save, chosen), result_.saved_chosen = true;
    if (data_.test && !stopped()) result_.test = r_.evaluate(data_.test, o_.batch);
    if (!files_.nan_found().empty()) result_.warnings.push_back(files_.nan_found());
  }

  void show(int64_t done, bool end) {
    if (o_.quiet) return;
    shown_ = now();
    const double spent = end ? train_seconds_ : shown_ - epoch_started_;
    const int64_t epochs = (total_ + per_epoch_ - 1) / per_epoch_, current = result_.epochs + (end ? 0 : 1);
    std::string line = "epoch " + std::to_string(current) + "/" + std::to_string(epochs) + "  ";
    if (live_) {
      const int width = 20, filled = static_cast<int>(width * done / std::max<int64_t>(1, per_epoch_));
      line += "[" + std::string(static_cast<size_t>(filled), '=') +
              std::string(static_cast<size_t>(width - filled), ' ') + "]  ";
    }
    line += std::to_string(done) + "/" + std::to_string(per_epoch_) + "  " +
            step_text(spent, done - epoch_from_) + "  ";
    if (end) {
      line += metrics_text(r_.program(), result_.train);
      const auto rows = static_cast<int64_t>(data_.val.rows.size());
      if (data_.val)
        line += "  | val  " + metrics_text(r_.program(), result_.val) + "  " +
                step_text(val_seconds_, (rows + o_.batch - 1) / o_.batch) + (improved_ ? "  *" : "");
    } else {
      line += "loss " + number("%.4f", last_loss_);
    }
    const double all = now() - started_;
    line += "  left " + duration(all / static_cast<double>(std::max<int64_t>(1, result_.step - first_step_)) *
                                 static_cast<double>(total_ - result_.step));
    std::fprintf(out_, live_ ? "\r\033[K%s%s" : "%s%s", line.c_str(), end ? "\n" : "");
    std::fflush(out_);
  }

  Runner& r_;
  const Splits& data_;
  const TrainOptions& o_;
  std::FILE* out_;
  bool live_;
  TrainResult result_;
  int64_t per_epoch_ = 0, total_ = 0;
  std::vector<double> epoch_sums_;
  static constexpr double kRememberSeconds = 10;
  double last_loss_ = 0, started_ = 0, epoch_started_ = 0, shown_ = 0, remembered_ = 0;
  double train_seconds_ = 0, val_seconds_ = 0;
  bool candidate_new_ = false, improved_ = false, threads_told_ = false, weights_finite_ = true;
  std::optional<double> value_now_, stop_best_;  // value_now_: of the weights at hand
  std::vector<double> best_val_;
  int waited_ = 0;
  Kept best_, good_, candidate_;
  Checkpoints files_;
  SavePace pace_{now()};
  double best_found_ = 0;  // when the oldest improvement that is not on disk was found
  bool best_saved_ = true, write_failed_ = false;
  int64_t last_step_ = 0;                                     // of the weights in last.safetensors
  int64_t first_step_ = 0, epoch_from_ = 0, steps_here_ = 0;  // where this call began, and within the epoch
};

}  // namespace

void check_start(Runner& runner, const Splits& data, const TrainOptions& o) {
  runner.load(o.resume->state, o.resume->file, Runner::Wanted::All);
  files_of(runner, data, o).check(o.resume->state, o.resume->file);
  moment_of(o.resume->state, o.resume->file);
}

TrainResult train(Runner& runner, const Splits& data, const TrainOptions& o, std::FILE* progress) {
  return Trainer(runner, data, o, progress).run();
}

}  // namespace gradc::runtime
