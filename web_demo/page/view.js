import { TRACE } from './state.js';
import * as text from './text.js';

/** @typedef {import('./state.js').State} State */

const SVG = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT, EDGE] = [600, 300, 20];
const FLOOR = -60;

/** The page's element of an id. */
export function element(/** @type {string} */ id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element ${id}`);
  return found;
}

/** @param {State} state */
export function show(state) {
  const { model, work, verdict } = state;
  document.body.dataset.decision = verdict?.decision ?? '';
  write('verdict', text.verdictText(state));
  write('numbers', text.numbersText(state));
  write('latency', text.latencyText(state));
  write('identity', text.identityText(state));
  write('status', text.statusText(state));
  write('listen', work.kind === 'listening' ? 'Stop' : 'Listen');
  const busy = work.kind === 'scoring' || work.kind === 'asking';
  for (const id of ['listen', 'pick']) {
    const button = /** @type {HTMLButtonElement} */ (element(id));
    button.disabled = model.kind !== 'ready';
    // A button that is disabled for a moment would lose the keyboard's focus.
    button.setAttribute('aria-disabled', String(busy));
  }
  showLevel(work.kind === 'listening' ? work.level : FLOOR);
  showTrace(state);
}

/**
 * Only what has changed: a screen reader reads every change.
 *
 * @param {string} id
 * @param {string} words
 */
function write(id, words) {
  const target = element(id);
  if (target.textContent !== words) target.textContent = words;
}

/** @param {number} level */
function showLevel(level) {
  const rounded = Math.round(level);
  write('level', `level ${rounded < 0 ? '−' : ''}${Math.abs(rounded)} dB`);
  const meter = element('meter');
  meter.setAttribute('aria-valuenow', String(rounded));
  const bar = /** @type {HTMLElement} */ (meter.firstElementChild);
  bar.style.transform = `scaleX(${1 - Math.min(0, level) / FLOOR})`;
}

/** @param {State} state */
function showTrace(state) {
  const { trace, model } = state;
  const svg = element('trace');
  svg.setAttribute('aria-label', text.traceText(state));
  if (model.kind !== 'ready') return;
  const { threshold } = model.contract.decision;
  const reach = Math.max(2, ...trace.map((llr) => Math.abs(llr - threshold)));
  const y = (/** @type {number} */ llr) =>
    HEIGHT / 2 - ((llr - threshold) / reach) * (HEIGHT / 2 - EDGE);
  const step = (WIDTH - 2 * EDGE) / Math.max(11, Math.min(TRACE, trace.length) - 1);
  const points = trace.map((llr, number) => ({ x: EDGE + number * step, y: y(llr), llr }));
  const middle = y(threshold);
  svg.replaceChildren(
    drawn('line', { class: 'threshold', x1: 0, x2: WIDTH, y1: middle, y2: middle }),
    drawn('polyline', { class: 'path', points: points.map((p) => `${p.x},${p.y}`).join(' ') }),
    // A line without length, so that its ends stay round whatever the picture is stretched to.
    ...points.map((p) =>
      drawn('path', {
        class: p.llr >= threshold ? 'bonafide' : 'spoof',
        d: `M${p.x} ${p.y}h0.001`,
      }),
    ),
  );
  write('scale', `Dashed: threshold ${text.signed(threshold)}. Above it is bona fide.`);
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} attributes
 */
function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}
