import { createReadStream, existsSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';

import puppeteer from 'puppeteer-core';

/** @typedef {import('puppeteer-core').Page} Page */

/** @type {Record<string, string>} */
const KINDS = {
  '.css': 'text/css',
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.mjs': 'text/javascript',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
};
const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';

/**
 * A file server without special headers. `instead` gives other content for a path, null for none.
 *
 * @param {string} folder
 * @param {Record<string, Uint8Array | null>} instead
 */
export async function serve(folder, instead = {}) {
  /** @type {string[]} */
  const asked = [];
  const server = createServer(async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://localhost').pathname;
    const name = path === '/' ? '/index.html' : path;
    asked.push(`${request.method} ${name}`);
    const file = join(folder, normalize(name));
    const found = name in instead ? instead[name] !== null : existsSync(file);
    if (!found) return response.writeHead(404).end();
    response.setHeader('content-type', KINDS[extname(name)] ?? 'application/octet-stream');
    const other = instead[name];
    if (other) return response.end(other);
    response.setHeader('content-length', (await stat(file)).size);
    return createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(null)));
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${port}/`, asked, close };
}

/**
 * Chromium, with a microphone that hears a recording over and over; without one it hears silence.
 *
 * @param {string | null} recording
 */
export async function browse(recording = null) {
  if (!existsSync(BROWSER)) throw new Error(`${BROWSER} is missing: make web-packages installs it`);
  const microphone = recording === null ? [] : [`--use-file-for-fake-audio-capture=${recording}`];
  return puppeteer.launch({
    executablePath: BROWSER,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-dev-shm-usage',
      '--use-fake-device-for-media-stream',
      '--autoplay-policy=no-user-gesture-required',
      ...microphone,
    ],
  });
}

/** What the page says at an id. */
export async function said(/** @type {Page} */ page, /** @type {string} */ id) {
  return (await page.$eval(`#${id}`, (found) => found.textContent)) ?? '';
}

/**
 * Waits until the page says something.
 *
 * @param {Page} page
 * @param {string} id
 * @param {RegExp} words
 * @param {number} seconds
 */
export async function until(page, id, words, seconds = 60) {
  try {
    await page.waitForFunction(
      (/** @type {string} */ at, /** @type {string} */ source) =>
        new RegExp(source, 'u').test(document.getElementById(at)?.textContent ?? ''),
      { timeout: 1000 * seconds, polling: 50 },
      id,
      words.source,
    );
  } catch {
    throw new Error(`${id} says ${JSON.stringify(await said(page, id))}, expected ${words}`);
  }
  return said(page, id);
}

/** Has the page score a file as the user would pick it. */
export async function pick(/** @type {Page} */ page, /** @type {string} */ path) {
  const input = await page.$('#file');
  await /** @type {import('puppeteer-core').ElementHandle<HTMLInputElement>} */ (input).uploadFile(path);
}

/** A picture for people to look at, where they are wanted. */
export async function picture(/** @type {Page} */ page, /** @type {string} */ name) {
  const folder = process.env.PICTURES;
  if (!folder) return;
  const shot = await page.screenshot({ fullPage: true });
  await writeFile(join(folder, `${name}.png`), shot);
}

/** Scores that Python gave, from `python -m export score --json`. */
export async function scoresOf(/** @type {string} */ path) {
  /** @type {{file: string, score: number | null, decision: string, reason: string | null}[]} */
  const found = JSON.parse(await readFile(path, 'utf-8'));
  return found;
}
