// Reading a recording as export/runtime/audio.py does: mono float32 at one rate, and what was changed.
#pragma once

#include <string>
#include <vector>

namespace spoof {

struct Audio {
  std::vector<float> waveform;
  // Short remarks such as "resampled from 44100 Hz".
  std::vector<std::string> notes;
};

// Throws Error, with the path in front, for a file that is no whole recording.
Audio read_audio(const std::string& path, int sample_rate);

}  // namespace spoof
