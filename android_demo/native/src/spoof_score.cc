// spoof_score [--threads N] [--json] MODEL.pte WAV...
//
// Prints what python -m export score prints; bad input is one line and exit code 2.
#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "audio_file.h"
#include "error.h"
#include "scorer.h"

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

ordered_json score_file(spoof::Scorer& scorer, const std::string& path) {
  const spoof::Contract& contract = scorer.contract();
  const spoof::Audio audio = spoof::read_audio(path, contract.sample_rate);
  const double score = scorer.score(audio.waveform);
  for (const std::string& note : audio.notes) std::cerr << "note: " << path << ": " << note << "\n";
  const double llr = contract.llr(score);
  return {{"file", path},
          {"score", score},
          {"llr", llr},
          {"posterior", contract.posterior(llr)},
          {"threshold", contract.threshold},
          {"decision", contract.decide(llr)}};
}

void print_table(const ordered_json& results) {
  std::printf("%9s %9s %9s  %-8s  %s\n", "score", "LLR", "posterior", "decision", "file");
  for (const auto& result : results)
    std::printf("%9.4f %9.4f %9.4f  %-8s  %s\n", result["score"].get<double>(),
                result["llr"].get<double>(), result["posterior"].get<double>(),
                result["decision"].get<std::string>().c_str(),
                result["file"].get<std::string>().c_str());
}

void run(int argc, char** argv) {
  const Arguments arguments = read_arguments(argc, argv);
  spoof::Scorer scorer(arguments.model, arguments.threads);
  ordered_json results = ordered_json::array();
  for (const std::string& path : arguments.recordings) results.push_back(score_file(scorer, path));
  if (arguments.json) {
    // A file's name need not be UTF-8; JSON must.
    const auto text = results.dump(1, ' ', true, ordered_json::error_handler_t::replace);
    std::printf("%s\n", text.c_str());
  } else {
    print_table(results);
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw spoof::Error("standard output: cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
    return 0;
  } catch (const std::bad_alloc&) {
    std::cerr << "error: out of memory\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
  }
  return kBadInput;
}
