// What spoof_score prints.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace spoof {

using nlohmann::ordered_json;

// What would steer a terminal is shown as a question mark.
std::string printable(std::string text);

// Everything printed so far is where it goes; throws if it cannot be.
void flush_output();

// Each result when it is there, so that none is lost with a later one.
class Results {
 public:
  explicit Results(bool json);

  void add(const ordered_json& entry);
  void finish();

 private:
  bool json_;
  int count_ = 0;
};

}  // namespace spoof
