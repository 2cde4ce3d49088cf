// read_audio SAMPLE_RATE: for each path on standard input one line, the waveform's length, sum and
// sum of squares, or the error.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "audio_file.h"
#include "error.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (std::string path; std::getline(std::cin, path);) {
    try {
      const spoof::Audio audio = spoof::read_audio(path, std::atoi(argv[1]));
      double sum = 0, squares = 0;
      for (const float sample : audio.waveform) {
        sum += sample;
        squares += static_cast<double>(sample) * sample;
      }
      std::printf("ok %zu %.17g %.17g\n", audio.waveform.size(), sum, squares);
    } catch (const spoof::Error& error) {
      std::printf("error: %s\n", error.what());
    }
  }
  return 0;
}
