/**
 * Where the windows of a recording begin: 0, hop, 2·hop, ... as long as they fit, and one more that
 * ends with the recording when samples are left; a recording no longer than a window has one.
 *
 * @param {number} length
 * @param {number} numSamples
 * @param {number} hop
 */
export function windowStarts(length, numSamples, hop) {
  const starts = [0];
  for (let start = hop; start + numSamples <= length; start += hop) starts.push(start);
  if (starts[starts.length - 1] + numSamples < length) starts.push(length - numSamples);
  return starts;
}

/**
 * One recording → its windows; shorter than a window, it is repeated from its start.
 *
 * @param {Float32Array} waveform
 * @param {{numSamples: number, hop: number}} windows
 * @returns {Generator<Float32Array>}
 */
export function* cutWindows(waveform, { numSamples, hop }) {
  for (const start of windowStarts(waveform.length, numSamples, hop)) {
    yield start + numSamples <= waveform.length
      ? waveform.slice(start, start + numSamples)
      : Float32Array.from({ length: numSamples }, (_, at) => waveform[at % waveform.length]);
  }
}
