// A verdict with the keys that Python gives it.
#pragma once

#include <nlohmann/json.hpp>

#include "stream_scorer.h"

namespace spoof {

inline nlohmann::ordered_json as_json(const Verdict& verdict, double threshold) {
  const auto or_null = [](const auto& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  };
  return {{"samples", verdict.samples},         {"score", or_null(verdict.score)},
          {"llr", or_null(verdict.llr)},        {"posterior", or_null(verdict.posterior)},
          {"threshold", threshold},             {"decision", verdict.decision},
          {"reason", or_null(verdict.reason)}};
}

}  // namespace spoof
