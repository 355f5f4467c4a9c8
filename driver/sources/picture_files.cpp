#include "driver/sources/picture_files.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "driver/element_type.h"
#include "pictures/picture.h"
#include "pictures/resize.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "runtime/memory.h"
#include "runtime/team.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

using frontend::FieldSpec;
using frontend::PictureFit;
using pictures::Picture;

constexpr int64_t kLargestFile = int64_t(1) << 28;

// Messages about the file begin with its path, behind its place in a table.
template <class F>
auto with_place(const PictureFile& file, F f) {
  try {
    return f(runtime::read_file(file.path, kLargestFile));
  } catch (const runtime::Error& e) {
    if (file.place.empty()) throw;
    throw runtime::Error(e.kind, file.place + ": " + e.what());
  }
}

std::string size_of(int64_t height, int64_t width) { return fmt::format("{} x {}", height, width); }

// Reads file after file, on as many threads as there are cores. Files are taken in order, so the first one
// that fails is found, whichever thread is faster.
class Reading {
 public:
  Reading(const FieldSpec& f, const Type& one, const std::vector<PictureFile>& files, runtime::Array& to)
      : field_(f), files_(files), to_(to) {
    height_ = one.shape[0].constant_part(), width_ = one.shape[1].constant_part();
    channels_ = one.rank() == 2 ? 1 : one.shape[2].constant_part();
  }

  void run() {
    const auto threads =
        std::min(static_cast<size_t>(runtime::available_cores()), std::max<size_t>(1, files_.size() / 8));
    {
      std::vector<std::jthread> others;
      try {
        while (others.size() + 1 < threads) others.emplace_back([this] { work(); });
      } catch (const std::system_error&) {  // fewer threads read the same
      }
      work();
    }
    if (failure_) std::rethrow_exception(failure_);
  }

  int64_t without_alpha() const { return without_alpha_; }
  int64_t narrowed() const { return narrowed_; }

 private:
  void work() {
    for (size_t i; (i = next_++) < files_.size();) {
      try {
        read(i);
      } catch (...) {
        const std::lock_guard lock(failing_);
        if (!failure_ || i < failed_) failure_ = std::current_exception(), failed_ = i;
        next_ = files_.size();
      }
    }
  }

  void read(size_t i) {
    const Picture p =
        with_place(files_[i], [&](const std::string& bytes) { return fitted(files_[i].path, bytes); });
    to_.set_bytes(static_cast<int64_t>(i) * height_ * width_ * channels_, p.samples);
  }

  Picture fitted(const std::string& path, const std::string& bytes) {
    const pictures::Head head = pictures::read_head(path, bytes);
    const bool same = head.height == height_ && head.width == width_;
    if (!same && field_.fit == PictureFit::Exact)
      throw runtime::Error(
          runtime::Failure::Data,
          fmt::format("{}: is {} (height x width), {} takes {}; fit=crop or fit=stretch "
                      "scales pictures",
                      path, size_of(head.height, head.width), field_.name, size_of(height_, width_)));
    bool lost = false;
    Picture p = pictures::with_channels(pictures::decode(path, bytes), channels_, lost);
    without_alpha_ += lost ? 1 : 0;
    narrowed_ += p.narrowed ? 1 : 0;
    return same ? p : pictures::resized(p, height_, width_, field_.fit == PictureFit::Crop);
  }

  const FieldSpec& field_;
  const std::vector<PictureFile>& files_;
  runtime::Array& to_;
  int64_t height_, width_, channels_;
  std::atomic<size_t> next_{0};
  std::atomic<int64_t> without_alpha_{0}, narrowed_{0};
  std::mutex failing_;  // of the two below
  std::exception_ptr failure_;
  size_t failed_ = 0;
};

void check_input(const FieldSpec& f, const Type& input) {
  const auto rank = input.rank();
  const auto channels = rank == 4 ? input.shape[3].constant() : std::optional<int64_t>(1);
  const bool picture = (rank == 3 || rank == 4) && (channels == 1 || channels == 3 || channels == 4);
  if (!picture)
    throw CompileError(f.loc, fmt::format("a picture is [H, W] or [H, W, 1], grey, [H, W, 3] or, with alpha, "
                                          "[H, W, 4], channels last, and the input {} is {}",
                                          f.name, input.str()));
  if (input.dtype == DType::Bool)
    throw CompileError(f.loc, fmt::format("pixels are 0..255, and the input {} is bool", f.name));
  if (channels == 4 && f.fit != PictureFit::Exact)
    throw CompileError(f.loc, fmt::format("pictures with alpha are not scaled, and the input {} is {}; leave "
                                          "out fit=, or take 3 channels",
                                          f.name, input.str()));
}

}  // namespace

Type picture_type(const SourceRequest& r, const FieldSpec& f, const std::vector<PictureFile>& files) {
  const std::optional<Type> input = r.input(f.name);
  if (input) {
    check_input(f, *input);
    const Type one{input->dtype, {input->shape.begin() + 1, input->shape.end()}};
    if (std::all_of(one.shape.begin(), one.shape.end(), [](const Dim& d) { return d.is_constant(); }))
      return one;
  }
  if (f.fit != PictureFit::Exact)
    throw CompileError(f.loc, fmt::format("{} are scaled to the size of a model's input, and {} has none",
                                          "pictures", f.name));
  if (files.empty()) throw CompileError(f.loc, fmt::format("no picture says what the size of {} is", f.name));
  const Picture p =
      with_place(files[0], [&](const std::string& bytes) { return pictures::decode(files[0].path, bytes); });
  Type one{input ? input->dtype : f.dtype, {Dim(p.height), Dim(p.width)}};
  if (p.channels > 1) one.shape.push_back(Dim(3));
  return one;
}

runtime::Array read_pictures(const SourceRequest& r, const FieldSpec& f,
                             const std::vector<PictureFile>& files, const std::string& source,
                             std::vector<std::string>& remarks) {
  const Type one = picture_type(r, f, files);
  std::vector<int64_t> shape = {static_cast<int64_t>(files.size())};
  double bytes = static_cast<double>(files.size()) * gradc::size_of(one.dtype);
  for (const Dim& d : one.shape) {
    shape.push_back(d.constant_part());
    bytes *= static_cast<double>(shape.back());
  }
  if (const int64_t there = runtime::available_memory(); bytes > static_cast<double>(there))
    throw runtime::Error(
        runtime::Failure::Data,
        fmt::format("{}: {} pictures of {} take {:.1f} GB, {} are available; a smaller size "
                    "or type of the input {} takes less",
                    source, files.size(), one.str(), bytes * 0x1p-30, runtime::size_text(there), f.name));
  runtime::Array to = runtime::make_array(runtime_type(one.dtype), shape);
  Reading reading(f, one, files, to);
  reading.run();
  auto remark = [&](int64_t n, std::string_view what) {
    if (n > 0)
      remarks.push_back(fmt::format("{}: {}: {} of {} pictures {}", source, f.name, n, files.size(), what));
  };
  remark(reading.without_alpha(), "have an alpha that is not opaque; it is left out");
  remark(reading.narrowed(), "have 16 bits a sample; the upper 8 are taken");
  return to;
}

}  // namespace gradc
