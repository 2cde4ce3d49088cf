import { readContract } from './contract.js';
import { Engine } from './engine.js';
import { AudioError, ContractError, ModelError } from './errors.js';
import { Meter, refusal } from './guards.js';
import { checkDigest, contractOf } from './model_file.js';
import { Resampler } from './resampler.js';
import { cutWindows } from './windows.js';

/**
 * What a recording, or the last windows of a live one, scored and what that means. Undecided, it has no
 * numbers but a reason.
 *
 * @typedef {object} Verdict
 * @property {number | null} score
 * @property {number | null} llr
 * @property {number | null} posterior
 * @property {number} threshold
 * @property {'bonafide' | 'spoof' | 'undecided'} decision
 * @property {string | null} reason
 */

/** Windows that a live verdict is the mean of: about ten seconds of the demo's model. */
export const SMOOTHING = 4;

const FAINT = 0.01;

/** An engine together with what its score means. */
export class Scorer {
  /**
   * @param {{score: (window: Float32Array) => Promise<number>}} engine
   * @param {import('./contract.js').Contract} contract
   */
  constructor(engine, contract) {
    this.engine = engine;
    this.contract = contract;
  }

  /**
   * Holds the file against its digest, reads its contract, and tries it on a window of faint noise.
   *
   * @param {import('./engine.js').Runtime} ort
   * @param {Uint8Array} bytes
   * @throws {ModelError}
   */
  static async load(ort, bytes) {
    const digest = await checkDigest(bytes);
    const contract = readContract(contractOf(bytes));
    if (contract.schemaVersion > 1 && digest === null) {
      throw new ContractError('the file has no digest, although its contract promises one');
    }
    const scorer = new Scorer(await Engine.open(ort, bytes), contract);
    const noise = Float32Array.from({ length: contract.numSamples }, noiseAt);
    await scorer.scoreWindow(noise);
    return scorer;
  }

  /**
   * Raw score of one window.
   * @param {Float32Array} window
   */
  async scoreWindow(window) {
    if (!window.every(Number.isFinite)) {
      throw new AudioError('the audio contains NaN or infinite samples');
    }
    const score = await this.engine.score(window);
    if (!Number.isFinite(score)) throw new ModelError('the model gives a score that is not finite');
    return score;
  }

  /**
   * What a raw score means.
   * @param {number} score
   * @returns {Verdict}
   */
  verdict(score) {
    const { scale, offset, prior, threshold } = this.contract.decision;
    const llr = scale * score + offset;
    if (!Number.isFinite(llr)) {
      throw new ModelError(`scale·score + offset overflows at a score of ${score}`);
    }
    const odds = llr + Math.log(prior / (1 - prior));
    const small = Math.exp(-Math.abs(odds));
    const posterior = (odds >= 0 ? 1 : small) / (1 + small);
    const decision = llr >= threshold ? 'bonafide' : 'spoof';
    return { score, llr, posterior, threshold, decision, reason: null };
  }

  /**
   * No decision, for a reason.
   * @param {string} reason
   * @returns {Verdict}
   */
  undecided(reason) {
    const { threshold } = this.contract.decision;
    return { score: null, llr: null, posterior: null, threshold, decision: 'undecided', reason };
  }

  /**
   * Scaled channels of a recording → one waveform at the contract's rate.
   *
   * @param {readonly Float32Array[]} channels
   * @param {number} sampleRate
   */
  waveform(channels, sampleRate) {
    const resampler = this.resampler(sampleRate);
    const mono = mixdown(channels);
    const most = resampler.push(mono);
    const rest = resampler.finish();
    const waveform = new Float32Array(most.length + rest.length);
    waveform.set(most);
    waveform.set(rest, most.length);
    return waveform;
  }

  /** @param {number} sampleRate */
  resampler(sampleRate) {
    const { sampleRate: wanted, lowpassFilterWidth, rolloff } = this.contract;
    return new Resampler(sampleRate, wanted, lowpassFilterWidth, rolloff);
  }

  /**
   * A recording → its verdict, with the scores that it is the mean of.
   *
   * @param {readonly Float32Array[]} channels scaled, full scale = 1
   * @param {number} sampleRate
   */
  async scoreRecording(channels, sampleRate) {
    if (channels.length === 0 || channels[0].length === 0) throw new AudioError('contains no samples');
    const meter = new Meter(this.contract.sampleRate);
    meter.hearChannels(channels);
    const waveform = this.waveform(channels, sampleRate);
    meter.hear(waveform);
    const { guards } = this.contract;
    const reason = guards && refusal(guards, meter);
    /** @type {number[]} */
    const scores = [];
    if (reason) return { verdict: this.undecided(reason), scores };
    for (const window of cutWindows(waveform, this.contract)) {
      scores.push(await this.scoreWindow(window));
    }
    return { verdict: this.verdict(mean(scores)), scores };
  }
}

/**
 * Live audio at the contract's rate → a verdict for each window.
 *
 * The windows are those that the contract cuts of a recording: the first when its number of samples has
 * been heard, then one each hop. The verdict is on the mean of the last windows that the contract allows
 * a decision on; on a window that it does not, the verdict is undecided.
 */
export class LiveScorer {
  #scorer;
  #last;
  #total = 0;
  /** @type {number[]} */
  #scores = [];

  /** @param {Scorer} scorer */
  constructor(scorer) {
    this.#scorer = scorer;
    this.#last = new Float32Array(scorer.contract.numSamples);
  }

  /** Share of the first window that has been heard, in [0, 1]. */
  get filled() {
    return Math.min(1, this.#total / this.#last.length);
  }

  /**
   * The verdict of each window that the samples complete.
   * @param {Float32Array} block
   */
  async accept(block) {
    const { numSamples, hop } = this.#scorer.contract;
    const verdicts = [];
    for (let at = 0; at < block.length; ) {
      const past = this.#total - numSamples;
      const missing = past < 0 ? -past : hop - (past % hop);
      const taken = block.subarray(at, at + missing);
      this.#write(taken);
      at += taken.length;
      this.#total += taken.length;
      if (taken.length === missing) verdicts.push(await this.#judge());
    }
    return verdicts;
  }

  /** @param {Float32Array} samples */
  #write(samples) {
    const size = this.#last.length;
    const kept = samples.subarray(Math.max(0, samples.length - size));
    this.#last.copyWithin(0, kept.length);
    this.#last.set(kept, size - kept.length);
  }

  async #judge() {
    const { guards, sampleRate } = this.#scorer.contract;
    const meter = new Meter(sampleRate);
    meter.hearChannels([this.#last]);
    meter.hear(this.#last);
    const reason = guards && refusal(guards, meter, this.#total / sampleRate);
    if (reason) return this.#scorer.undecided(reason);
    this.#scores.push(await this.#scorer.scoreWindow(this.#last.slice()));
    if (this.#scores.length > SMOOTHING) this.#scores.shift();
    return this.#scorer.verdict(mean(this.#scores));
  }
}

/**
 * The mean of the channels, in float64, rounded to float32.
 * @param {readonly Float32Array[]} channels
 */
export function mixdown(channels) {
  if (channels.length === 1) return channels[0];
  return Float32Array.from(channels[0], (_, frame) => {
    let sum = 0;
    for (const channel of channels) sum += channel[frame];
    return sum / channels.length;
  });
}

/**
 * Level relative to full scale, in decibels, never below the floor.
 *
 * @param {Float32Array} block
 * @param {number} floor
 */
export function levelDb(block, floor) {
  let power = 0;
  for (const sample of block) power += sample * sample;
  return block.length === 0 ? floor : Math.max(floor, 10 * Math.log10(power / block.length));
}

/** @param {number[]} values */
function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/**
 * @param {unknown} _
 * @param {number} at
 */
function noiseAt(_, at) {
  return FAINT * (((at * 7919) % 1009) / 1009 - 0.5);
}
