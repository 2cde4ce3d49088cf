#include "contract.h"

#include <cmath>
#include <initializer_list>
#include <limits>
#include <nlohmann/json.hpp>

#include "error.h"

namespace spoof {
namespace {

using nlohmann::json;

// An object of the document. Every field is read or named: what is left over is unknown, and
// could change what the score means.
class Part {
 public:
  Part(const json& value, std::string place) : value_(value), place_(std::move(place)) {
    if (!value_.is_object()) fail("", "expected an object");
  }

  Part part(const char* name) { return Part(get(name), place_ + name + "."); }

  // A field that schema 1 leaves no choice in.
  template <typename T>
  void fixed(const char* name, const T& expected) {
    const json& found = get(name);
    if (found != json(expected)) fail(name, "expected " + json(expected).dump() + ", got " + found.dump());
  }

  std::string text(const char* name) {
    const json& found = get(name);
    if (!found.is_string()) fail(name, "expected a string");
    return found.get<std::string>();
  }

  double number(const char* name) {
    const json& found = get(name);
    if (!found.is_number()) fail(name, "expected a number");
    return found.get<double>();
  }

  std::int64_t count(const char* name) {
    const json& found = get(name);
    const double value = found.is_number_integer() ? found.get<double>() : 0;
    if (value < 1 || value > std::numeric_limits<std::int32_t>::max())
      fail(name, "expected a positive whole number, got " + found.dump());
    return found.get<std::int64_t>();
  }

  // For people and other implementations: nothing here depends on it.
  void skip(std::initializer_list<const char*> names) {
    for (const char* name : names) seen_.push_back(name);
  }

  void finish() const {
    for (const auto& [name, field] : value_.items())
      if (std::find(seen_.begin(), seen_.end(), name) == seen_.end())
        fail(name, "is unknown to this program");
  }

  [[noreturn]] void fail(const std::string& name, const std::string& what) const {
    throw Error("score contract: " + place_ + name + ": " + what);
  }

 private:
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
  contract.sample_rate = static_cast<int>(audio.count("sample_rate"));
  audio.fixed("pcm16_divisor", 32768);
  audio.fixed("mixdown", "mean");
  audio.fixed("resampler", "sinc_interp_hann");
  audio.fixed("resampler_lowpass_filter_width", 6);
  audio.fixed("resampler_rolloff", 0.99);
  audio.finish();
}

void read_windows(Part windows, const char* combine, Contract& contract) {
  contract.num_samples = windows.count("num_samples");
  contract.hop = windows.count("hop");
  windows.fixed("tail", "align_end");
  windows.fixed("short", "repeat");
  windows.fixed("combine", combine);
  windows.finish();
}

void read_decision(Part decision, Contract& contract) {
  decision.fixed("polarity", "higher_is_bonafide");
  contract.scale = decision.number("scale");
  contract.offset = decision.number("offset");
  contract.prior = decision.number("prior");
  if (!(contract.prior > 0 && contract.prior < 1)) decision.fail("prior", "expected one in (0, 1)");
  contract.threshold = decision.number("threshold");
  decision.skip({"operating_point"});
  decision.finish();
}

Contract read(const json& document) {
  Part all(document, "");
  all.fixed("schema_version", 1);
  Contract contract;
  const std::string task = all.text("task");
  if (task == "spoofing") {
    read_windows(all.part("windows"), "mean", contract);
    read_decision(all.part("decision"), contract);
  } else if (task == "sasv") {
    read_windows(all.part("windows"), "mean_of_unit_vectors", contract);
    read_decision(all.part("countermeasure"), contract);
    all.skip({"decision", "scoring", "fusion", "caution"});
    contract.score_result = 1;
  } else {
    all.fail("task", "expected \"spoofing\" or \"sasv\", got \"" + task + "\"");
  }
  read_audio(all.part("audio"), contract);
  all.skip({"model", "versions", "weights_sha256"});
  all.finish();
  return contract;
}

}  // namespace

double Contract::posterior(double llr) const {
  const double log_odds = llr + std::log(prior / (1 - prior));
  if (log_odds >= 0) return 1 / (1 + std::exp(-log_odds));
  return std::exp(log_odds) / (1 + std::exp(log_odds));
}

Contract parse_contract(const std::string& text) {
  try {
    return read(json::parse(text));
  } catch (const json::exception&) {
    throw Error("score contract: is no JSON document");
  }
}

}  // namespace spoof
