// replay_streams MODEL.pte VECTORS OUT: feeds the streams of VECTORS/vectors.json, writes the states
// after every chunk to OUT/NAME.states.f32, and prints what was found, a line of JSON for each.
//
// A block that says "chunk": true is handed over as one chunk, whatever its length.
#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "error.h"
#include "stream_scorer.h"
#include "verdict_json.h"

namespace {

using nlohmann::ordered_json;

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw spoof::Error(path + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> read_floats(const std::string& path) {
  const std::string bytes = read_bytes(path);
  std::vector<float> numbers(bytes.size() / sizeof(float));
  std::copy(bytes.begin(), bytes.begin() + numbers.size() * sizeof(float),
            reinterpret_cast<char*>(numbers.data()));
  return numbers;
}

ordered_json replay(spoof::StreamScorer& scorer, const ordered_json& stream,
                    const std::vector<float>& samples, const std::string& states_path) {
  std::ofstream states(states_path, std::ios::binary);
  ordered_json verdicts = ordered_json::array(), errors = ordered_json::array();
  const auto tell = [&](const spoof::Verdict& verdict) {
    verdicts.push_back(as_json(verdict, scorer.contract().threshold));
    states.write(reinterpret_cast<const char*>(scorer.state().data()),
                 static_cast<std::streamsize>(scorer.state().size() * sizeof(float)));
  };
  scorer.reset();
  const int restarts = scorer.restarts();
  auto next = samples.begin();
  for (const ordered_json& block : stream.at("blocks")) {
    const std::vector<float> part(next, next + block.at("length").get<std::ptrdiff_t>());
    next += block.at("length").get<std::ptrdiff_t>();
    try {
      if (block.value("chunk", false))
        tell(scorer.hear_chunk(part.data(), part.size()));
      else if (block.at("at").is_null())
        scorer.hear(part, tell);
      else
        scorer.hear(part, tell, block.at("at").get<std::int64_t>());
    } catch (const spoof::Error& error) {
      errors.push_back(error.what());
    }
  }
  return {{"name", stream.at("name")},
          {"restarts", scorer.restarts() - restarts},
          {"verdicts", verdicts},
          {"errors", errors}};
}

void run(const std::string& model, const std::string& vectors, const std::string& out) {
  spoof::StreamScorer scorer(model, 1);
  const auto index = ordered_json::parse(read_bytes(vectors + "/vectors.json"));
  for (const ordered_json& stream : index.at("cases")) {
    const auto samples = read_floats(vectors + "/" + stream.at("samples_file").get<std::string>());
    const std::string states = out + "/" + stream.at("name").get<std::string>() + ".states.f32";
    std::cout << replay(scorer, stream, samples, states).dump() << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 4) throw spoof::Error("usage: replay_streams MODEL.pte VECTORS OUT");
    run(argv[1], argv[2], argv[3]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
}
