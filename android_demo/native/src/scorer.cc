#include "scorer.h"

#include <executorch/extension/tensor/tensor.h>

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
}

float Scorer::score_window(const float* window) {
  // The runtime reads its inputs only.
  const auto input = executorch::extension::from_blob(
      const_cast<float*>(window), {1, static_cast<int>(contract_.num_samples)});
  const auto results = program_.run("forward", {EValue(*input)});
  if (contract_.score_result >= results.size() || !results[contract_.score_result].isTensor())
    throw Error(path_ + ": its forward gives no score");
  const auto& tensor = results[contract_.score_result].toTensor();
  if (tensor.numel() != 1 || tensor.scalar_type() != executorch::aten::ScalarType::Float)
    throw Error(path_ + ": its forward gives no float32 score");
  const float score = *tensor.const_data_ptr<float>();
  if (!std::isfinite(score)) throw Error(path_ + ": gives a score that is not finite");
  return score;
}

double Scorer::score(const std::vector<float>& waveform) {
  const auto length = static_cast<std::int64_t>(waveform.size());
  const auto starts = window_starts(length, contract_.num_samples, contract_.hop);
  double sum = 0;
  if (length < contract_.num_samples) {
    sum = score_window(repeat_to(waveform, contract_.num_samples).data());
  } else {
    for (const std::int64_t start : starts) sum += score_window(waveform.data() + start);
  }
  return sum / static_cast<double>(starts.size());
}

}  // namespace spoof
