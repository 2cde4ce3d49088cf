// Tensors in and out of a safetensors file: self-describing, no code in it, any framework reads it.
#pragma once

#include <executorch/extension/tensor/tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace spoof {

struct Tensor {
  executorch::aten::ScalarType dtype;
  std::vector<executorch::aten::SizesType> shape;
  std::vector<std::uint8_t> bytes;
};

// The tensors named "0", "1", ...; throws Error for a file that does not hold exactly those.
std::vector<Tensor> read_tensors(const std::string& path);
void write_tensors(const std::string& path, const std::vector<Tensor>& tensors);

}  // namespace spoof
