import { ContractError } from './errors.js';

/**
 * An object of the document. Whole numbers are bigint, others number: to a contract 6.0 is not 6.
 * @typedef {Map<string, unknown>} Members
 */

const DEEPEST = 16;
const NUMBER = /-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?/y;
const HEX = /^[0-9a-fA-F]{4}$/;
/** @type {Record<string, string>} */
const ESCAPES = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };

/**
 * Reads one JSON object as RFC 8259 has it. `JSON.parse` would take the last of two equal fields and
 * make one kind of all numbers: another contract than other readers read.
 *
 * @param {string} text
 * @returns {Members}
 * @throws {ContractError} when it is anything else, or nested more than 16 deep.
 */
export function readObject(text) {
  return new Reader(text).document();
}

class Reader {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  document() {
    this.space();
    if (this.peek() !== '{') throw this.wrong('expected a JSON object');
    const found = this.members(1);
    this.space();
    if (this.at !== this.text.length) throw this.wrong('something follows the object');
    return found;
  }

  /**
   * @param {number} depth
   * @returns {unknown}
   */
  value(depth) {
    if (depth > DEEPEST) throw this.wrong(`nested more than ${DEEPEST} deep`);
    switch (this.peek()) {
      case '{':
        return this.members(depth);
      case '[':
        return this.list(depth);
      case '"':
        return this.string();
      case 't':
        return this.word('true', true);
      case 'f':
        return this.word('false', false);
      case 'n':
        return this.word('null', null);
      default:
        return this.number();
    }
  }

  /** @param {number} depth */
  members(depth) {
    /** @type {Members} */
    const found = new Map();
    this.sequence('{', '}', () => {
      const name = this.string();
      this.space();
      this.take(':');
      this.space();
      if (found.has(name)) throw this.wrong(`${name} stands twice`);
      found.set(name, this.value(depth + 1));
    });
    return found;
  }

  /** @param {number} depth */
  list(depth) {
    /** @type {unknown[]} */
    const found = [];
    this.sequence('[', ']', () => found.push(this.value(depth + 1)));
    return found;
  }

  /**
   * @param {string} open
   * @param {string} close
   * @param {() => void} one
   */
  sequence(open, close, one) {
    this.take(open);
    this.space();
    if (this.peek() === close) return this.take(close);
    for (;;) {
      one();
      this.space();
      if (this.peek() === close) return this.take(close);
      this.take(',');
      this.space();
    }
  }

  string() {
    this.take('"');
    let found = '';
    for (;;) {
      const letter = this.next();
      if (letter === '"') return this.whole(found);
      if (letter < ' ') throw this.wrong('a string holds a control character');
      found += letter === '\\' ? this.escaped() : letter;
    }
  }

  escaped() {
    const letter = this.next();
    if (letter in ESCAPES) return ESCAPES[letter];
    if (letter !== 'u') throw this.wrong(`\\${letter} is no escape`);
    const digits = this.next() + this.next() + this.next() + this.next();
    if (!HEX.test(digits)) throw this.wrong(`\\u${digits} is no escape`);
    return String.fromCharCode(parseInt(digits, 16));
  }

  /**
   * Half a surrogate pair is no character, and cannot be written as UTF-8.
   * @param {string} found
   */
  whole(found) {
    if (/\p{Surrogate}/u.test(found)) throw this.wrong('a string holds half a character');
    return found;
  }

  number() {
    NUMBER.lastIndex = this.at;
    const found = NUMBER.exec(this.text);
    if (!found) throw this.wrong('expected a value');
    this.at = NUMBER.lastIndex;
    const [written, , fraction, exponent] = found;
    if (fraction === undefined && exponent === undefined) return BigInt(written);
    const value = Number(written);
    if (!Number.isFinite(value)) throw this.wrong(`${written} is too large`);
    return value;
  }

  /**
   * @param {string} spelled
   * @param {boolean | null} means
   */
  word(spelled, means) {
    if (!this.text.startsWith(spelled, this.at)) throw this.wrong('expected a value');
    this.at += spelled.length;
    return means;
  }

  space() {
    while (' \t\n\r'.includes(this.text.charAt(this.at) || '-')) this.at++;
  }

  peek() {
    if (this.at >= this.text.length) throw this.wrong('it ends early');
    return this.text[this.at];
  }

  next() {
    const letter = this.peek();
    this.at++;
    return letter;
  }

  /** @param {string} letter */
  take(letter) {
    if (this.next() !== letter) throw this.wrong(`expected ${letter} at ${this.at - 1}`);
  }

  /** @param {string} what */
  wrong(what) {
    return new ContractError(`score contract: not JSON of a contract: ${what}`);
  }
}
