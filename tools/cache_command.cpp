// The cache of compiled code: where it is, what it holds, and emptied.
#include "codegen/program_cache.h"
#include "runtime/error.h"
#include "runtime/memory.h"
#include "support/diagnostic.h"
#include "tools/commands.h"
#include "tools/model_options.h"

namespace gradc {

using runtime::size_text;

int run_cache(const Arguments& a) {
  const std::string folder = cache_folder();
  if (folder.empty()) {
    fmt::print("cache    off: GRADC_CACHE is empty, or neither it nor a home folder is set\n");
    return kOk;
  }
  const codegen::CacheContents held = codegen::cache_contents(folder);
  if (!a.clear) {
    fmt::print("cache    {}\nentries  {}\nsize     {}\n", printable(folder), held.entries,
               size_text(held.bytes));
    if (held.leftovers > 0)
      fmt::print("parts    {}, left by writers that were killed; gradc cache --clear removes them\n",
                 held.leftovers);
    return kOk;
  }
  const codegen::CacheContents stay = codegen::clear_cache(folder);
  fmt::print("removed  {} of {} entries, {} of {}\n", held.entries - stay.entries, held.entries,
             size_text(held.bytes - stay.bytes), size_text(held.bytes));
  if (stay.entries + stay.leftovers > 0)
    throw runtime::Error(runtime::Failure::Data, fmt::format("{}: {} files could not be removed", folder,
                                                             stay.entries + stay.leftovers));
  return kOk;
}

}  // namespace gradc
