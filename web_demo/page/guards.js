/**
 * On what no decision is made; on or inside these bounds audio is scored. What is measured, and how,
 * is written in the exporter's `runtime/guards.py`.
 *
 * @typedef {object} Guards
 * @property {number} minSeconds
 * @property {number} minLevelDbfs
 * @property {number} maxAmplitude
 * @property {number} maxTonalityDb
 * @property {number} maxClipped
 * @property {number} maxCancellationDb
 */

/** From here on a sample counts as clipped. */
export const CLIP_LEVEL = 0.999;

const FLOOR = 1e-20;
const MOST_TONALITY = 120;
const COLLINEAR = 1e-12;

/**
 * Why nothing can be said about what the meter heard; null: it can.
 *
 * @param {Guards} guards
 * @param {Meter} meter
 * @param {number} seconds of live audio, how much of it was heard
 * @returns {string | null}
 */
export function refusal(guards, meter, seconds = meter.seconds) {
  const { minSeconds, minLevelDbfs, maxAmplitude, maxTonalityDb, maxClipped } = guards;
  const lost = meter.cancellationDb;
  if (seconds < minSeconds) {
    return `too short: ${seconds.toFixed(3)} s, at least ${minSeconds.toFixed(3)} s are needed`;
  }
  if (meter.amplitude > maxAmplitude) {
    const most = maxAmplitude.toFixed(1);
    return `out of scale: samples up to ${meter.amplitude.toFixed(1)}, where full scale is 1 and ${most} the most`;
  }
  if (lost > guards.maxCancellationDb && meter.loudestChannelDbfs >= minLevelDbfs) {
    return `channels cancel: mixing them down loses ${lost.toFixed(1)} dB; give one of them`;
  }
  if (meter.levelDbfs < minLevelDbfs) {
    const least = minLevelDbfs.toFixed(1);
    return `too quiet: ${meter.levelDbfs.toFixed(1)} dBFS, at least ${least} are needed`;
  }
  if (meter.clipped > maxClipped) {
    const [found, most] = [meter.clipped, maxClipped].map((share) => (100 * share).toFixed(1));
    return `clipped: ${found} % of the samples, at most ${most} % may be`;
  }
  if (meter.tonalityDb > maxTonalityDb) {
    const most = maxTonalityDb.toFixed(1);
    return `a tone: ${meter.tonalityDb.toFixed(1)} dB of it can be predicted, speech keeps below ${most}`;
  }
  return null;
}

class Sums {
  total = 0;
  squares = 0;

  /** @param {number} value */
  add(value) {
    this.total += value;
    this.squares += value * value;
  }

  /** @param {number} count */
  levelDbfs(count) {
    if (count === 0) return 10 * Math.log10(FLOOR);
    const mean = this.total / count;
    return 10 * Math.log10(Math.max(FLOOR, this.squares / count - mean * mean));
  }
}

/** Gathers what the guards look at. */
export class Meter {
  amplitude = 0;
  #waveform = new Sums();
  #samples = 0;
  #frames = 0;
  #clipped = 0;
  /** @type {Sums[]} Of each channel, and last of their mean. */
  #channels = [];
  /** Products of a sample, the one before, the one before that, and 1. */
  #triples = new Float64Array(16);
  #before = 0;
  #beforeThat = 0;

  /** @param {number} sampleRate */
  constructor(sampleRate) {
    this.sampleRate = sampleRate;
  }

  get seconds() {
    return this.#samples / this.sampleRate;
  }

  get levelDbfs() {
    return this.#waveform.levelDbfs(this.#samples);
  }

  get clipped() {
    const samples = this.#frames * (this.#channels.length - 1);
    return samples > 0 ? this.#clipped / samples : 0;
  }

  get loudestChannelDbfs() {
    if (this.#frames === 0) return this.levelDbfs;
    const channels = this.#channels.slice(0, -1);
    return Math.max(...channels.map((sums) => sums.levelDbfs(this.#frames)));
  }

  get cancellationDb() {
    const count = this.#channels.length - 1;
    if (this.#frames === 0 || count < 2) return 0;
    const mixed = this.#channels[count].levelDbfs(this.#frames);
    return this.loudestChannelDbfs - mixed - 20 * Math.log10(count);
  }

  /** How much of the waveform its last two samples foretell. */
  get tonalityDb() {
    const sums = this.#triples;
    const count = sums[15];
    if (count < 3) return 0;
    /** @type {(i: number, j: number) => number} */
    const covariance = (i, j) =>
      sums[4 * i + j] / count - (sums[4 * i + 3] / count) * (sums[4 * j + 3] / count);
    const [aa, ab, ac] = [covariance(0, 0), covariance(0, 1), covariance(0, 2)];
    const [bb, bc, cc] = [covariance(1, 1), covariance(1, 2), covariance(2, 2)];
    if (aa <= FLOOR || bb <= FLOOR) return 0;
    const determinant = bb * cc - bc * bc;
    const foretold =
      determinant > COLLINEAR * bb * cc
        ? (ab * ab * cc - 2 * ab * ac * bc + ac * ac * bb) / determinant
        : (ab * ab) / bb;
    const left = Math.max(aa - foretold, aa * 10 ** (-MOST_TONALITY / 10));
    return 10 * Math.log10(aa / left);
  }

  /**
   * The channels of a file, scaled, before they are mixed down.
   * @param {readonly Float32Array[]} channels
   */
  hearChannels(channels) {
    const count = channels.length;
    if (this.#channels.length === 0) {
      this.#channels = Array.from({ length: count + 1 }, () => new Sums());
    }
    for (let frame = 0; frame < channels[0].length; frame++) {
      let sum = 0;
      for (let channel = 0; channel < count; channel++) {
        const value = channels[channel][frame];
        sum += value;
        this.#channels[channel].add(value);
        if (Math.abs(value) >= CLIP_LEVEL) this.#clipped++;
      }
      this.#channels[count].add(sum / count);
    }
    this.#frames += channels[0].length;
  }

  /**
   * Samples of the waveform that windows are cut from.
   * @param {Float32Array} block
   */
  hear(block) {
    const values = [0, 0, 0, 1];
    for (const value of block) {
      this.amplitude = Math.max(this.amplitude, Math.abs(value));
      this.#waveform.add(value);
      if (this.#samples >= 2) {
        values[0] = value;
        values[1] = this.#before;
        values[2] = this.#beforeThat;
        for (let row = 0; row < 4; row++) {
          for (let column = row; column < 4; column++) {
            this.#triples[4 * row + column] += values[row] * values[column];
          }
        }
      }
      this.#beforeThat = this.#before;
      this.#before = value;
      this.#samples++;
    }
  }
}
