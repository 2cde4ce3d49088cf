#include "results.h"

#include <cstdio>
#include <stdexcept>

namespace spoof {
namespace {

void print_row(const ordered_json& entry) {
  for (const char* name : {"score", "llr", "posterior"}) {
    if (entry[name].is_null())
      std::printf("%10s", "-");
    else
      std::printf("%10.4f", entry[name].get<double>());
  }
  const std::string reason =
      entry["reason"].is_null() ? "" : "  (" + entry["reason"].get<std::string>() + ")";
  std::printf("  %-10s  %s%s\n", entry["decision"].get<std::string>().c_str(),
              printable(entry["file"].get<std::string>()).c_str(), reason.c_str());
}

}  // namespace

std::string printable(std::string text) {
  for (char& letter : text)
    if (static_cast<unsigned char>(letter) < ' ' || letter == 0x7f) letter = '?';
  return text;
}

void flush_output() {
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw std::runtime_error("standard output: cannot be written");
}

Results::Results(bool json) : json_(json) {
  if (!json_)
    std::printf("%10s%10s%10s  %-10s  %s\n", "score", "llr", "posterior", "decision", "file");
}

void Results::add(const ordered_json& entry) {
  if (json_) {
    // A file's name need not be UTF-8; JSON must.
    const auto text = entry.dump(1, ' ', true, ordered_json::error_handler_t::replace);
    std::printf("%s%s", count_ == 0 ? "[\n" : ",\n", text.c_str());
  } else if (entry["error"].is_null()) {
    print_row(entry);
  }
  ++count_;
  flush_output();
}

void Results::finish() {
  if (json_) std::printf("\n]\n");
  flush_output();
}

}  // namespace spoof
