import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { ChatOpenAI } from '@langchain/openai';
import { generateText } from 'ai';
import { type CacheOutcome, LlmCache } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';
import OpenAI from 'openai';
import { Agent, request } from 'undici';

/** How long a client waits: not long for an answer that never comes, and for any other as long as a busy machine takes. */
const timeoutOf = (url: string): number => (url.endsWith('never') ? 60 : 10_000);
const maxRetries = 0;
const apiKey = 'none';

/** The first part of the path says what becomes of the request: a status, or something worse. */
const server: Server = createServer((incoming, response) => {
  incoming.resume();
  const what = incoming.url!.split('/')[1]!;
  if (what === 'reset') incoming.socket.resetAndDestroy();
  else if (what === 'cut') incoming.socket.destroy();
  else if (what !== 'never') response.writeHead(Number(what), { 'content-type': 'application/json' }).end(JSON.stringify({ error: { message: 'no', type: 'none' } }));
});
const origins: Record<string, string> = {};
let agent: Agent;

const listening = async (listener: Server): Promise<string> => {
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
};

beforeAll(async () => {
  agent = new Agent();
  origins['alive'] = await listening(server);
  const gone = createServer();
  origins['gone'] = await listening(gone);
  gone.close();
});

afterAll(async () => {
  await agent.destroy();
  server.closeAllConnections();
  server.close();
});

const languageModel = (baseURL: string) => createOpenAICompatible({ name: 'local', baseURL, apiKey })('m');
const late = (url: string): AbortSignal => AbortSignal.timeout(timeoutOf(url));

async function withFetch(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: late(url) });
  if (!response.ok) throw Object.assign(new Error('no'), { status: response.status });
  return response.json();
}

async function withUndici(url: string): Promise<unknown> {
  const { statusCode, body } = await request(url, { dispatcher: agent, headersTimeout: timeoutOf(url) });
  await body.dump();
  throw Object.assign(new Error('no'), { statusCode });
}

const clients: Record<string, (url: string) => Promise<unknown>> = {
  'the OpenAI SDK': (baseURL) => new OpenAI({ apiKey, baseURL, maxRetries, timeout: timeoutOf(baseURL) }).chat.completions.create({ model: 'm', messages: [] }),
  'the Anthropic SDK': (baseURL) => new Anthropic({ apiKey, baseURL, maxRetries, timeout: timeoutOf(baseURL) }).messages.create({ model: 'm', max_tokens: 1, messages: [] }),
  'the AI SDK': (url) => generateText({ model: languageModel(url), prompt: 'x', maxRetries, abortSignal: late(url) }),
  LangChain: (baseURL) => new ChatOpenAI({ model: 'm', apiKey, maxRetries, timeout: timeoutOf(baseURL), configuration: { baseURL } }).invoke('x'),
  fetch: withFetch,
  undici: withUndici,
};

/** What becomes of a call with a stale answer whose upstream fails. */
async function outcomeOf(upstream: () => Promise<unknown>): Promise<string> {
  const clock = new FakeClock();
  const llmCache = new LlmCache({ ttl: '1h', staleIfError: '1h' }, clock);
  const parts = { name: 'ask', input: 'x' };
  await llmCache.wrap<unknown>(parts, () => 'stale answer');
  clock.advance('1h');
  let outcome: CacheOutcome | undefined;
  const answer = await llmCache.wrap(parts, upstream, { onOutcome: (told) => (outcome = told) }).catch(() => 'its error');
  return `${String(answer)}: ${outcome!.status}, ${outcome!.reason}`;
}

describe.each(Object.entries(clients))('%s', (_name, ask) => {
  it.each(['500', '503', '429', 'reset', 'cut', 'gone', 'never'])('%s: the stale answer', async (what) => {
    const url = what === 'gone' ? origins['gone']! : `${origins['alive']!}/${what}`;
    expect(await outcomeOf(() => ask(url))).toBe('stale answer: stale, if-error');
  });

  it.each(['400', '401', '404', '408'])('%s: the error', async (what) => {
    expect(await outcomeOf(() => ask(`${origins['alive']!}/${what}`))).toBe('its error: miss, error');
  });
});

it('the AI SDK, which tried twice: the stale answer', async () => {
  const hurried: typeof fetch = async (...args) => new Response((await fetch(...args)).body, { status: 500, headers: { 'retry-after-ms': '1' } });
  const model = createOpenAICompatible({ name: 'local', baseURL: `${origins['alive']!}/500`, apiKey, fetch: hurried })('m');
  expect(await outcomeOf(() => generateText({ model, prompt: 'x', maxRetries: 1 }))).toBe('stale answer: stale, if-error');
});
