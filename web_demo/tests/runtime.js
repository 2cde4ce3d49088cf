import { webcrypto } from 'node:crypto';
import { readFile } from 'node:fs/promises';

// Node 18 has it, but not where browsers have it.
globalThis.crypto ??= /** @type {Crypto} */ (webcrypto);

/** A file or folder that the Makefile gives, by its name in the environment. */
export function given(/** @type {string} */ name) {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not given: make test-web gives it`);
  return value;
}

/** The runtime that the page loads, on one thread as there. */
export async function runtime() {
  const ort = await import('onnxruntime-web/wasm');
  ort.env.wasm.numThreads = 1;
  return ort;
}

export async function bytesOf(/** @type {string} */ path) {
  return new Uint8Array(await readFile(path));
}
