#include "guards.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace spoof {
namespace {

constexpr double kFloor = 1e-20;
constexpr double kMostTonality = 120;
constexpr double kCollinear = 1e-12;

__attribute__((format(printf, 1, 2))) std::string text(const char* format, ...) {
  char buffer[256];
  va_list values;
  va_start(values, format);
  std::vsnprintf(buffer, sizeof buffer, format, values);
  va_end(values);
  return buffer;
}

}  // namespace

void Meter::hear_channels(const float* samples, std::size_t frames, std::size_t channels) {
  channels_.resize(channels + 1);
  for (std::size_t frame = 0; frame < frames; ++frame) {
    double sum = 0;
    for (std::size_t c = 0; c < channels; ++c) {
      const double sample = samples[frame * channels + c];
      sum += sample;
      channels_[c].total += sample;
      channels_[c].squares += sample * sample;
      if (std::abs(sample) >= kClipLevel) ++clipped_;
    }
    const double mean = sum / static_cast<double>(channels);
    channels_[channels].total += mean;
    channels_[channels].squares += mean * mean;
  }
  frames_ += static_cast<std::int64_t>(frames);
}

void Meter::hear(const float* samples, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const double sample = samples[i];
    amplitude_ = std::max(amplitude_, std::abs(sample));
    waveform_.total += sample;
    waveform_.squares += sample * sample;
    if (samples_ >= 2) {
      const double values[4] = {sample, last_[0], last_[1], 1};
      for (int row = 0; row < 4; ++row)
        for (int column = row; column < 4; ++column)
          triples_[row][column] += values[row] * values[column];
    }
    last_ = {sample, last_[0]};
    ++samples_;
  }
}

double Meter::seconds() const { return static_cast<double>(samples_) / sample_rate_; }

double Meter::level(const Sums& sums, std::int64_t count) {
  if (count == 0) return 10 * std::log10(kFloor);
  const double mean = sums.total / static_cast<double>(count);
  return 10 * std::log10(
                  std::max(kFloor, sums.squares / static_cast<double>(count) - mean * mean));
}

double Meter::level_dbfs() const { return level(waveform_, samples_); }

double Meter::tonality_db() const {
  const double count = triples_[3][3];
  if (count < 3) return 0;
  const auto covariance = [&](int i, int j) {
    return triples_[i][j] / count - triples_[i][3] / count * (triples_[j][3] / count);
  };
  const double aa = covariance(0, 0), ab = covariance(0, 1), ac = covariance(0, 2);
  const double bb = covariance(1, 1), bc = covariance(1, 2), cc = covariance(2, 2);
  if (aa <= kFloor || bb <= kFloor) return 0;
  const double determinant = bb * cc - bc * bc;
  const double foretold =
      determinant > kCollinear * bb * cc
          ? (ab * ab * cc - 2 * ab * ac * bc + ac * ac * bb) / determinant
          : ab * ab / bb;
  return 10 * std::log10(aa / std::max(aa - foretold, aa * std::pow(10, -kMostTonality / 10)));
}

double Meter::clipped() const {
  if (frames_ == 0) return 0;
  return static_cast<double>(clipped_) /
         (static_cast<double>(frames_) * static_cast<double>(channels_.size() - 1));
}

double Meter::loudest_channel_dbfs() const {
  if (frames_ == 0) return level_dbfs();
  double loudest = 10 * std::log10(kFloor);
  for (std::size_t c = 0; c + 1 < channels_.size(); ++c)
    loudest = std::max(loudest, level(channels_[c], frames_));
  return loudest;
}

double Meter::cancellation_db() const {
  if (frames_ == 0 || channels_.size() < 3) return 0;
  return loudest_channel_dbfs() - level(channels_.back(), frames_) -
         20 * std::log10(static_cast<double>(channels_.size() - 1));
}

std::optional<std::string> Guards::refusal(const Meter& meter) const {
  if (meter.seconds() < min_seconds)
    return text("too short: %.3f s, at least %.3f s are needed", meter.seconds(), min_seconds);
  if (meter.amplitude() > max_amplitude)
    return text("out of scale: samples up to %.1f, where full scale is 1 and %.1f the most",
                meter.amplitude(), max_amplitude);
  if (meter.cancellation_db() > max_cancellation_db &&
      meter.loudest_channel_dbfs() >= min_level_dbfs)
    return text("channels cancel: mixing them down loses %.1f dB; give one of them",
                meter.cancellation_db());
  if (meter.level_dbfs() < min_level_dbfs)
    return text("too quiet: %.1f dBFS, at least %.1f are needed", meter.level_dbfs(),
                min_level_dbfs);
  if (meter.clipped() > max_clipped)
    return text("clipped: %.1f %% of the samples, at most %.1f %% may be", 100 * meter.clipped(),
                100 * max_clipped);
  if (meter.tonality_db() > max_tonality_db)
    return text("a tone: %.1f dB of it can be predicted, speech keeps below %.1f",
                meter.tonality_db(), max_tonality_db);
  return std::nullopt;
}

}  // namespace spoof
