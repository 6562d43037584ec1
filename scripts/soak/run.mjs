// Four Nest processes on one Redis, with calls, invalidations and faults, checked against a model:
// npm run soak -- --seed 7 --seconds 120 --rate 60 --out <folder>. A failing run prints its seed, with which it can be run again.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Fleet } from './fleet.mjs';
import { Load } from './load.mjs';
import { judge } from './model.mjs';
import { planOf } from './plan.mjs';
import { plotOf } from './plot.mjs';
import { QUESTIONS } from './questions.mjs';
import { Random } from './random.mjs';
import { Redis } from './redis.mjs';
import { linesAround, tableOf } from './report.mjs';
import { LONGEST_CALL_MS, WORKERS } from './settings.mjs';
import { now } from './skewed-clock.mjs';
import { Strikes } from './strikes.mjs';
import { Upstream } from './upstream.mjs';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1e6)) },
    seconds: { type: 'string', default: '120' },
    rate: { type: 'string', default: '60' },
    out: { type: 'string', default: 'node_modules/.cache/soak' },
  },
});
const [seed, seconds, rate] = [values.seed, Number(values.seconds), Number(values.rate)];
const TICK_MS = 10;
/** For the last answers, and for closing. */
const ENDS_WITHIN_S = 75;
const INVALIDATIONS_PER_SECOND = 2.5;

const redis = await Redis.start();
const upstream = await new Upstream(new Random(seed, 'upstream'), now).start();
const fleet = new Fleet({ redisUrl: redis.url, upstreamPort: upstream.port });
const { record } = fleet;
process.once('exit', () => fleet.killNow());
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const random = new Random(seed, 'fleet');
const HOUR_MS = 3_600_000;
console.log(`soak: seed ${seed}, ${seconds} s, ${rate} calls a second`);
await Promise.all(Array.from({ length: WORKERS }, (_, worker) => fleet.start(worker, 1, Math.round(random.between(-HOUR_MS, HOUR_MS)))));
Object.assign(record, { seed, seconds, startedAt: now() });
setTimeout(() => {
  console.error(`soak: no end; outstanding ${fleet.outstanding}, under way ${JSON.stringify(record.faults.filter(({ until }) => until === undefined))}`);
  process.exit(1);
}, (seconds + ENDS_WITHIN_S) * 1_000).unref();
const faults = new Strikes(fleet, redis, upstream).all(planOf(seed, seconds));
await askAndInvalidate();
await faults;
await drained();
// Whatever is stored has to be found by everybody.
for (const worker of fleet.open) for (const question of QUESTIONS) fleet.ask({ worker, questions: [question], way: question.ways[0], control: { onlyIfCached: true } });
await drained();
record.endedAt = now();
await fleet.closeAll();
upstream.stop();
await redis.stop();
record.upstream = upstream.calls.map((call) => Object.assign(call, { life: record.lives.find(({ pid }) => pid === call.pid).number }));

const verdict = judge(record);
mkdirSync(values.out, { recursive: true });
const plot = resolve(join(values.out, `soak-${seed}.svg`));
writeFileSync(plot, plotOf(record, verdict));
console.log(tableOf(record, verdict));
console.log(`plot: ${plot}`);
if (verdict.violations.length > 0) {
  const journal = resolve(join(values.out, `soak-${seed}.json`));
  writeFileSync(journal, JSON.stringify({ verdict, record }, undefined, 1));
  console.error(linesAround(record, verdict.violations));
  console.error(`record: ${journal}`);
  console.error(`soak: FAILED. Once more: npm run soak -- --seed ${seed} --seconds ${seconds} --rate ${rate}`);
  process.exitCode = 1;
} else console.log(`soak: seed ${seed}: every promise held`);

async function askAndInvalidate() {
  const load = new Load(new Random(seed, 'calls'));
  const chance = new Random(seed, 'invalidations');
  const targets = new Load(chance);
  let asked = 0;
  let samples = 0;
  for (;;) {
    const elapsedMs = now() - record.startedAt;
    if (elapsedMs >= seconds * 1_000) return;
    for (; asked < (elapsedMs / 1_000) * rate && fleet.open.length > 0; ) {
      const calls = load.next(fleet.open);
      calls.forEach((call) => fleet.ask(call));
      asked += calls.length;
    }
    if (fleet.open.length > 0 && chance.isSo((INVALIDATIONS_PER_SECOND * TICK_MS) / 1_000)) fleet.invalidate(chance.one(fleet.open), targets.target());
    if (elapsedMs / 1_000 > samples) {
      fleet.sample();
      samples += 1;
    }
    await sleep(TICK_MS);
  }
}

async function drained() {
  const givesUpAt = now() + LONGEST_CALL_MS;
  while (fleet.outstanding > 0 && now() < givesUpAt) await sleep(20);
}
