#include "artefact.h"

#include <executorch/extension/tensor/tensor.h>

#include "error.h"

namespace spoof {
namespace {

constexpr const char* kContractMethod = "get_contract";

std::string read_contract(Program& program, const std::string& path) {
  if (!program.has(kContractMethod))
    throw Error(path + ": has no score contract; export it with python -m export");
  return program.text(kContractMethod);
}

}  // namespace

Artefact::Artefact(const std::string& path, int threads)
    : path_(path), program_(path, threads), contract_text_(read_contract(program_, path)) {
  try {
    contract_ = parse_contract(contract_text_);
  } catch (const Error& error) {
    throw Error(path + ": " + error.what());
  }
  check_inputs();
  if (contract_.schema_version == 1)
    note_ = "file not verified, a contract of version 1 has no digest of it";
  else if (!program_.digest())
    throw Error(path + ": not verified: it has no digest, although its contract promises one");
  else
    note_ = "file verified by sha256";
}

void Artefact::check_inputs() const {
  const std::string fault = path_ + ": its forward takes no ";
  const auto& stream = contract_.stream;
  if (!stream && input_sizes() != std::vector{contract_.num_samples})
    throw Error(fault + "window of the contract's " + std::to_string(contract_.num_samples) +
                " samples");
  if (stream && input_sizes() != std::vector{stream->chunk_samples, stream->state_size})
    throw Error(fault + "chunk of the contract's " + std::to_string(stream->chunk_samples) +
                " samples with a state of " + std::to_string(stream->state_size) + " numbers");
}

std::vector<std::int64_t> Artefact::input_sizes() const { return program_.row_sizes("forward"); }

std::vector<EValue> Artefact::forward(const std::vector<Row>& inputs) {
  std::vector<executorch::extension::TensorPtr> tensors;
  std::vector<EValue> values;
  for (const auto& [numbers, count] : inputs) {
    // The runtime reads its inputs only.
    tensors.push_back(executorch::extension::from_blob(const_cast<float*>(numbers),
                                                       {1, static_cast<int>(count)}));
    values.emplace_back(*tensors.back());
  }
  return program_.run("forward", values);
}

bool holds_floats(const EValue& value, std::int64_t count) {
  if (!value.isTensor()) return false;
  const auto& tensor = value.toTensor();
  return tensor.numel() == count && tensor.scalar_type() == executorch::aten::ScalarType::Float;
}

}  // namespace spoof
