// One process of the fleet: a Nest application whose calls come from the soak by IPC.
import 'reflect-metadata';
import { now, setClockOff } from './skewed-clock.mjs';
import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheLlm, LlmCache, LlmCacheHealthIndicator, LlmCacheModule, LlmService, memoryStore, withCacheControl } from 'nestjs-llm-cache';
import { redisStore } from 'nestjs-llm-cache/redis';
import { tagsOf } from './questions.mjs';
import { BOUND_MS, FOLLOWER_TIMEOUT_MS, LEASE_MS, STORE_TIMEOUT_MS } from './settings.mjs';

const { upstreamPort, redisUrl, version, clockOffMs } = JSON.parse(process.argv[2]);
const HEALTH_EVERY_MS = 150;
const tenant = new AsyncLocalStorage();
const tell = (message) => process.connected && process.send(message);
const problem = (what) => tell({ kind: 'problem', at: now(), what });

setClockOff(clockOffMs);
process.on('unhandledRejection', (reason) => problem(`unhandled rejection: ${reason?.stack ?? reason}`));
process.on('uncaughtException', (error) => problem(`uncaught exception: ${error.stack ?? error}`));
process.on('warning', (warning) => problem(`warning of the process: ${warning.stack ?? warning}`));

async function askUpstream(question, signal, inPieces = false) {
  const body = JSON.stringify({ question, scope: tenant.getStore()?.scope, version, beganAt: now(), pid: process.pid, inPieces });
  const response = await fetch(`http://127.0.0.1:${upstreamPort}`, { method: 'POST', body, signal });
  if (response.ok) return response;
  await response.text();
  throw Object.assign(new Error(`upstream: ${response.status}`), { status: response.status });
}

async function* piecesOf(question, signal) {
  const decoder = new TextDecoder();
  for await (const piece of (await askUpstream(question, signal, true)).body) yield decoder.decode(piece, { stream: true });
}

const usage = { prompt_tokens: 10, completion_tokens: 20, total_tokens: 30 };
const provider = {
  id: 'soak',
  async chat({ messages }, { signal }) {
    const content = await (await askUpstream(messages[0].content, signal)).text();
    return { model: 'soak-1', choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }], usage };
  },
  async *stream({ messages }, { signal }) {
    for await (const content of piecesOf(messages[0].content, signal)) yield { model: 'soak-1', choices: [{ index: 0, delta: { content }, finish_reason: null }] };
    yield { model: 'soak-1', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage };
  },
};

class Assistant {
  constructor(llm) {
    this.llm = llm;
  }

  async explain(question, { signal }) {
    return (await askUpstream(question, signal)).json();
  }

  async summarize(question) {
    return { answer: await this.llm.text(question) };
  }
}
Injectable()(Assistant);
Reflect.defineMetadata('design:paramtypes', [LlmService], Assistant);
decorate(Assistant, 'explain', CacheLlm({ name: 'explain', tags: tagsFor }));
decorate(Assistant, 'summarize', CacheLlm({ name: 'summarize', tags: tagsFor }));

/** What a compiler makes of a decorator above a method. */
function decorate({ prototype }, method, decorator) {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, method);
  decorator(prototype, method, descriptor);
  Object.defineProperty(prototype, method, descriptor);
}

function tagsFor(question) {
  return tagsOf(...question.split('/'));
}

function AppModule() {}
Module({
  imports: [
    LlmCacheModule.forRoot({
      stores: [memoryStore({ maxEntries: 200 }), redisStore({ url: redisUrl, namespace: 'soak' })],
      provider,
      version,
      scope: { resolve: () => tenant.getStore()?.scope },
      maxInvalidationDelay: BOUND_MS,
      storeTimeout: STORE_TIMEOUT_MS,
      singleFlight: { lease: LEASE_MS, timeout: FOLLOWER_TIMEOUT_MS },
    }),
  ],
  providers: [Assistant],
})(AppModule);

const silent = () => undefined;
const logger = { log: silent, debug: silent, verbose: silent, warn: silent, error: (message) => problem(`logged: ${message}`), fatal: (message) => problem(`logged: ${message}`) };
const app = await NestFactory.createApplicationContext(AppModule, { logger });
const llmCache = app.get(LlmCache);
const llm = app.get(LlmService);
const assistant = app.get(Assistant);
const health = app.get(LlmCacheHealthIndicator);
const running = new Set();

llmCache.on(
  (event) => {
    if (event.type === 'store-error' && !event.message.includes('skipped')) tell({ kind: 'store-error', at: now(), what: `${event.tier} ${event.operation}: ${event.message}` });
    if (event.type === 'rejected') problem(`an entry was rejected: ${event.problem}`);
    if (event.type === 'warning') tell({ kind: 'said', at: now(), what: event.message });
  },
  () => false,
);

const request = (question) => ({ messages: [{ role: 'user', content: question }], temperature: 0 });

async function joined(pieces, textOf = (piece) => piece) {
  let text = '';
  for await (const piece of pieces) text += textOf(piece) ?? '';
  return JSON.parse(text);
}

/** Each way to ask, for an answer as upstream gave it. What is handed out is written to: it is the caller's own. */
const WAYS = {
  async chat(question, options) {
    const { message } = (await llm.chat(request(question), options)).choices[0];
    const answer = JSON.parse(message.content);
    message.content = 'written to by its caller';
    return answer;
  },
  stream: (question, options) => joined(llm.stream(request(question), options), ({ choices }) => choices[0]?.delta.content),
  async method(question, { signal, tags: _tags, ...control }) {
    const answer = await withCacheControl(control, () => assistant.explain(question, { signal }));
    return taken(answer);
  },
  async nested(question, { signal, tags: _tags, ...control }) {
    const { answer } = await withCacheControl(control, () => assistant.summarize(question, { signal }));
    return JSON.parse(answer);
  },
  wrap: async (question, options) =>
    taken(await llmCache.wrap({ name: 'wrap', input: question }, async ({ signal }) => (await askUpstream(question, signal)).json(), options)),
  brief: async (question, options) =>
    taken(
      await llmCache.wrap({ name: 'brief', input: question }, async ({ signal }) => (await askUpstream(question, signal)).json(), {
        ...options,
        ttl: '2s',
        staleWhileRevalidate: '3s',
      }),
    ),
  wrapStream: (question, options) => joined(llmCache.wrapStream({ name: 'wrapStream', input: question }, ({ signal }) => piecesOf(question, signal), options)),
};

function taken(answer) {
  const copy = { ...answer };
  for (const field of Object.keys(answer)) answer[field] = 'written to by its caller';
  return copy;
}

const partsOf = {
  chat: (question) => llm.partsOf(request(question)),
  method: (question) => llmCache.partsOf(assistant, 'explain', [question, {}]),
  wrap: (input) => ({ name: 'wrap', input }),
  brief: (input) => ({ name: 'brief', input }),
  wrapStream: (input) => ({ name: 'wrapStream', input, stream: true }),
};

const HANDLERS = {
  ask({ id, questions, way, scope, name, control, abortAfterMs }) {
    const leave = new AbortController();
    const reason = new Error('the caller left');
    if (abortAfterMs !== undefined) setTimeout(() => leave.abort(reason), abortAfterMs);
    const askedAt = now();
    let outcome;
    const onOutcome = (each) => {
      if (each.name === name) outcome = each;
    };
    const options = { ...control, signal: abortAfterMs === undefined ? undefined : leave.signal };
    const reply = (index, answer, error, given = outcome) => {
      const { status, stored, tier, reason: why } = given ?? {};
      tell({ kind: 'reply', id: id + index, askedAt, at: now(), answer, error: error && shown(error, reason), outcome: { status, stored, tier, reason: why } });
    };
    return tenant.run({ scope }, async () => {
      if (way === 'batch') return askAll(questions, options, reply);
      try {
        const answer = await WAYS[way](questions[0], { ...options, tags: tagsFor(questions[0]), onOutcome });
        reply(0, answer);
      } catch (error) {
        reply(0, undefined, error);
      }
    });
  },
  async invalidate({ id, target, scope }) {
    const calledAt = now();
    let error;
    try {
      await tenant.run({ scope }, () => {
        if (target === 'everything') return llmCache.clear();
        return llmCache.invalidate(target.key === undefined ? target : { key: partsOf[target.key.split('/')[0]](target.key) });
      });
    } catch (thrown) {
      error = thrown.name;
    }
    tell({ kind: 'invalidated', id, calledAt, at: now(), error });
  },
  clock: ({ ms }) => setClockOff(ms),
  sample() {
    globalThis.gc?.();
    const { heapUsed, rss } = process.memoryUsage();
    tell({ kind: 'sample', at: now(), heapUsed, rss });
  },
  async close() {
    clearTimeout(looking);
    looking = undefined;
    const { tokens, hits, misses, stale, coalesced, bypassed } = llmCache.stats();
    await app.close();
    await Promise.allSettled(running);
    tell({ kind: 'closed', at: now(), stats: { tokens, hits, misses, stale, coalesced, bypassed } });
    process.disconnect(); // nothing keeps the process alive any more
    setTimeout(() => process.stderr.write(`still open: ${process.getActiveResourcesInfo().join(', ')}`), 4_000).unref();
  },
};

/** Items of a batch are answered one by one; one that never comes is missed by the soak. */
async function askAll(questions, options, reply) {
  const missing = new Set(questions.keys());
  try {
    for await (const { index, response, error, outcome } of llm.batch(questions.map(request), { ...options, tags: tagsFor(questions[0]) })) {
      missing.delete(index);
      reply(index, response && JSON.parse(response.choices[0].message.content), error, outcome);
    }
  } catch (error) {
    for (const index of missing) reply(index, undefined, error, {});
  }
}

function shown(error, reason) {
  return { name: error?.name, status: error?.status, isReason: error === reason, message: String(error?.message).slice(0, 200) };
}

process.on('message', (message) => {
  const work = Promise.resolve(HANDLERS[message.kind](message)).catch((error) => problem(`the worker's own: ${error.stack}`));
  if (message.kind === 'close') return;
  running.add(work);
  void work.finally(() => running.delete(work));
});

/** Whether this worker reaches Redis; and by the gaps between, whether it runs at all. */
async function look() {
  const startedAt = now();
  const { llmCache: state } = await health.isHealthy();
  tell({ kind: 'health', startedAt, at: now(), isWell: !state.degraded });
  if (looking !== undefined) looking = setTimeout(() => void look(), HEALTH_EVERY_MS);
}

let looking = setTimeout(() => void look(), 0);
tell({ kind: 'ready', at: now() });
