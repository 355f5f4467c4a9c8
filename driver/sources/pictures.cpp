// Pictures in the folders of their classes, and pictures that a table lists.
#include <algorithm>
#include <filesystem>

#include "driver/sources/picture_files.h"
#include "driver/sources/table_fields.h"
#include "pictures/picture.h"
#include "runtime/error.h"
#include "runtime/file.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

namespace fs = std::filesystem;
using frontend::FieldSpec;
using runtime::Error;
using runtime::Failure;

std::string below(const std::string& folder, const std::string& name) {
  return (fs::path(folder) / name).string();
}

struct ClassedFiles {
  std::vector<PictureFile> files;
  std::vector<std::string> classes;  // sorted, as are the files of each
  std::vector<int32_t> ids;          // of each file's class
  int64_t others = 0;                // entries that are no pictures of a class
};

void read_class(const std::string& root, const std::string& name, ClassedFiles& to) {
  const std::string folder = below(root, name);
  const size_t before = to.files.size();
  for (const std::string& file : runtime::names_in(folder)) {
    if (file[0] == '.') continue;
    const std::string path = below(folder, file);
    if (!pictures::is_picture_name(file) || !runtime::is_file(path)) {
      ++to.others;
      continue;
    }
    to.files.push_back({path, ""});
    to.ids.push_back(static_cast<int32_t>(to.classes.size()));
  }
  if (to.files.size() == before)
    throw Error(Failure::Data, folder + ": the folder of the class '" + name +
                                   "' holds no .png, .jpg or .jpeg; remove it, or put pictures into it");
  to.classes.push_back(name);
}

ClassedFiles read_classes(const std::string& root) {
  ClassedFiles out;
  for (const std::string& name : runtime::names_in(root)) {
    if (name[0] == '.') continue;
    if (runtime::is_folder(below(root, name)))
      read_class(root, name, out);
    else
      ++out.others;
  }
  if (out.classes.empty())
    throw Error(Failure::Data, root + ": holds no folder of a class; pictures lie in " +
                                   below(root, "CLASS") + "/*.png, *.jpg or *.jpeg");
  return out;
}

std::vector<PictureFile> paths_below(const std::string& path) {
  if (!runtime::is_folder(path)) return {{path, ""}};
  std::vector<std::string> found;
  std::error_code failed;
  for (fs::recursive_directory_iterator at(path, failed), end; at != end; at.increment(failed)) {
    const std::string name = at->path().filename().string();
    if (name[0] != '.' && pictures::is_picture_name(name) && runtime::is_file(at->path().string()))
      found.push_back(at->path().string());
  }
  if (failed) throw Error(Failure::Data, path + ": " + failed.message());
  if (found.empty()) throw Error(Failure::Data, path + ": holds no .png, .jpg or .jpeg");
  std::sort(found.begin(), found.end());
  std::vector<PictureFile> out;
  for (std::string& f : found) out.push_back({std::move(f), ""});
  return out;
}

void read_labels(const ClassedFiles& from, const FieldSpec& f, SourceData& to) {
  runtime::Array ids = runtime::make_array(runtime::DType::I32, {static_cast<int64_t>(from.ids.size())});
  for (size_t i = 0; i < from.ids.size(); ++i) ids.set_whole(static_cast<int64_t>(i), from.ids[i]);
  to.names[f.name] = from.classes;
  to.data.fields.emplace(f.name, std::move(ids));
}

// Predicted are files, or all pictures below folders, of no known class.
SourceData read_folder(const SourceRequest& r) {
  SourceData out;
  ClassedFiles found;
  if (r.predicting) {
    for (const std::string& path : r.spec.paths)
      for (PictureFile& f : paths_below(path)) found.files.push_back(std::move(f));
    for (const PictureFile& f : found.files) out.row_names.push_back(f.path);
    out.file = r.spec.paths[0];
  } else {
    out.file = r.find_folder(r.spec.paths[0], r.spec.loc);
    found = read_classes(out.file);
  }
  if (found.others > 0)
    out.remarks.push_back(
        fmt::format("{}: {} entries that are no .png, .jpg or .jpeg in the folder of a "
                    "class are left out",
                    out.file, found.others));
  out.data.rows = static_cast<int64_t>(found.files.size());
  int64_t size = 1;
  for (const FieldSpec& f : r.spec.fields) {
    if (f.form != "image") {
      read_labels(found, f, out);
      continue;
    }
    runtime::Array a = read_pictures(r, f, found.files, out.file, out.remarks);
    size = a.count() / std::max<int64_t>(1, out.data.rows);
    out.data.fields.emplace(f.name, std::move(a));
  }
  out.place = [files = std::move(found.files), size, labels = out.names](const std::string& field,
                                                                         int64_t element) {
    const bool label = labels.count(field) != 0;
    return fmt::format("{}: {}", files[static_cast<size_t>(label ? element : element / size)].path, field);
  };
  return out;
}

std::optional<Type> folder_type(const SourceRequest& r, const FieldSpec& f) {
  return picture_type(r, f, read_classes(r.find_folder(r.spec.paths[0], f.loc)).files);
}

std::vector<PictureFile> listed_files(const runtime::CsvTable& table, const FieldSpec& f) {
  const int column = table.require(f.texts[0]);
  std::vector<PictureFile> out;
  for (int64_t row = 0; row < table.rows(); ++row)
    out.push_back({listed_file(table, row, column), table.where(row, column)});
  return out;
}

SourceData read_listed(const SourceRequest& r) {
  SourceData out;
  const auto table = read_table(r, out);
  for (const FieldSpec& f : r.spec.fields) {
    if (f.form != "image") {
      read_table_field(*table, f, r.type_of(f), out);
      continue;
    }
    out.columns[f.name] = f.texts;
    out.data.fields.emplace(f.name, read_pictures(r, f, listed_files(*table, f), out.file, out.remarks));
  }
  out.place = table_places(table, out);
  return out;
}

std::optional<Type> listed_type(const SourceRequest& r, const FieldSpec& f) {
  const runtime::CsvTable table = runtime::read_csv(r.find(r.spec.paths[0], f.loc));
  if (f.form == "image") return picture_type(r, f, listed_files(table, f));
  return Type{f.dtype, {Dim(static_cast<int64_t>(field_columns(f, table.columns()).size()))}};
}

}  // namespace

std::span<const SourceReader> picture_sources() {
  static constexpr SourceReader rows[] = {{"image_folder", read_folder, folder_type},
                                          {"image_table", read_listed, listed_type}};
  return rows;
}

}  // namespace gradc
