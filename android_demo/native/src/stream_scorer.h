// A scorer of streams: samples as they come to a verdict after each chunk, as
// export/runtime/stream.py has it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "artefact.h"
#include "guards.h"

namespace spoof {

// What is known after a chunk. Undecided: no numbers, and why.
struct Verdict {
  // Scored since the stream began, this chunk's included.
  std::int64_t samples;
  std::optional<double> score, llr, posterior;
  const char* decision;
  std::optional<std::string> reason;
};

// One stream; not thread-safe.
class StreamScorer {
 public:
  using Tell = std::function<void(const Verdict&)>;

  // Throws Error for a file that is no scorer of streams.
  StreamScorer(const std::string& path, int threads) : StreamScorer(Artefact(path, threads)) {}
  explicit StreamScorer(Artefact artefact);

  const Artefact& artefact() const { return artefact_; }
  const Contract& contract() const { return artefact_.contract(); }

  // Begins a new stream, at its sample 0; what waits for the rest of its chunk is dropped.
  void reset();
  // Takes any number of mono samples at the contract's rate, and tells a verdict for each chunk that
  // they complete. `at` is the position of the first, counted from the reset, where the source has
  // a clock: what was heard already is left out; after a gap what waits is dropped; after one
  // longer than the contract's longest_gap the stream begins anew. Throws Error, the state as it
  // was, when the model fails.
  void hear(const std::vector<float>& block, const Tell& tell,
            std::optional<std::int64_t> at = std::nullopt);
  // Takes exactly one chunk. Throws Error, the state as it was, for any other number of samples.
  Verdict hear_chunk(const float* chunk, std::size_t count);

  // Samples taken since the reset, those that wait included.
  std::int64_t position() const { return position_; }
  // How often a gap was so long that the stream began anew.
  int restarts() const { return restarts_; }
  // What the model gave after the last chunk, zeros at the beginning.
  const std::vector<float>& state() const { return state_; }

 private:
  void begin();
  // How many of the block's first samples were heard already.
  std::size_t follow(std::size_t length, std::int64_t at);
  Verdict judge(double score) const;
  Verdict undecided(std::string reason) const;

  Artefact artefact_;
  std::int64_t position_ = 0, samples_ = 0;
  int restarts_ = 0;
  std::vector<float> state_, waiting_;
  Meter meter_;
};

}  // namespace spoof
