import { SMOOTHING } from './scorer.js';

/** @typedef {import('./state.js').State} State */

const DIGITS = 12;
const WORDS = { bonafide: 'Bona fide', spoof: 'Spoof', undecided: 'Undecided' };

/** @param {State} state */
export function verdictText({ verdict, model }) {
  if (verdict) return WORDS[verdict.decision];
  const usable = model.kind === 'loading' || model.kind === 'ready';
  return usable ? 'No verdict yet' : 'No usable model';
}

/** @param {State} state */
export function numbersText({ verdict, model }) {
  if (!verdict || model.kind !== 'ready') return '';
  const { llr, posterior, threshold } = verdict;
  if (llr === null || posterior === null) return verdict.reason ?? '';
  const { prior } = model.contract.decision;
  const share = (100 * posterior).toFixed(1);
  return `LLR ${signed(llr)} nats, threshold ${signed(threshold)}\n${share} % bona fide at prior ${prior}`;
}

/** @param {State} state */
export function latencyText({ millis, model }) {
  if (millis === null || model.kind !== 'ready') return '';
  return `${millis.toFixed(1)} ms for a window of ${seconds(model.contract)} s`;
}

/** @param {State} state */
export function identityText({ model }) {
  if (model.kind !== 'ready') return '';
  const { contract } = model;
  return [
    contract.model,
    `Threshold: ${contract.decision.operatingPoint}`,
    `Exported by torch ${contract.versions.torch ?? 'of an unknown version'}, run by ONNX Runtime Web.`,
    `Weights ${contract.weightsSha256.slice(0, DIGITS)}, file ${(contract.fileSha256 ?? 'without digest').slice(0, DIGITS)}`,
  ].join('\n');
}

/** @param {State} state */
export function statusText({ model, work }) {
  switch (model.kind) {
    case 'loading':
      return 'Loading the model';
    case 'missing':
      return `The model cannot be fetched (${model.reason}). Write the folder anew with python -m export web.`;
    case 'refused':
      return `The model cannot be used: ${model.reason}.`;
    case 'insecure':
      return 'This page works at https:// and on localhost only: elsewhere a browser gives no microphone, and the model could not be verified.';
    case 'ready':
      return workText(work, model.contract);
  }
}

/**
 * @param {State['work']} work
 * @param {import('./contract.js').Contract} contract
 */
function workText(work, contract) {
  switch (work.kind) {
    case 'idle':
      return 'Listen to the microphone, or score a file.';
    case 'asking':
      return 'Waiting for the microphone: the browser asks whether this page may use it.';
    case 'denied':
      return 'Without the microphone only files can be scored. Allow it in the settings of this page, beside its address. What it hears is scored in this browser and not kept.';
    case 'microphone':
      return `The microphone cannot be used: ${work.reason}.`;
    case 'slow':
      return 'Stopped: this device scores more slowly than it hears.';
    case 'stopped':
      return `Stopped: ${work.reason}`;
    case 'listening':
      return work.filled < 1
        ? `Listening: the first verdict needs ${seconds(contract)} s of audio`
        : `Listening: each point is the mean of the last ${SMOOTHING} windows`;
    case 'scoring':
      return `Scoring ${work.name}`;
    case 'scored':
      return `${work.name}, ${windowsText(work.windows)}${work.note && `; ${work.note}`}`;
    case 'unscored':
      return `${work.name} cannot be scored: ${work.reason}`;
  }
}

/** @param {State} state */
export function traceText({ trace, verdict }) {
  if (trace.length === 0 || !verdict) return 'No scores yet';
  const points = trace.length === 1 ? '1 score' : `${trace.length} scores`;
  return `${points}, the last ${signed(trace[trace.length - 1])}; threshold ${signed(verdict.threshold)}`;
}

/** @param {number} windows */
function windowsText(windows) {
  if (windows === 0) return 'no window scored';
  return windows === 1 ? 'one window' : `mean of ${windows} windows`;
}

/** @param {import('./contract.js').Contract} contract */
function seconds({ numSamples, sampleRate }) {
  return (numSamples / sampleRate).toFixed(1);
}

/** @param {number} value */
export function signed(value) {
  return (value < 0 ? '−' : '+') + Math.abs(value).toFixed(2);
}
