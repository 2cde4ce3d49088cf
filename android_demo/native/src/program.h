// A .pte program: loaded, checked, and run with a chosen number of threads.
#pragma once

#include <executorch/extension/module/module.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace spoof {

using executorch::runtime::EValue;

// Not thread-safe, as the runtime's Module is not.
class Program {
 public:
  // Loads all methods; throws Error, with the path in front, for a file that is no whole program, or
  // that is not the one its digest is of: that is checked before the runtime sees any of it.
  Program(const std::string& path, int threads);

  // The digest that the file was held against before it was loaded; none where it holds none.
  const std::optional<std::string>& digest() const { return digest_; }
  const std::vector<std::string>& methods() const { return methods_; }
  bool has(const std::string& method) const;
  // The columns of each input of a method that takes float32 tensors of one row, or up to some
  // number of rows, [1, columns]; empty for any other method.
  std::vector<std::int64_t> row_sizes(const std::string& method) const;
  // Results lie in the runtime's memory until the next run.
  std::vector<EValue> run(const std::string& method, const std::vector<EValue>& inputs);
  // The result of a constant method, such as the contract.
  std::string text(const std::string& method);

 private:
  std::string path_;
  int threads_;
  std::unique_ptr<executorch::extension::Module> module_;
  std::optional<std::string> digest_;
  std::vector<std::string> methods_;
};

}  // namespace spoof
