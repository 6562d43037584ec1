// A hit in Redis against the least that one could cost, a memory hit with Redis behind it, and invalidation in a small and a large store.
// Part of npm run bench; alone: npm run build && node bench/redis.mjs
import { hash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { createClient } from '@keyv/redis';
import { LlmCache, memoryStore } from 'nestjs-llm-cache';
import { redisStore } from 'nestjs-llm-cache/redis';
import { INSTALL, OwnRedis, redisProgram } from '../sample-app/demo/own-redis.mjs';
import { decoratedApp } from './apps.mjs';
import { measure } from './measure.mjs';
import { copyOf, multilingual, REQUESTS, response } from './workloads.mjs';

// Lower bound of a hit in Redis: JSON.stringify and one SHA-256, a GET with the same client library, and JSON.parse.
// It has no versions, no checksum, no deadline and no gate, and gets key order and many values wrong.
const lowerBoundKey = (request) => hash('sha256', JSON.stringify(request), 'base64url');

const CALLERS = 64;
const MANY = 1_000_000;

const rows = [];
const report = (what, ours, bound, aim) => {
  const ratio = ours / bound;
  rows.push({ what, 'lower bound us': bound.toFixed(2), 'ours us': ours.toFixed(2), ratio: ratio.toFixed(2), aim, met: aim === undefined || ratio <= aim });
};

/** Both sides hold the answers to these requests. */
async function filled({ url, client }, requests, answer) {
  const stores = redisStore({ url, namespace: `bench-${requests.length}-${answer.length}` });
  let calls = 0;
  const produce = () => {
    calls++;
    return Promise.resolve(JSON.parse(answer));
  };
  const { service, close } = await decoratedApp({ stores }, produce, ['error']);
  for (const request of requests) {
    await client.set(lowerBoundKey(request), answer);
    await service.ask(request);
  }
  const end = () => {
    if (calls !== requests.length) throw new Error(`${calls} upstream calls for ${requests.length} questions`);
    return close();
  };
  return { bound: async (request) => JSON.parse(await client.get(lowerBoundKey(request))), ours: (request) => service.ask(request), close: end };
}

const WORKLOADS = {
  '2 KB': { request: REQUESTS['2 KB'], answer: response(2_000), aim: 1.05 },
  '20 KB': { request: REQUESTS['20 KB'], answer: response(20_000) },
  '20 KB multilingual': { request: multilingual(REQUESTS['20 KB']), answer: multilingual(response(20_000)), aim: 0.7 },
};

async function hits(server) {
  for (const [size, { request, answer, aim }] of Object.entries(WORKLOADS)) {
    const own = copyOf(request);
    const { bound, ours, close } = await filled(server, [own], JSON.stringify(answer));
    const times = await measure({ bound: () => bound(own), ours: () => ours(own) }, { operations: size === '2 KB' ? 200 : 100 });
    report(`redis hit through the decorator, ${size}`, times.ours, times.bound, aim);
    await close();
  }
}

/** Of so many callers at once, each with its own question, or all with the same. */
async function crowds(server) {
  const requests = Array.from({ length: CALLERS }, (_, index) => ({ ...copyOf(REQUESTS['2 KB']), seed: index }));
  const { bound, ours, close } = await filled(server, requests, JSON.stringify(response(2_000)));
  const all = (ask, of) => Promise.all(Array.from({ length: CALLERS }, (_, index) => ask(of(index))));
  const times = await measure(
    {
      bound: () => all(bound, (index) => requests[index]),
      ours: () => all(ours, (index) => requests[index]),
      boundSame: () => all(bound, () => requests[0]),
      oursSame: () => all(ours, () => requests[0]),
    },
    { operations: 10 },
  );
  report(`redis hit, ${CALLERS} callers, each its own question, 2 KB`, times.ours / CALLERS, times.bound / CALLERS);
  report(`redis hit, ${CALLERS} callers, the same question, 2 KB`, times.oursSame / CALLERS, times.boundSame / CALLERS);
  await close();
}

async function memoryBeforeRedis({ url }) {
  const request = copyOf(REQUESTS['2 KB']);
  const answer = response(2_000);
  const stores = [memoryStore(), redisStore({ url, namespace: 'bench-two-tiers' })];
  const [both, memory] = await Promise.all([{ stores }, {}].map((options) => decoratedApp(options, () => Promise.resolve(answer), ['error'])));
  const map = new Map([[lowerBoundKey(request), answer]]);
  const mapOfJson = new Map([[lowerBoundKey(request), JSON.stringify(answer)]]);
  const times = await measure(
    {
      bound: async () => map.get(lowerBoundKey(request)),
      boundWithCopy: async () => JSON.parse(mapOfJson.get(lowerBoundKey(request))),
      memory: () => memory.service.ask(request),
      ours: () => both.service.ask(request),
    },
    { operations: 2_000 },
  );
  report('memory hit with redis behind it, private copy, 2 KB', times.ours, times.bound, 1.4);
  report('  the same against a bound that copies too', times.ours, times.boundWithCopy, 1.4);
  report('  the same against ours without redis', times.ours, times.memory);
  await Promise.all([both.close(), memory.close()]);
}

/** A server of its own, and a client of it. */
async function startRedis() {
  const server = await OwnRedis.start();
  const client = await createClient({ url: server.url }).connect();
  const stop = async () => {
    client.destroy();
    await server.stop();
  };
  return { url: server.url, client, stop };
}

/** A cache over a server of its own with so many entries: ten that it wrote, and copies of one under names like theirs. */
async function storeOf(entries) {
  const server = await startRedis();
  const llmCache = new LlmCache({ stores: redisStore(server.url) });
  const ask = (input) => llmCache.wrap({ name: 'bench', input }, () => response(300), { tags: ['bench'] });
  for (let input = 0; input < 10; input++) await ask(input);
  const names = await server.client.keys('*');
  const name = names.find((key) => /llm1\..*[\w-]{43}$/.test(key));
  const copy = `local text = redis.call('GET', KEYS[1])
    for number = ARGV[1], ARGV[2] do redis.call('SET', ARGV[3] .. string.format('%043d', number), text) end`;
  for (let from = 11; from <= entries; from += 100_000) {
    const to = Math.min(entries, from + 99_999);
    await server.client.eval(copy, { keys: [name], arguments: [String(from), String(to), name.slice(0, -43)] });
  }
  const present = await server.client.dbSize();
  if (present < entries) throw new Error(`${present} keys, and not ${entries}`);
  return { llmCache, ask, stop: () => llmCache.close().then(server.stop) };
}

/** What it takes to remove everything, what has a tag, and one entry. */
async function invalidations() {
  const [few, many] = [await storeOf(10), await storeOf(MANY)];
  const removals = {
    'clear()': ({ llmCache }) => llmCache.clear(),
    'invalidate({ tags })': ({ llmCache }) => llmCache.invalidate({ tags: ['bench'] }),
    'invalidate({ key })': ({ llmCache }) => llmCache.invalidate({ key: { name: 'bench', input: 1 } }),
  };
  for (const [what, remove] of Object.entries(removals)) {
    const times = await measure({ few: () => remove(few), many: () => remove(many) }, { operations: 30, rounds: 40 });
    report(`${what} with ${MANY.toLocaleString('en')} entries against 10`, times.many, times.few, 1.15);
  }
  for (const { llmCache, ask } of [few, many]) {
    await llmCache.clear();
    const { misses } = llmCache.stats();
    await ask(2);
    if (llmCache.stats().misses !== misses + 1) throw new Error('an entry came through clear()');
  }
  await Promise.all([few.stop(), many.stop()]);
}

export async function redis() {
  console.log('\nRedis: hits against a key, a GET and a parse with the same client');
  if (redisProgram() === undefined) {
    console.log(`SKIPPED. ${INSTALL}`);
    return;
  }
  const server = await startRedis();
  await hits(server);
  await crowds(server);
  await memoryBeforeRedis(server);
  await server.stop();
  await invalidations();
  console.table(rows);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await redis();
