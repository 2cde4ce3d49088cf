#include "safetensors.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include "error.h"

namespace spoof {
namespace {

using executorch::aten::ScalarType;
using nlohmann::json;

constexpr std::size_t kLengthBytes = 8;

const std::array<std::pair<const char*, ScalarType>, 10> kTypes = {{
    {"F32", ScalarType::Float},
    {"F64", ScalarType::Double},
    {"F16", ScalarType::Half},
    {"BF16", ScalarType::BFloat16},
    {"I64", ScalarType::Long},
    {"I32", ScalarType::Int},
    {"I16", ScalarType::Short},
    {"I8", ScalarType::Char},
    {"U8", ScalarType::Byte},
    {"BOOL", ScalarType::Bool},
}};

ScalarType type_of(const std::string& name) {
  for (const auto& [known, type] : kTypes)
    if (name == known) return type;
  throw Error("dtype " + name + " is unknown");
}

const char* name_of(ScalarType type) {
  for (const auto& [name, known] : kTypes)
    if (type == known) return name;
  throw Error("a result has a dtype that safetensors has no name for");
}

Tensor read_tensor(const json& entry, const std::vector<char>& file, std::size_t data) {
  Tensor tensor{type_of(entry.at("dtype")), entry.at("shape"), {}};
  const std::array<std::size_t, 2> offsets = entry.at("data_offsets");
  std::size_t size = executorch::runtime::elementSize(tensor.dtype);
  for (const auto length : tensor.shape) size *= static_cast<std::size_t>(length);
  const std::size_t available = file.size() - data;
  if (offsets[0] > offsets[1] || offsets[1] > available || offsets[1] - offsets[0] != size)
    throw Error("a tensor's bytes do not fit its shape");
  tensor.bytes.assign(file.begin() + static_cast<std::ptrdiff_t>(data + offsets[0]),
                      file.begin() + static_cast<std::ptrdiff_t>(data + offsets[1]));
  return tensor;
}

std::vector<Tensor> parse(const std::vector<char>& file) {
  if (file.size() < kLengthBytes) throw Error("is not a safetensors file");
  std::uint64_t length = 0;
  for (int i = kLengthBytes - 1; i >= 0; --i)
    length = length << 8 | static_cast<std::uint8_t>(file[i]);
  if (length > file.size() - kLengthBytes) throw Error("is not a safetensors file");
  const std::size_t data = kLengthBytes + length;
  const json header = json::parse(file.begin() + kLengthBytes, file.begin() + data);
  std::vector<Tensor> tensors;
  for (std::size_t i = 0; header.contains(std::to_string(i)); ++i)
    tensors.push_back(read_tensor(header.at(std::to_string(i)), file, data));
  if (tensors.size() != header.size() - header.count("__metadata__"))
    throw Error("expected tensors named 0, 1, ...");
  return tensors;
}

}  // namespace

std::vector<Tensor> read_tensors(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw Error(path + ": cannot be read");
  const std::vector<char> file((std::istreambuf_iterator<char>(stream)), {});
  try {
    return parse(file);
  } catch (const json::exception&) {
    throw Error(path + ": is not a safetensors file");
  } catch (const Error& error) {
    throw Error(path + ": " + error.what());
  }
}

void write_tensors(const std::string& path, const std::vector<Tensor>& tensors) {
  json header = json::object();
  std::size_t place = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::size_t end = place + tensors[i].bytes.size();
    header[std::to_string(i)] = {{"dtype", name_of(tensors[i].dtype)},
                                 {"shape", tensors[i].shape},
                                 {"data_offsets", {place, end}}};
    place = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::string temporary = path + ".part";
  {
    std::ofstream stream(temporary, std::ios::binary);
    for (std::size_t i = 0; i < kLengthBytes; ++i) stream.put(static_cast<char>(text.size() >> 8 * i));
    stream << text;
    for (const Tensor& tensor : tensors)
      stream.write(reinterpret_cast<const char*>(tensor.bytes.data()),
                   static_cast<std::streamsize>(tensor.bytes.size()));
    if (!stream.flush()) throw Error(path + ": cannot be written");
  }
  std::filesystem::rename(temporary, path);
}

}  // namespace spoof
