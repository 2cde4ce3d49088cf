// The score contract of a .pte: what its score means. export/runtime/contract.py is its definition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "guards.h"

namespace spoof {

// From samples as they come to calls of the model; a stream begins with a state of zeros.
struct Stream {
  // Scale and offset of scores from so many samples on.
  struct Calibration {
    std::int64_t samples;
    double scale, offset;
  };

  std::int64_t chunk_samples = 0;
  std::int64_t state_size = 0;
  // Heard before which no score says anything; bounds the table alone.
  std::int64_t warmup_samples = 0;
  // Samples that may be missing between two; after more the stream begins anew.
  std::int64_t longest_gap = 0;
  // By rising samples, one at least.
  std::vector<Calibration> calibration;

  // The row that holds after so many samples; none before the first.
  const Calibration* at(std::int64_t samples) const;
};

struct Contract {
  // 2, or 1, which has no guards and no digest of the file.
  int schema_version = 0;
  int sample_rate = 0;
  // Of the task streaming, which has no windows, and no one scale and offset.
  std::optional<Stream> stream;
  std::int64_t num_samples = 0;
  std::int64_t hop = 0;
  double scale = 0;
  double offset = 0;
  double prior = 0;
  double threshold = 0;
  // Which of forward's results is the spoofing score: a SASV artefact gives an embedding first.
  std::size_t score_result = 0;
  std::optional<Guards> guards;

  double llr(double score) const { return scale * score + offset; }
  // Probability of bona fide at the contract's prior.
  double posterior(double llr) const;
  const char* decide(double llr) const { return llr >= threshold ? "bonafide" : "spoof"; }
};

// Throws Error, naming the field, for a document that says anything this code does not do.
Contract parse_contract(const std::string& text);

}  // namespace spoof
