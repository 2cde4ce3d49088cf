// read_audio SAMPLE_RATE: for each path on standard input one line, the waveform's length, sum and
// sum of squares, or the error.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "audio_file.h"
#include "error.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (std::string path; std::getline(std::cin, path);) {
    try {
      spoof::Recording recording(path, std::atoi(argv[1]));
      double sum = 0, squares = 0;
      std::size_t count = 0;
      for (std::vector<float> block; recording.next(block); count += block.size())
        for (const float sample : block) {
          sum += sample;
          squares += static_cast<double>(sample) * sample;
        }
      std::printf("ok %zu %.17g %.17g\n", count, sum, squares);
    } catch (const spoof::Error& error) {
      std::printf("error: %s\n", error.what());
    }
  }
  return 0;
}
