/** The page in headless Chromium, with a fake microphone. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { browse, pick, picture, said, scoresOf, serve, until } from './browser.js';
import { given } from './runtime.js';

/**
 * @typedef {import('puppeteer-core').Browser} Browser
 * @typedef {import('puppeteer-core').Page} Page
 */

const folder = given('PAGE');
/** @type {Record<string, string>} */
const DECISIONS = { bonafide: 'Bona fide', spoof: 'Spoof', undecided: 'Undecided' };
const READY = /Listen to the microphone/;

/**
 * The page, in a window of a phone's width unless told otherwise.
 *
 * @param {Browser} browser
 * @param {string} url
 */
async function open(browser, url, width = 390) {
  const page = await browser.newPage();
  await page.setViewport({ width, height: 844 });
  page.on('pageerror', (error) => assert.fail(String(error)));
  await page.goto(url);
  return page;
}

/** The page's own state is not to be seen: what it hands to the worker and gets back is. */
async function lastVerdict(/** @type {Page} */ page) {
  return page.evaluate(() => /** @type {any} */ (globalThis).answers.at(-1));
}

/** Keeps what the worker says, in full precision. */
function keepAnswers() {
  const kept = /** @type {any} */ (globalThis);
  kept.answers = [];
  const Plain = Worker;
  kept.Worker = class extends Plain {
    constructor(/** @type {string | URL} */ url, /** @type {WorkerOptions} */ options) {
      super(url, options);
      this.addEventListener('message', ({ data }) => kept.answers.push(data));
    }
  };
}

describe('with a recording for a microphone', () => {
  /** @type {Browser} */
  let browser;
  /** @type {Awaited<ReturnType<typeof serve>>} */
  let server;
  /** @type {Awaited<ReturnType<typeof scoresOf>>} */
  let scores;

  before(async () => {
    scores = await scoresOf(given('SCORES'));
    server = await serve(folder);
    browser = await browse(given('RECORDING'));
  });
  after(async () => {
    await browser?.close();
    await server?.close();
  });

  test('every recording scores as Python says', async () => {
    const page = await browser.newPage();
    await page.setViewport({ width: 390, height: 844 });
    await page.evaluateOnNewDocument(keepAnswers);
    await page.goto(server.url);
    await until(page, 'status', READY);
    await picture(page, 'idle');
    assert.ok(scores.length >= 10);
    let worst = 0;
    const shown = new Set();
    for (const one of scores) {
      await pick(page, one.file);
      const name = basename(one.file).replaceAll('.', '\\.');
      await until(page, 'status', new RegExp(`^${name}, `));
      const { verdict } = await lastVerdict(page);
      assert.equal(verdict.decision, one.decision, one.file);
      if (one.score === null) {
        assert.equal(verdict.score, null, one.file);
        assert.equal(verdict.reason, one.reason, one.file);
      } else {
        const off = Math.abs(verdict.score - one.score);
        worst = Math.max(worst, off);
        assert.ok(off <= 1e-4, `${one.file}: ${verdict.score}, Python ${one.score}`);
      }
      assert.equal(await said(page, 'verdict'), DECISIONS[verdict.decision]);
      if (!shown.has(verdict.decision)) await picture(page, `file_${verdict.decision}`);
      shown.add(verdict.decision);
    }
    console.log(`largest score difference of ${scores.length} recordings: ${worst}`);
    assert.deepEqual(server.asked.filter((line) => !line.startsWith('GET /')), []);
    await page.close();
  });

  test('ten seconds of listening give a verdict for each window', async () => {
    await browser.defaultBrowserContext().overridePermissions(server.url, ['microphone']);
    const page = await open(browser, server.url);
    await until(page, 'status', READY);
    await page.focus('#listen');
    await page.keyboard.press('Enter');
    await until(page, 'status', /first verdict needs/);
    await until(page, 'status', /each point is the mean/);
    await until(page, 'verdict', /Bona fide|Spoof/);
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    assert.match(await said(page, 'numbers'), /^LLR [+−]\d+\.\d\d nats, threshold [+−]\d/u);
    assert.match(await said(page, 'latency'), /^\d+\.\d ms for a window of/);
    const label = await page.$eval('#trace', (found) => found.getAttribute('aria-label'));
    assert.ok(Number(/^(\d+) scores/.exec(label ?? '')?.[1]) >= 3, label ?? '');
    const level = await page.$eval('#meter', (found) => Number(found.getAttribute('aria-valuenow')));
    assert.ok(level > -60 && level <= 0);
    await picture(page, 'listening');
    await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
    await picture(page, 'listening_dark');
    await page.setViewport({ width: 320, height: 568 });
    await picture(page, 'listening_narrow');
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `${wide} pixels too wide`);
    await page.setViewport({ width: 1200, height: 800 });
    await picture(page, 'listening_wide');
    await page.keyboard.press('Enter');
    await until(page, 'status', READY);
    await page.close();
  });

  test('a recording dropped on the page is scored', async () => {
    const page = await open(browser, server.url);
    await until(page, 'status', READY);
    const bytes = [...(await readFile(scores[0].file))];
    await page.evaluate((/** @type {number[]} */ content) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(content)], 'dropped.wav'));
      document.body.dispatchEvent(
        new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }),
      );
    }, bytes);
    await until(page, 'status', /^dropped\.wav, /);
    await page.close();
  });

  test('files that cannot be scored say why', async () => {
    const page = await open(browser, server.url);
    await until(page, 'status', READY);
    const own = await mkdtemp(join(tmpdir(), 'page-'));
    const whole = await readFile(scores[0].file);
    /** @type {Record<string, [Uint8Array, RegExp]>} */
    const files = {
      'cut.wav': [whole.subarray(0, whole.length - 1000), /truncated: 1000 bytes/],
      'text.wav': [Buffer.from('no recording at all'), /cannot decode it/],
      'empty.wav': [Buffer.alloc(0), /is empty/],
    };
    const folderOf = dirname(scores[0].file);
    for (const name of ['deep.wav', 'lossless.flac', 'lossy.ogg']) {
      const content = await readFile(join(folderOf, name));
      files[`cut_${name}`] = [content.subarray(0, content.length - 5000), /truncated|cannot decode/];
    }
    for (const [name, [content, words]] of Object.entries(files)) {
      await writeFile(join(own, name), content);
      await pick(page, join(own, name));
      const told = await until(page, 'status', new RegExp(`^${name} cannot be scored`));
      assert.match(told, words);
    }
    await picture(page, 'file_failed');
    await page.close();
  });

  test('a microphone that is not allowed', async () => {
    const context = await browser.createBrowserContext();
    await context.overridePermissions(server.url, []);
    const page = await context.newPage();
    await page.setViewport({ width: 390, height: 844 });
    await page.goto(server.url);
    await until(page, 'status', READY);
    await page.click('#listen');
    await until(page, 'status', /Without the microphone only files/);
    await picture(page, 'denied');
    await pick(page, scores[0].file);
    await until(page, 'verdict', /Bona fide|Spoof/);
    await context.close();
  });

  test('nothing can be sent elsewhere, by the page or by its worker', async () => {
    const page = await open(browser, server.url);
    await until(page, 'status', READY);
    const other = await serve(folder);
    const send = async (/** @type {string} */ url) => {
      try {
        await fetch(url, { method: 'POST', body: 'x', mode: 'no-cors' });
        return 'sent';
      } catch (error) {
        return String(error);
      }
    };
    const [worker] = page.workers();
    for (const place of [page, worker]) {
      assert.match(await place.evaluate(send, other.url), /TypeError/);
    }
    assert.deepEqual(other.asked, []);
    await other.close();
    await page.close();
  });

  test('the page works without a network once it was loaded', async () => {
    const context = await browser.createBrowserContext();
    const gone = await serve(folder);
    const page = await context.newPage();
    await page.goto(gone.url);
    await until(page, 'status', READY);
    await page.evaluate(async () => void (await navigator.serviceWorker.ready));
    await gone.close();
    await page.reload();
    await until(page, 'status', READY);
    await pick(page, scores[0].file);
    await until(page, 'verdict', /Bona fide|Spoof/);
    await context.close();
  });
});

describe('without a recording for a microphone', () => {
  /** @type {Browser} */
  let browser;

  before(async () => {
    const silent = join(await mkdtemp(join(tmpdir(), 'page-')), 'silent.wav');
    await writeFile(silent, silence(10));
    browser = await browse(silent);
  });
  after(() => browser?.close());

  test('silence is undecided', async () => {
    const server = await serve(folder);
    await browser.defaultBrowserContext().overridePermissions(server.url, ['microphone']);
    const page = await open(browser, server.url);
    await until(page, 'status', READY);
    await page.click('#listen');
    await until(page, 'verdict', /Undecided/);
    assert.match(await said(page, 'numbers'), /^too quiet: -200\.0 dBFS/);
    await picture(page, 'undecided');
    await page.close();
    await server.close();
  });

  /** @type {[string, (model: Uint8Array) => Uint8Array | null, RegExp][]} */
  const models = [
    ['missing', () => null, /cannot be fetched \(404\)/],
    ['damaged', flipped, /damaged: its sha256/],
    ['later', later, /schema version 3, and this page knows up to 2; write the page anew/],
    ['foreign', () => new TextEncoder().encode('no model at all'), /no ONNX file/],
  ];
  for (const [name, make, words] of models) {
    test(`a model that is ${name}`, async () => {
      const model = new Uint8Array(await readFile(join(folder, 'model.onnx')));
      const server = await serve(folder, { '/model.onnx': make(model) });
      const page = await open(browser, server.url);
      await until(page, 'status', words);
      assert.equal(await said(page, 'verdict'), 'No usable model');
      const disabled = await page.$$eval('button', (all) => all.map((button) => button.disabled));
      assert.deepEqual(disabled, [true, true]);
      await picture(page, `model_${name}`);
      await page.close();
      await server.close();
    });
  }
});

/** One bit in the middle. */
function flipped(/** @type {Uint8Array} */ model) {
  model[model.length >> 1] ^= 4;
  return model;
}

/**
 * The model with a contract of a later version; without a digest, which would be another's.
 *
 * @param {Uint8Array} model
 */
function later(model) {
  const text = Buffer.from(model).toString('latin1');
  const digest = /("file_sha256": ?")[0-9a-f]{64}/;
  const changed = text
    .replace('"schema_version": 2', '"schema_version": 3')
    .replace(digest, (_, start) => start + '0'.repeat(64));
  return new Uint8Array(Buffer.from(changed, 'latin1'));
}

/** A WAV file of zeros, 16 kHz. */
function silence(/** @type {number} */ seconds) {
  const samples = Buffer.alloc(32_000 * seconds);
  const header = Buffer.alloc(44);
  header.write('RIFF');
  header.writeUInt32LE(36 + samples.length, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(16_000, 24);
  header.writeUInt32LE(32_000, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.length, 40);
  return Buffer.concat([header, samples]);
}
