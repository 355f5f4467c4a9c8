// From the command line's arguments to the compiler's, for all commands on model files.
#pragma once

#include <string>

#include "driver/compiler.h"
#include "driver/load_data.h"
#include "tools/commands.h"

namespace gradc {

int threads_of(const Arguments& a);
DataPlaces places_of(const Arguments& a);
ModelOptions options_of(const Arguments& a);
// The folder of compiled code; "" when it is switched off.
std::string cache_folder();
// Whether the target has no fused multiply-add, said in a warning: a library would emulate it, many times
// slower.
bool emulates_fma(const codegen::Target& target);
// Arithmetic operations of an entry, 2 a multiply-add.
double work_of(const Compiled& c, const std::string& entry);

int64_t parameters(const runtime::Program& p);
// The train block, and a data block beside it; throws CompileError where there is none.
const frontend::TrainSpec& trained(const Compiled& c);

int train(const Arguments& a, const Compiled& c, const Sources& sources);
int predict(const Arguments& a, const Compiled& c, const Sources& sources);
int generate(const Arguments& a, const Compiled& c);
int bench_model(const Arguments& a, ModelOptions o, uint32_t file, Sources& sources, Diagnostics& d);

}  // namespace gradc
