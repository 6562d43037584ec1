import { createCipheriv, createDecipheriv, hash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LlmCache } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { EncryptedEntries } from '../dist/esm/stores/entry-format.js';
import { decoratedApp } from './apps.mjs';
import { batches } from './batches.mjs';
import { fleet } from './fleet.mjs';
import { measure, percentile } from './measure.mjs';
import { piiDetectors } from './pii.mjs';
import { privacy } from './privacy.mjs';
import { redis } from './redis.mjs';
import { copyOf, REQUESTS, response } from './workloads.mjs';

// Lower bound: what the least a cache could do costs in the same run. A key is JSON.stringify and one SHA-256,
// a hit is that and a Map.get. It isolates nobody and gets key order and many values wrong.
const lowerBoundKey = (request) => hash('sha256', JSON.stringify(request), 'base64url');

const rows = [];
const report = (what, ours, bound, aim) => {
  const ratio = ours / bound;
  rows.push({ what, 'lower bound us': bound.toFixed(2), 'ours us': ours.toFixed(2), ratio: ratio.toFixed(2), aim, met: aim === undefined || ratio <= aim });
};

async function keys() {
  const llmCache = new LlmCache();
  const aims = { '200 B': 1.15, '2 KB': 1.35, '20 KB': 1.2, '200 KB': 1.0 };
  for (const [size, original] of Object.entries(REQUESTS)) {
    const request = copyOf(original);
    const parts = { name: 'bench', input: request };
    const times = await measure(
      { bound: () => lowerBoundKey(request), ours: () => llmCache.keyFor(parts) },
      { operations: size === '200 KB' ? 40 : size === '20 KB' ? 300 : 3_000 },
    );
    report(`key, ${size}`, times.ours, times.bound, aims[size]);
  }
}

async function memoryHits() {
  const aims = { '200 B': 2.5, '2 KB': 1.6, '20 KB': undefined };
  for (const size of Object.keys(aims)) {
    const request = copyOf(REQUESTS[size]);
    const answer = response({ '200 B': 200, '2 KB': 2_000, '20 KB': 20_000 }[size]);
    const { service, close } = await decoratedApp({}, () => Promise.resolve(answer));
    const map = new Map([[lowerBoundKey(request), answer]]);
    const mapOfJson = new Map([[lowerBoundKey(request), JSON.stringify(answer)]]);
    const times = await measure(
      {
        bound: async () => map.get(lowerBoundKey(request)),
        boundWithCopy: async () => JSON.parse(mapOfJson.get(lowerBoundKey(request))),
        ours: () => service.ask(request),
      },
      { operations: size === '20 KB' ? 300 : 2_000 },
    );
    report(`memory hit through the decorator, private copy, ${size}`, times.ours, times.bound, aims[size]);
    report(`  the same against a bound that copies too, ${size}`, times.ours, times.boundWithCopy);
    await close();
  }
}

async function sqliteHits() {
  const folder = await mkdtemp(join(tmpdir(), 'llm-cache-bench-'));
  const store = sqliteStore({ path: join(folder, 'bench.db') });
  const { service, close } = await decoratedApp({ stores: store }, () => Promise.resolve(response(2_000)));
  const request = copyOf(REQUESTS['2 KB']);
  const map = new Map([[lowerBoundKey(request), response(2_000)]]);
  await service.ask(request);
  const times = await measure(
    { bound: async () => map.get(lowerBoundKey(request)), ours: () => service.ask(request) },
    { operations: 300 },
  );
  report('sqlite hit through the decorator, 2 KB', times.ours, times.bound);
  await close();
  await rm(folder, { recursive: true });
}

/** What a secret adds to a key, and encryption to an entry. */
async function secretsAndEncryption() {
  const [secret, aesKey] = [randomBytes(32), randomBytes(32)];
  const encryption = { current: 'a', keys: { a: aesKey } };
  const [plain, keyed] = [new LlmCache(), new LlmCache({ secret })];
  for (const [size, aim] of Object.entries({ '200 B': 2, '2 KB': 1.5, '20 KB': 1.3 })) {
    const parts = { name: 'bench', input: copyOf(REQUESTS[size]), scope: 'acme' };
    const times = await measure(
      { plain: () => plain.keyFor(parts), ours: () => keyed.keyFor(parts) },
      { operations: size === '20 KB' ? 300 : 3_000 },
    );
    report(`key by HMAC against our plain key, ${size}`, times.ours, times.plain, aim);
  }
  const entries = new EncryptedEntries(encryption);
  for (const [size, bytes] of Object.entries({ '2 KB': 2_000, '20 KB': 20_000 })) {
    const text = JSON.stringify(response(bytes));
    const envelope = { key: 'llm1.llm.bench', createdAtMs: 1, expiresAtMs: null, versions: [], latencyMs: 1, payload: `j${text}` };
    const boundSealed = sealBare(aesKey, text);
    const sealed = entries.seal(envelope, 'acme');
    const times = await measure(
      {
        boundSeal: () => sealBare(aesKey, text),
        seal: () => entries.seal(envelope, 'acme'),
        boundOpen: () => openBare(aesKey, boundSealed),
        open: () => entries.open(sealed, envelope.key, 'acme'),
      },
      { operations: 300 },
    );
    report(`encrypt an entry, ${size}`, times.seal, times.boundSeal, 2.75);
    report(`open an encrypted entry, ${size}`, times.open, times.boundOpen, 3);
  }
  const request = copyOf(REQUESTS['2 KB']);
  const apps = await Promise.all([{}, { secret, encryption }].map((options) => decoratedApp(options, () => Promise.resolve(response(2_000)))));
  const times = await measure({ plain: () => apps[0].service.ask(request), ours: () => apps[1].service.ask(request) }, { operations: 2_000 });
  report('memory hit with secret and encryption against one without, 2 KB', times.ours, times.plain, 1.3);
  await Promise.all(apps.map(({ close }) => close()));
}

/** The least that AES-256-GCM costs with a text on both sides. */
function sealBare(key, text) {
  const iv = randomBytes(12);
  const cipher = createCipheriv('aes-256-gcm', key, iv);
  return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
}

function openBare(key, sealed) {
  const bytes = Buffer.from(sealed, 'base64url');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(-16));
  return Buffer.concat([decipher.update(bytes.subarray(12, -16)), decipher.final()]).toString();
}

async function stampede() {
  const walls = [];
  let calls = 0;
  for (let round = -5; round < 11; round++) {
    calls = 0;
    const produce = () => {
      calls++;
      return new Promise((resolve) => setTimeout(() => resolve(response(2_000)), 50));
    };
    const { service, close } = await decoratedApp({}, produce);
    const requests = Array.from({ length: 1_000 }, () => copyOf(REQUESTS['2 KB']));
    const startedAt = performance.now();
    await Promise.all(requests.map((request) => service.ask(request)));
    if (round >= 0) walls.push(performance.now() - startedAt);
    await close();
  }
  const wall = percentile(walls, 0.5);
  console.log(`1,000 identical callers, 50 ms upstream: ${calls} upstream call, all answered after ${wall.toFixed(1)} ms (aim <= 60 ms)\n`);
}

async function first(open) {
  const stream = open()[Symbol.asyncIterator]();
  await stream.next();
  await stream.return();
}

const CHUNKS = 222;
const streams = {
  texts: Array.from({ length: CHUNKS }, (_, index) => `token ${index} `),
  'chat chunks': Array.from({ length: CHUNKS }, (_, index) => ({
    id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_760_000_000, model: 'gpt-4o-mini',
    choices: [{ index: 0, delta: { content: `token ${index} ` }, finish_reason: index === CHUNKS - 1 ? 'stop' : null }],
  })),
};

async function replays() {
  for (const [what, chunks] of Object.entries(streams)) {
    const bare = async function* () {
      for (const chunk of chunks) yield chunk;
    };
    const texts = chunks.map((chunk) => JSON.stringify(chunk));
    const copying = async function* () {
      for (const text of texts) yield JSON.parse(text);
    };
    const llmCache = new LlmCache();
    const cached = () => llmCache.wrapStream({ name: 'bench', input: what }, bare);
    const all = async (open) => {
      let count = 0;
      for await (const _ of open()) count++;
      if (count !== CHUNKS) throw new Error(`${count} chunks`);
    };
    await all(cached);
    const begin = await measure({ bound: () => first(bare), ours: () => first(cached) }, { operations: 200 });
    report(`first of ${CHUNKS} ${what} (aim <= 10 us)`, begin.ours, begin.bound);
    const whole = await measure({ bound: () => all(bare), copying: () => all(copying), ours: () => all(cached) }, { operations: 20 });
    report(`all of ${CHUNKS} ${what}`, whole.ours, whole.bound, 2);
    report(`  the same against a bound that copies too, ${what}`, whole.ours, whole.copying);
    await llmCache.close();
  }
}

/** A thousand callers join one running stream of 222 chunks, ten with each of its first hundred chunks. */
async function joiners() {
  const llmCache = new LlmCache();
  const chunks = streams['chat chunks'];
  let calls = 0;
  const readers = [];
  const read = async (onChunk = () => {}) => {
    let place = 0;
    for await (const chunk of llmCache.wrapStream({ name: 'bench', input: 'join' }, upstream)) {
      if (chunk.choices[0].delta.content !== `token ${place++} `) throw new Error(`chunk ${place} is missing or doubled`);
      onChunk(place);
    }
    if (place !== CHUNKS) throw new Error(`${place} chunks`);
  };
  async function* upstream() {
    calls++;
    for (const chunk of chunks) {
      await new Promise((resolve) => setImmediate(resolve));
      yield chunk;
    }
  }
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const startedAt = performance.now();
  const leader = read((place) => {
    if (place <= 100) for (let count = 0; count < 10; count++) readers.push(read());
  });
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage().heapUsed)), 20);
  await leader;
  await Promise.all(readers);
  clearInterval(watch);
  console.log(
    `1,000 callers join one running stream of ${CHUNKS} chunks: ${calls} upstream call, no chunk missing or doubled, ` +
      `${(performance.now() - startedAt).toFixed(0)} ms, heap at most ${((most - before) / 1e6).toFixed(0)} MB above the start\n`,
  );
  await llmCache.close();
}

console.log(`Node ${process.version}, 20th percentile of interleaved rounds\n`);
await stampede();
await joiners();
await batches();
await fleet();
await keys();
await memoryHits();
await sqliteHits();
await secretsAndEncryption();
await replays();
console.table(rows);
await piiDetectors();
await privacy();
await redis();
