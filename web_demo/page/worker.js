import { ModelError } from './errors.js';
import { levelDb, LiveScorer, mixdown, Scorer } from './scorer.js';

/**
 * What the page asks.
 * @typedef {{kind: 'load', url: string}
 *   | {kind: 'score', channels: Float32Array[], sampleRate: number}
 *   | {kind: 'listen', run: number, sampleRate: number}
 *   | {kind: 'block', run: number, channels: Float32Array[]}} Question
 *
 * What it is told.
 * @typedef {import('./scorer.js').Verdict} Verdict
 * @typedef {{kind: 'ready', contract: import('./contract.js').Contract}
 *   | {kind: 'unusable', reason: string, missing: boolean}
 *   | {kind: 'scored', verdict: Verdict, llrs: number[], millis: number | null}
 *   | {kind: 'unscored', reason: string}
 *   | {kind: 'heard', run: number, verdicts: Verdict[], filled: number, level: number,
 *      millis: number | null}
 *   | {kind: 'deaf', run: number, reason: string}} Answer
 */

export const LEVEL_FLOOR = -60;
const RUNTIME = './ort.wasm.min.mjs';

/** @type {Scorer} */
let scorer;
/** @type {{live: LiveScorer, resampler: import('./resampler.js').Resampler}} */
let listening;

/** One after the other: a block is scored before the next one is looked at. */
let before = Promise.resolve();
self.onmessage = (/** @type {MessageEvent<Question>} */ { data }) => {
  before = before.then(() => answer(data));
};

/** @param {Question} question */
async function answer(question) {
  switch (question.kind) {
    case 'load':
      return tell(await load(question.url));
    case 'score':
      return tell(await score(question.channels, question.sampleRate));
    case 'listen':
      return tell(listen(question.run, question.sampleRate));
    case 'block':
      return tell(await hear(question.run, question.channels));
  }
}

/** @param {Answer | null} said */
function tell(said) {
  if (said !== null) self.postMessage(said);
}

/**
 * @param {string} url
 * @returns {Promise<Answer>}
 */
async function load(url) {
  try {
    const response = await fetch(url);
    if (!response.ok) return { kind: 'unusable', reason: `${response.status}`, missing: true };
    const bytes = new Uint8Array(await response.arrayBuffer());
    /** @type {import('./engine.js').Runtime} */
    const ort = await import(RUNTIME);
    ort.env.wasm.numThreads = 1;
    ort.env.wasm.wasmPaths = new URL('./', import.meta.url).href;
    scorer = await Scorer.load(ort, bytes);
    return { kind: 'ready', contract: scorer.contract };
  } catch (error) {
    const missing = !(error instanceof ModelError);
    return { kind: 'unusable', reason: lineOf(error), missing };
  }
}

/**
 * @param {Float32Array[]} channels
 * @param {number} sampleRate
 * @returns {Promise<Answer>}
 */
async function score(channels, sampleRate) {
  try {
    const start = performance.now();
    const { verdict, scores } = await scorer.scoreRecording(channels, sampleRate);
    const millis = scores.length ? (performance.now() - start) / scores.length : null;
    const { scale, offset } = scorer.contract.decision;
    return { kind: 'scored', verdict, llrs: scores.map((s) => scale * s + offset), millis };
  } catch (error) {
    return { kind: 'unscored', reason: lineOf(error) };
  }
}

/**
 * @param {number} run
 * @param {number} sampleRate
 * @returns {Answer | null}
 */
function listen(run, sampleRate) {
  try {
    listening = { live: new LiveScorer(scorer), resampler: scorer.resampler(sampleRate) };
    return null;
  } catch (error) {
    return { kind: 'deaf', run, reason: lineOf(error) };
  }
}

/**
 * @param {number} run
 * @param {Float32Array[]} channels
 * @returns {Promise<Answer>}
 */
async function hear(run, channels) {
  try {
    const start = performance.now();
    const { live, resampler } = listening;
    const block = resampler.push(mixdown(channels));
    const verdicts = await live.accept(block);
    const scored = verdicts.filter((verdict) => verdict.score !== null).length;
    const millis = scored ? (performance.now() - start) / scored : null;
    const level = levelDb(block, LEVEL_FLOOR);
    return { kind: 'heard', run, verdicts, filled: live.filled, level, millis };
  } catch (error) {
    return { kind: 'deaf', run, reason: lineOf(error) };
  }
}

/** @param {unknown} error */
function lineOf(error) {
  return String(error instanceof Error ? error.message : error).split('\n')[0].slice(0, 300);
}
