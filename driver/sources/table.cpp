#include "driver/sources/source.h"
#include "support/check.h"

namespace gradc {

const SourceReader& source_reader(std::string_view kind) {
  for (const auto& readers : {table_sources(), array_sources(), cifar_sources(), picture_sources(),
                              text_sources(), sound_sources(), drawn_sources()})
    for (const SourceReader& r : readers)
      if (r.kind == kind) return r;
  throw InternalError(fmt::format("the source {} has no reader", kind));
}

}  // namespace gradc
