// A scorer of windows: windows to scores, and a waveform to one score.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "artefact.h"
#include "contract.h"
#include "guards.h"

namespace spoof {

class Scorer {
 public:
  // Throws Error for a file that is no spoofing scorer of windows with a contract.
  Scorer(const std::string& path, int threads) : Scorer(Artefact(path, threads)) {}
  explicit Scorer(Artefact artefact);

  const Artefact& artefact() const { return artefact_; }
  const Contract& contract() const { return artefact_.contract(); }

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
  Artefact artefact_;
};

}  // namespace spoof
