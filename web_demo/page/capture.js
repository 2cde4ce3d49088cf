/** Hands on what the microphone gives, all channels, in blocks of a tenth of a second. */
class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    /** @type {Float32Array<ArrayBuffer>[]} */
    this.block = [];
    this.filled = 0;
  }

  /** @param {Float32Array[][]} inputs */
  process([channels]) {
    if (channels.length === 0) return true;
    if (this.block.length !== channels.length) {
      const size = 128 * Math.ceil(sampleRate / 1280);
      this.block = channels.map(() => new Float32Array(size));
      this.filled = 0;
    }
    channels.forEach((samples, channel) => this.block[channel].set(samples, this.filled));
    this.filled += channels[0].length;
    if (this.filled === this.block[0].length) {
      this.port.postMessage(this.block, this.block.map((samples) => samples.buffer));
      this.block = [];
    }
    return true;
  }
}

registerProcessor('capture', Capture);
