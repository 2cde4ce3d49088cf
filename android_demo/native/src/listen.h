// Scoring a pipe of 16-bit PCM, chunk by chunk as it comes.
#pragma once

#include "stream_scorer.h"

namespace spoof {

// Before any file is opened: the first would take the place of a standard input that is closed, and
// be heard. Throws Error.
void check_stdin();

// Scores what stands on standard input, mono, little-endian, without a header, at the contract's
// rate, and prints a line for each chunk, of JSON or for people, as python -m export listen does.
// Throws Error where there is no sample.
void listen(StreamScorer& scorer, bool json);

}  // namespace spoof
