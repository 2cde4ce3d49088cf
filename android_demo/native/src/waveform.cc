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
// As in export/runtime/resampling.py: a filter of more taps, or a file stretched more than this, is
// none of speech.
constexpr std::int64_t kMaxKernel = 20'000'000;
constexpr std::int64_t kMaxStretch = 16;

double windowed_sinc(double t) {
  if (std::abs(t) >= kLowpassFilterWidth) return 0;
  if (t == 0) return 1;
  const double window = std::cos(kPi * t / (2 * kLowpassFilterWidth));
  return std::sin(kPi * t) / (kPi * t) * window * window;
}

}  // namespace

Resampler::Resampler(int source_rate, int sample_rate) {
  const std::int64_t common = std::gcd(source_rate, sample_rate);
  source_ = source_rate / common;
  target_ = sample_rate / common;
  if (source_ * target_ > kMaxKernel || target_ > kMaxStretch * source_)
    throw Error(std::to_string(source_rate) + " Hz cannot be resampled to " +
                std::to_string(sample_rate) + " Hz here: convert the audio with another tool first");
  const double cutoff = static_cast<double>(std::min(source_, target_)) * kRolloff;
  const double reach = kLowpassFilterWidth * static_cast<double>(source_) / cutoff;
  reach_ = static_cast<std::int64_t>(std::ceil(reach)) + 1;
  for (std::int64_t j = 0; j < target_; ++j) {
    const double centre = static_cast<double>(j * source_) / static_cast<double>(target_);
    const auto first = static_cast<std::int64_t>(std::ceil(centre - reach));
    const auto last = static_cast<std::int64_t>(std::floor(centre + reach));
    Phase phase{first, {}};
    for (std::int64_t i = first; i <= last; ++i) {
      const auto distance = static_cast<double>(i * target_ - j * source_);
      const double t = cutoff * distance / static_cast<double>(source_ * target_);
      phase.taps.push_back(cutoff / static_cast<double>(source_) * windowed_sinc(t));
    }
    phases_.push_back(std::move(phase));
  }
}

// One output sample; what is not kept any more, or not yet there, is zero.
double Resampler::filter(const Phase& phase, std::int64_t shift) const {
  const std::int64_t start = phase.first + shift - kept_from_;
  const auto length = static_cast<std::int64_t>(kept_.size());
  const std::int64_t from = std::max<std::int64_t>(0, -start);
  const std::int64_t to =
      std::min<std::int64_t>(static_cast<std::int64_t>(phase.taps.size()), length - start);
  double sum = 0;
  for (std::int64_t k = from; k < to; ++k) sum += phase.taps[k] * kept_[start + k];
  return sum;
}

void Resampler::write_until(std::int64_t count, std::vector<float>& out) {
  for (; written_ < count; ++written_) {
    const std::int64_t shift = written_ / target_ * source_;
    out.push_back(static_cast<float>(filter(phases_[written_ % target_], shift)));
  }
}

void Resampler::push(const std::vector<float>& block, std::vector<float>& out) {
  kept_.insert(kept_.end(), block.begin(), block.end());
  read_ += static_cast<std::int64_t>(block.size());
  // The filters of a whole block of outputs reach no further than its own inputs and reach_ more.
  write_until(std::max<std::int64_t>(0, (read_ - reach_) / source_) * target_, out);
  const std::int64_t needed = written_ / target_ * source_ - reach_;
  if (const std::int64_t spare = needed - kept_from_; spare > 0) {
    kept_.erase(kept_.begin(), kept_.begin() + spare);
    kept_from_ += spare;
  }
}

void Resampler::finish(std::vector<float>& out) {
  write_until((read_ * target_ + source_ - 1) / source_, out);
}

void WindowCutter::forget(std::int64_t total) {
  const std::int64_t spare = std::min(following_, total - num_samples_) - kept_from_;
  if (spare <= 0) return;
  kept_.erase(kept_.begin(), kept_.begin() + spare);
  kept_from_ += spare;
}

}  // namespace spoof
