// How long four processes that write flat out to one SQLite file hold their event loops: npm run build && node bench/sqlite-under-fire.mjs
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { LlmCache, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { SqliteFile } from '../dist/esm/stores/sqlite/sqlite-file.js';

const WRITERS = 4;
const SECONDS = Number(process.env['BENCH_SECONDS'] ?? 4);
const ONLY = new RegExp(process.env['ONLY'] ?? '');
const text = (length) => 'The customer writes: "my invoice is wrong". '.repeat(Math.ceil(length / 44)).slice(0, length);

/** What a writer does all the time: `inFlight` writes at once, each followed by the next. */
const WORKLOADS = [
  { what: 'store, 8 x 2 KB in flight', through: 'store', inFlight: 8, bytes: 2_000 },
  { what: 'store, 8 x 20 KB in flight', through: 'store', inFlight: 8, bytes: 20_000 },
  { what: 'store, 64 x 20 KB in flight', through: 'store', inFlight: 64, bytes: 20_000 },
  { what: 'store, bursts of 2,000 x 20 KB', through: 'store', inFlight: 2_000, bytes: 20_000, burst: true },
  { what: 'store, 64 x 20 KB, evicting', through: 'store', inFlight: 64, bytes: 20_000, maxBytes: 20_000_000 },
  { what: 'store, 8 x 1 MB in flight, evicting', through: 'store', inFlight: 8, bytes: 1_000_000, maxBytes: 100_000_000 },
  { what: 'LlmCache, 8 x 2 KB in flight', through: 'cache', inFlight: 8, bytes: 2_000 },
  { what: 'LlmCache, 64 x 20 KB in flight', through: 'cache', inFlight: 64, bytes: 20_000 },
];

/** How long this thread was ready to run and had no core, milliseconds since its start; 0 where the system does not say. */
function openSchedule() {
  try {
    const file = openSync('/proc/thread-self/schedstat', 'r');
    const buffer = Buffer.alloc(128);
    return () => Number(buffer.toString('latin1', 0, readSync(file, buffer, 0, 128, 0)).split(' ')[1]) / 1e6;
  } catch {
    return () => 0;
  }
}

/** The longest time that the store kept the thread to itself, and the longest with the wait for a core. */
function watchSections() {
  const worst = { ownMs: 0, wallMs: 0 };
  const waitedMs = openSchedule();
  const timed = (run) => {
    const waitedBefore = waitedMs();
    const startedAt = performance.now();
    try {
      return run();
    } finally {
      const wallMs = performance.now() - startedAt;
      worst.wallMs = Math.max(worst.wallMs, wallMs);
      worst.ownMs = Math.max(worst.ownMs, wallMs - (waitedMs() - waitedBefore));
    }
  };
  const { use, close } = Object.getOwnPropertyDescriptors(SqliteFile.prototype);
  SqliteFile.prototype.use = function (work) {
    return use.value.call(this, (database) => timed(() => work(database)));
  };
  SqliteFile.prototype.close = function () {
    return timed(() => close.value.call(this));
  };
  return () => ({ ...worst });
}

async function write({ path, name, workload: { through, inFlight, bytes, maxBytes, burst } }) {
  const worstSection = watchSections();
  const store = sqliteStore({ path, maxBytes });
  const cache = new LlmCache({ stores: [memoryStore(), store], storeTimeout: '30s' });
  const value = text(bytes);
  let written = 0;
  const one =
    through === 'store'
      ? (index) => store.set(`${name} ${index}`, value)
      : (index) => cache.wrap({ name, input: index }, () => Promise.resolve(value));
  await one(-1);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const startedAt = performance.now();
  const endsAt = startedAt + SECONDS * 1_000;
  const writeOn = async (index) => {
    for (; performance.now() < endsAt; index += inFlight) {
      await one(index);
      written += 1;
    }
  };
  const starts = Array.from({ length: inFlight }, (_, index) => index);
  const writeBursts = async () => {
    for (let from = 0; performance.now() < endsAt; from += inFlight) {
      await Promise.all(starts.map((index) => one(from + index)));
      written += inFlight;
    }
  };
  await (burst ? writeBursts() : Promise.all(starts.map(writeOn)));
  const seconds = (performance.now() - startedAt) / 1_000;
  const loop = { p99: delay.percentile(99) / 1e6, worst: delay.max / 1e6 };
  const section = worstSection();
  await store.disconnect();
  process.send({ perSecond: written / seconds, loop, section, atClose: worstSection() });
}

async function measure(workload) {
  const folder = await mkdtemp(join(tmpdir(), 'llm-cache-fire-'));
  const children = Array.from({ length: WRITERS }, () =>
    fork(fileURLToPath(import.meta.url), ['writer'], { execArgv: ['--disable-warning=ExperimentalWarning'] }),
  );
  await Promise.all(children.map((child) => once(child, 'message')));
  const reports = children.map((child) => once(child, 'message').then(([report]) => report));
  children.forEach((child, index) => child.send({ path: join(folder, 'cache.db'), name: `writer ${index}`, workload }));
  const results = await Promise.all(reports);
  await rm(folder, { recursive: true });
  const worst = (figure) => Math.max(...results.map(figure));
  return {
    'four writers': workload.what,
    'writes/s': Math.round(results.reduce((sum, { perSecond }) => sum + perSecond, 0)),
    'longest in the store ms': worst(({ section }) => section.ownMs).toFixed(1),
    '+ wait for a core': worst(({ section }) => section.wallMs).toFixed(1),
    'with close ms': worst(({ atClose }) => atClose.ownMs).toFixed(1),
    'loop p99 ms': worst(({ loop }) => loop.p99).toFixed(1),
    'loop worst ms': worst(({ loop }) => loop.worst).toFixed(1),
  };
}

if (process.argv[2] === 'writer') {
  process.once('message', (task) => void write(task).then(() => process.disconnect()));
  process.send('ready');
} else {
  const rows = [];
  for (const workload of WORKLOADS.filter(({ what }) => ONLY.test(what))) rows.push(await measure(workload));
  console.log(`Node ${process.version}, ${WRITERS} writers, ${SECONDS} s each`);
  console.table(rows);
}
