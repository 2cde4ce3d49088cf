#include "scorer.h"

#include <algorithm>
#include <cmath>

#include "error.h"
#include "waveform.h"

namespace spoof {

Scorer::Scorer(Artefact artefact) : artefact_(std::move(artefact)) {
  if (contract().stream)
    throw Error(artefact_.path() + ": its contract is of the task streaming, expected windows");
}

float Scorer::score_window(const float* window) {
  const float score = run_window(window);
  if (!std::isfinite(score)) throw Error(artefact_.path() + ": gives a score that is not finite");
  return score;
}

float Scorer::run_window(const float* window) {
  if (!std::all_of(window, window + contract().num_samples,
                   [](float x) { return std::isfinite(x); }))
    throw Error("window: contains NaN or infinite samples");
  const auto results = artefact_.forward({{window, contract().num_samples}});
  const std::size_t index = contract().score_result;
  if (index >= results.size() || !holds_floats(results[index], 1))
    throw Error(artefact_.path() + ": its forward does not return a float32 score");
  return *results[index].toTensor().const_data_ptr<float>();
}

double Scorer::score(const std::vector<float>& waveform) {
  WindowCutter cutter(contract().num_samples, contract().hop);
  double sum = 0;
  std::int64_t count = 0;
  const auto add = [&](const float* window) {
    sum += score_window(window);
    ++count;
  };
  cutter.push(waveform, add);
  cutter.finish(add);
  if (count == 0) throw Error("recording: contains no samples");
  return sum / static_cast<double>(count);
}

std::optional<std::string> Scorer::refusal(const Meter& meter) const {
  return contract().guards ? contract().guards->refusal(meter) : std::nullopt;
}

double Scorer::llr(double score) const {
  const double llr = contract().llr(score);
  if (!std::isfinite(llr))
    throw Error(artefact_.path() + ": scale*score + offset overflows at a score of " +
                std::to_string(score));
  return llr;
}

}  // namespace spoof
