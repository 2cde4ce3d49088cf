// A .pte program: loaded, checked, and run with a chosen number of threads.
#pragma once

#include <executorch/extension/module/module.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace spoof {

using executorch::runtime::EValue;

// Not thread-safe, as the runtime's Module is not.
class Program {
 public:
  // Loads all methods; throws Error, with the path in front, for a file that is no whole program.
  Program(const std::string& path, int threads);

  const std::vector<std::string>& methods() const { return methods_; }
  bool has(const std::string& method) const;
  // Whether the method takes one float32 tensor [1, columns], or up to some number of rows.
  bool takes_row(const std::string& method, std::int64_t columns);
  // Results lie in the runtime's memory until the next run.
  std::vector<EValue> run(const std::string& method, const std::vector<EValue>& inputs);
  // The result of a constant method, such as the contract.
  std::string text(const std::string& method);

 private:
  std::string path_;
  int threads_;
  std::unique_ptr<executorch::extension::Module> module_;
  std::vector<std::string> methods_;
};

}  // namespace spoof
