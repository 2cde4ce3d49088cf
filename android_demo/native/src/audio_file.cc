#include "audio_file.h"

#include <sndfile.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <filesystem>

#include "error.h"

namespace spoof {
namespace {

namespace fs = std::filesystem;

// Samples of all channels that are decoded at once.
constexpr std::size_t kBlockSamples = 1 << 17;
// What libsndfile says of a length that it does not know.
constexpr sf_count_t kUnknown = sf_count_t{1} << 62;

Container checked(const std::string& path) {
  if (fs::is_directory(path)) throw Error(path + ": is a directory; give a WAV or FLAC file");
  if (!fs::is_regular_file(path))
    throw Error(path + ": " + (fs::exists(path) ? "is not a regular file" : "no such file") +
                "; check the path");
  if (fs::file_size(path) == 0)
    throw Error(path + ": is empty (0 bytes); copy or record the file again");
  try {
    return examine(path);
  } catch (const Error& error) {
    throw Error(path + ": " + error.what());
  }
}

}  // namespace

// A file of which some bytes are read as others, for libsndfile.
struct Recording::Patched {
  std::FILE* file;
  std::map<std::int64_t, std::string> patches;

  Patched(const std::string& path, std::map<std::int64_t, std::string> bytes)
      : file(std::fopen(path.c_str(), "rb")), patches(std::move(bytes)) {
    if (file == nullptr) throw Error(path + ": cannot be read; check it");
  }
  ~Patched() { std::fclose(file); }

  static SF_VIRTUAL_IO functions() {
    SF_VIRTUAL_IO io{};
    io.get_filelen = [](void* self) -> sf_count_t {
      std::FILE* open = static_cast<Patched*>(self)->file;
      const off_t here = ftello(open);
      fseeko(open, 0, SEEK_END);
      const off_t length = ftello(open);
      fseeko(open, here, SEEK_SET);
      return length;
    };
    io.seek = [](sf_count_t offset, int whence, void* self) -> sf_count_t {
      std::FILE* open = static_cast<Patched*>(self)->file;
      fseeko(open, offset, whence);
      return ftello(open);
    };
    io.read = [](void* into, sf_count_t count, void* self) -> sf_count_t {
      return static_cast<Patched*>(self)->read(static_cast<char*>(into), count);
    };
    io.tell = [](void* self) -> sf_count_t { return ftello(static_cast<Patched*>(self)->file); };
    return io;
  }

  sf_count_t read(char* into, sf_count_t count) {
    const std::int64_t begin = ftello(file);
    const auto found = static_cast<std::int64_t>(
        std::fread(into, 1, static_cast<std::size_t>(count), file));
    for (const auto& [at, bytes] : patches)
      for (std::size_t i = 0; i < bytes.size(); ++i) {
        const std::int64_t place = at + static_cast<std::int64_t>(i) - begin;
        if (place >= 0 && place < found) into[place] = bytes[i];
      }
    return found;
  }
};

Recording::Recording(const std::string& path, int sample_rate) : path_(path), meter_(sample_rate) {
  const Container container = checked(path);
  SF_INFO info{};
  if (container.patches.empty()) {
    file_ = sf_open(path.c_str(), SFM_READ, &info);
  } else {
    patched_ = std::make_unique<Patched>(path, container.patches);
    SF_VIRTUAL_IO io = Patched::functions();
    file_ = sf_open_virtual(&io, SFM_READ, &info, patched_.get());
  }
  if (file_ == nullptr)
    throw Error(path + ": not readable as audio (" + sf_strerror(nullptr) +
                "); give a WAV or FLAC file");
  promised_ = info.frames < kUnknown ? info.frames : 0;
  channels_ = static_cast<std::size_t>(info.channels);
  if (!container.note.empty()) notes_.push_back(container.note);
  if (channels_ > 1)
    notes_.push_back("mixed down from " + std::to_string(channels_) + " channels");
  if (info.samplerate != sample_rate) {
    notes_.push_back("resampled from " + std::to_string(info.samplerate) + " Hz");
    try {
      resampler_.emplace(info.samplerate, sample_rate);
    } catch (const Error& error) {
      sf_close(file_);
      throw Error(path + ": " + error.what());
    }
  }
}

Recording::~Recording() { sf_close(file_); }

bool Recording::next(std::vector<float>& block) {
  block.clear();
  if (over_) return false;
  const std::size_t wanted = std::max<std::size_t>(1, kBlockSamples / channels_);
  samples_.resize(wanted * channels_);
  const sf_count_t count =
      sf_readf_float(file_, samples_.data(), static_cast<sf_count_t>(wanted));
  if (sf_error(file_) != SF_ERR_NO_ERROR)
    throw Error(path_ + ": truncated or damaged (" + sf_strerror(file_) +
                "); copy or download the file again");
  if (count == 0) {
    finish(block);
    return true;
  }
  const auto frames = static_cast<std::size_t>(count);
  read_ += count;
  for (std::size_t i = 0; i < frames * channels_; ++i)
    if (!std::isfinite(samples_[i]))
      throw Error(path_ + ": contains NaN or infinite samples; repair or re-export the file");
  meter_.hear_channels(samples_.data(), frames, channels_);
  mono_.resize(frames);
  for (std::size_t frame = 0; frame < frames; ++frame) {
    double sum = 0;
    for (std::size_t c = 0; c < channels_; ++c) sum += samples_[frame * channels_ + c];
    mono_[frame] = static_cast<float>(sum / static_cast<double>(channels_));
  }
  if (resampler_) {
    resampler_->push(mono_, block);
  } else {
    block = mono_;
  }
  meter_.hear(block.data(), block.size());
  return true;
}

void Recording::finish(std::vector<float>& block) {
  over_ = true;
  if (read_ < promised_)
    throw Error(path_ + ": truncated, " + std::to_string(promised_) + " frames promised and " +
                std::to_string(read_) + " there; copy or download the file again");
  if (read_ == 0) throw Error(path_ + ": contains no samples; record or export the file again");
  if (!resampler_) return;
  resampler_->finish(block);
  meter_.hear(block.data(), block.size());
}

}  // namespace spoof
