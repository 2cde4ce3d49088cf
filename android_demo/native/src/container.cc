#include "container.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <set>
#include <sstream>
#include <vector>

#include "error.h"

namespace spoof {
namespace {

// Writers that stream to a pipe cannot know the length and leave a placeholder of about this size.
constexpr std::uint64_t kStreamed = 0x7FFFF000;
constexpr const char* kNoLength = "completeness not checked: its header states no length";
constexpr const char* kNoMeans = "completeness not checked: not done for this format";
constexpr const char* kSeveral = "contains several recordings, one after the other; split it first";

class Source {
 public:
  explicit Source(const std::string& path) : file_(path, std::ios::binary) {
    file_.seekg(0, std::ios::end);
    size_ = static_cast<std::uint64_t>(std::max<std::streamoff>(0, file_.tellg()));
  }

  std::uint64_t size() const { return size_; }

  // Up to count bytes from an offset on.
  std::string read(std::uint64_t at, std::size_t count) {
    if (at >= size_) return {};
    std::string bytes(count, '\0');
    file_.clear();
    file_.seekg(static_cast<std::streamoff>(at));
    file_.read(bytes.data(), static_cast<std::streamsize>(count));
    bytes.resize(static_cast<std::size_t>(file_.gcount()));
    return bytes;
  }

 private:
  std::ifstream file_;
  std::uint64_t size_ = 0;
};

std::uint64_t number(const std::string& bytes, std::size_t at, std::size_t count, bool big) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t place = at + (big ? i : count - 1 - i);
    value = value << 8 | (place < bytes.size() ? static_cast<std::uint8_t>(bytes[place]) : 0);
  }
  return value;
}

bool begins(const std::string& bytes, const std::string& with, std::size_t at = 0) {
  return bytes.compare(at, with.size(), with) == 0;
}

Container sized(const Source& source, std::uint64_t begin, std::uint64_t length) {
  const std::uint64_t size = source.size();
  if (length > size || begin > size - length)
    throw Error("truncated, " + std::to_string(begin + length - size) +
                " bytes of audio that its header promises are missing; copy or download the file "
                "again");
  return {};
}

struct Chunk {
  std::string name;
  std::uint64_t begin = 0, length = 0;
};

// The chunks from an offset on, until use() says that it was enough.
void chunks(Source& source, std::uint64_t at, bool big, const std::function<bool(Chunk)>& use) {
  while (true) {
    const std::string head = source.read(at, 8);
    if (head.size() < 8) return;
    const Chunk chunk{head.substr(0, 4), at + 8, number(head, 4, 4, big)};
    if (use(chunk)) return;
    at = chunk.begin + chunk.length + chunk.length % 2;
  }
}

// Whether what follows an empty chunk is chunks, and no audio that its writer did not count.
bool chunks_to_the_end(Source& source, std::uint64_t at, bool big) {
  bool sound = true;
  std::uint64_t end = at;
  chunks(source, at, big, [&](const Chunk& chunk) {
    sound = chunk.begin + chunk.length <= source.size() &&
            std::all_of(chunk.name.begin(), chunk.name.end(),
                        [](char letter) { return letter >= ' ' && letter <= '~'; });
    end = chunk.begin + chunk.length + chunk.length % 2;
    return !sound;
  });
  return sound && end >= source.size();
}

Container riff(Source& source, bool big) {
  std::optional<std::uint64_t> whole;
  Container found;
  chunks(source, 12, big, [&](const Chunk& chunk) {
    if (chunk.name == "ds64") whole = number(source.read(chunk.begin + 8, 8), 0, 8, false);
    if (chunk.name != "data") return false;
    const std::uint64_t left = source.size() - std::min(source.size(), chunk.begin);
    if (whole && chunk.length == 0xFFFFFFFF) {
      found = sized(source, chunk.begin, *whole);
    } else if (chunk.length >= kStreamed) {
      found.note = kNoLength;
    } else if (chunk.length == 0 && left > 0 && !chunks_to_the_end(source, chunk.begin, big)) {
      const std::uint64_t length = std::min(left, kStreamed - 1);
      std::string patch;
      for (int i = 0; i < 4; ++i)
        patch += static_cast<char>(length >> 8 * (big ? 3 - i : i) & 0xFF);
      found = {kNoLength, {{static_cast<std::int64_t>(chunk.begin) - 4, patch}}};
    } else {
      found = sized(source, chunk.begin, chunk.length);
    }
    return true;
  });
  return found;
}

// AIFF, AIFF-C, 8SVX, 16SV.
Container form(Source& source) {
  Container found;
  chunks(source, 12, true, [&](const Chunk& chunk) {
    const bool sound = chunk.name == "SSND" || chunk.name == "BODY";
    if (sound) found = sized(source, chunk.begin, chunk.length);
    return sound;
  });
  return found;
}

Container w64(Source& source) {
  for (std::uint64_t at = 40;;) {
    const std::string head = source.read(at, 24);
    if (head.size() < 24) return {};
    const std::uint64_t length = number(head, 16, 8, false);
    if (begins(head, "data")) return sized(source, at, length);
    if (length > source.size()) return {};
    at += std::max<std::uint64_t>(24, (length + 7) / 8 * 8);
  }
}

Container caf(Source& source) {
  for (std::uint64_t at = 8;;) {
    const std::string head = source.read(at, 12);
    if (head.size() < 12) return {};
    const auto length = static_cast<std::int64_t>(number(head, 4, 8, true));
    if (begins(head, "data")) {
      if (length < 0) return {kNoLength, {}};
      return sized(source, at + 12, static_cast<std::uint64_t>(length));
    }
    if (length > static_cast<std::int64_t>(source.size())) return {};
    at += 12 + static_cast<std::uint64_t>(std::max<std::int64_t>(0, length));
  }
}

std::optional<std::uint64_t> whole_number(const std::string& text) {
  if (text.empty() || text.size() > 12 || text.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::stoull(text);
}

Container nist(Source& source) {
  std::istringstream lines(source.read(0, 1024));
  std::map<std::string, std::string> fields;
  std::string line, begin;
  for (int count = 0; std::getline(lines, line); ++count) {
    std::istringstream words(line);
    std::string name, kind, value, more;
    words >> name >> kind >> value;
    if (count == 1) begin = name;
    if (!value.empty() && !(words >> more)) fields[name] = value;
  }
  const auto start = whole_number(begin), samples = whole_number(fields["sample_count"]);
  const auto channels = whole_number(fields["channel_count"]);
  const auto width = whole_number(fields["sample_n_bytes"]);
  if (!start || !samples || !channels || !width) return {kNoLength, {}};
  if (fields["sample_coding"].find("shorten") != std::string::npos) return {kNoMeans, {}};
  if (*channels > 4096 || *width > 64) return {kNoLength, {}};
  return sized(source, *start, *samples * *channels * *width);
}

// Pages from end to end; each stream's last one is marked, and one begins behind no other's.
Container ogg(Source& source) {
  std::set<std::uint64_t> open;
  bool begun = false;
  std::uint64_t at = 0;
  while (at < source.size()) {
    const std::string head = source.read(at, 27);
    const std::size_t segments = head.size() == 27 ? static_cast<std::uint8_t>(head[26]) : 0;
    const std::string lacing = source.read(at + 27, segments);
    if (head.size() < 27 || !begins(head, "OggS") || lacing.size() < segments)
      throw Error("truncated or damaged: no page of Ogg where one should begin");
    const std::uint64_t serial = number(head, 14, 4, false);
    const int kind = head[5];
    if (kind & 2) {
      if (begun) throw Error(kSeveral);
      open.insert(serial);
    } else {
      begun = true;
    }
    if (kind & 4) open.erase(serial);
    at += 27 + segments;
    for (const char part : lacing) at += static_cast<std::uint8_t>(part);
  }
  if (at > source.size() || !open.empty())
    throw Error("truncated: the last page of Ogg is missing; copy or download it again");
  return {};
}

Container flac(Source& source, std::uint64_t start) {
  constexpr std::size_t kBlock = 1 << 20;
  for (const std::string& begin : {std::string("fLaC\0\0\0\x22", 8), std::string("fLaC\x80\0\0\x22", 8)})
    for (std::uint64_t at = start + 4; at < source.size(); at += kBlock)
      if (source.read(at, kBlock + begin.size() - 1).find(begin) != std::string::npos)
        throw Error(kSeveral);
  const std::string head = source.read(start, 26);
  const bool known = (number(head, 21, 5, true) & 0xFFFFFFFFF) != 0;
  return known ? Container{} : Container{kNoLength, {}};
}

bool begins_mp3(const std::string& bytes) {
  return bytes.size() > 1 && static_cast<std::uint8_t>(bytes[0]) == 0xFF &&
         (static_cast<std::uint8_t>(bytes[1]) & 0xE0) == 0xE0;
}

// A length stands in the first frame where the encoder wrote one.
Container mp3(Source& source, std::uint64_t start) {
  const std::string frame = source.read(start, 64);
  if (frame.size() < 64) return {kNoLength, {}};
  const bool first = (frame[1] & 0x18) == 0x18, mono = (frame[3] & 0xC0) == 0xC0;
  const std::size_t side = first ? (mono ? 17 : 32) : (mono ? 9 : 17);
  const std::size_t at = 4 + side + (frame[1] & 1 ? 0 : 2);
  const std::uint64_t flags = number(frame, at + 4, 4, true);
  if ((!begins(frame, "Xing", at) && !begins(frame, "Info", at)) || !(flags & 2))
    return {kNoLength, {}};
  const std::uint64_t length = number(frame, at + (flags & 1 ? 12 : 8), 4, true);
  const std::string behind = source.read(start + length, 3);
  if (behind == "ID3" || begins_mp3(behind)) throw Error(kSeveral);
  return sized(source, start, length);
}

// Where an ID3v2 tag at the start ends.
std::uint64_t behind_id3(Source& source) {
  const std::string head = source.read(0, 10);
  if (head.size() < 10 || !begins(head, "ID3")) return 0;
  std::uint64_t size = 0;
  for (std::size_t i = 6; i < 10; ++i) size = size << 7 | (head[i] & 0x7F);
  return 10 + size;
}

}  // namespace

Container examine(const std::string& path) {
  Source source(path);
  const std::uint64_t start = behind_id3(source);
  std::string head = source.read(start, 64);
  head.resize(64);
  const std::string name = head.substr(0, 4);
  if ((name == "RIFF" || name == "RIFX" || name == "RF64" || name == "BW64") &&
      begins(head, "WAVE", 8))
    return riff(source, name == "RIFX");
  if (name == "FORM") return form(source);
  if (name == "riff" && begins(head, "wave", 24)) return w64(source);
  if (name == ".snd" || name == "dns.") {
    const bool big = name == ".snd";
    const std::uint64_t length = number(head, 8, 4, big);
    if (length == 0xFFFFFFFF) return {kNoLength, {}};
    return sized(source, number(head, 4, 4, big), length);
  }
  if (name == "caff") return caf(source);
  if (begins(head, "NIST_1A")) return nist(source);
  if (name == "OggS") return ogg(source);
  if (name == "fLaC") return flac(source, start);
  if (begins_mp3(head)) return mp3(source, start);
  return {kNoMeans, {}};
}

}  // namespace spoof
