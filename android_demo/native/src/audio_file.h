// Reading a recording as export/runtime/audio.py does: mono float32 at one rate, block by block, and
// what was changed.
#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "container.h"
#include "guards.h"
#include "waveform.h"

struct sf_private_tag;

namespace spoof {

class Recording {
 public:
  // Throws Error, with the path in front, for a file that is no whole recording.
  Recording(const std::string& path, int sample_rate);
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // The next block of the waveform, perhaps empty; false after the last. Throws Error if the file
  // ends before its header says, or holds NaN or infinity.
  bool next(std::vector<float>& block);

  // Short remarks such as "resampled from 44100 Hz".
  const std::vector<std::string>& notes() const { return notes_; }
  // Complete after the last block.
  const Meter& meter() const { return meter_; }

 private:
  struct Patched;

  void finish(std::vector<float>& block);

  std::string path_;
  std::unique_ptr<Patched> patched_;
  sf_private_tag* file_ = nullptr;
  std::int64_t promised_ = 0, read_ = 0;
  std::size_t channels_ = 0;
  std::optional<Resampler> resampler_;
  std::vector<std::string> notes_;
  std::vector<float> samples_, mono_;
  Meter meter_;
  bool over_ = false;
};

}  // namespace spoof
