import { execFile } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LlmCache, LlmService, memoryStore } from 'nestjs-llm-cache';
import { openAiProvider } from 'nestjs-llm-cache/openai';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { response } from './workloads.mjs';

const QUESTIONS = 1_000;

const question = (number) => ({ model: 'gpt-4o-mini', temperature: 0, messages: [{ role: 'user', content: `What is in ticket ${number % QUESTIONS}?` }] });

/** A chat endpoint on loopback that counts what it is asked. */
async function endpoint() {
  let calls = 0;
  const body = JSON.stringify(response(500));
  const server = createServer((request, reply) => {
    calls++;
    request.resume().on('end', () => reply.writeHead(200, { 'content-type': 'application/json' }).end(body));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/v1`, calls: () => calls, close: () => server.close() };
}

function serviceOver(url, stores) {
  const create = async (body, { signal }) =>
    (await fetch(`${url}/chat/completions`, { method: 'POST', body: JSON.stringify(body), signal, headers: { 'content-type': 'application/json' } })).json();
  const provider = openAiProvider({ baseURL: url, chat: { completions: { create } } });
  const llmCache = new LlmCache({ stores }, undefined, provider.id);
  return { llmCache, llm: new LlmService(llmCache, provider) };
}

async function timed(llm, requests) {
  const startedAt = performance.now();
  let count = 0;
  for await (const item of llm.batch(requests)) {
    if (item.response === undefined || item.index !== count) throw item.error ?? new Error(`item ${count} is missing`);
    count++;
  }
  return { count, seconds: (performance.now() - startedAt) / 1_000 };
}

/** 10,000 requests of which 9,000 are repeats, with an empty store and with a full one. */
async function repeats() {
  const folder = await mkdtemp(join(tmpdir(), 'llm-cache-bench-'));
  const stores = { memory: [() => memoryStore(), 20_000], sqlite: [() => sqliteStore({ path: join(folder, 'batch.db') }), 8_000] };
  for (const [name, [open, aim]] of Object.entries(stores)) {
    const server = await endpoint();
    const { llm, llmCache } = serviceOver(server.url, open());
    const requests = () => Array.from({ length: 10_000 }, (_, index) => question(index));
    const first = await timed(llm, requests());
    const calls = server.calls();
    if (calls !== QUESTIONS) throw new Error(`${calls} upstream calls instead of ${QUESTIONS}`);
    const rates = [];
    for (let round = 0; round < 5; round++) {
      const { count, seconds } = await timed(llm, requests());
      rates.push(count / seconds);
    }
    if (server.calls() !== QUESTIONS) throw new Error('the second run called upstream');
    const rate = Math.round(rates.sort((a, b) => a - b)[2]);
    console.log(`batch of 10,000, 9,000 repeats, ${name}: ${calls} upstream calls in ${first.seconds.toFixed(1)} s; again ${rate.toLocaleString('en')} items/s (aim >= ${aim.toLocaleString('en')})`);
    await llmCache.close();
    server.close();
  }
  await rm(folder, { recursive: true });
}

/** Resident memory after batches of 10,000 and 100,000 lines of a file, all different, each in a process of its own. */
async function residentMemory() {
  const peaks = [];
  for (const rows of [10_000, 100_000]) {
    const { stdout } = await promisify(execFile)(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(import.meta.url), String(rows)]);
    peaks.push(JSON.parse(stdout));
  }
  const shown = peaks.map(({ rows, mebibytes, seconds }) => `${mebibytes} MiB after ${rows.toLocaleString('en')} rows (${seconds} s)`);
  console.log(`resident memory of a batch read from a file, sqlite: ${shown.join(', ')}\n`);
}

/** Runs in a process of its own. */
async function batchOfRows(rows) {
  const folder = await mkdtemp(join(tmpdir(), 'llm-cache-bench-'));
  const file = createWriteStream(join(folder, 'in.jsonl'));
  for (let row = 0; row < rows; row++) {
    const body = { messages: [{ role: 'user', content: `Ticket ${row}: the invoice is wrong.` }] };
    if (!file.write(`${JSON.stringify({ custom_id: `row-${row}`, body })}\n`)) await once(file, 'drain');
  }
  await promisify(file.end.bind(file))();
  const answer = response(500);
  const provider = { id: 'bench', chat: async () => ({ ...answer }) };
  const llmCache = new LlmCache({ stores: sqliteStore({ path: join(folder, 'batch.db') }) }, undefined, provider.id);
  const llm = new LlmService(llmCache, provider);
  async function* lines() {
    for await (const line of createInterface({ input: createReadStream(join(folder, 'in.jsonl')) })) yield JSON.parse(line);
  }
  const { seconds } = await timed(llm, lines());
  const mebibytes = Math.round(process.resourceUsage().maxRSS / 1_024);
  await llmCache.close();
  await rm(folder, { recursive: true });
  process.stdout.write(JSON.stringify({ rows, mebibytes, seconds: Number(seconds.toFixed(1)) }));
}

export async function batches() {
  await repeats();
  await residentMemory();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await batchOfRows(Number(process.argv[2]));
