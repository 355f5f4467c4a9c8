// JPEG through TurboJPEG. Its warnings are damage that it can paint over; they refuse the file.
#include <turbojpeg.h>

#include <memory>

#include "pictures/picture.h"

namespace gradc::pictures {
namespace {

// Each scan of a progressive file walks over the whole picture, however short it is.
constexpr int64_t kMostScannedPixels = int64_t(1) << 30;

struct Destroy {
  void operator()(void* handle) const { tjDestroy(handle); }
};
using Handle = std::unique_ptr<void, Destroy>;

struct JpegHead {
  int width = 0, height = 0, subsampling = 0, colours = 0;
};

const unsigned char* data_of(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

std::string problem(const Handle& h) {
  return std::string("cannot be decoded as JPEG: ") + tjGetErrorStr2(h.get());
}

Handle start(const std::string& name) {
  Handle h(tjInitDecompress());
  if (!h) refuse(name, "TurboJPEG cannot start");
  return h;
}

JpegHead head_of(const Handle& h, const std::string& name, std::string_view bytes) {
  JpegHead out;
  if (tjDecompressHeader3(h.get(), data_of(bytes), bytes.size(), &out.width, &out.height, &out.subsampling,
                          &out.colours) != 0)
    refuse(name, problem(h));
  return out;
}

int64_t scans_of(std::string_view bytes) {
  int64_t n = 0;
  for (size_t at = bytes.find("\xff\xda"); at != bytes.npos; at = bytes.find("\xff\xda", at + 2)) ++n;
  return n;
}

}  // namespace

Head jpeg_head(const std::string& name, std::string_view bytes) {
  const JpegHead j = head_of(start(name), name, bytes);
  return {Head::Format::Jpeg, j.height, j.width};
}

Picture decode_jpeg(const std::string& name, std::string_view bytes) {
  const Handle h = start(name);
  const JpegHead j = head_of(h, name, bytes);
  if (j.colours == TJCS_CMYK || j.colours == TJCS_YCCK)
    refuse(name, "is a JPEG of four inks (CMYK); what colours they are, no file says: save it as RGB");
  Picture out;
  out.height = j.height, out.width = j.width, out.channels = j.colours == TJCS_GRAY ? 1 : 3;
  if (const int64_t n = scans_of(bytes); n * out.height > kMostScannedPixels / out.width)
    refuse(name, "has " + std::to_string(n) + " scans of " + std::to_string(out.width) + " x " +
                     std::to_string(out.height) + " pixels; at most " + std::to_string(kMostScannedPixels) +
                     " pixels are gone over");
  out.samples.resize(static_cast<size_t>(out.height * out.width * out.channels));
  if (tjDecompress2(h.get(), data_of(bytes), bytes.size(), out.samples.data(), j.width, 0, j.height,
                    out.channels == 1 ? TJPF_GRAY : TJPF_RGB,
                    TJFLAG_ACCURATEDCT | TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS) != 0)
    refuse(name, problem(h));
  return out;
}

}  // namespace gradc::pictures
