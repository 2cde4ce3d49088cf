#include "contract.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "error.h"

namespace spoof {
namespace {

using nlohmann::json;

// As export/runtime/contract.py and _part.py have them.
constexpr std::int64_t kMostHz = 768'000;
constexpr std::int64_t kMostSamples = 1 << 24;
constexpr std::int64_t kMostNumbers = 1 << 24;
constexpr std::int64_t kMostHeard = std::int64_t{1} << 44;
constexpr std::size_t kMostRows = 64;
constexpr int kDeepest = 16;

// An object of the document. Every field is read or named: what is left over is unknown, and
// could change what the score means.
class Part {
 public:
  Part(const json& value, std::string place) : value_(value), place_(std::move(place)) {
    if (!value_.is_object()) fail("", "expected an object");
  }

  Part part(const char* name) { return Part(get(name), place_ + name + "."); }

  // A list of objects, one at least.
  std::vector<Part> parts(const char* name, std::size_t most) {
    const json& found = get(name);
    if (!found.is_array() || found.empty() || found.size() > most)
      fail(name, "expected a list of 1 to " + std::to_string(most) + ", got " + shown(found));
    std::vector<Part> all;
    for (const json& value : found)
      all.emplace_back(value, place_ + name + "[" + std::to_string(all.size()) + "].");
    return all;
  }

  // A field that the schema leaves no choice in.
  void fixed(const char* name, const char* expected) {
    if (text(name) != expected) fail(name, std::string("expected \"") + expected + "\"");
  }

  void fixed(const char* name, std::int64_t expected) {
    const json& found = get(name);
    if (!found.is_number_integer() || found.get<double>() != static_cast<double>(expected))
      fail(name, "expected " + std::to_string(expected) + ", got " + shown(found));
  }

  void fixed(const char* name, double expected) {
    if (number(name) != expected) fail(name, "expected " + json(expected).dump());
  }

  std::string text(const char* name) {
    const json& found = get(name);
    if (!found.is_string()) fail(name, "expected a string, got " + shown(found));
    return found.get<std::string>();
  }

  std::string one_of(const char* name, std::initializer_list<const char*> known) {
    const std::string found = text(name);
    if (std::find(known.begin(), known.end(), found) == known.end())
      fail(name, "expected one of another kind than \"" + found + "\"");
    return found;
  }

  void hex(const char* name) {
    const std::string found = text(name);
    if (found.size() != 64 || found.find_first_not_of("0123456789abcdef") != std::string::npos)
      fail(name, "expected 64 hexadecimal digits");
  }

  double number(const char* name) {
    const json& found = get(name);
    if (!found.is_number()) fail(name, "expected a number, got " + shown(found));
    return found.get<double>();
  }

  // A number for which holds what inside() says.
  template <typename Inside>
  double number(const char* name, const char* expected, Inside inside) {
    const double found = number(name);
    if (!inside(found)) fail(name, std::string("expected ") + expected);
    return found;
  }

  std::int64_t count(const char* name, std::int64_t most, std::int64_t least = 1) {
    const json& found = get(name);
    const double value = found.is_number_integer() ? found.get<double>() : -1;
    if (value < static_cast<double>(least) || value > static_cast<double>(most))
      fail(name, "expected a whole number from " + std::to_string(least) + " to " +
                     std::to_string(most) + ", got " + shown(found));
    return found.get<std::int64_t>();
  }

  // All values of a list, or of an object, are strings.
  void texts(const char* name, json::value_t kind) {
    const json& found = get(name);
    if (found.type() != kind) fail(name, "expected strings, got " + shown(found));
    for (const json& value : found)
      if (!value.is_string()) fail(name, "expected strings, got " + shown(value));
  }

  // A list of numbers, as many as one of the known counts.
  void numbers(const char* name, std::initializer_list<std::size_t> counts) {
    const json& found = get(name);
    if (!found.is_array() || std::find(counts.begin(), counts.end(), found.size()) == counts.end())
      fail(name, "expected a list of another length, got " + shown(found));
    for (const json& value : found)
      if (!value.is_number()) fail(name, "expected numbers, got " + shown(value));
  }

  bool has(const char* name) const { return value_.contains(name); }

  void finish() const {
    for (const auto& [name, field] : value_.items())
      if (std::find(seen_.begin(), seen_.end(), name) == seen_.end())
        fail(name, "is unknown to this program");
  }

  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    // A name from the document may hold anything.
    std::string said = "score contract: " + place_ + name + ": " + what;
    for (char& letter : said)
      if (static_cast<unsigned char>(letter) < ' ' || letter == 0x7f) letter = '?';
    throw Error(said);
  }

 private:
  static std::string shown(const json& value) {
    const std::string text = value.is_structured() ? value.type_name() : value.dump();
    return text.substr(0, 40);
  }

  const json& get(const char* name) {
    seen_.push_back(name);
    const auto found = value_.find(name);
    if (found == value_.end()) fail(name, "is missing");
    return *found;
  }

  const json& value_;
  std::string place_;
  std::vector<std::string> seen_;
};

void read_audio(Part audio, Contract& contract) {
  contract.sample_rate = static_cast<int>(audio.count("sample_rate", kMostHz));
  audio.fixed("pcm16_divisor", std::int64_t{32768});
  audio.fixed("mixdown", "mean");
  audio.fixed("resampler", "sinc_interp_hann");
  audio.fixed("resampler_lowpass_filter_width", std::int64_t{6});
  audio.fixed("resampler_rolloff", 0.99);
  audio.finish();
}

// Returns how the windows' results are combined, one of the known ways.
std::string read_windows(Part windows, std::initializer_list<const char*> known,
                         Contract& contract) {
  contract.num_samples = windows.count("num_samples", kMostSamples);
  contract.hop = windows.count("hop", kMostSamples);
  windows.fixed("tail", "align_end");
  windows.fixed("short", "repeat");
  const std::string combine = windows.one_of("combine", known);
  windows.finish();
  return combine;
}

double read_scale(Part& part) {
  return part.number("scale", "a number above 0", [](double x) { return x > 0; });
}

// What every decision ends with.
void read_threshold(Part& decision, Contract& contract) {
  contract.prior =
      decision.number("prior", "one in (0, 1)", [](double x) { return x > 0 && x < 1; });
  contract.threshold = decision.number("threshold");
  decision.text("operating_point");
  decision.finish();
}

void read_decision(Part decision, const char* polarity, Contract& contract) {
  decision.fixed("polarity", polarity);
  contract.scale = read_scale(decision);
  contract.offset = decision.number("offset");
  read_threshold(decision, contract);
}

Stream read_stream(Part part) {
  Stream stream;
  stream.chunk_samples = part.count("chunk_samples", kMostSamples);
  stream.state_size = part.count("state_size", kMostNumbers);
  part.fixed("initial_state", "zeros");
  stream.warmup_samples = part.count("warmup_samples", kMostSamples, 0);
  part.fixed("tail", "drop");
  part.fixed("refused", "keep_state");
  stream.longest_gap = part.count("longest_gap", kMostSamples, 0);
  part.finish();
  return stream;
}

// By rising samples, and none before the warm-up is over.
std::vector<Stream::Calibration> read_calibration(Part& decision, std::int64_t earliest) {
  std::vector<Stream::Calibration> rows;
  for (Part& row : decision.parts("calibration", kMostRows)) {
    const std::int64_t samples = row.count("samples", kMostHeard, earliest);
    rows.push_back({samples, read_scale(row), row.number("offset")});
    earliest = samples + 1;
    row.finish();
  }
  return rows;
}

void read_stream_decision(Part decision, Contract& contract) {
  decision.fixed("polarity", "higher_is_bonafide");
  contract.stream->calibration = read_calibration(decision, contract.stream->warmup_samples);
  read_threshold(decision, contract);
}

// Recordings are averaged as windows are; lengths count, and no cohort does, for a PLDA alone.
void read_scoring(Part scoring, const std::string& combine) {
  const bool cosine = scoring.one_of("backend", {"cosine", "plda"}) == "cosine";
  scoring.count("embedding_dim", kMostNumbers);
  if (scoring.text("enrolment") != combine)
    scoring.fail("enrolment", "expected \"" + combine + "\", as windows.combine says");
  if (cosine && combine != "mean_of_unit_vectors")
    scoring.fail("enrolment", "expected \"mean_of_unit_vectors\" for a cosine");
  if (scoring.one_of("normalisation", {"none", "as_norm"}) != "none" && !cosine)
    scoring.fail("normalisation", "expected \"none\" for a PLDA");
  scoring.count("cohort_size", kMostNumbers, 0);
  scoring.count("top_n", kMostNumbers, 0);
  scoring.finish();
}

void read_fusion(Part fusion) {
  fusion.fixed("form", "sasv_llr");
  fusion.number("spoof_prior", "one in (0, 1)", [](double x) { return x > 0 && x < 1; });
  fusion.finish();
}

Guards read_guards(Part part) {
  const auto positive = [](double x) { return x > 0; };
  Guards guards;
  guards.min_seconds = part.number("min_seconds", "one from 0 to 3600",
                                   [](double x) { return x >= 0 && x <= 3600; });
  guards.min_level_dbfs = part.number("min_level_dbfs", "one from -200 to 0",
                                      [](double x) { return x >= -200 && x <= 0; });
  guards.max_amplitude = part.number("max_amplitude", "a number above 0", positive);
  guards.max_tonality_db = part.number("max_tonality_db", "a number above 0", positive);
  part.fixed("clip_level", kClipLevel);
  guards.max_clipped =
      part.number("max_clipped", "one in (0, 1]", [](double x) { return x > 0 && x <= 1; });
  guards.max_cancellation_db = part.number("max_cancellation_db", "a number above 0", positive);
  part.finish();
  return guards;
}

// What a file of fewer bits was held to when it was written: for people, and for tests.
void read_precision_guard(Part part) {
  part.one_of("verdict", {"passed", "forced"});
  part.count("trials", kMostNumbers);
  part.count("flips", kMostNumbers, 0);
  part.count("most_flips", kMostNumbers, 0);
  part.number("max_score_error", "a number of at least 0", [](double x) { return x >= 0; });
  part.number("score_tolerance", "a number above 0", [](double x) { return x > 0; });
  part.numbers("delta_eer", {0, 3});
  part.count("calibration_windows", kMostNumbers, 0);
  part.finish();
}

Contract read(const json& document) {
  Part all(document, "");
  Contract contract;
  contract.schema_version = static_cast<int>(all.count("schema_version", 2));
  const std::string task = all.text("task");
  if (task == "spoofing") {
    read_windows(all.part("windows"), {"mean"}, contract);
    read_decision(all.part("decision"), "higher_is_bonafide", contract);
  } else if (task == "sasv") {
    const std::string combine =
        read_windows(all.part("windows"), {"mean_of_unit_vectors", "mean"}, contract);
    // Of two recordings compared, which nothing here does: read for its form alone.
    Contract speaker;
    read_decision(all.part("decision"), "higher_is_same", speaker);
    read_decision(all.part("countermeasure"), "higher_is_bonafide", contract);
    read_scoring(all.part("scoring"), combine);
    read_fusion(all.part("fusion"));
    if (all.has("caution")) all.text("caution");
    contract.score_result = 1;
  } else if (task == "streaming" && contract.schema_version == 2) {
    contract.stream = read_stream(all.part("stream"));
    read_stream_decision(all.part("decision"), contract);
  } else {
    all.fail("task", "expected \"spoofing\", \"sasv\" or \"streaming\" (of version 2), got \"" +
                         task + "\"");
  }
  read_audio(all.part("audio"), contract);
  all.text("model");
  all.texts("versions", json::value_t::object);
  all.hex("weights_sha256");
  if (contract.schema_version == 2) {
    contract.guards = read_guards(all.part("guards"));
    const bool reduced = all.one_of("precision", {"float32", "mixed16", "int8"}) != "float32";
    if (reduced && all.has("precision_guard")) read_precision_guard(all.part("precision_guard"));
    all.texts("notes", json::value_t::array);
    all.hex("file_sha256");
  }
  all.finish();
  return contract;
}

// Refuses what different readers would take differently: a field twice, and a depth that a reader
// which calls itself may not survive.
class Strict {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= kDeepest)
        throw Error("score contract: nested more than " + std::to_string(kDeepest) + " deep");
      if (event == Event::object_start) names_.emplace_back();
    } else if (event == Event::object_end) {
      names_.pop_back();
    } else if (event == Event::key && !names_.back().insert(parsed.get<std::string>()).second) {
      throw Error("score contract: a field stands twice");
    }
    return true;
  }

 private:
  std::vector<std::set<std::string>> names_;
};

}  // namespace

const Stream::Calibration* Stream::at(std::int64_t samples) const {
  const Calibration* held = nullptr;
  for (const Calibration& row : calibration)
    if (row.samples <= samples) held = &row;
  return held;
}

double Contract::posterior(double llr) const {
  const double log_odds = llr + std::log(prior / (1 - prior));
  if (log_odds >= 0) return 1 / (1 + std::exp(-log_odds));
  return std::exp(log_odds) / (1 + std::exp(log_odds));
}

Contract parse_contract(const std::string& text) {
  try {
    // The parser would pass over a byte order mark, which is none of JSON.
    if (text.compare(0, 3, "\xef\xbb\xbf") == 0) throw Error("score contract: is not a JSON document");
    Strict strict;
    return read(json::parse(text, std::ref(strict)));
  } catch (const json::exception&) {
    throw Error("score contract: is not a JSON document");
  }
}

}  // namespace spoof
