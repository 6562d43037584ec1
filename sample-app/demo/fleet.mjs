// npm run demo:fleet: four processes ask one question, over a Redis of their own. An LLM server in this process counts its calls.
import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { CountingUpstream } from './counting-upstream.mjs';
import { FleetMember } from './fleet-member.mjs';
import { INSTALL, OwnRedis, redisProgram } from './own-redis.mjs';
import { openTimeline, printBar, printBarTitles, printFleetConclusion, printFleetIntroduction, printVerdict } from './print-fleet.mjs';
import { calls, duration, number } from './print.mjs';

const { values: settings } = parseArgs({
  options: {
    /** Of each process. */
    callers: { type: 'string', default: '250' },
    /** How long the turn of a process outlives it, milliseconds. */
    lease: { type: 'string', default: '1000' },
  },
});
const CALLERS = Number(settings.callers);
const LEASE_MS = Number(settings.lease);
const PROCESSES = 4;
const ANSWER_MS = 50;
/** Until an order has reached a process, and a message the others, even on a busy machine. */
const A_MOMENT_MS = 100;
/** For processes to wake on a busy machine; the lease itself ends on time. */
const SLACK_MS = 500;

const startedAt = performance.now();
let isGood = true;
let members = [];
process.once('exit', () => members.forEach(({ child }) => child.kill('SIGKILL')));
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const program = redisProgram();
if (program === undefined) {
  console.error(INSTALL);
  process.exit(1);
}
const server = basename(program);
printFleetIntroduction({ processes: PROCESSES, callers: CALLERS, answerMs: ANSWER_MS, server });

const redis = await OwnRedis.start(program);
const upstream = await CountingUpstream.start(ANSWER_MS);
members = await Promise.all(Array.from({ length: PROCESSES }, (_, index) => FleetMember.start(index + 1, redis.url, upstream.url)));

// Without these two an app on a shared store is told to think of them.
const common = { secret: randomBytes(32).toString('base64url'), pii: false };
const CACHES = [
  { what: 'none', app: 'off', options: { mode: 'off' }, upstreamCalls: PROCESSES * CALLERS },
  { what: 'in each process', app: 'apart', options: { ...common, namespace: 'apart', singleFlight: { distributed: false } }, upstreamCalls: PROCESSES },
  { what: 'in all, who take turns', app: 'fleet', options: { ...common, singleFlight: { lease: LEASE_MS } }, upstreamCalls: 1 },
];

const shared = await actOfMany();
await actOfInvalidation();
await actOfDeath();

await Promise.all(members.map((member) => member.stop()));
upstream.stop();
await redis.stop();
printFleetConclusion(isGood, { asked: PROCESSES * CALLERS, upstreamCalls: shared, ms: performance.now() - startedAt });
if (!isGood) process.exitCode = 1;

/** @returns the upstream calls that the last of the caches made */
async function actOfMany() {
  const asked = number(PROCESSES * CALLERS);
  printBarTitles(`${PROCESSES} processes, ${number(CALLERS)} callers in each, one question, at the same time`);
  const counted = [];
  for (const { what, app, options, upstreamCalls } of CACHES) {
    await Promise.all(members.map((member) => member.tell('open', { app, options })));
    // Connections are open and code is warm before it counts.
    for (const question of ['a first question', 'a second question']) await askAtOnce(app, question, 10);
    upstream.begin();
    const { answers, wallMs } = await askAtOnce(app, 'What is the capital of Japan?', CALLERS);
    printBar({ what, upstreamCalls: upstream.calls, wallMs, most: PROCESSES * CALLERS });
    counted.push({ isRight: upstream.calls === upstreamCalls && answers.size === upstreamCalls, upstreamCalls: upstream.calls });
  }
  const words = counted.map(({ upstreamCalls }) => number(upstreamCalls)).join(', ');
  check(counted.every(({ isRight }) => isRight), `${asked} callers: ${words} upstream calls`);
  return counted.at(-1).upstreamCalls;
}

/** An answer that was removed while it was computed elsewhere goes to who asked before, and to nobody else. */
async function actOfInvalidation() {
  const [first, second, third, fourth] = members;
  const question = { app: 'fleet', question: 'Which plans are there?' };
  const tell = openTimeline('A process invalidates what another is computing');
  upstream.begin({ holds: true });
  const old = first.tell('ask', question);
  await upstream.arrived(1);
  tell('process 1', 'asks: upstream call 1 begins');
  await second.tell('invalidate', question);
  tell('process 2', 'invalidates the entry');
  const young = [third, fourth].map((member) => member.tell('ask', question));
  await upstream.arrived(2);
  tell('3 and 4', 'ask: upstream call 2 begins, and nobody joins call 1');
  await sleep(A_MOMENT_MS);
  upstream.answer(2);
  const answers = await Promise.all(young);
  tell('3 and 4', 'have', answers.map(({ answer }) => answer).join(', '));
  upstream.answer(1);
  const late = await old;
  tell('process 1', `has "${late.answer}", as it asked before; ${late.stored ? 'it is stored' : 'it is not stored'}`);
  const again = await Promise.all(members.map((member) => member.tell('ask', question)));
  tell('all', 'ask again, and have', again.map(({ answer }) => answer).join(', '));
  const isRight = late.answer === 'answer 1' && !late.stored && [...answers, ...again].every(({ answer }) => answer === 'answer 2');
  check(isRight && upstream.calls === 2, `${calls(upstream.calls)}; what was removed was served to nobody who asked later`);
}

/** Who waits for a process that dies waits no longer than its lease, and then one of them takes its turn. */
async function actOfDeath() {
  const [leader, ...followers] = members;
  const question = { app: 'fleet', question: 'Who can I call?' };
  const tell = openTimeline(`kill -9 of the process that everybody waits for; its lease is ${duration(LEASE_MS)}`);
  upstream.begin({ holds: true });
  leader.tell('ask', question).catch(() => {}); // it will have ended
  await upstream.arrived(1);
  tell('process 1', 'asks: upstream call 1 begins');
  const waiting = followers.map((member) => member.tell('ask', question));
  await sleep(A_MOMENT_MS);
  tell('2, 3 and 4', 'ask too, and wait');
  await leader.kill();
  const killedAt = performance.now();
  tell('process 1', 'is killed');
  await upstream.arrived(2);
  const freeAfterMs = performance.now() - killedAt;
  tell('one of them', `takes its turn, ${duration(freeAfterMs)} later: upstream call 2 begins`);
  upstream.answer(2);
  const answers = await Promise.all(waiting);
  tell('2, 3 and 4', 'have', answers.map(({ answer }) => answer).join(', '));
  members = followers;
  const isRight = freeAfterMs <= LEASE_MS + SLACK_MS && answers.every(({ answer }) => answer === 'answer 2');
  check(isRight && upstream.calls === 2, `${calls(upstream.calls)}; free again within one lease`);
}

/** All processes begin at the same moment. */
async function askAtOnce(app, question, callers) {
  const atMs = Date.now() + A_MOMENT_MS;
  const results = await Promise.all(members.map((member) => member.tell('askAtOnce', { app, question, callers, atMs })));
  return { answers: new Set(results.flatMap(({ answers }) => answers)), wallMs: Math.max(...results.map(({ endedAtMs }) => endedAtMs)) - atMs };
}

function check(ok, words) {
  isGood &&= ok;
  printVerdict(ok, words);
}
