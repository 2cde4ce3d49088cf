/** Keeps the page's files for when there is no network; with one, they come from where they always do. */
const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const KEPT = 'scriptable-page';
const INDEX = 'files.json';

worker.addEventListener('install', (event) => event.waitUntil(keepAll()));
worker.addEventListener('activate', (event) => event.waitUntil(worker.clients.claim()));
worker.addEventListener('fetch', (event) => {
  if (event.request.method === 'GET') event.respondWith(answer(event.request));
});

async function keepAll() {
  const { files } = await (await fetch(INDEX, { cache: 'no-cache' })).json();
  const cache = await caches.open(KEPT);
  await cache.addAll(['./', INDEX, ...files]);
  await worker.skipWaiting();
}

/** @param {Request} request */
async function answer(request) {
  const cache = await caches.open(KEPT);
  try {
    const found = await fetch(request);
    if (found.ok && found.type === 'basic') await cache.put(request, found.clone());
    return found;
  } catch (error) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept === undefined) throw error;
    return kept;
  }
}
