// spoof_score [--threads N] [--json] MODEL.pte WAV...
// spoof_score [--threads N] [--json] --stream MODEL.pte
//
// Prints what python -m export score prints, or of a stream on standard input what python -m export
// listen prints; bad input is one line and exit code 2.
#include <getopt.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "audio_file.h"
#include "error.h"
#include "listen.h"
#include "results.h"
#include "scorer.h"
#include "stream_scorer.h"
#include "verdict_json.h"
#include "waveform.h"

namespace {

constexpr const char* kUsage =
    "usage: spoof_score [--threads N] [--json] MODEL.pte WAV... or, of 16-bit PCM on stdin, "
    "spoof_score [--threads N] [--json] --stream MODEL.pte";
constexpr int kBadInput = 2;
constexpr int kMaxThreads = 256;

using spoof::ordered_json;
using spoof::printable;

struct Arguments {
  int threads = 1;
  bool json = false;
  bool stream = false;
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
                            {"stream", no_argument, nullptr, 's'},
                            {"help", no_argument, nullptr, 'h'},
                            {nullptr, 0, nullptr, 0}};
  Arguments arguments;
  opterr = 0;
  for (int found; (found = getopt_long(argc, argv, "", options, nullptr)) != -1;) {
    if (found == 't') {
      arguments.threads = read_threads(optarg);
    } else if (found == 'j') {
      arguments.json = true;
    } else if (found == 's') {
      arguments.stream = true;
    } else if (found == 'h') {
      std::cout << kUsage << "\n";
      std::exit(0);
    } else {
      throw spoof::Error(std::string(argv[optind - 1]) + ": unknown option; " + kUsage);
    }
  }
  // A stream is of no file.
  const int words = argc - optind;
  if (arguments.stream ? words != 1 : words < 2) throw spoof::Error(kUsage);
  if (arguments.stream) spoof::check_stdin();
  arguments.model = argv[optind];
  arguments.recordings.assign(argv + optind + 1, argv + argc);
  return arguments;
}

ordered_json entry_of(const std::string& path, double threshold) {
  return {{"file", path},       {"score", nullptr},         {"llr", nullptr},
          {"posterior", nullptr}, {"threshold", threshold}, {"decision", nullptr},
          {"reason", nullptr},  {"error", nullptr}};
}

void tell_notes(const std::string& path, const spoof::Recording& recording) {
  for (const std::string& note : recording.notes())
    std::cerr << "note: " << printable(path) << ": " << note << "\n";
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
  tell_notes(path, recording);
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

// The last verdict is the recording's, unless the guards refuse it: its meter knows the channels,
// and the samples that filled no chunk.
ordered_json score_file(spoof::StreamScorer& scorer, const std::string& path) {
  const spoof::Contract& contract = scorer.contract();
  spoof::Recording recording(path, contract.sample_rate);
  std::optional<spoof::Verdict> last;
  std::vector<float> block;
  scorer.reset();
  const auto keep = [&](const spoof::Verdict& verdict) { last = verdict; };
  while (recording.next(block)) scorer.hear(block, keep);
  tell_notes(path, recording);
  ordered_json entry = entry_of(path, contract.threshold);
  std::optional<std::string> reason = contract.guards->refusal(recording.meter());
  if (!reason && !last)
    reason = "too short: less than a chunk of " + std::to_string(contract.stream->chunk_samples) +
             " samples";
  if (reason) {
    entry["decision"] = "undecided";
    entry["reason"] = *reason;
    return entry;
  }
  const ordered_json found = as_json(*last, contract.threshold);
  for (const char* name : {"score", "llr", "posterior", "decision", "reason"})
    entry[name] = found[name];
  return entry;
}

// Whether all recordings could be read.
template <typename Scorer>
bool score_files(Scorer scorer, const Arguments& arguments) {
  spoof::Results results(arguments.json);
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

void tell(const spoof::Artefact& artefact) {
  if (!artefact.note().empty()) std::cerr << "note: " << artefact.note() << "\n";
}

bool run(int argc, char** argv) {
  const Arguments arguments = read_arguments(argc, argv);
  spoof::Artefact artefact(arguments.model, arguments.threads);
  if (!artefact.contract().stream && !arguments.stream) {
    tell(artefact);
    return score_files(spoof::Scorer(std::move(artefact)), arguments);
  }
  spoof::StreamScorer scorer(std::move(artefact));
  tell(scorer.artefact());
  if (!arguments.stream) return score_files(std::move(scorer), arguments);
  spoof::listen(scorer, arguments.json);
  return true;
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
