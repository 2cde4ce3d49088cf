// From the samples of a recording to the windows that a model takes, as the contract says.
#pragma once

#include <cstdint>
#include <vector>

namespace spoof {

// The formula of export.contract.Audio; throws Error for rates that would need an absurd filter.
std::vector<float> resample(const std::vector<float>& waveform, int source_rate, int sample_rate);

// Where the windows of a recording begin: 0, hop, ... and one more aligned with its end.
std::vector<std::int64_t> window_starts(std::int64_t length, std::int64_t num_samples,
                                        std::int64_t hop);

// A recording shorter than a window is repeated until it fills one.
std::vector<float> repeat_to(std::vector<float> waveform, std::int64_t num_samples);

}  // namespace spoof
