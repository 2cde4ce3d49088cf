/** Windows, scores and decisions of `python -m export vectors`, by the same `.onnx` in Node. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';

import { examine } from '../page/container.js';
import { readContract } from '../page/contract.js';
import { ModelError } from '../page/errors.js';
import { checkDigest, contractOf } from '../page/model_file.js';
import { LiveScorer, Scorer, SMOOTHING } from '../page/scorer.js';
import { readWav } from '../page/wav.js';
import { cutWindows } from '../page/windows.js';
import { bytesOf, given, runtime } from './runtime.js';

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {string} wav
 * @property {number} sample_rate
 * @property {number} channels
 * @property {number} samples
 * @property {string} windows_file
 * @property {number} n_windows
 * @property {number[]} window_scores
 * @property {number | null} score
 * @property {number} llr
 * @property {number} posterior
 * @property {number} threshold
 * @property {string} decision
 * @property {string | null} reason
 */

const folder = given('VECTORS');
const index = JSON.parse(readFileSync(join(folder, 'vectors.json'), 'utf-8'));
/** @type {Case[]} */
const cases = index.cases;
const contract = readContract(JSON.stringify(index.contract));

/** @param {Case} one */
function recordingOf(one) {
  const found = readWav(readFileSync(join(folder, one.wav)), contract.pcm16Divisor);
  assert.ok(found);
  return found;
}

/**
 * Through resampling waveforms may differ by rounding, and scores by a little more.
 * @param {Case} one
 */
function tolerance(one) {
  const rounding = one.sample_rate === contract.sampleRate ? 1e-5 : 1e-4;
  // Of a file of fewer bits, whose contract states it.
  return Math.max(rounding, index.score_tolerance ?? 0);
}

/**
 * @param {number | null} found
 * @param {number | null} golden
 * @param {number} most
 * @param {string} name
 */
function assertNear(found, golden, most, name) {
  assert.ok(found !== null && golden !== null, name);
  assert.ok(Math.abs(found - golden) <= most, `${name}: ${found}, golden ${golden}`);
}

/** @type {Scorer} */
let scorer;
/** @type {Uint8Array} */
let model;

before(async () => {
  model = await bytesOf(given('MODEL'));
  scorer = await Scorer.load(await runtime(), model);
});

test('the contract of the model is the one of the vectors', () => {
  assert.deepEqual(scorer.contract, contract);
});

test('the vectors have what can go wrong', () => {
  assert.ok(new Set(cases.map((one) => one.sample_rate)).size >= 3);
  assert.ok(cases.some((one) => one.channels === 2));
  assert.ok(cases.some((one) => one.n_windows > 1));
  assert.ok(cases.filter((one) => one.decision === 'undecided').length >= 6);
});

describe('windows, scores and decisions', () => {
  for (const one of cases) {
    test(one.name, async () => {
      const { channels, sampleRate } = recordingOf(one);
      const cut = [...cutWindows(scorer.waveform(channels, sampleRate), contract)];
      const raw = readFileSync(join(folder, one.windows_file));
      assert.equal(cut.length, one.n_windows);
      const most = one.sample_rate === contract.sampleRate ? 0 : 1e-5;
      cut.forEach((window, number) => {
        const start = 4 * number * window.length;
        window.forEach((sample, at) => {
          assertNear(sample, raw.readFloatLE(start + 4 * at), most, `window ${number} at ${at}`);
        });
      });
      const { verdict, scores } = await scorer.scoreRecording(channels, sampleRate);
      assert.equal(verdict.decision, one.decision);
      assert.equal(verdict.reason, one.reason);
      assert.equal(verdict.threshold, one.threshold);
      if (one.score === null) {
        assert.deepEqual([verdict.score, verdict.llr, verdict.posterior], [null, null, null]);
        assert.equal(scores.length, 0);
        return;
      }
      const near = tolerance(one);
      assert.equal(scores.length, one.window_scores.length);
      scores.forEach((score, at) => assertNear(score, one.window_scores[at], near, 'window'));
      assertNear(verdict.score, one.score, near, 'score');
      const scaled = near * Math.abs(contract.decision.scale);
      assertNear(verdict.llr, one.llr, scaled, 'llr');
      assertNear(verdict.posterior, one.posterior, scaled, 'posterior');
    });
  }
});

test('a stream in blocks gives the scores of the recording', async () => {
  const scored = cases.filter((one) => one.sample_rate === contract.sampleRate && one.score !== null);
  const longest = scored.reduce((a, b) => (b.n_windows > a.n_windows ? b : a));
  const { channels } = recordingOf(longest);
  const { numSamples, hop } = contract;
  const whole = Math.floor((channels[0].length - numSamples) / hop) + 1;
  assert.ok(whole > 1);
  for (const size of [128, 1600, 100_000]) {
    const live = new LiveScorer(scorer);
    const found = [];
    for (let at = 0; at < channels[0].length; at += size) {
      found.push(...(await live.accept(channels[0].subarray(at, at + size))));
    }
    assert.equal(found.length, whole);
    found.forEach((verdict, number) => {
      const last = longest.window_scores.slice(Math.max(0, number + 1 - SMOOTHING), number + 1);
      const mean = last.reduce((sum, score) => sum + score, 0) / last.length;
      assertNear(verdict.score, mean, 1e-5, `${size}`);
    });
  }
});

test('resampling in blocks gives what resampling at once gives', () => {
  const one = cases.find((other) => other.sample_rate === 44100);
  assert.ok(one);
  const { channels, sampleRate } = recordingOf(one);
  const whole = scorer.waveform(channels.slice(0, 1), sampleRate);
  for (const size of [128, 4410, 5]) {
    const resampler = scorer.resampler(sampleRate);
    const blocks = [];
    for (let at = 0; at < channels[0].length; at += size) {
      blocks.push(...resampler.push(channels[0].subarray(at, at + size)));
    }
    blocks.push(...resampler.finish());
    assert.deepEqual(Float32Array.from(blocks), whole);
  }
});

test('silence is undecided live, and tells why', async () => {
  const silence = cases.find((one) => one.name === 'silence');
  assert.ok(silence);
  const [verdict] = await new LiveScorer(scorer).accept(recordingOf(silence).channels[0]);
  assert.equal(verdict.decision, 'undecided');
  assert.equal(verdict.reason, silence.reason);
});

test('a damaged file is refused before the runtime is asked', async () => {
  assert.equal(await checkDigest(model), contract.fileSha256);
  const asked = /** @type {any} */ (
    new Proxy({}, { get: () => assert.fail('the runtime was asked') })
  );
  for (const place of [100, model.length >> 1, model.length - 90]) {
    const flipped = model.slice();
    flipped[place] ^= 4;
    await assert.rejects(Scorer.load(asked, flipped), ModelError);
  }
  for (const length of [0, 10, model.length >> 1, model.length - 1]) {
    await assert.rejects(Scorer.load(asked, model.slice(0, length)), ModelError);
  }
});

test('a contract of a later version is refused by name', async () => {
  const text = contractOf(model);
  assert.ok(text.includes('"schema_version": 2'));
  assert.throws(
    () => readContract(text.replace('"schema_version": 2', '"schema_version": 3')),
    /its contract is of schema version 3, and this page knows up to 2/,
  );
});

test('a file that the browser would decode without its end', () => {
  const whole = readFileSync(join(dirname(folder), 'other', 'deep.wav'));
  assert.equal(readWav(whole, 32768), null);
  assert.throws(() => readWav(whole.subarray(0, whole.length - 1), 32768), /1 bytes/);
  const ogg = readFileSync(join(dirname(folder), 'other', 'lossy.ogg'));
  assert.equal(examine(ogg).rate, 44100);
  assert.throws(() => examine(ogg.subarray(0, ogg.length - 1)), /truncated/);
  const flac = examine(readFileSync(join(dirname(folder), 'other', 'lossless.flac')));
  const stereo = cases.find((one) => one.name === 'stereo_44100');
  assert.deepEqual([flac.rate, flac.frames], [44100, stereo?.samples]);
});

test('a recording that ends early, is empty, or of another kind', () => {
  const whole = readFileSync(join(folder, cases[0].wav));
  assert.throws(() => readWav(whole.subarray(0, whole.length - 100), 32768), /100 bytes/);
  assert.throws(() => readWav(whole.subarray(0, 44), 32768), /missing/);
  assert.equal(readWav(new TextEncoder().encode('no recording at all'), 32768), null);
});
