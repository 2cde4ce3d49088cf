// A .pte with its contract: windows to scores, and a waveform to one score.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "contract.h"
#include "guards.h"
#include "program.h"

namespace spoof {

class Scorer {
 public:
  // Throws Error for a file that is no spoofing scorer with a contract.
  Scorer(const std::string& path, int threads);

  const Contract& contract() const { return contract_; }
  const std::string& contract_text() const { return contract_text_; }
  // What of the file could not be verified; empty when all of it was.
  const std::string& note() const { return note_; }

  // The raw score of num_samples samples; throws Error for samples that are not finite.
  float score_window(const float* window);
  // The same, and without a word where the score is not finite.
  float run_window(const float* window);
  // The raw score of a mono recording at the contract's sample rate, the mean over its windows,
  // whatever is in it.
  double score(const std::vector<float>& waveform);
  // Why the contract allows no decision on what the meter heard; none: it does.
  std::optional<std::string> refusal(const Meter& meter) const;
  // The LLR of a recording's raw score; throws Error where it is not finite.
  double llr(double score) const;

 private:
  std::string path_;
  Program program_;
  std::string contract_text_;
  Contract contract_;
  std::string note_;
};

}  // namespace spoof
