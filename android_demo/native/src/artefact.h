// A .pte with its contract, of whatever task: what the scorers of windows and of streams stand on.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "contract.h"
#include "program.h"

namespace spoof {

// Float32 numbers that are one row of forward's inputs.
using Row = std::pair<const float*, std::int64_t>;

class Artefact {
 public:
  // Throws Error for a file that has no contract, or another than this code knows.
  Artefact(const std::string& path, int threads);

  const std::string& path() const { return path_; }
  const Contract& contract() const { return contract_; }
  const std::string& contract_text() const { return contract_text_; }
  // What of the file could not be verified; empty when all of it was.
  const std::string& note() const { return note_; }

  // How many numbers each of forward's inputs has.
  std::vector<std::int64_t> input_sizes() const;
  // Results lie in the runtime's memory until the next run.
  std::vector<EValue> forward(const std::vector<Row>& inputs);

 private:
  void check_inputs() const;

  std::string path_;
  Program program_;
  std::string contract_text_;
  Contract contract_;
  std::string note_;
};

// Whether the value is a float32 tensor of so many numbers.
bool holds_floats(const EValue& value, std::int64_t count);

}  // namespace spoof
