// On what no decision is made: export/runtime/guards.py is its definition.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spoof {

// From here on a sample counts as clipped.
constexpr double kClipLevel = 0.999;

// Gathers what the guards look at, block by block, in memory that does not grow.
class Meter {
 public:
  explicit Meter(int sample_rate) : sample_rate_(sample_rate) {}

  // Scaled samples of a file before they are mixed down, channels interleaved.
  void hear_channels(const float* samples, std::size_t frames, std::size_t channels);
  // Samples of the waveform that windows are cut from.
  void hear(const float* samples, std::size_t count);

  double seconds() const;
  double amplitude() const { return amplitude_; }
  double level_dbfs() const;
  double tonality_db() const;
  double clipped() const;
  double loudest_channel_dbfs() const;
  double cancellation_db() const;

 private:
  struct Sums {
    double total = 0, squares = 0;
  };
  static double level(const Sums& sums, std::int64_t count);

  int sample_rate_;
  double amplitude_ = 0;
  std::int64_t samples_ = 0, frames_ = 0, clipped_ = 0;
  Sums waveform_;
  // Products of a sample, the one before, the one before that, and 1.
  std::array<std::array<double, 4>, 4> triples_{};
  std::array<double, 2> last_{};
  // Of each channel, and last of their mean.
  std::vector<Sums> channels_;
};

struct Guards {
  double min_seconds = 0;
  double min_level_dbfs = 0;
  double max_amplitude = 0;
  double max_tonality_db = 0;
  double max_clipped = 0;
  double max_cancellation_db = 0;

  // Why nothing can be said about what the meter heard; none: it can.
  std::optional<std::string> refusal(const Meter& meter) const;
};

}  // namespace spoof
