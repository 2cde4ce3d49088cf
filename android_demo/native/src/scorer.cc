#include "scorer.h"

#include <executorch/extension/tensor/tensor.h>

#include <algorithm>
#include <cmath>

#include "error.h"
#include "waveform.h"

namespace spoof {
namespace {

constexpr const char* kContractMethod = "get_contract";

std::string read_contract(Program& program, const std::string& path) {
  if (!program.has(kContractMethod))
    throw Error(path + ": has no score contract; export it with python -m export");
  return program.text(kContractMethod);
}

}  // namespace

Scorer::Scorer(const std::string& path, int threads)
    : path_(path), program_(path, threads), contract_text_(read_contract(program_, path)) {
  try {
    contract_ = parse_contract(contract_text_);
  } catch (const Error& error) {
    throw Error(path + ": " + error.what());
  }
  if (!program_.takes_row("forward", contract_.num_samples))
    throw Error(path + ": its forward takes no window of the contract's " +
                std::to_string(contract_.num_samples) + " samples");
  if (contract_.schema_version == 1)
    note_ = "file not verified, a contract of version 1 has no digest of it";
  else if (!program_.digest())
    throw Error(path + ": not verified: it has no digest, although its contract promises one");
  else
    note_ = "file verified by sha256";
}

float Scorer::score_window(const float* window) {
  const float score = run_window(window);
  if (!std::isfinite(score)) throw Error(path_ + ": gives a score that is not finite");
  return score;
}

float Scorer::run_window(const float* window) {
  if (!std::all_of(window, window + contract_.num_samples, [](float x) { return std::isfinite(x); }))
    throw Error("window: contains NaN or infinite samples");
  // The runtime reads its inputs only.
  const auto input = executorch::extension::from_blob(
      const_cast<float*>(window), {1, static_cast<int>(contract_.num_samples)});
  const auto results = program_.run("forward", {EValue(*input)});
  if (contract_.score_result >= results.size() || !results[contract_.score_result].isTensor())
    throw Error(path_ + ": its forward returns no score");
  const auto& tensor = results[contract_.score_result].toTensor();
  if (tensor.numel() != 1 || tensor.scalar_type() != executorch::aten::ScalarType::Float)
    throw Error(path_ + ": its forward does not return a float32 score");
  return *tensor.const_data_ptr<float>();
}

double Scorer::score(const std::vector<float>& waveform) {
  WindowCutter cutter(contract_.num_samples, contract_.hop);
  double sum = 0;
  std::int64_t count = 0;
  const auto add = [&](const float* window) {
    sum += score_window(window);
    ++count;
  };
  cutter.push(waveform, add);
  cutter.finish(add);
  if (count == 0) throw Error("recording: contains no samples");
  return sum / static_cast<double>(count);
}

std::optional<std::string> Scorer::refusal(const Meter& meter) const {
  return contract_.guards ? contract_.guards->refusal(meter) : std::nullopt;
}

double Scorer::llr(double score) const {
  const double llr = contract_.llr(score);
  if (!std::isfinite(llr))
    throw Error(path_ + ": scale*score + offset overflows at a score of " + std::to_string(score));
  return llr;
}

}  // namespace spoof
