// npm run demo: the sample app is started, restarted and killed, and an LLM server outside of it counts its calls.
import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, askAtOnce, askForReply } from './ask.mjs';
import { entryWith, filesAtRest, filesWith } from './at-rest.mjs';
import { buildSample } from './build-sample.mjs';
import { printAtRest, printCheck, printCommand, printConclusion, printCustomers, printIntroduction, printReplies, printTable, printTitle } from './print.mjs';
import { linesOf, runBatch, TICKETS } from './run-batch.mjs';
import { openScreen } from './screen.mjs';
import { SampleServer } from './sample-server.mjs';

const PROMPTS = [
  'Explain AI in one sentence.',
  'What is the capital of Japan?',
  'Explain AI in one sentence.',
  'Tell me a short joke.',
];
const NEW_PROMPT = 'How do I get a refund?';
const CALLERS = 1_000;
const TICKET = 'My last invoice is wrong. Please look at it.';

const CUSTOMERS = ['jo.doe@example.com', 'al@example.org'];
const parcelQuestion = (address) => `Where is my parcel? Write to ${address}, please.`;
const parcelAnswer = (address) => `Your parcel left us this morning. We will write to ${address} as soon as it has arrived.`;

/** How many characters the first caller has when the second asks. */
const JOINS_AT = 200;

const FIRST_TIME = ['miss', 'miss', 'hit', 'miss'];
const REMEMBERED = ['hit', 'hit', 'hit', 'hit'];

printIntroduction();
await buildSample();
// The mock LLM is the sample's own. It runs in this process, so its journal outlives every server started below.
const { startCannedLlm } = await import('../../dist-sample/sample-app/src/llm/canned-llm.js');
const llm = await startCannedLlm();
const folder = await mkdtemp(join(tmpdir(), 'nestjs-llm-cache-demo-'));
const cachePath = join(folder, 'llm-cache.db');
const shown = [];
/** Tickets that the command line has had answered. */
const askedBefore = new Set();
let server;

process.once('exit', () => {
  server?.killNow();
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

await startServer({ version: '1' });
await act('A fresh start', FIRST_TIME);

await server.stop();
await startServer({ version: '1' });
await act('After a restart of the process', REMEMBERED);

await server.kill();
await startServer({ version: '1' });
await act('After kill -9', REMEMBERED);

await server.stop();
await startServer({ version: '2' });
await act('After a bump of the option "version": everything is asked anew', FIRST_TIME);

await actOfMany(`${CALLERS.toLocaleString('en')} callers with one new question, at the same time`);

await actOfStreams('A reply that is streamed: a second caller joins midway, a third comes when it is over');

await server.stop();
await startServer({ version: '2', LLM_CACHE_PII: 'pseudonymize' });
await actOfCustomers('Two customers, one template, with LLM_CACHE_PII=pseudonymize');

await server.stop();

printTitle('A file of tickets on the command line, many of them alike, twice');
await actOfBatch('first.jsonl');
await actOfBatch('second.jsonl');

await llm.stop();
printConclusion(shown);

async function startServer({ version, ...settings }) {
  server = await SampleServer.start(folder, {
    LLM_BASE_URL: `${llm.url}/v1`,
    LLM_API_KEY: 'none',
    LLM_MODEL: 'canned',
    LLM_RETRIES: '0',
    LLM_CACHE_PATH: cachePath,
    // What is shown starts with nothing stored, and looks into the file.
    REDIS_URL: '',
    LLM_CACHE_VERSION: version,
    ...settings,
  });
}

async function act(title, expected) {
  const rows = [];
  for (const prompt of PROMPTS) rows.push(await observe(prompt, async () => [await ask(server.url, prompt)]));
  const statuses = rows.map(({ answers }) => answers[0].status);
  show(title, rows, {
    upstreamCalls: expected.filter((status) => status === 'miss').length,
    asClaimed: statuses.join() === expected.join(),
  });
}

async function actOfMany(title) {
  const row = await observe(NEW_PROMPT, () => askAtOnce(server.url, NEW_PROMPT, CALLERS));
  const paid = row.answers.filter(({ status }) => status === 'miss');
  const texts = new Set(row.answers.map(({ text }) => text));
  show(title, [row], { upstreamCalls: 1, asClaimed: row.answers.length === CALLERS && paid.length === 1 && texts.size === 1 });
}

/** Each reads their own address, and neither address is on the disk, where a search does find the answer they share. */
async function actOfCustomers(title) {
  const rows = [];
  for (const address of CUSTOMERS) rows.push(await observe(parcelQuestion(address), async () => [await ask(server.url, parcelQuestion(address))]));
  shown.push(...rows);
  const answers = rows.map(({ answers: [answer] }) => answer);
  const template = llm.getRequests().at(-1).body.messages.at(-1).content;
  printTitle(title);
  printCustomers(rows, template);
  const files = filesAtRest(cachePath);
  const entry = entryWith(files, parcelAnswer('[[EMAIL_1]]'));
  const found = CUSTOMERS.map((address) => ({ address, where: filesWith(files, address) }));
  printAtRest(entry, files, found);
  const asClaimed =
    answers.every(({ text }, index) => text === parcelAnswer(CUSTOMERS[index])) &&
    answers.map(({ status }) => status).join() === 'miss,hit' &&
    template === parcelQuestion('[[EMAIL_1]]') &&
    entry !== undefined &&
    found.every(({ where }) => where.length === 0);
  check(asClaimed, 1, rows.reduce((sum, { upstreamCalls }) => sum + upstreamCalls, 0));
}

async function actOfStreams(title) {
  const before = llm.getRequests().length;
  const screen = openScreen(title, ['first caller', 'second caller', 'third caller']);
  let begin;
  const joining = new Promise((resolve) => (begin = resolve));
  const first = await askForReply(server.url, TICKET, (text) => {
    screen.show(0, text);
    // The second asks when the first has a good part of it.
    if (text.length <= JOINS_AT || begin === undefined) return;
    begin(askForReply(server.url, TICKET, (same) => screen.show(1, same)));
    begin = undefined;
  });
  const second = await joining;
  const third = await askForReply(server.url, TICKET, (text) => screen.show(2, text));
  screen.close();
  const replies = [first, second, third];
  printReplies(replies);
  const upstreamCalls = llm.getRequests().length - before;
  const statuses = ['miss', 'coalesced', 'hit'];
  shown.push({ answers: replies.map((reply, index) => ({ ...reply, status: statuses[index] })), upstreamCalls });
  const asClaimed =
    replies.every(({ text }) => text === first.text) &&
    second.firstText.length > JOINS_AT && // all that was said so far, at once
    second.firstText.length < first.text.length &&
    third.cacheStatus.includes('; hit');
  check(asClaimed, 1, upstreamCalls);
}

/** A line a ticket, each with its own answer, and a call for each different ticket that is not stored. */
async function actOfBatch(name) {
  const out = join(folder, name);
  printCommand(`npx nestjs-llm-cache batch tickets.jsonl --out ${name}`);
  const before = llm.getRequests().length;
  const code = await runBatch(['--out', out, '--store', `sqlite:${join(folder, 'batch.db')}`, '--base-url', `${llm.url}/v1`, '--model', 'canned']);
  const upstreamCalls = llm.getRequests().length - before;
  const tickets = linesOf(TICKETS);
  const results = new Map(linesOf(out).map((result) => [result.custom_id, result]));
  const isKnown = new Set(askedBefore);
  const answers = tickets.map(({ custom_id: id, body }) => {
    const question = body.messages.at(-1).content;
    const status = askedBefore.has(question) ? 'hit' : isKnown.has(question) ? 'coalesced' : 'miss';
    isKnown.add(question);
    const answer = results.get(id)?.response?.body;
    const isRight = answer?.choices[0].message.content === `The customer writes: ${question.slice(0, question.search(/[.?]/) + 1)}`;
    return { status, isRight, tokens: answer?.usage.total_tokens ?? 0, msSaved: 0 };
  });
  for (const question of isKnown) askedBefore.add(question);
  shown.push({ answers, upstreamCalls });
  const asClaimed = code === 0 && linesOf(out).length === tickets.length && answers.every(({ isRight }) => isRight);
  check(asClaimed, answers.filter(({ status }) => status === 'miss').length, upstreamCalls);
}

/** Asks, and reads from the LLM server's own journal how many calls reached it meanwhile. */
async function observe(prompt, request) {
  const before = llm.getRequests().length;
  const answers = await request();
  return { prompt, answers, upstreamCalls: llm.getRequests().length - before };
}

function show(title, rows, { upstreamCalls, asClaimed }) {
  shown.push(...rows);
  printTable(title, rows);
  const counted = rows.reduce((sum, row) => sum + row.upstreamCalls, 0);
  check(asClaimed, upstreamCalls, counted);
}

function check(asClaimed, expected, counted) {
  const ok = asClaimed && counted === expected;
  if (!ok) process.exitCode = 1;
  printCheck(ok, expected, counted);
}
