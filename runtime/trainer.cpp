#include "runtime/trainer.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>

#include "runtime/error.h"
#include "runtime/shuffle.h"

namespace gradc::runtime {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string number(const char* format, double v) {
  char text[64];
  std::snprintf(text, sizeof text, format, v);
  return text;
}

void make_folders(const std::string& path) {
  for (size_t i = 1; i <= path.size(); ++i) {
    if (i < path.size() && path[i] != '/') continue;
    const std::string part = path.substr(0, i);
    if (mkdir(part.c_str(), 0777) != 0 && errno != EEXIST)
      throw Error(Failure::Data, "cannot make the folder " + part + ": " + std::strerror(errno));
  }
}

std::string duration(double seconds) {
  const auto s = static_cast<int64_t>(seconds + 0.5);
  if (s >= 3600) return std::to_string(s / 3600) + "h" + std::to_string(s / 60 % 60) + "m";
  if (s >= 60) return std::to_string(s / 60) + "m" + std::to_string(s % 60) + "s";
  return number(seconds < 9.95 ? "%.1fs" : "%.0fs", seconds);
}

class Trainer {
 public:
  Trainer(Runner& r, const Splits& data, const TrainOptions& o, std::FILE* out)
      : r_(r), data_(data), o_(o), out_(out), live_(!o.quiet && isatty(fileno(out)) != 0) {}

  TrainResult run() {
    const auto n = static_cast<int64_t>(data_.train.rows.size());
    if (n == 0) throw Error(Failure::Data, "the split train has no rows");
    per_epoch_ = (n + o_.batch - 1) / o_.batch;
    total_ = o_.steps > 0 ? o_.steps : per_epoch_ * o_.epochs;
    if (!o_.run_dir.empty()) make_folders(o_.run_dir);
    r_.init(o_.seed);
    r_.fit(data_.train, o_.batch);
    started_ = now();
    while (result_.step < total_ && !result_.interrupted) {
      epoch();
      if (result_.interrupted || stop_now()) break;
    }
    finish();
    return std::move(result_);
  }

 private:
  bool signalled() const { return o_.signal != nullptr && o_.signal->load() != 0; }

  void epoch() {
    const int64_t number = result_.epochs;
    const std::vector<int64_t> order =
        permutation(static_cast<uint64_t>(o_.seed), static_cast<uint64_t>(number),
                    static_cast<int64_t>(data_.train.rows.size()));
    std::vector<int64_t> rows(order.size());
    for (size_t i = 0; i < order.size(); ++i) rows[i] = data_.train.rows[static_cast<size_t>(order[i])];
    epoch_sums_.clear();
    epoch_started_ = now();
    int64_t done = 0;
    for (; done < per_epoch_ && result_.step < total_; ++done) {
      if (signalled()) {
        result_.interrupted = true;
        return;
      }
      const size_t from = static_cast<size_t>(done * o_.batch);
      step(
          std::span(rows).subspan(from, std::min<size_t>(static_cast<size_t>(o_.batch), rows.size() - from)));
      if (live_ && now() - shown_ > 0.1) show(done + 1, false);
    }
    ++result_.epochs;
    validate();
    show(done, true);
  }

  void step(std::span<const int64_t> rows) {
    r_.begin("train_step", static_cast<int64_t>(rows.size()));
    for (const auto& [name, field] : data_.train.data->fields) r_.set_rows(name, field, rows);
    r_.set("step", static_cast<double>(result_.step));
    r_.set("total", static_cast<double>(total_));
    r_.set("seed", static_cast<double>(o_.seed));
    for (const auto& [name, value] : r_.program().hyper) r_.set(name, value);
    r_.call();
    const double loss = r_.output("loss").at(0);
    if (!std::isfinite(loss)) {
      save("last", r_.snapshot());
      throw Error(Failure::Diverged,
                  "loss became " + std::string(std::isnan(loss) ? "NaN" : "infinite") + " at step " +
                      std::to_string(result_.step) +
                      (result_.step > 0 ? "; it was " + number("%.4g", last_loss_) + " a step before" : "") +
                      "; try a smaller rate: --set train.lr=...");
    }
    last_loss_ = loss;
    const Array sums = r_.output("sums");
    epoch_sums_.resize(static_cast<size_t>(sums.count()));
    for (size_t i = 0; i < epoch_sums_.size(); ++i) epoch_sums_[i] += sums.at(static_cast<int64_t>(i));
    ++result_.step;
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
  static bool better(const Rule& rule, double value, double best) {
    return rule.maximize ? value > best + rule.delta : value < best - rule.delta;
  }

  void validate() {
    improved_ = false;
    if (!data_.val) return;
    result_.val = r_.evaluate(data_.val, o_.batch);
    if (o_.keep) {
      const double v = metric(result_.val, o_.keep->metric);
      if (!have_best_ || better(*o_.keep, v, best_)) {
        have_best_ = improved_ = true;
        best_ = v;
        best_state_ = r_.snapshot();
        best_saved_ = false;
      }
    }
    if (o_.stop) {
      const double v = metric(result_.val, o_.stop->metric);
      if (result_.epochs == 1 || better(*o_.stop, v, stop_best_))
        stop_best_ = v, waited_ = 0;
      else
        ++waited_;
    }
    // A crash costs at most this much work; more often would cost more than it saves.
    if (now() - saved_ > 10) save_all();
  }
  bool stop_now() const { return o_.stop && waited_ >= o_.stop->patience; }

  void save(const std::string& which, const std::vector<std::byte>& state) {
    if (!o_.run_dir.empty()) write(o_.run_dir + "/" + which + ".safetensors", state);
  }
  void write(const std::string& path, const std::vector<std::byte>& state) {
    const std::vector<std::byte> now_state = r_.snapshot();
    r_.restore(state);
    SafeTensors file = r_.save();
    r_.restore(now_state);
    file.metadata = o_.metadata;
    file.metadata["gradc.step"] = std::to_string(result_.step);
    file.metadata["gradc.epoch"] = std::to_string(result_.epochs);
    file.metadata["gradc.seed"] = std::to_string(o_.seed);
    file.metadata["gradc.model_hash"] = std::to_string(r_.program().model_hash);
    write_safetensors(path, file);
  }
  void save_all() {
    save("last", r_.snapshot());
    if (have_best_ && !best_saved_) save("best", best_state_), best_saved_ = true;
    saved_ = now();
  }

  void finish() {
    save_all();
    if (have_best_)
      r_.restore(best_state_);
    else
      save("best", r_.snapshot());
    if (!o_.save.empty()) write(o_.save, r_.snapshot());
    if (data_.test && !result_.interrupted) result_.test = r_.evaluate(data_.test, o_.batch);
  }

  void show(int64_t done, bool end) {
    if (o_.quiet) return;
    shown_ = now();
    const double spent = shown_ - epoch_started_,
                 each = spent / static_cast<double>(std::max<int64_t>(1, done));
    const int64_t epochs = (total_ + per_epoch_ - 1) / per_epoch_, current = result_.epochs + (end ? 0 : 1);
    std::string line = "epoch " + std::to_string(current) + "/" + std::to_string(epochs) + "  ";
    if (live_) {
      const int width = 20, filled = static_cast<int>(width * done / std::max<int64_t>(1, per_epoch_));
      line += "[" + std::string(static_cast<size_t>(filled), '=') +
              std::string(static_cast<size_t>(width - filled), ' ') + "]  ";
    }
    line += std::to_string(done) + "/" + std::to_string(per_epoch_) + "  " +
            number(each < 1e-3 ? "%.3f" : "%.2f", each * 1e3) + " ms/step  ";
    if (end) {
      line += metrics_text(r_.program(), train_values());
      if (data_.val) line += "  | val  " + metrics_text(r_.program(), result_.val) + (improved_ ? "  *" : "");
    } else {
      line += "loss " + number("%.4f", last_loss_);
    }
    const double all = now() - started_;
    line += "  left " + duration(all / static_cast<double>(std::max<int64_t>(1, result_.step)) *
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
  double last_loss_ = 0, started_ = 0, epoch_started_ = 0, shown_ = 0, saved_ = now();
  bool have_best_ = false, best_saved_ = false, improved_ = false;
  double best_ = 0, stop_best_ = 0;
  int waited_ = 0;
  std::vector<std::byte> best_state_;
};

}  // namespace

TrainResult train(Runner& runner, const Splits& data, const TrainOptions& o, std::FILE* progress) {
  return Trainer(runner, data, o, progress).run();
}

std::string metrics_text(const Program& p, const std::vector<double>& values) {
  std::string out;
  for (size_t i = 0; i < values.size() && i < p.metrics.size(); ++i)
    out += (out.empty() ? "" : "  ") + p.metrics[i] + " " +
           number(values[i] != 0 && std::fabs(values[i]) < 1e-3 ? "%.4e" : "%.4f", values[i]);
  return out;
}

}  // namespace gradc::runtime
