import { AudioError } from './errors.js';

/** Two rates without a common divisor would need gigabytes of taps. */
const MAX_KERNEL = 20_000_000;

/** A header that says 1 Hz must not turn a megabyte into gigabytes. */
const MAX_STRETCH = 16;

/**
 * The contract's resampler, `sinc_interp_hann`, on audio that comes in blocks of any size.
 *
 * y[j] = Σᵢ x[i]·(b/o)·sinc(b·τ)·cos²(π·b·τ/(2·w)), τ = i/o − j/n, over |b·τ| < w, with the rates o and
 * n divided by their greatest common divisor, b = rolloff·min(o, n), w zero crossings a side and
 * sinc(x) = sin(πx)/(πx). Outputs n apart share their taps; beyond both ends x is zero.
 */
export class Resampler {
  #source;
  #target;
  /** @type {{first: number, taps: Float64Array}[]} */
  #phases;
  /** Inputs that outputs to come need; the first of them is number #start of the recording. */
  #kept = new Float32Array(0);
  #start = 0;
  #read = 0;
  #written = 0;

  /**
   * @param {number} sourceRate
   * @param {number} targetRate
   * @param {number} width zero crossings a side
   * @param {number} rolloff
   * @throws {AudioError}
   */
  constructor(sourceRate, targetRate, width, rolloff) {
    const common = gcd(sourceRate, targetRate);
    this.#source = sourceRate / common;
    this.#target = targetRate / common;
    if (
      this.#source * this.#target > MAX_KERNEL ||
      this.#target > MAX_STRETCH * this.#source
    ) {
      throw new AudioError(`${sourceRate} Hz cannot be resampled to ${targetRate} Hz here`);
    }
    const bandwidth = rolloff * Math.min(this.#source, this.#target);
    this.#phases = Array.from({ length: this.#target }, (_, index) =>
      this.#phase(index, bandwidth, width),
    );
  }

  /**
   * The outputs that more input completes.
   * @param {Float32Array} block
   */
  push(block) {
    if (this.#source === this.#target) return block;
    const joined = new Float32Array(this.#kept.length + block.length);
    joined.set(this.#kept);
    joined.set(block, this.#kept.length);
    this.#kept = joined;
    this.#read += block.length;
    return this.#made(Infinity, (phase, start) => start + phase.taps.length <= this.#read);
  }

  /** The rest, ⌈inputs·n/o⌉ outputs in all. */
  finish() {
    if (this.#source === this.#target) return new Float32Array(0);
    return this.#made(Math.ceil((this.#read * this.#target) / this.#source), () => true);
  }

  /**
   * @param {number} most outputs in all
   * @param {(phase: {first: number, taps: Float64Array}, start: number) => boolean} complete
   */
  #made(most, complete) {
    const found = [];
    for (; this.#written < most; this.#written++) {
      const phase = this.#phases[this.#written % this.#target];
      const start =
        Math.floor(this.#written / this.#target) * this.#source + phase.first;
      if (!complete(phase, start)) break;
      let sum = 0;
      for (let tap = 0; tap < phase.taps.length; tap++) {
        const at = start + tap;
        if (at >= 0 && at < this.#read) sum += this.#kept[at - this.#start] * phase.taps[tap];
      }
      found.push(sum);
    }
    // The next output's first input, or an earlier one of a later phase.
    const next = Math.floor(this.#written / this.#target) * this.#source + this.#phases[0].first;
    const spare = Math.min(Math.max(0, next - this.#start), this.#kept.length);
    this.#kept = this.#kept.slice(spare);
    this.#start += spare;
    return Float32Array.from(found);
  }

  /**
   * @param {number} index
   * @param {number} bandwidth
   * @param {number} width
   */
  #phase(index, bandwidth, width) {
    const centre = (index * this.#source) / this.#target;
    const reach = (width * this.#source) / bandwidth;
    const first = Math.ceil(centre - reach);
    const taps = Float64Array.from({ length: Math.floor(centre + reach) - first + 1 }, (_, tap) => {
      const time = bandwidth * ((first + tap) / this.#source - index / this.#target);
      return (tapAt(time, width) * bandwidth) / this.#source;
    });
    return { first, taps };
  }
}

/**
 * @param {number} time
 * @param {number} width
 */
function tapAt(time, width) {
  if (Math.abs(time) >= width) return 0;
  const window = Math.cos((Math.PI * time) / (2 * width)) ** 2;
  return time === 0 ? window : (window * Math.sin(Math.PI * time)) / (Math.PI * time);
}

/**
 * @param {number} a
 * @param {number} b
 * @returns {number}
 */
function gcd(a, b) {
  return b === 0 ? a : gcd(b, a % b);
}
