import { ContractError } from './errors.js';
import { CLIP_LEVEL } from './guards.js';
import { readObject } from './strict_json.js';

/**
 * What a spoofing score means; every number that the page shows comes from here. Of version 1, guards
 * and fileSha256 are null.
 *
 * @typedef {object} Contract
 * @property {number} schemaVersion
 * @property {string} model
 * @property {number} sampleRate
 * @property {number} pcm16Divisor
 * @property {number} lowpassFilterWidth
 * @property {number} rolloff
 * @property {number} numSamples
 * @property {number} hop
 * @property {Decision} decision
 * @property {Record<string, string>} versions
 * @property {string} weightsSha256
 * @property {import('./guards.js').Guards | null} guards
 * @property {string | null} fileSha256
 *
 * @typedef {object} Decision
 * @property {number} scale
 * @property {number} offset
 * @property {number} prior
 * @property {number} threshold
 * @property {string} operatingPoint
 */

const SHA256 = /^[0-9a-f]{64}$/;
const PRECISIONS = ['float32', 'mixed16', 'int8'];
const VERDICTS = ['passed', 'forced'];
const NEWEST = 2;

// As the exporter has them: a document that asks for more is damaged, and nothing is allocated.
const MOST_HZ = 768_000;
const MOST_SAMPLES = 1 << 24;

/**
 * Reads the document that a spoofing artefact carries. Strictly: a field that this code does not know
 * could change what a score means, so it is refused like one that is missing.
 *
 * @param {string} text
 * @returns {Contract}
 * @throws {ContractError}
 */
export function readContract(text) {
  if (text.trim() === '') throw new ContractError('it has no score contract; export it by python -m export');
  const document = new Fields(readObject(text), '');
  const version = document.count('schema_version', MOST_SAMPLES);
  if (version > NEWEST) {
    throw new ContractError(
      `its contract is of schema version ${version}, and this page knows up to ${NEWEST}; write the page anew by the exporter that made the model`,
    );
  }
  document.expect('task', 'spoofing');
  const contract = {
    schemaVersion: version,
    model: document.text('model'),
    ...readAudio(document.part('audio')),
    ...readWindows(document.part('windows')),
    decision: readDecision(document.part('decision')),
    versions: document.part('versions').texts(),
    weightsSha256: document.digest('weights_sha256'),
    guards: version > 1 ? readGuards(document.part('guards')) : null,
    fileSha256: version > 1 ? document.digest('file_sha256') : null,
  };
  if (version > 1) {
    const precision = document.text('precision');
    if (!PRECISIONS.includes(precision)) throw document.wrong('precision', `one of ${PRECISIONS}`);
    if (precision !== 'float32' && document.has('precision_guard')) {
      readPrecisionGuard(document.part('precision_guard'));
    }
    document.listOfTexts('notes');
  }
  document.close();
  return contract;
}

/** @param {Fields} part */
function readAudio(part) {
  part.expect('mixdown', 'mean');
  part.expect('resampler', 'sinc_interp_hann');
  part.expect('pcm16_divisor', 32768n);
  part.expect('resampler_lowpass_filter_width', 6n);
  part.expect('resampler_rolloff', 0.99);
  const sampleRate = part.count('sample_rate', MOST_HZ);
  part.close();
  return { sampleRate, pcm16Divisor: 32768, lowpassFilterWidth: 6, rolloff: 0.99 };
}

/** @param {Fields} part */
function readWindows(part) {
  part.expect('tail', 'align_end');
  part.expect('short', 'repeat');
  part.expect('combine', 'mean');
  const numSamples = part.count('num_samples', MOST_SAMPLES);
  const hop = part.count('hop', MOST_SAMPLES);
  part.close();
  return { numSamples, hop };
}

/**
 * @param {Fields} part
 * @returns {Decision}
 */
function readDecision(part) {
  part.expect('polarity', 'higher_is_bonafide');
  const decision = {
    scale: part.number('scale', 'above 0', (x) => x > 0),
    offset: part.number('offset'),
    prior: part.number('prior', 'in (0, 1)', (x) => x > 0 && x < 1),
    threshold: part.number('threshold'),
    operatingPoint: part.text('operating_point'),
  };
  part.close();
  return decision;
}

/**
 * @param {Fields} part
 * @returns {import('./guards.js').Guards}
 */
function readGuards(part) {
  part.expect('clip_level', CLIP_LEVEL);
  const guards = {
    minSeconds: part.number('min_seconds', 'in [0, 3600]', (x) => x >= 0 && x <= 3600),
    minLevelDbfs: part.number('min_level_dbfs', 'in [-200, 0]', (x) => x >= -200 && x <= 0),
    maxAmplitude: part.number('max_amplitude', 'above 0', (x) => x > 0),
    maxTonalityDb: part.number('max_tonality_db', 'above 0', (x) => x > 0),
    maxClipped: part.number('max_clipped', 'in (0, 1]', (x) => x > 0 && x <= 1),
    maxCancellationDb: part.number('max_cancellation_db', 'above 0', (x) => x > 0),
  };
  part.close();
  return guards;
}

/**
 * What a file of fewer bits was held to when it was written: for people, and for tests.
 *
 * @param {Fields} part
 */
function readPrecisionGuard(part) {
  const verdict = part.text('verdict');
  if (!VERDICTS.includes(verdict)) throw part.wrong('verdict', `one of ${VERDICTS}`);
  part.count('trials', MOST_SAMPLES);
  for (const name of ['flips', 'most_flips', 'calibration_windows']) part.count(name, MOST_SAMPLES, 0);
  part.number('max_score_error', 'at least 0', (x) => x >= 0);
  part.number('score_tolerance', 'above 0', (x) => x > 0);
  part.listOfNumbers('delta_eer', [0, 3]);
  part.close();
}

/** The fields of one object, each to be taken once; `close` refuses what is left. */
class Fields {
  /**
   * @param {import('./strict_json.js').Members} fields
   * @param {string} place
   */
  constructor(fields, place) {
    this.fields = fields;
    this.place = place;
    this.left = new Set(fields.keys());
  }

  /** @param {string} name */
  part(name) {
    const found = this.take(name);
    if (!(found instanceof Map)) throw this.wrong(name, 'an object');
    return new Fields(found, `${this.place}${name}.`);
  }

  /** @param {string} name */
  text(name) {
    const found = this.take(name);
    if (typeof found !== 'string') throw this.wrong(name, 'a string');
    return found;
  }

  /** All fields, which are texts. */
  texts() {
    return Object.fromEntries([...this.left].map((name) => [name, this.text(name)]));
  }

  /** @param {string} name */
  listOfTexts(name) {
    const found = this.take(name);
    if (!Array.isArray(found)) throw this.wrong(name, 'a list');
    if (found.some((one) => typeof one !== 'string')) throw this.wrong(name, 'strings');
  }

  /**
   * @param {string} name
   * @param {number[]} counts
   */
  listOfNumbers(name, counts) {
    const found = this.take(name);
    if (!Array.isArray(found) || !counts.includes(found.length)) {
      throw this.wrong(name, `a list of ${counts.join(' or ')}`);
    }
    if (found.some((one) => !['number', 'bigint'].includes(typeof one) || !Number.isFinite(Number(one)))) {
      throw this.wrong(name, 'finite numbers');
    }
  }

  /** @param {string} name */
  digest(name) {
    const found = this.text(name);
    if (!SHA256.test(found)) throw this.wrong(name, '64 hex digits');
    return found;
  }

  /**
   * @param {string} name
   * @param {string} expected
   * @param {(x: number) => boolean} inside
   */
  number(name, expected = '', inside = () => true) {
    const found = this.take(name);
    if (typeof found !== 'number' && typeof found !== 'bigint') throw this.wrong(name, 'a number');
    const value = Number(found);
    if (!Number.isFinite(value)) throw this.wrong(name, 'a finite number');
    if (!inside(value)) throw this.wrong(name, expected);
    return value;
  }

  /**
   * @param {string} name
   * @param {number} most
   * @param {number} least
   */
  count(name, most, least = 1) {
    const found = this.take(name);
    if (typeof found !== 'bigint' || found < BigInt(least) || found > BigInt(most)) {
      throw this.wrong(name, `a whole number from ${least} to ${most}`);
    }
    return Number(found);
  }

  /**
   * @param {string} name
   * @param {string | number | bigint} only
   */
  expect(name, only) {
    const found = this.take(name);
    if (found !== only) throw this.wrong(name, String(only));
  }

  /** @param {string} name */
  has(name) {
    return this.fields.has(name);
  }

  close() {
    const [unknown] = [...this.left].sort();
    if (unknown !== undefined) {
      throw new ContractError(`score contract: ${this.place}${unknown}: unknown field`);
    }
  }

  /**
   * @param {string} name
   * @param {string} expected
   */
  wrong(name, expected) {
    const found = this.fields.get(name);
    const got = found instanceof Map ? 'an object' : String(found).slice(0, 60);
    return new ContractError(
      `score contract: ${this.place}${name}: expected ${expected}, got ${got}`,
    );
  }

  /** @param {string} name */
  take(name) {
    const found = this.fields.get(name);
    if (!this.left.delete(name) || found === undefined) {
      throw new ContractError(`score contract: ${this.place}${name}: missing`);
    }
    return found;
  }
}
