// One process of bench/fleet.mjs: apps over one Redis, and an upstream that is a timer.
import { memoryStore } from 'nestjs-llm-cache';
import { redisStore } from 'nestjs-llm-cache/redis';
import { decoratedApp } from './apps.mjs';
import { copyOf, REQUESTS, response } from './workloads.mjs';

const [url, distributed] = process.argv.slice(2);
const UPSTREAM_MS = 50;
const options = { stores: [memoryStore(), redisStore(url)], pii: false, secret: 'x'.repeat(32), singleFlight: { distributed: distributed === 'true' } };

let calls = 0;
const { service, close } = await decoratedApp(options, () => {
  calls++;
  return new Promise((resolve) => setTimeout(() => resolve(response(2_000)), UPSTREAM_MS));
});

async function round({ number, callers, atMs }) {
  const requests = Array.from({ length: callers }, () => ({ ...copyOf(REQUESTS['2 KB']), user: `round ${number}` }));
  calls = 0;
  await new Promise((resolve) => setTimeout(resolve, atMs - Date.now()));
  const startedAtMs = now();
  await Promise.all(requests.map((request) => service.ask(request)));
  process.send({ calls, startedAtMs, endedAtMs: now() });
}

/** The same in all processes, and finer than `Date.now()`. */
function now() {
  return performance.timeOrigin + performance.now();
}

process.on('message', (message) => void round(message));
process.once('disconnect', () => void close());
process.send('ready');
