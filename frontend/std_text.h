// The files of the standard library, as text that the build puts into the program.
#pragma once

#include <string>
#include <vector>

namespace gradc::frontend {

struct StandardFile {
  std::string name, text;
};
std::vector<StandardFile> standard_files();

}  // namespace gradc::frontend
