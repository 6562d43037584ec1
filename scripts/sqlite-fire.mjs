// A hundred thousand entries through sqliteStore of the built package, with a table of figures: npm run test:fire
// Arguments: how many entries, and another build's entry of the store. Times are printed and never judged; what is judged is that bounds hold, what expired goes, and the file shrinks.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { sqliteStore } = await import(process.argv[3] ?? '../dist/esm/stores/sqlite/index.js');
const ENTRIES = Number(process.argv[2] ?? 100_000);
const AT_ONCE = 500;
const folder = mkdtempSync(join(tmpdir(), 'nestjs-llm-cache-fire-'));
const path = join(folder, 'cache.sqlite');
const rows = [];

const megabytes = (file) => (statSync(file, { throwIfNoEntry: false })?.size ?? 0) / 1024 ** 2;
const inspect = (store) => store.store.inspect();
const valueOf = (index) => `value ${index} ${'x'.repeat(800 + (index % 400))}`;

async function measured(what, store, work) {
  const startedAt = performance.now();
  await work();
  const ms = Math.round(performance.now() - startedAt);
  const { entries, bytes } = inspect(store);
  rows.push({ what, ms, entries, 'MB counted': +(bytes / 1024 ** 2).toFixed(1), 'MB file': +megabytes(path).toFixed(1), 'MB WAL': +megabytes(`${path}-wal`).toFixed(1) });
}

async function fill(store, prefix, count, ttlMs, look = () => {}) {
  for (let start = 0; start < count; start += AT_ONCE) {
    const indexes = Array.from({ length: Math.min(AT_ONCE, count - start) }, (_, offset) => start + offset);
    await Promise.all(indexes.map((index) => store.set(`${prefix} ${index}`, valueOf(index), ttlMs)));
    look();
  }
}

try {
  let store = sqliteStore({ path });
  await measured(`write ${ENTRIES}`, store, () => fill(store, 'key', ENTRIES));
  assert.equal(inspect(store).entries, ENTRIES);
  await measured('close', store, () => store.disconnect());
  assert.equal(megabytes(`${path}-wal`), 0, 'the WAL is truncated at close');

  store = sqliteStore({ path });
  await measured('open and read one', store, async () => assert.equal(await store.get('key 7'), valueOf(7)));
  await measured('read 10,000', store, async () => {
    for (let index = 0; index < ENTRIES; index += Math.ceil(ENTRIES / 10_000)) assert.equal(await store.get(`key ${index}`), valueOf(index));
  });
  const full = inspect(store).bytes;
  await store.disconnect();

  const maxBytes = Math.floor(full / 2);
  store = sqliteStore({ path, maxBytes });
  await measured('get below half the bytes', store, async () => {
    for (let write = 0; inspect(store).bytes > maxBytes || write === 0; write += 1) {
      assert.ok(write < ENTRIES / 50, 'eviction keeps up');
      await store.set('writer', 'value');
    }
  });
  const before = inspect(store).entries;
  await measured(`write ${ENTRIES / 2} more at the bound`, store, () =>
    fill(store, 'more', ENTRIES / 2, undefined, () => assert.ok(inspect(store).bytes <= maxBytes, 'the bound holds at every look')),
  );
  assert.ok(Math.abs(inspect(store).entries - before) < before / 10, 'eviction makes room, and no more than that');
  assert.equal(await store.get(`more ${ENTRIES / 2 - 1}`), valueOf(ENTRIES / 2 - 1));
  await store.clear();
  assert.equal(inspect(store).entries, 0);

  const lifetimeMs = 600_000;
  await measured(`write ${ENTRIES / 4} that expire`, store, () => fill(store, 'short', ENTRIES / 4, lifetimeMs));
  const largest = megabytes(path);
  const now = Date.now;
  Date.now = () => now() + lifetimeMs + 1;
  await measured('purge them', store, async () => {
    for (let write = 0; inspect(store).entries > 1; write += 1) {
      assert.ok(write < ENTRIES / 50, 'the purge ends');
      await store.set('writer', 'value');
    }
  });
  await measured('shrink', store, async () => {
    for (let write = 0; write < ENTRIES / 50; write += 1) await store.set('writer', 'value');
    await store.disconnect();
  });
  Date.now = now;
  assert.ok(megabytes(path) < largest / 2, `the file shrinks: ${megabytes(path)} MB of ${largest} MB`);
  assert.equal(megabytes(`${path}-wal`), 0);
  console.table(rows);
  console.log(`sqlite-fire: ${ENTRIES} entries, all bounds held`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
