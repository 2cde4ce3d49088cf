// The digest of a whole file, held in it: export/backends/_seal.py is its definition.
#pragma once

#include <optional>
#include <string>

namespace spoof {

// The digest of a sealed file, once it was found right; none for a file that holds none. Throws
// Error for a file that is not the one that was sealed. For a file that is no zip archive, as a .pte.
std::optional<std::string> check_digest(const std::string& path);

}  // namespace spoof
