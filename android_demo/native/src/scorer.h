// A .pte with its contract: windows to scores, and a waveform to one score.
#pragma once

#include <string>
#include <vector>

#include "contract.h"
#include "program.h"

namespace spoof {

class Scorer {
 public:
  // Throws Error for a file that is no spoofing scorer with a contract.
  Scorer(const std::string& path, int threads);

  const Contract& contract() const { return contract_; }
  const std::string& contract_text() const { return contract_text_; }

  // The raw score of num_samples samples.
  float score_window(const float* window);
  // The raw score of a mono recording at the contract's sample rate: the mean over its windows.
  double score(const std::vector<float>& waveform);

 private:
  std::string path_;
  Program program_;
  std::string contract_text_;
  Contract contract_;
};

}  // namespace spoof
