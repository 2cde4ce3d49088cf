// From the samples of a recording to the windows that a model takes, as the contract says; block by
// block, in memory that does not grow with the recording.
#pragma once

#include <cstdint>
#include <vector>

namespace spoof {

// The formula of export.runtime.contract.Audio, on blocks of any size.
class Resampler {
 public:
  // Throws Error for rates that would need an absurd filter.
  Resampler(int source_rate, int sample_rate);

  // Appends to out what the block completes.
  void push(const std::vector<float>& block, std::vector<float>& out);
  // Appends the rest: beyond its end the waveform is zero.
  void finish(std::vector<float>& out);

 private:
  // The filter of one output phase: the taps on input samples first, first + 1, ...
  struct Phase {
    std::int64_t first;
    std::vector<double> taps;
  };

  double filter(const Phase& phase, std::int64_t shift) const;
  void write_until(std::int64_t count, std::vector<float>& out);

  std::int64_t source_, target_;
  std::vector<Phase> phases_;
  std::int64_t reach_ = 0;
  // The last inputs, from index kept_from_ on.
  std::vector<float> kept_;
  std::int64_t kept_from_ = 0, read_ = 0, written_ = 0;
};

// Windows begin at 0, hop, ..., and one more is aligned with the recording's end; a recording shorter
// than a window is repeated until it fills one.
class WindowCutter {
 public:
  WindowCutter(std::int64_t num_samples, std::int64_t hop) : num_samples_(num_samples), hop_(hop) {}

  // Calls use(const float*) with each window that the block completes.
  template <typename Use>
  void push(const std::vector<float>& block, Use use) {
    kept_.insert(kept_.end(), block.begin(), block.end());
    const std::int64_t total = kept_from_ + static_cast<std::int64_t>(kept_.size());
    for (; following_ + num_samples_ <= total; following_ += hop_) {
      use(kept_.data() + (following_ - kept_from_));
      end_ = following_ + num_samples_;
    }
    forget(total);
  }

  template <typename Use>
  void finish(Use use) {
    const std::int64_t total = kept_from_ + static_cast<std::int64_t>(kept_.size());
    if (total == 0 || end_ == total) return;
    while (static_cast<std::int64_t>(kept_.size()) < num_samples_)
      kept_.push_back(kept_[kept_.size() - static_cast<std::size_t>(total)]);
    use(kept_.data() + (kept_.size() - static_cast<std::size_t>(num_samples_)));
  }

 private:
  // The last window ends with the recording, wherever that will be.
  void forget(std::int64_t total);

  std::int64_t num_samples_, hop_;
  std::vector<float> kept_;
  std::int64_t kept_from_ = 0, following_ = 0, end_ = 0;
};

}  // namespace spoof
