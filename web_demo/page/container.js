import { AudioError } from './errors.js';
import { name } from './wav.js';

/**
 * What the header of a file says that the browser decodes; null where it is not to be read here.
 * @typedef {{rate: number | null, frames: number | null}} Stated
 */

const LEAST = 64;
const OPUS_RATE = 48000;
/** Of an Ogg page: bytes before its table of sizes, and the mark of the last page of a stream. */
const [OGG_HEAD, OGG_LAST] = [27, 4];

/**
 * Sample rate and length of a WAV, FLAC or Ogg file.
 *
 * @param {Uint8Array} bytes
 * @returns {Stated}
 * @throws {AudioError} if the file ends early.
 */
export function examine(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < LEAST) return { rate: null, frames: null };
  switch (name(view, 0)) {
    case 'fLaC':
      return flac(view);
    case 'OggS':
      return ogg(view);
    case 'RIFF':
      return { rate: riffRate(view), frames: null };
    default:
      return { rate: null, frames: null };
  }
}

/** @param {DataView} view */
function flac(view) {
  const frames = (view.getUint8(21) & 0x0f) * 2 ** 32 + view.getUint32(22);
  return { rate: view.getUint32(18) >>> 12, frames: frames || null };
}

/**
 * Pages from end to end, the last of which is marked.
 *
 * @param {DataView} view
 */
function ogg(view) {
  let last = false;
  for (let at = 0; at < view.byteLength; ) {
    const whole = at + OGG_HEAD <= view.byteLength && name(view, at) === 'OggS';
    const segments = whole ? view.getUint8(at + OGG_HEAD - 1) : 0;
    if (!whole || at + OGG_HEAD + segments > view.byteLength) throw truncated('Ogg');
    last = (view.getUint8(at + 5) & OGG_LAST) !== 0;
    let size = OGG_HEAD + segments;
    for (let n = 0; n < segments; n++) size += view.getUint8(at + OGG_HEAD + n);
    at += size;
    if (at > view.byteLength) throw truncated('Ogg');
  }
  if (!last) throw truncated('Ogg');
  const packet = OGG_HEAD + view.getUint8(OGG_HEAD - 1);
  if (name(view, packet) === 'Opus') return { rate: OPUS_RATE, frames: null };
  const vorbis = name(view, packet + 1) === 'vorb';
  return { rate: vorbis ? view.getUint32(packet + 12, true) : null, frames: null };
}

/** @param {DataView} view */
function riffRate(view) {
  for (let at = 12; at + 24 <= view.byteLength; ) {
    const size = view.getUint32(at + 4, true);
    if (name(view, at) === 'fmt ') return view.getUint32(at + 12, true);
    at += 8 + size + (size % 2);
  }
  return null;
}

/** @param {string} what */
export function truncated(what) {
  return new AudioError(`truncated: the end of the ${what} is missing; copy the file again`);
}
