#include "waveform.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "error.h"

namespace spoof {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int kLowpassFilterWidth = 6;
constexpr double kRolloff = 0.99;
// As in export/runtime/audio.py: a filter of more taps, or a file stretched more than this, is none of
// speech.
constexpr std::int64_t kMaxKernel = 20'000'000;
constexpr std::int64_t kMaxStretch = 16;

// The filter of one output phase: the taps on input samples first, first + 1, ...
struct Phase {
  std::int64_t first;
  std::vector<double> taps;
};

double windowed_sinc(double t) {
  if (std::abs(t) >= kLowpassFilterWidth) return 0;
  if (t == 0) return 1;
  const double window = std::cos(kPi * t / (2 * kLowpassFilterWidth));
  return std::sin(kPi * t) / (kPi * t) * window * window;
}

std::vector<Phase> make_phases(std::int64_t source, std::int64_t target) {
  const double cutoff = static_cast<double>(std::min(source, target)) * kRolloff;
  const double reach = kLowpassFilterWidth * static_cast<double>(source) / cutoff;
  std::vector<Phase> phases;
  for (std::int64_t j = 0; j < target; ++j) {
    const double centre = static_cast<double>(j * source) / static_cast<double>(target);
    const auto first = static_cast<std::int64_t>(std::ceil(centre - reach));
    const auto last = static_cast<std::int64_t>(std::floor(centre + reach));
    Phase phase{first, {}};
    for (std::int64_t i = first; i <= last; ++i) {
      const auto distance = static_cast<double>(i * target - j * source);
      const double t = cutoff * distance / static_cast<double>(source * target);
      phase.taps.push_back(cutoff / static_cast<double>(source) * windowed_sinc(t));
    }
    phases.push_back(std::move(phase));
  }
  return phases;
}

// One output sample; beyond its ends the waveform is zero.
double filter(const std::vector<float>& waveform, const Phase& phase, std::int64_t shift) {
  const std::int64_t start = phase.first + shift;
  const auto length = static_cast<std::int64_t>(waveform.size());
  const std::int64_t from = std::max<std::int64_t>(0, -start);
  const std::int64_t to =
      std::min<std::int64_t>(static_cast<std::int64_t>(phase.taps.size()), length - start);
  double sum = 0;
  for (std::int64_t k = from; k < to; ++k) sum += phase.taps[k] * waveform[start + k];
  return sum;
}

}  // namespace

std::vector<float> resample(const std::vector<float>& waveform, int source_rate, int sample_rate) {
  if (source_rate == sample_rate) return waveform;
  const std::int64_t common = std::gcd(source_rate, sample_rate);
  const std::int64_t source = source_rate / common, target = sample_rate / common;
  if (source * target > kMaxKernel || target > kMaxStretch * source)
    throw Error(std::to_string(source_rate) + " Hz cannot be resampled to " +
                std::to_string(sample_rate) + " Hz here: convert the audio with another tool first");
  const auto phases = make_phases(source, target);
  const auto length = static_cast<std::int64_t>(waveform.size());
  std::vector<float> resampled((length * target + source - 1) / source);
  for (std::size_t j = 0; j < resampled.size(); ++j) {
    const auto block = static_cast<std::int64_t>(j) / target;
    resampled[j] = static_cast<float>(filter(waveform, phases[j % target], block * source));
  }
  return resampled;
}

std::vector<std::int64_t> window_starts(std::int64_t length, std::int64_t num_samples,
                                        std::int64_t hop) {
  std::vector<std::int64_t> starts;
  for (std::int64_t start = 0; start == 0 || start + num_samples <= length; start += hop)
    starts.push_back(start);
  if (starts.back() + num_samples < length) starts.push_back(length - num_samples);
  return starts;
}

std::vector<float> repeat_to(std::vector<float> waveform, std::int64_t num_samples) {
  const std::size_t length = waveform.size();
  const auto wanted = static_cast<std::size_t>(num_samples);
  waveform.reserve(wanted);
  while (waveform.size() < wanted) waveform.push_back(waveform[waveform.size() - length]);
  return waveform;
}

}  // namespace spoof
