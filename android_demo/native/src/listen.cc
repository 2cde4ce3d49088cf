#include "listen.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "error.h"
#include "results.h"
#include "verdict_json.h"

namespace spoof {
namespace {

constexpr const char* kExpected = "pipe in 16-bit PCM, mono, without a header";
// Of a WAV file, which would be heard as a click, and of what is compressed, as noise.
constexpr std::array<std::string_view, 4> kHeaders = {"RIFF", "RF64", "fLaC", "OggS"};

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

void refuse_header(std::string_view begins) {
  for (const auto header : kHeaders)
    if (begins == header)
      throw Error("stdin: begins with " + std::string(header) + ", as a file does; " + kExpected);
}

}  // namespace

void check_stdin() {
  if (fcntl(STDIN_FILENO, F_GETFD) == -1)
    throw Error(std::string("stdin: is closed; ") + kExpected);
}

void listen(StreamScorer& scorer, bool json) {
  if (isatty(STDIN_FILENO)) throw Error(std::string("stdin: is a terminal; ") + kExpected);
  const auto tell = [&](const Verdict& verdict) { print(verdict, scorer.contract(), json); };
  std::array<std::uint8_t, 1 << 16> bytes;
  std::vector<float> block;
  std::size_t held = 0;
  while (held < 4) {
    const std::size_t count = read_some(bytes.data() + held, 4 - held);
    if (count == 0) break;
    held += count;
  }
  refuse_header({reinterpret_cast<const char*>(bytes.data()), held});
  for (std::size_t count = held; count != 0;) {
    block.clear();
    for (std::size_t i = 0; i + 1 < held; i += 2) {
      const auto sample = static_cast<std::int16_t>(bytes[i] | bytes[i + 1] << 8);
      block.push_back(static_cast<float>(sample) / 32768.0F);
    }
    // Half a sample at the end is left out.
    const std::size_t rest = held % 2;
    if (rest != 0) bytes[0] = bytes[held - 1];
    scorer.hear(block, tell);
    count = read_some(bytes.data() + rest, bytes.size() - rest);
    held = rest + count;
  }
  if (scorer.position() == 0) throw Error(std::string("stdin: no samples; ") + kExpected);
}

}  // namespace spoof
