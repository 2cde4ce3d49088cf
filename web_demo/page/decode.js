import { examine, truncated } from './container.js';
import { AudioError } from './errors.js';
import { readWav } from './wav.js';

const MOST_MEGABYTES = 256;

/** Of files that do not say their rate in a place that we read: MP3, AAC. */
const USUAL_RATE = 48000;

/**
 * A recording in its own rate, with all its channels. Other files than 16-bit WAV are decoded by the
 * browser, which would resample them by a filter of its own if it were not told their rate.
 *
 * @param {File} file
 * @param {number} pcm16Divisor
 * @returns {Promise<import('./wav.js').Recording & {note: string}>}
 * @throws {AudioError}
 */
export async function decode(file, pcm16Divisor) {
  if (file.size > MOST_MEGABYTES << 20) {
    throw new AudioError(`more than ${MOST_MEGABYTES} MB; cut it shorter`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  if (bytes.length === 0) throw new AudioError('is empty');
  const wav = readWav(bytes, pcm16Divisor);
  if (wav !== null) return { ...wav, note: '' };
  const stated = examine(bytes);
  const rate = stated.rate ?? USUAL_RATE;
  let decoded;
  try {
    decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes.buffer);
  } catch {
    throw new AudioError('this browser cannot decode it; give a WAV or FLAC file');
  }
  const channels = Array.from({ length: decoded.numberOfChannels }, (_, channel) =>
    decoded.getChannelData(channel),
  );
  if (stated.frames !== null && decoded.length < stated.frames) throw truncated('FLAC');
  const unknown = `decoded at ${rate} Hz by the browser, completeness not checked`;
  const note = stated.rate === null ? unknown : '';
  return { sampleRate: rate, channels, note };
}
