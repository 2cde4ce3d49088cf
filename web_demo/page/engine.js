import { ModelError } from './errors.js';

const [INPUT, OUTPUT] = ['forward.in.0', 'forward.out.0'];

/**
 * What of onnxruntime-web is used, in a browser and in Node alike.
 * @typedef {typeof import('onnxruntime-web/wasm')} Runtime
 */

/** An ONNX file in ONNX Runtime: a window → its raw score. */
export class Engine {
  #ort;
  #session;

  /**
   * @param {Runtime} ort
   * @param {import('onnxruntime-web/wasm').InferenceSession} session
   */
  constructor(ort, session) {
    this.#ort = ort;
    this.#session = session;
  }

  /**
   * @param {Runtime} ort
   * @param {Uint8Array} bytes
   * @throws {ModelError}
   */
  static async open(ort, bytes) {
    try {
      const session = await ort.InferenceSession.create(bytes, { logSeverityLevel: 4 });
      if (session.inputNames.join() !== INPUT || session.outputNames.join() !== OUTPUT) {
        throw new Error(`takes ${session.inputNames} and gives ${session.outputNames}`);
      }
      return new Engine(ort, session);
    } catch (error) {
      throw new ModelError(`it cannot be run: ${lineOf(error)}`);
    }
  }

  /** @param {Float32Array} window */
  async score(window) {
    const tensor = new this.#ort.Tensor('float32', window, [1, window.length]);
    try {
      const { [OUTPUT]: found } = await this.#session.run({ [INPUT]: tensor });
      if (found.size !== 1) throw new Error(`gives ${found.size} numbers`);
      return Number(found.data[0]);
    } catch (error) {
      throw new ModelError(`it fails on a window of ${window.length} samples: ${lineOf(error)}`);
    }
  }
}

/** @param {unknown} error */
function lineOf(error) {
  return String(error instanceof Error ? error.message : error).split('\n')[0].slice(0, 200);
}
