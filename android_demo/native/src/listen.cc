#include "listen.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "error.h"
#include "results.h"
#include "verdict_json.h"

namespace spoof {
namespace {

constexpr const char* kExpected = "pipe in 16-bit PCM, mono, without a header";

void print(const Verdict& verdict, const Contract& contract, bool json) {
  if (json) {
    std::printf("%s\n", as_json(verdict, contract.threshold).dump().c_str());
  } else {
    char llr[32] = "       -";
    if (verdict.llr) std::snprintf(llr, sizeof llr, "%8.3f", *verdict.llr);
    std::printf("%9.2f s  LLR %s  %s%s\n",
                static_cast<double>(verdict.samples) / contract.sample_rate, llr, verdict.decision,
                verdict.reason ? ("  (" + *verdict.reason + ")").c_str() : "");
  }
  flush_output();
}

// Bytes as they come; 0 at the end.
std::size_t read_some(std::uint8_t* bytes, std::size_t most) {
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, bytes, most);
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw Error(std::string("stdin: cannot be read: ") + std::strerror(errno));
  }
}

}  // namespace

void listen(StreamScorer& scorer, bool json) {
  if (isatty(STDIN_FILENO)) throw Error(std::string("stdin: is a terminal; ") + kExpected);
  const auto tell = [&](const Verdict& verdict) { print(verdict, scorer.contract(), json); };
  std::array<std::uint8_t, 1 << 16> bytes;
  std::vector<float> block;
  // Half a sample at the end is left out.
  std::size_t rest = 0;
  while (const std::size_t count = read_some(bytes.data() + rest, bytes.size() - rest)) {
    const std::size_t held = rest + count;
    block.clear();
    for (std::size_t i = 0; i + 1 < held; i += 2) {
      const auto sample = static_cast<std::int16_t>(bytes[i] | bytes[i + 1] << 8);
      block.push_back(static_cast<float>(sample) / 32768.0F);
    }
    rest = held % 2;
    if (rest != 0) bytes[0] = bytes[held - 1];
    scorer.hear(block, tell);
  }
  if (scorer.position() == 0) throw Error(std::string("stdin: no samples; ") + kExpected);
}

}  // namespace spoof
