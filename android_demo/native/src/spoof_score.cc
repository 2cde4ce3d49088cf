// spoof_score [--threads N] [--json] MODEL.pte WAV...
//
// Prints what python -m export score prints; bad input is one line and exit code 2.
#include <getopt.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "audio_file.h"
#include "error.h"
#include "scorer.h"
#include "waveform.h"

namespace {

constexpr const char* kUsage = "usage: spoof_score [--threads N] [--json] MODEL.pte WAV...";
constexpr int kBadInput = 2;
constexpr int kMaxThreads = 256;

using nlohmann::ordered_json;

struct Arguments {
  int threads = 1;
  bool json = false;
  std::string model;
  std::vector<std::string> recordings;
};

int read_threads(const std::string& text) {
  std::size_t end = 0;
  int threads = 0;
  try {
    threads = std::stoi(text, &end);
  } catch (const std::exception&) {
    end = 0;
  }
  if (end == 0 || end != text.size() || threads < 1 || threads > kMaxThreads)
    throw spoof::Error("threads: expected a number from 1 to " + std::to_string(kMaxThreads) +
                       ", got " + text);
  return threads;
}

Arguments read_arguments(int argc, char** argv) {
  const option options[] = {{"threads", required_argument, nullptr, 't'},
                            {"json", no_argument, nullptr, 'j'},
                            {"help", no_argument, nullptr, 'h'},
                            {nullptr, 0, nullptr, 0}};
  Arguments arguments;
  opterr = 0;
  for (int found; (found = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    if (found == 't') {
      arguments.threads = read_threads(optarg);
    } else if (found == 'j') {
      arguments.json = true;
    } else if (found == 'h') {
      std::cout << kUsage << "\n";
      std::exit(0);
    } else {
      throw spoof::Error(std::string(argv[optind - 1]) + ": unknown option; " + kUsage);
    }
  }
  if (argc - optind < 2) throw spoof::Error(kUsage);
  arguments.model = argv[optind];
  arguments.recordings.assign(argv + optind + 1, argv + argc);
  return arguments;
}

// What would steer a terminal is shown as a question mark.
std::string printable(std::string text) {
  for (char& letter : text)
    if (static_cast<unsigned char>(letter) < ' ' || letter == 0x7f) letter = '?';
  return text;
}

ordered_json entry_of(const std::string& path, double threshold) {
  return {{"file", path},       {"score", nullptr},         {"llr", nullptr},
          {"posterior", nullptr}, {"threshold", threshold}, {"decision", nullptr},
          {"reason", nullptr},  {"error", nullptr}};
}

ordered_json score_file(spoof::Scorer& scorer, const std::string& path) {
  const spoof::Contract& contract = scorer.contract();
  spoof::Recording recording(path, contract.sample_rate);
  spoof::WindowCutter cutter(contract.num_samples, contract.hop);
  std::vector<float> block;
  double sum = 0;
  std::int64_t count = 0;
  const auto add = [&](const float* window) {
    sum += scorer.run_window(window);
    ++count;
  };
  while (recording.next(block)) cutter.push(block, add);
  cutter.finish(add);
  for (const std::string& note : recording.notes())
    std::cerr << "note: " << printable(path) << ": " << note << "\n";
  ordered_json entry = entry_of(path, contract.threshold);
  if (const auto reason = scorer.refusal(recording.meter())) {
    entry["decision"] = "undecided";
    entry["reason"] = *reason;
    return entry;
  }
  const double score = sum / static_cast<double>(count);
  if (!std::isfinite(score)) throw spoof::Error(path + ": its score is not finite");
  const double llr = scorer.llr(score);
  entry["score"] = score;
  entry["llr"] = llr;
  entry["posterior"] = contract.posterior(llr);
  entry["decision"] = contract.decide(llr);
  return entry;
}

void print_row(const ordered_json& entry) {
  for (const char* name : {"score", "llr", "posterior"}) {
    if (entry[name].is_null())
      std::printf("%10s", "-");
    else
      std::printf("%10.4f", entry[name].get<double>());
  }
  const std::string reason =
      entry["reason"].is_null() ? "" : "  (" + entry["reason"].get<std::string>() + ")";
  std::printf("  %-10s  %s%s\n", entry["decision"].get<std::string>().c_str(),
              printable(entry["file"].get<std::string>()).c_str(), reason.c_str());
}

// Each result when it is there, so that none is lost with a later one.
class Results {
 public:
  explicit Results(bool json) : json_(json) {
    if (!json_) std::printf("%10s%10s%10s  %-10s  %s\n", "score", "llr", "posterior", "decision", "file");
  }

  void add(const ordered_json& entry) {
    if (json_) {
      // A file's name need not be UTF-8; JSON must.
      const auto text = entry.dump(1, ' ', true, ordered_json::error_handler_t::replace);
      std::printf("%s%s", count_ == 0 ? "[\n" : ",\n", text.c_str());
    } else if (entry["error"].is_null()) {
      print_row(entry);
    }
    ++count_;
    flush();
  }

  void finish() {
    if (json_) std::printf("\n]\n");
    flush();
  }

 private:
  static void flush() {
    if (std::fflush(stdout) != 0 || std::ferror(stdout))
      throw std::runtime_error("standard output: cannot be written");
  }

  bool json_;
  int count_ = 0;
};

// Whether all recordings could be read.
bool run(int argc, char** argv) {
  const Arguments arguments = read_arguments(argc, argv);
  spoof::Scorer scorer(arguments.model, arguments.threads);
  if (!scorer.note().empty()) std::cerr << "note: " << scorer.note() << "\n";
  Results results(arguments.json);
  bool all = true;
  for (const std::string& path : arguments.recordings) {
    try {
      results.add(score_file(scorer, path));
    } catch (const spoof::Error& error) {
      all = false;
      std::cerr << "error: " << printable(error.what()) << "\n";
      ordered_json entry = entry_of(path, scorer.contract().threshold);
      entry["error"] = error.what();
      results.add(entry);
    }
  }
  results.finish();
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv) ? 0 : kBadInput;
  } catch (const std::bad_alloc&) {
    std::cerr << "error: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << printable(error.what()) << "\n";
  }
  return kBadInput;
}
