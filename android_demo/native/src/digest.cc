#include "digest.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <vector>

#include "error.h"

namespace spoof {
namespace {

// FIPS 180-4.
class Sha256 {
 public:
  void add(const std::uint8_t* bytes, std::size_t count) {
    size_ += count;
    for (std::size_t i = 0; i < count; ++i) {
      block_[filled_++] = bytes[i];
      if (filled_ == block_.size()) mix();
    }
  }

  std::string finish() {
    const std::uint64_t bits = size_ * 8;
    const std::uint8_t one = 0x80, zero = 0;
    add(&one, 1);
    while (filled_ != 56) add(&zero, 1);
    for (int shift = 56; shift >= 0; shift -= 8) {
      const auto byte = static_cast<std::uint8_t>(bits >> shift);
      add(&byte, 1);
    }
    std::string text;
    for (const std::uint32_t word : state_)
      for (int shift = 28; shift >= 0; shift -= 4) text += "0123456789abcdef"[word >> shift & 15];
    return text;
  }

 private:
  static std::uint32_t turn(std::uint32_t x, int count) { return x >> count | x << (32 - count); }

  void mix() {
    static constexpr std::uint32_t kRounds[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
        0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
        0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
        0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
        0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
        0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
        0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
        0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
        0xc67178f2};
    std::array<std::uint32_t, 64> w{};
    for (int i = 0; i < 16; ++i)
      for (int k = 0; k < 4; ++k) w[i] = w[i] << 8 | block_[4 * i + k];
    for (int i = 16; i < 64; ++i) {
      const std::uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + w[i - 7] + (turn(a, 7) ^ turn(a, 18) ^ a >> 3) +
             (turn(b, 17) ^ turn(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state_;
    for (int i = 0; i < 64; ++i) {
      const std::uint32_t first = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) +
                                  ((e & f) ^ (~e & g)) + kRounds[i] + w[i];
      const std::uint32_t second =
          (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + first, d = c, c = b, b = a, a = first + second;
    }
    const std::array<std::uint32_t, 8> more = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; ++i) state_[i] += more[i];
    filled_ = 0;
  }

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};
  std::size_t filled_ = 0;
  std::uint64_t size_ = 0;
};

constexpr std::size_t kDigits = 64;

bool is_hex(std::uint8_t letter) {
  return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f');
}

// Where the 64 digits of the last "file_sha256": "..." begin.
std::optional<std::size_t> find_digest(const std::vector<std::uint8_t>& content) {
  const std::string key = "\"file_sha256\":";
  auto end = content.end();
  while (true) {
    const auto found = std::find_end(content.begin(), end, key.begin(), key.end());
    if (found == end) return std::nullopt;
    auto at = static_cast<std::size_t>(found - content.begin()) + key.size();
    if (at < content.size() && content[at] == ' ') ++at;
    if (at + kDigits + 2 <= content.size() && content[at] == '"' &&
        content[at + kDigits + 1] == '"' &&
        std::all_of(&content[at + 1], &content[at + 1] + kDigits, is_hex))
      return at + 1;
    end = found + static_cast<std::ptrdiff_t>(key.size()) - 1;
  }
}

}  // namespace

std::optional<std::string> check_digest(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::vector<std::uint8_t> content((std::istreambuf_iterator<char>(file)), {});
  const auto place = find_digest(content);
  if (!place) return std::nullopt;
  const auto begin = content.begin() + static_cast<std::ptrdiff_t>(*place);
  const std::string stated(begin, begin + kDigits);
  if (stated == std::string(kDigits, '0')) return std::nullopt;
  std::fill(begin, begin + kDigits, '0');
  Sha256 digest;
  digest.add(content.data(), content.size());
  const std::string actual = digest.finish();
  if (actual != stated)
    throw Error(path + ": damaged: its sha256 is " + actual.substr(0, 12) + "..., and " +
                stated.substr(0, 12) + "... when it was written; copy or export it again");
  return stated;
}

}  // namespace spoof
