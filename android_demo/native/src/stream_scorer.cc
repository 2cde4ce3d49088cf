#include "stream_scorer.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "error.h"

namespace spoof {
namespace {

bool finite(const float* numbers, std::size_t count) {
  return std::all_of(numbers, numbers + count, [](float x) { return std::isfinite(x); });
}

std::string seconds(std::int64_t samples, int rate) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f s", static_cast<double>(samples) / rate);
  return text;
}

}  // namespace

StreamScorer::StreamScorer(Artefact artefact)
    : artefact_(std::move(artefact)), meter_(contract().sample_rate) {
  if (!contract().stream)
    throw Error(artefact_.path() +
                ": its contract is of windows, expected the task streaming; train one with "
                "python -m export demo --task streaming");
  begin();
}

void StreamScorer::reset() {
  position_ = 0;
  begin();
}

void StreamScorer::begin() {
  state_.assign(static_cast<std::size_t>(contract().stream->state_size), 0.0F);
  waiting_.clear();
  samples_ = 0;
  meter_ = Meter(contract().sample_rate);
}

std::size_t StreamScorer::follow(std::size_t length, std::int64_t at) {
  if (at > position_) {
    if (at - position_ > contract().stream->longest_gap) {
      begin();
      ++restarts_;
    }
    waiting_.clear();
    position_ = at;
  }
  return static_cast<std::size_t>(
      std::min<std::int64_t>(position_ - at, static_cast<std::int64_t>(length)));
}

void StreamScorer::hear(const std::vector<float>& block, const Tell& tell,
                        std::optional<std::int64_t> at) {
  const std::size_t known = at ? follow(block.size(), *at) : 0;
  const auto size = static_cast<std::size_t>(contract().stream->chunk_samples);
  std::vector<float> samples = std::move(waiting_);
  samples.insert(samples.end(), block.begin() + static_cast<std::ptrdiff_t>(known), block.end());
  position_ += static_cast<std::int64_t>(block.size() - known);
  const std::size_t whole = samples.size() / size * size;
  waiting_.assign(samples.begin() + static_cast<std::ptrdiff_t>(whole), samples.end());
  for (std::size_t start = 0; start < whole; start += size)
    tell(hear_chunk(samples.data() + start, size));
}

Verdict StreamScorer::hear_chunk(const float* chunk, std::size_t count) {
  const auto size = static_cast<std::size_t>(contract().stream->chunk_samples);
  if (count != size)
    throw Error("chunk: expected " + std::to_string(size) + " samples, got " +
                std::to_string(count));
  if (!finite(chunk, size)) return undecided("refused: the chunk holds NaN or infinite samples");
  const std::int64_t state_size = contract().stream->state_size;
  const auto found = artefact_.forward(
      {{chunk, contract().stream->chunk_samples}, {state_.data(), state_size}});
  if (found.size() != 2 || !holds_floats(found[0], 1) || !holds_floats(found[1], state_size))
    throw Error(artefact_.path() + ": gives no score with a state of " +
                std::to_string(state_size) + " numbers for a chunk");
  const float score = *found[0].toTensor().const_data_ptr<float>();
  const float* state = found[1].toTensor().const_data_ptr<float>();
  if (!std::isfinite(score) || !finite(state, state_.size()))
    return undecided("refused: the model gives no finite number for the chunk");
  state_.assign(state, state + state_size);
  samples_ += contract().stream->chunk_samples;
  meter_.hear_channels(chunk, size, 1);
  meter_.hear(chunk, size);
  return judge(score);
}

Verdict StreamScorer::judge(double score) const {
  const Stream& stream = *contract().stream;
  const int rate = contract().sample_rate;
  if (auto reason = contract().guards->refusal(meter_)) return undecided(std::move(*reason));
  const Stream::Calibration* row = stream.at(samples_);
  if (row == nullptr)
    return undecided("too early: " + seconds(samples_, rate) + ", decisions begin at " +
                     seconds(stream.calibration.front().samples, rate));
  const double llr = row->scale * score + row->offset;
  if (!std::isfinite(llr))
    throw Error(artefact_.path() + ": scale*score + offset overflows at a score of " +
                std::to_string(score));
  return {samples_, score, llr, contract().posterior(llr), contract().decide(llr), std::nullopt};
}

Verdict StreamScorer::undecided(std::string reason) const {
  return {samples_, std::nullopt, std::nullopt, std::nullopt, "undecided", std::move(reason)};
}

}  // namespace spoof
