import { AudioError } from './errors.js';

/**
 * A recording, decoded: channels scaled, full scale = 1.
 * @typedef {{sampleRate: number, channels: Float32Array[]}} Recording
 */

const PCM = 1;
const EXTENSIBLE = 0xfffe;

/** Writers that stream to a pipe cannot know the length and leave a size of about this. */
const STREAMED = 0x7ffff000;

/**
 * A RIFF file of 16-bit PCM; null for any other kind of file, which the browser decodes. Whether it is
 * whole is looked at in every RIFF file: a browser decodes what is left of one without a word.
 *
 * @param {Uint8Array} bytes
 * @param {number} divisor of the samples
 * @returns {Recording | null}
 * @throws {AudioError} when it ends before its header says, or holds nothing.
 */
export function readWav(bytes, divisor) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 12 || name(view, 0) !== 'RIFF' || name(view, 8) !== 'WAVE') return null;
  let format = null;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (name(view, at) === 'fmt ') {
      format = readFormat(view, at + 8, size);
    } else if (name(view, at) === 'data') {
      if (format === null) throw new AudioError('WAV header: no format before the data');
      return readData(view, at + 8, size, format, divisor);
    }
    at += 8 + size + (size % 2);
  }
  throw new AudioError('truncated: no audio follows its header');
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {number} size
 */
function readFormat(view, at, size) {
  if (size < 16 || at + size > view.byteLength) {
    throw new AudioError(`WAV header: format of ${size} bytes`);
  }
  const kind = view.getUint16(at, true);
  const extended = kind === EXTENSIBLE && size >= 40 && view.getUint16(at + 24, true) === PCM;
  const plain = (kind === PCM || extended) && view.getUint16(at + 14, true) === 16;
  const [channels, sampleRate] = [view.getUint16(at + 2, true), view.getUint32(at + 4, true)];
  if (channels < 1 || sampleRate < 1) {
    throw new AudioError(`WAV header: ${channels} channels at ${sampleRate} Hz`);
  }
  return { plain, channels, sampleRate };
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {number} size
 * @param {{plain: boolean, channels: number, sampleRate: number}} format
 * @param {number} divisor
 */
function readData(view, at, size, { plain, channels: count, sampleRate }, divisor) {
  const there = view.byteLength - at;
  // A writer that was stopped, too, leaves the length open.
  const promised = size >= STREAMED || size === 0 ? there : size;
  if (promised > there) {
    throw new AudioError(`truncated: ${promised - there} bytes of its audio are missing`);
  }
  if (!plain) return null;
  const frames = Math.floor(promised / (2 * count));
  if (frames === 0) throw new AudioError('contains no samples');
  const channels = Array.from({ length: count }, (_, channel) =>
    Float32Array.from({ length: frames }, (_, frame) => {
      return view.getInt16(at + 2 * (frame * count + channel), true) / divisor;
    }),
  );
  return { sampleRate, channels };
}

/**
 * Four letters of a file.
 *
 * @param {DataView} view
 * @param {number} at
 */
export function name(view, at) {
  if (at + 4 > view.byteLength) return '';
  return String.fromCharCode(...[0, 1, 2, 3].map((offset) => view.getUint8(at + offset)));
}
