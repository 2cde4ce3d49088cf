import { AudioError } from './errors.js';

/** The user, or the system, allows no microphone. */
export class MicrophoneDenied extends AudioError {}

/** What the microphone hears, at its own rate, unprocessed as far as the browser lets it be. */
export class Microphone {
  #stream;
  #context;

  /**
   * @param {MediaStream} stream
   * @param {AudioContext} context
   */
  constructor(stream, context) {
    this.#stream = stream;
    this.#context = context;
  }

  get sampleRate() {
    return this.#context.sampleRate;
  }

  /**
   * @param {(block: Float32Array<ArrayBuffer>[]) => void} onBlock
   * @param {(reason: string) => void} onLost
   * @throws {AudioError}
   */
  static async open(onBlock, onLost) {
    if (!navigator.mediaDevices) throw new AudioError('this browser gives it to no page here');
    const stream = await ask();
    const [track] = stream.getAudioTracks();
    const { sampleRate } = track.getSettings();
    const context = new AudioContext(sampleRate ? { sampleRate } : {});
    const microphone = new Microphone(stream, context);
    try {
      await context.audioWorklet.addModule(new URL('./capture.js', import.meta.url));
      await context.resume();
      const node = new AudioWorkletNode(context, 'capture', { numberOfOutputs: 0 });
      node.port.onmessage = ({ data }) => onBlock(data);
      context.createMediaStreamSource(stream).connect(node);
    } catch (error) {
      microphone.close();
      throw new AudioError(String(error));
    }
    track.onended = () => onLost('it was taken away');
    track.onmute = () => onLost('the system gives silence in its place');
    return microphone;
  }

  close() {
    for (const track of this.#stream.getTracks()) {
      track.onended = track.onmute = null;
      track.stop();
    }
    void this.#context.close();
  }
}

async function ask() {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  try {
    return await navigator.mediaDevices.getUserMedia({ audio: plain });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    if (name === 'NotAllowedError') throw new MicrophoneDenied('not allowed');
    if (name === 'NotFoundError') throw new AudioError('there is none');
    throw new AudioError(String(error));
  }
}
