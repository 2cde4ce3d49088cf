import { ModelError } from './errors.js';

const PLACE = /"file_sha256": ?"([0-9a-f]{64})"/g;
const UNSEALED = '0'.repeat(64);
const METADATA = 14; // of a ModelProto; its entries have a key, 1, and a value, 2
const CONTRACT = 'contract';

/**
 * The digest of a whole file, once it was found right; null when it holds none. To be called before
 * any runtime sees the file: it is the SHA-256 with zeros in the place of its own digits, and tells
 * damage by accident. Who changes a file on purpose computes it anew.
 *
 * @param {Uint8Array} bytes
 * @returns {Promise<string | null>}
 * @throws {ModelError} when it is not the file that was written.
 */
export async function checkDigest(bytes) {
  const text = new TextDecoder('latin1').decode(bytes);
  const last = [...text.matchAll(PLACE)].pop();
  if (last === undefined || last[1] === UNSEALED) return null;
  const blank = bytes.slice();
  const start = last.index + last[0].length - 1 - UNSEALED.length;
  blank.fill(0x30, start, start + UNSEALED.length);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', blank));
  const actual = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (actual !== last[1]) {
    throw new ModelError(
      `damaged: its sha256 is ${actual.slice(0, 12)}..., and ${last[1].slice(0, 12)}... when it was written; copy it again`,
    );
  }
  return actual;
}

/**
 * The text of the contract in an ONNX file, whose runtime does not show it; empty if there is none.
 *
 * @param {Uint8Array} bytes
 * @throws {ModelError} when it is no ONNX file.
 */
export function contractOf(bytes) {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  for (const [field, entry] of messageFields(bytes)) {
    if (field !== METADATA) continue;
    const [key, value] = [1, 2].map((wanted) => messageFields(entry).find(([n]) => n === wanted));
    if (key && value && utf8.decode(key[1]) === CONTRACT) return utf8.decode(value[1]);
  }
  return '';
}

/**
 * The length-delimited fields of a protobuf message, by number.
 *
 * @param {Uint8Array} bytes
 * @returns {[number, Uint8Array][]}
 */
function messageFields(bytes) {
  /** @type {[number, Uint8Array][]} */
  const found = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; factor < 2 ** 56; factor *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    throw new ModelError('damaged, or no ONNX file; export one by python -m export');
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      found.push([Math.floor(key / 8), bytes.subarray(at, at + length)]);
      at += length;
    } else throw new ModelError('damaged, or no ONNX file; export one by python -m export');
  }
  if (at !== bytes.length) throw new ModelError('damaged, or no ONNX file; export one by python -m export');
  return found;
}
