// Is an audio file whole? export/runtime/_containers.py is the definition.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace spoof {

struct Container {
  // What could not be checked.
  std::string note;
  // Bytes to be read in the place of those at an offset: lengths that the writer left open.
  std::map<std::int64_t, std::string> patches;
};

// Throws Error, without the path, if bytes that the header promises are missing, or more than one
// recording is in the file.
Container examine(const std::string& path);

}  // namespace spoof
