/**
 * Whether there is a model, and what is wrong with it.
 * @typedef {{kind: 'loading'} | {kind: 'ready', contract: import('./contract.js').Contract}
 *   | {kind: 'missing' | 'refused' | 'insecure', reason: string}} Model
 *
 * What is going on besides; `filled` is the share of the first window that was heard.
 * @typedef {{kind: 'idle' | 'denied' | 'asking' | 'slow'}
 *   | {kind: 'microphone' | 'stopped', reason: string}
 *   | {kind: 'listening', filled: number, level: number}
 *   | {kind: 'scoring', name: string}
 *   | {kind: 'scored', name: string, windows: number, note: string}
 *   | {kind: 'unscored', name: string, reason: string}} Work
 *
 * All that the page shows.
 * @typedef {object} State
 * @property {Model} model
 * @property {Work} work
 * @property {import('./scorer.js').Verdict | null} verdict
 * @property {number[]} trace LLRs
 * @property {number | null} millis for a window
 */

/** Points that the trace keeps: two minutes of the demo's model. */
export const TRACE = 60;

/**
 * The same model with nothing scored yet.
 *
 * @param {Model} model
 * @param {Work} work
 * @returns {State}
 */
export function cleared(model, work = { kind: 'idle' }) {
  return { model, work, verdict: null, trace: [], millis: null };
}
