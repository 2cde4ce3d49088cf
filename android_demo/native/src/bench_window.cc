// bench_window MODEL.pte
//
// Prints the seconds from the start of loading to the first score, and the most memory that the
// process has held by then, in kB (0 where /proc does not tell); then, for every number N on
// standard input, the seconds that N windows took, or N chunks of one stream with all that leads
// to their verdicts. So another process can interleave its own.
#include <chrono>
#include <cmath>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "error.h"
#include "scorer.h"
#include "stream_scorer.h"

namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

long peak_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long size = 0;
    if (word == "VmHWM:" && status >> size) return size;
  }
  return 0;
}

std::vector<float> tone(std::int64_t samples) {
  std::vector<float> made(static_cast<std::size_t>(samples));
  for (std::size_t i = 0; i < made.size(); ++i)
    made[i] = 0.1F * std::sin(0.05F * static_cast<float>(i % 4096));
  return made;
}

// Scores the same samples at each call.
std::function<void()> scoring(spoof::Artefact artefact) {
  if (artefact.contract().stream) {
    const auto scorer = std::make_shared<spoof::StreamScorer>(std::move(artefact));
    const std::vector<float> chunk = tone(scorer->contract().stream->chunk_samples);
    return [=] { scorer->hear_chunk(chunk.data(), chunk.size()); };
  }
  const auto scorer = std::make_shared<spoof::Scorer>(std::move(artefact));
  const std::vector<float> window = tone(scorer->contract().num_samples);
  return [=] { scorer->score_window(window.data()); };
}

void run(const char* model) {
  const auto start = Clock::now();
  const auto score = scoring(spoof::Artefact(model, 1));
  score();
  std::cout << since(start) << " ";
  std::cout << peak_kilobytes() << std::endl;
  for (int count; std::cin >> count;) {
    const auto begin = Clock::now();
    for (int i = 0; i < count; ++i) score();
    std::cout << since(begin) << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw spoof::Error("usage: bench_window MODEL.pte");
    run(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
}
