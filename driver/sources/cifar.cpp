#include "runtime/cifar.h"

#include "driver/element_type.h"
#include "driver/sources/source.h"
#include "support/diagnostic.h"

namespace gradc {
namespace {

SourceData read_kind(const SourceRequest& r, runtime::CifarKind kind) {
  std::vector<std::string> paths;
  for (const std::string& p : r.spec.paths) paths.push_back(r.find(p, r.spec.loc));
  SourceData out;
  out.file = paths.size() == 1 ? paths[0] : fmt::format("{} and {} more", paths[0], paths.size() - 1);
  runtime::CifarData data = runtime::read_cifar(paths, kind, runtime_type(r.type_of(r.spec.fields[0])));
  out.data.rows = data.labels.count();
  out.data.fields.emplace("x", std::move(data.images));
  out.data.fields.emplace("y", std::move(data.labels));
  if (kind == runtime::CifarKind::Hundred) out.data.fields.emplace("coarse", std::move(data.coarse));
  out.place = [file = out.file](const std::string& field, int64_t element) {
    return fmt::format("{}: record {}: {}", file, (field == "x" ? element / 3072 : element) + 1, field);
  };
  return out;
}

SourceData read_ten(const SourceRequest& r) { return read_kind(r, runtime::CifarKind::Ten); }
SourceData read_hundred(const SourceRequest& r) { return read_kind(r, runtime::CifarKind::Hundred); }

}  // namespace

std::span<const SourceReader> cifar_sources() {
  static constexpr SourceReader rows[] = {{"cifar10", read_ten, nullptr},
                                          {"cifar100", read_hundred, nullptr}};
  return rows;
}

}  // namespace gradc
