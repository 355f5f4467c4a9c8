// PNG through libpng, whose errors are longjmp: they may pass no frame that holds an object with a
// destructor, so what libpng fills is owned by the callers of read_info and read_rows.
#include <png.h>

#include <cstdio>
#include <cstring>

#include "pictures/picture.h"

namespace gradc::pictures {
namespace {

constexpr size_t kHeadBytes = 33;  // signature and IHDR
constexpr int64_t kDeflateRatio = 1032;

struct Input {
  std::string_view bytes;
  size_t at = 0;
  char problem[160] = "";
};

void give(png_structp png, png_bytep to, size_t size) {
  Input& in = *static_cast<Input*>(png_get_io_ptr(png));
  if (size > in.bytes.size() - in.at) png_error(png, "the file is cut off");
  std::memcpy(to, in.bytes.data() + in.at, size);
  in.at += size;
}

[[noreturn]] void stop(png_structp png, png_const_charp why) {
  Input& in = *static_cast<Input*>(png_get_error_ptr(png));
  std::snprintf(in.problem, sizeof in.problem, "%s", why);
  png_longjmp(png, 1);
}

void ignore(png_structp, png_const_charp) {}

struct Png {
  explicit Png(std::string_view bytes)
      : in{bytes}, png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &in, stop, ignore)) {
    if (png != nullptr) info = png_create_info_struct(png);
  }
  ~Png() { png_destroy_read_struct(&png, &info, nullptr); }
  Png(const Png&) = delete;
  Png& operator=(const Png&) = delete;

  Input in;
  png_structp png;
  png_infop info = nullptr;
};

// Texts and profiles change no sample, and are where a small file hides a large one.
void leave_out_other_chunks(png_structp png) {
  static constexpr png_byte names[] = "zTXt\0iTXt\0tEXt\0iCCP\0sPLT\0eXIf\0hIST";
  png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, names, sizeof names / 5);
}

// Everything becomes 8 bits of grey, RGB or RGBA.
bool read_info(Png& p, int& depth) {
  if (setjmp(png_jmpbuf(p.png))) return false;
  png_set_read_fn(p.png, &p.in, give);
  png_set_user_limits(p.png, kMostPixels, kMostPixels);
  leave_out_other_chunks(p.png);
  png_read_info(p.png, p.info);
  depth = png_get_bit_depth(p.png, p.info);
  const bool grey = (png_get_color_type(p.png, p.info) & ~PNG_COLOR_MASK_ALPHA) == PNG_COLOR_TYPE_GRAY;
  const bool alpha = (png_get_color_type(p.png, p.info) & PNG_COLOR_MASK_ALPHA) != 0 ||
                     png_get_valid(p.png, p.info, PNG_INFO_tRNS) != 0;
  png_set_expand(p.png);
  png_set_strip_16(p.png);
  if (grey && alpha) png_set_gray_to_rgb(p.png);
  png_set_interlace_handling(p.png);
  png_read_update_info(p.png, p.info);
  return true;
}

bool read_rows(Png& p, png_bytepp rows) {
  if (setjmp(png_jmpbuf(p.png))) return false;
  png_read_image(p.png, rows);
  png_read_end(p.png, nullptr);
  return true;
}

}  // namespace

Head png_head(const std::string& name, std::string_view bytes) {
  if (bytes.size() < kHeadBytes) refuse(name, "the file is cut off");
  auto number = [&](size_t at) {
    int64_t v = 0;
    for (size_t i = 0; i < 4; ++i) v = v << 8 | static_cast<uint8_t>(bytes[at + i]);
    return v;
  };
  if (bytes.substr(12, 4) != "IHDR") refuse(name, "is a damaged PNG: it does not begin with its head");
  return {Head::Format::Png, number(20), number(16)};
}

Picture decode_png(const std::string& name, std::string_view bytes) {
  Png p(bytes);
  if (p.png == nullptr || p.info == nullptr) refuse(name, "libpng cannot start");
  auto problem = [&] { return std::string("cannot be decoded as PNG: ") + p.in.problem; };
  int depth = 0;
  if (!read_info(p, depth)) refuse(name, problem());
  Picture out;
  out.height = png_get_image_height(p.png, p.info), out.width = png_get_image_width(p.png, p.info);
  out.channels = png_get_channels(p.png, p.info), out.narrowed = depth == 16;
  // A row has at least a bit for each pixel; nothing that small can hold the rows that its head promises.
  if (out.height * ((out.width + 7) / 8) / kDeflateRatio > static_cast<int64_t>(bytes.size()))
    refuse(name, "the file is cut off: " + std::to_string(bytes.size()) + " bytes cannot hold " +
                     std::to_string(out.width) + " x " + std::to_string(out.height) + " pixels");
  const auto row = static_cast<size_t>(out.width * out.channels);
  if (png_get_rowbytes(p.png, p.info) != row) refuse(name, "has samples of a size that is not read");
  out.samples.resize(static_cast<size_t>(out.height) * row);
  std::vector<png_bytep> rows(static_cast<size_t>(out.height));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = &out.samples[i * row];
  if (!read_rows(p, rows.data())) refuse(name, problem());
  return out;
}

}  // namespace gradc::pictures
