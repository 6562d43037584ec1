import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { memoryStore } from 'nestjs-llm-cache';
import { redisStore } from 'nestjs-llm-cache/redis';
import { INSTALL, OwnRedis, redisProgram } from '../sample-app/demo/own-redis.mjs';
import { decoratedApp } from './apps.mjs';
import { measure, percentile } from './measure.mjs';
import { copyOf, REQUESTS, response } from './workloads.mjs';

const PROCESSES = 4;
const CALLERS = 250;
const ROUNDS = 15;
const WARM_UP = 5;
/** Until the start signal has reached all. */
const START_MS = 60;
const program = fileURLToPath(new URL('fleet-process.mjs', import.meta.url));

/** Four processes over one Redis: one upstream call, what turns cost a lone call, and what they cost a hit. */
export async function fleet() {
  if (redisProgram() === undefined) {
    console.log(`fleet: left out. ${INSTALL}\n`);
    return;
  }
  const redis = await OwnRedis.start();
  for (const distributed of [true, false]) await stampede(redis.url, distributed);
  await loneCalls(redis.url);
  await redis.stop();
}

async function stampede(url, distributed) {
  const children = Array.from({ length: PROCESSES }, () => fork(program, [url, String(distributed)]));
  await Promise.all(children.map((child) => once(child, 'message')));
  const rounds = [];
  for (let number = -WARM_UP; number < ROUNDS; number++) {
    const atMs = Date.now() + START_MS;
    const replies = children.map((child) => once(child, 'message'));
    for (const child of children) child.send({ number: `${distributed} ${number}`, callers: CALLERS, atMs });
    const results = (await Promise.all(replies)).map(([result]) => result);
    const calls = results.reduce((sum, result) => sum + result.calls, 0);
    const wallMs = Math.max(...results.map(({ endedAtMs }) => endedAtMs)) - Math.min(...results.map(({ startedAtMs }) => startedAtMs));
    if (number >= 0) rounds.push({ calls, wallMs });
  }
  for (const child of children) child.disconnect();
  await Promise.all(children.map((child) => once(child, 'exit')));
  const walls = rounds.map(({ wallMs }) => wallMs);
  const most = Math.max(...rounds.map(({ calls }) => calls));
  const aim = distributed ? ' (aim: 1 call, <= 110 ms)' : '';
  console.log(
    `${PROCESSES} processes x ${CALLERS} identical callers, 50 ms upstream, distributed: ${distributed}: at most ${most} upstream calls, ` +
      `all answered after ${percentile(walls, 0.5).toFixed(1)} ms, median of ${ROUNDS}, and ${percentile(walls, 0.2).toFixed(1)} ms, 20th percentile${aim}\n`,
  );
}

/** In one process: a lease that nobody else wants, and hits that need none. */
async function loneCalls(url) {
  let asked = 0;
  const request = copyOf(REQUESTS['2 KB']);
  const misses = await against(url, () => ({ ...request, user: `caller ${asked++}` }), { operations: 100, rounds: 40 });
  const hits = await against(url, () => request, { operations: 2_000 });
  console.table([
    row('a lone miss with a lease against one without', misses, (misses.ours - misses.without) / 1_000 <= 1, '<= 1 ms more'),
    row('a hit in memory with distributed: true against false', hits, hits.ours / hits.without <= 1.05, 'ratio 1'),
  ]);
}

/** The same calls with turns and without. */
async function against(url, next, effort) {
  const open = async (distributed) => {
    const stores = [memoryStore(), redisStore({ url, namespace: `alone ${distributed}` })];
    const app = await decoratedApp({ stores, pii: false, secret: 'x'.repeat(32), singleFlight: { distributed } }, () => Promise.resolve(response(2_000)));
    await app.service.ask(next());
    return app;
  };
  const [ours, without] = [await open(true), await open(false)];
  const times = await measure({ without: () => without.service.ask(next()), ours: () => ours.service.ask(next()) }, effort);
  await Promise.all([ours.close(), without.close()]);
  return times;
}

function row(what, { ours, without }, met, aim) {
  return { what, 'without us': without.toFixed(2), 'ours us': ours.toFixed(2), ratio: (ours / without).toFixed(2), aim, met };
}
