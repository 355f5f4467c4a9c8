// What a training does on signals: the first one ends it after the step under way, SIGINT again at once.
#pragma once

#include <atomic>
#include <string>

namespace gradc {

// From here on SIGINT, SIGTERM and SIGHUP (unless ignored, as nohup does) set the number that is returned.
// SIGPIPE is ignored: a reader that went away is no reason to lose a training.
const std::atomic<int>& watch_signals();
// What a second SIGINT prints before it ends the process: the first text where the file is there, else the
// second.
void say_when_ended_at_once(const std::string& file, const std::string& with, const std::string& without);

}  // namespace gradc
