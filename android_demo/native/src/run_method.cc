// run_method MODEL.pte
// run_method MODEL.pte METHOD INPUTS.safetensors OUTPUTS.safetensors
//
// Names the methods of any program; or runs one on tensors named "0", "1", ... and writes its
// results likewise, a text as its UTF-8 bytes.
#include <cstring>
#include <iostream>

#include "error.h"
#include "program.h"
#include "safetensors.h"

namespace {

using executorch::aten::ScalarType;
using spoof::EValue;

spoof::Tensor copy(const EValue& value) {
  if (value.isString()) {
    const auto text = value.toString();
    return {ScalarType::Byte,
            {static_cast<executorch::aten::SizesType>(text.size())},
            {text.begin(), text.end()}};
  }
  if (!value.isTensor()) throw spoof::Error("a result is neither a tensor nor text");
  const auto& tensor = value.toTensor();
  const auto* data = static_cast<const std::uint8_t*>(tensor.const_data_ptr());
  std::vector<std::uint8_t> bytes(tensor.nbytes());
  if (!bytes.empty()) std::memcpy(bytes.data(), data, bytes.size());
  return {tensor.scalar_type(), {tensor.sizes().begin(), tensor.sizes().end()}, std::move(bytes)};
}

void run(char** argv, bool list) {
  spoof::Program program(argv[1], 1);
  if (list) {
    for (const std::string& name : program.methods()) std::cout << name << "\n";
    return;
  }
  std::vector<spoof::Tensor> tensors = spoof::read_tensors(argv[3]);
  std::vector<executorch::extension::TensorPtr> keep;
  std::vector<EValue> inputs;
  for (spoof::Tensor& tensor : tensors) {
    keep.push_back(executorch::extension::from_blob(tensor.bytes.data(), tensor.shape, tensor.dtype));
    inputs.emplace_back(*keep.back());
  }
  std::vector<spoof::Tensor> results;
  for (const EValue& value : program.run(argv[2], inputs)) results.push_back(copy(value));
  spoof::write_tensors(argv[4], results);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2 && argc != 5)
      throw spoof::Error("usage: run_method MODEL.pte [METHOD INPUTS OUTPUTS]");
    run(argv, argc == 2);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
}
