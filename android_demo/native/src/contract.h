// The score contract of a .pte: what its score means. export/runtime/contract.py is its definition.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "guards.h"

namespace spoof {

struct Contract {
  // 2, or 1, which has no guards and no digest of the file.
  int schema_version = 0;
  int sample_rate = 0;
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
