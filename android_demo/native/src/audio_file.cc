#include "audio_file.h"

#include <sndfile.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>

#include "error.h"
#include "waveform.h"

namespace spoof {
namespace {

namespace fs = std::filesystem;

// Writers that stream to a pipe cannot know the length and leave a placeholder of about this size.
constexpr std::uint32_t kStreamedSize = 0x7FFFF000;
constexpr sf_count_t kBlockSamples = 1 << 16;

std::uint32_t little_endian(const char* bytes) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | static_cast<std::uint8_t>(bytes[i]);
  return value;
}

// How many bytes the data chunk of a RIFF file lacks: libsndfile shortens such a file without a
// word, so its own frame count cannot tell.
std::uint64_t missing_wav_bytes(const std::string& path, std::uint64_t size) {
  std::ifstream file(path, std::ios::binary);
  std::array<char, 12> header{};
  if (!file.read(header.data(), header.size())) return 0;
  if (std::memcmp(header.data(), "RIFF", 4) != 0 || std::memcmp(&header[8], "WAVE", 4) != 0)
    return 0;
  std::array<char, 8> chunk{};
  std::uint64_t place = header.size();
  while (file.seekg(static_cast<std::streamoff>(place)) && file.read(chunk.data(), chunk.size())) {
    const std::uint64_t promised = little_endian(&chunk[4]);
    place += chunk.size();
    if (std::memcmp(chunk.data(), "data", 4) == 0) {
      const bool streamed = promised >= kStreamedSize;
      return streamed || place + promised <= size ? 0 : place + promised - size;
    }
    place += promised + promised % 2;
  }
  return 0;
}

void check_file(const std::string& path) {
  if (fs::is_directory(path)) throw Error(path + ": is a directory; give a WAV or FLAC file");
  if (!fs::is_regular_file(path))
    throw Error(path + ": " + (fs::exists(path) ? "is no regular file" : "no such file") +
                "; check the path");
  const std::uint64_t size = fs::file_size(path);
  if (size == 0) throw Error(path + ": is empty (0 bytes); copy or record the file again");
  if (const std::uint64_t missing = missing_wav_bytes(path, size); missing > 0)
    throw Error(path + ": truncated, " + std::to_string(missing) +
                " bytes of audio that its header promises are missing; copy or download the file "
                "again");
}

using SoundFile = std::unique_ptr<SNDFILE, decltype(&sf_close)>;

std::vector<float> read_mono(SNDFILE* file, const SF_INFO& info) {
  const auto channels = static_cast<std::size_t>(info.channels);
  const sf_count_t block_frames = kBlockSamples / info.channels;
  std::vector<float> mono, block(kBlockSamples);
  while (const sf_count_t frames = sf_readf_float(file, block.data(), block_frames)) {
    for (sf_count_t frame = 0; frame < frames; ++frame) {
      double sum = 0;
      for (std::size_t c = 0; c < channels; ++c) sum += block[frame * channels + c];
      mono.push_back(static_cast<float>(sum / static_cast<double>(channels)));
    }
  }
  return mono;
}

}  // namespace

Audio read_audio(const std::string& path, int sample_rate) {
  check_file(path);
  SF_INFO info{};
  const SoundFile file(sf_open(path.c_str(), SFM_READ, &info), sf_close);
  if (!file)
    throw Error(path + ": not readable as audio (" + sf_strerror(nullptr) +
                "); give a WAV or FLAC file");
  Audio audio{read_mono(file.get(), info), {}};
  const auto frames = static_cast<sf_count_t>(audio.waveform.size());
  if (frames < info.frames)
    throw Error(path + ": truncated, " + std::to_string(info.frames) + " frames promised and " +
                std::to_string(frames) + " there; copy or download the file again");
  if (frames == 0) throw Error(path + ": holds no samples; record or export the file again");
  for (const float sample : audio.waveform)
    if (!std::isfinite(sample))
      throw Error(path + ": holds NaN or infinite samples; repair or re-export the file");
  if (info.channels > 1)
    audio.notes.push_back("mixed down from " + std::to_string(info.channels) + " channels");
  if (info.samplerate != sample_rate) {
    audio.notes.push_back("resampled from " + std::to_string(info.samplerate) + " Hz");
    try {
      audio.waveform = resample(audio.waveform, info.samplerate, sample_rate);
    } catch (const Error& error) {
      throw Error(path + ": " + error.what());
    }
  }
  return audio;
}

}  // namespace spoof
