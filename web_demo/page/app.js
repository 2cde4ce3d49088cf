import { decode } from './decode.js';
import { AudioError } from './errors.js';
import { Microphone, MicrophoneDenied } from './microphone.js';
import { cleared, TRACE } from './state.js';
import { element, show } from './view.js';

/** @typedef {import('./state.js').State} State */

/** Blocks that may wait, three seconds of them. */
const MOST_WAITING = 30;
const MODEL = new URL('./model.onnx', import.meta.url).href;

let state = cleared({ kind: 'loading' });
/** @type {Microphone | null} */
let microphone = null;
/** Which time of listening it is: what an earlier one still has to say is not heard. */
let run = 0;
let waiting = 0;
/** The file that the worker scores, and what was said of its decoding. */
let current = { name: '', note: '' };
const worker = startWorker();

/** @param {Partial<State>} change */
function change(change) {
  state = { ...state, ...change };
  show(state);
}

/** From a blob, because only so the page's content-security policy binds the worker, too. */
function startWorker() {
  const address = new URL('./worker.js', import.meta.url).href;
  const source = new Blob([`import ${JSON.stringify(address)};`], { type: 'text/javascript' });
  const made = new Worker(URL.createObjectURL(source), { type: 'module' });
  made.onmessage = ({ data }) => told(data);
  made.onerror = () => change(cleared({ kind: 'missing', reason: 'the page is not whole' }));
  return made;
}

/** @param {import('./worker.js').Question} question */
function ask(question, /** @type {Transferable[]} */ given = []) {
  worker.postMessage(question, given);
}

/** @param {import('./worker.js').Answer} said */
function told(said) {
  switch (said.kind) {
    case 'ready':
      return change(cleared({ kind: 'ready', contract: said.contract }));
    case 'unusable': {
      const kind = said.missing ? 'missing' : 'refused';
      return change(cleared({ kind, reason: said.reason }));
    }
    case 'scored': {
      const { verdict, llrs, millis } = said;
      const work = { kind: /** @type {const} */ ('scored'), ...current, windows: llrs.length };
      return change({ work, verdict, trace: llrs.slice(-TRACE), millis });
    }
    case 'unscored':
      return change({ work: { kind: 'unscored', name: current.name, reason: said.reason } });
    case 'heard':
      return heard(said);
    case 'deaf':
      if (said.run === run) stop({ kind: 'stopped', reason: said.reason });
  }
}

/** @param {Extract<import('./worker.js').Answer, {kind: 'heard'}>} said */
function heard({ run: of, verdicts, filled, level, millis }) {
  if (of !== run || microphone === null) return;
  waiting--;
  const llrs = verdicts.flatMap(({ llr }) => (llr === null ? [] : [llr]));
  change({
    work: { kind: 'listening', filled, level },
    verdict: verdicts.at(-1) ?? state.verdict,
    trace: [...state.trace, ...llrs].slice(-TRACE),
    millis: millis ?? state.millis,
  });
}

function busy() {
  const { model, work } = state;
  return model.kind !== 'ready' || work.kind === 'scoring' || work.kind === 'asking';
}

async function listen() {
  if (busy()) return;
  change(cleared(state.model, { kind: 'asking' }));
  const own = ++run;
  waiting = 0;
  try {
    const opened = await Microphone.open(
      (block) => hear(own, block),
      (reason) => own === run && stop({ kind: 'microphone', reason }, true),
    );
    microphone = opened;
    ask({ kind: 'listen', run: own, sampleRate: opened.sampleRate });
    change({ work: { kind: 'listening', filled: 0, level: -60 } });
  } catch (error) {
    const reason = error instanceof AudioError ? error.message : String(error);
    const denied = error instanceof MicrophoneDenied;
    change({ work: denied ? { kind: 'denied' } : { kind: 'microphone', reason } });
  }
}

/**
 * @param {number} own
 * @param {Float32Array<ArrayBuffer>[]} block
 */
function hear(own, block) {
  if (own !== run || microphone === null) return;
  if (++waiting > MOST_WAITING) return stop({ kind: 'slow' });
  ask({ kind: 'block', run: own, channels: block }, block.map((samples) => samples.buffer));
}

/**
 * What was heard before a loss may have zeros at its end: it is no verdict.
 *
 * @param {State['work']} work
 */
function stop(work, /** @type {boolean} */ forget = false) {
  run++;
  microphone?.close();
  microphone = null;
  change(forget ? cleared(state.model, work) : { work });
}

/** @param {File} file */
async function scoreFile(file) {
  const { model } = state;
  if (busy() || model.kind !== 'ready') return;
  stop({ kind: 'idle' });
  change(cleared(model, { kind: 'scoring', name: file.name }));
  try {
    const { channels, sampleRate, note } = await decode(file, model.contract.pcm16Divisor);
    current = { name: file.name, note };
    ask({ kind: 'score', channels, sampleRate });
  } catch (error) {
    const reason = error instanceof AudioError ? error.message : String(error);
    change({ work: { kind: 'unscored', name: file.name, reason } });
  }
}

function start() {
  const file = /** @type {HTMLInputElement} */ (element('file'));
  element('listen').addEventListener('click', () => {
    if (microphone === null) void listen();
    else stop({ kind: 'idle' });
  });
  element('pick').addEventListener('click', () => busy() || file.click());
  file.addEventListener('change', () => {
    const [picked] = file.files ?? [];
    if (picked) void scoreFile(picked);
    file.value = '';
  });
  document.addEventListener('dragover', (event) => {
    event.preventDefault();
    document.body.classList.add('dropping');
  });
  document.addEventListener('dragleave', () => document.body.classList.remove('dropping'));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    document.body.classList.remove('dropping');
    const [dropped] = event.dataTransfer?.files ?? [];
    if (dropped) void scoreFile(dropped);
  });
  show(state);
  if (!window.isSecureContext) return change(cleared({ kind: 'insecure', reason: '' }));
  ask({ kind: 'load', url: MODEL });
  void navigator.serviceWorker?.register(new URL('./offline.js', import.meta.url));
}

start();
