#include "program.h"

#include <executorch/extension/threadpool/threadpool_guard.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "digest.h"
#include "error.h"

// In libexecutorch_threadpool.so; the wheel leaves the header out.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(std::uint32_t count);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace spoof {
namespace {

namespace fs = std::filesystem;
using executorch::extension::Module;
using executorch::extension::threadpool::NoThreadPoolGuard;
using Verification = executorch::runtime::Program::Verification;

// The runtime returns a code and logs the reason: keep the first one for the message.
thread_local std::string logged;

void keep_log(et_timestamp_t, et_pal_log_level_t level, const char*, const char*, std::size_t,
              const char* message, std::size_t length) {
  if ((level == kError || level == kFatal) && logged.empty()) logged.assign(message, length);
}

void start_runtime() {
  static const bool started = [] {
    executorch::runtime::register_pal(
        executorch::runtime::PalImpl::create(keep_log, "program.cc"));
    executorch::runtime::runtime_init();
    return true;
  }();
  (void)started;
}

[[noreturn]] void fail(const std::string& path, const std::string& what,
                       executorch::runtime::Error code) {
  std::string reason = logged.empty() ? executorch::runtime::to_string(code) : logged;
  // The reason may quote a damaged file's bytes.
  for (char& letter : reason)
    if (letter < ' ' || letter > '~') letter = '?';
  throw Error(path + ": " + what + " (" + reason + ")");
}

// Holds delegates and kernels to the calling thread. XNNPACK looks at it while it is loaded, the
// kernels while they run.
class OneThread {
 public:
  explicit OneThread(int threads) {
    if (threads == 1) guard_.emplace();
  }

 private:
  std::optional<NoThreadPoolGuard> guard_;
};

std::uint64_t little_endian(const std::uint8_t* bytes, int count) {
  std::uint64_t value = 0;
  for (int i = count - 1; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

// Behind the flatbuffer's 8 bytes: "eh00", the header's own size, the size of the program and
// where the segments begin; since ExecuTorch 1.0 also the segments' size.
std::uint64_t promised_size(const std::uint8_t* head) {
  if (std::memcmp(head + 8, "eh00", 4) != 0) return 0;
  const std::uint64_t header_size = little_endian(head + 12, 4);
  const std::uint64_t program = little_endian(head + 16, 8);
  const std::uint64_t segments = little_endian(head + 24, 8);
  const std::uint64_t segments_size = header_size >= 32 ? little_endian(head + 32, 8) : 0;
  return std::max(program, segments + segments_size);
}

void check_file(const std::string& path) {
  using Status = executorch::runtime::Program::HeaderStatus;
  if (fs::is_directory(path)) throw Error(path + ": is a directory, not an ExecuTorch program");
  if (!fs::is_regular_file(path))
    throw Error(path + (fs::exists(path) ? ": is not a regular file" : ": no such file"));
  std::array<std::uint8_t, executorch::runtime::Program::kMinHeadBytes> head{};
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(path + ": cannot be read");
  file.read(reinterpret_cast<char*>(head.data()), head.size());
  const auto status = executorch::runtime::Program::check_header(head.data(), head.size());
  if (status == Status::IncompatibleVersion)
    throw Error(path + ": made for another version of the ExecuTorch runtime");
  if (status != Status::CompatibleVersion) throw Error(path + ": not an ExecuTorch program");
  const std::uint64_t size = fs::file_size(path);
  const std::uint64_t promised = std::max<std::uint64_t>(head.size(), promised_size(head.data()));
  if (size < promised)
    throw Error(path + ": truncated, " + std::to_string(promised) + " bytes promised and " +
                std::to_string(size) + " there");
}

}  // namespace

Program::Program(const std::string& path, int threads) : path_(path), threads_(threads) {
  check_file(path);
  digest_ = check_digest(path);
  start_runtime();
  logged.clear();
  if (threads > 1)
    executorch::extension::threadpool::get_threadpool()->_unsafe_reset_threadpool(threads);
  module_ = std::make_unique<Module>(path, Module::LoadMode::File);
  const auto loaded = module_->load(Verification::InternalConsistency);
  if (loaded != executorch::runtime::Error::Ok) fail(path, "cannot be loaded", loaded);
  const auto names = module_->method_names();
  if (!names.ok()) fail(path, "cannot be loaded", names.error());
  methods_.assign(names->begin(), names->end());
  const OneThread guard(threads_);
  for (const std::string& name : methods_) {
    const auto error = module_->load_method(name);
    if (error != executorch::runtime::Error::Ok)
      fail(path, "its method " + name + " cannot be loaded", error);
  }
}

bool Program::has(const std::string& method) const {
  return std::find(methods_.begin(), methods_.end(), method) != methods_.end();
}

std::vector<std::int64_t> Program::row_sizes(const std::string& method) const {
  const auto meta = module_->method_meta(method);
  if (!meta.ok()) return {};
  std::vector<std::int64_t> columns;
  for (std::size_t i = 0; i < meta->num_inputs(); ++i) {
    const auto input = meta->input_tensor_meta(i);
    if (!input.ok() || input->scalar_type() != executorch::aten::ScalarType::Float) return {};
    // Of a batch that is left open, the upper bound is given.
    if (input->sizes().size() != 2 || input->sizes()[0] < 1) return {};
    columns.push_back(input->sizes()[1]);
  }
  return columns;
}

std::vector<EValue> Program::run(const std::string& method, const std::vector<EValue>& inputs) {
  if (!has(method)) throw Error(path_ + ": has no method " + method);
  logged.clear();
  const OneThread guard(threads_);
  auto results = module_->execute(method, inputs);
  if (!results.ok()) fail(path_, "its method " + method + " fails", results.error());
  return std::move(*results);
}

std::string Program::text(const std::string& method) {
  const auto results = run(method, {});
  if (results.size() != 1 || !results[0].isString())
    throw Error(path_ + ": its method " + method + " returns no text");
  const auto view = results[0].toString();
  return std::string(view.data(), view.size());
}

}  // namespace spoof
