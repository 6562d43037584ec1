import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { LlmCache } from 'nestjs-llm-cache';
import type supertest from 'supertest';
import { settled } from '../fixtures/deferred.js';
import { type Answer, type Ask, type ChatClient, clients } from './chat-clients.js';
import { ChatUpstream } from './chat-upstream.js';
import { post, SampleApp } from './sample-app.js';

const QUESTION = 'What is the capital of Japan?';
const MISS = 'nestjs-llm-cache; fwd=miss';
const STORED = `${MISS}; stored`;
const HIT = 'nestjs-llm-cache; hit';

let sample: SampleApp;
let app: INestApplication;
let statuses: Array<string | null>;

beforeEach(async () => {
  statuses = [];
  sample = await SampleApp.prepare();
  app = await sample.start();
});

afterEach(async () => {
  (app.getHttpServer() as Server).closeAllConnections(); // fetch opens a new one for each it has aborted
  await sample.close();
});

async function ask(client: ChatClient, how: Ask, question = QUESTION): Promise<Answer> {
  const watched: typeof fetch = async (...given) => {
    const response = await fetch(...given);
    statuses.push(response.headers.get('cache-status'));
    return response;
  };
  return client.ask(`${await app.getUrl()}/v1`, watched, question, how);
}

const twoWays = [{ stream: false }, { stream: true }];
const everyWay = clients.flatMap((client) => twoWays.map((how) => [client.name, how.stream ? 'streamed' : 'whole', client, how] as const));

describe('POST /v1/chat/completions', () => {
  it.each(everyWay)('%s, %s: the same question twice is one upstream call with the same answer', async (_name, _how, client, how) => {
    const answers = [await ask(client, how), await ask(client, how)];
    expect(answers[0]).toMatchObject({ text: 'Tokyo.', toolCalls: [], finishReason: 'stop', usage: [expect.any(Number), expect.any(Number)] });
    expect(answers[1]).toEqual(answers[0]);
    expect(sample.upstreamCalls).toBe(1);
    expect(statuses).toEqual([how.stream ? MISS : STORED, HIT]);
  });

  it.each(everyWay)('%s, first %s, then the other way: still one call, the same answer', async (_name, _how, client, { stream }) => {
    const answers = [await ask(client, { stream }), await ask(client, { stream: !stream })];
    expect(answers[1]).toEqual(answers[0]);
    expect(sample.upstreamCalls).toBe(1);
    expect(statuses[1]).toBe(HIT);
  });

  it.each(everyWay)('%s, %s: tool calls', async (_name, _how, client, how) => {
    const calls = ['Tokyo', 'Kyoto'].map((city, index) => ({ id: `call_${index}`, name: 'weather', arguments: JSON.stringify({ city }) }));
    sample.llm.prependFixture({ match: { endpoint: 'chat' }, response: { toolCalls: calls, usage: { prompt_tokens: 5, completion_tokens: 6 } } });
    const answers = [];
    for (const stream of [how.stream, how.stream, !how.stream]) answers.push(await ask(client, { stream, tools: true }));
    expect(answers[0]).toMatchObject({
      toolCalls: [{ id: 'call_0', name: 'weather', input: { city: 'Tokyo' } }, { id: 'call_1', name: 'weather', input: { city: 'Kyoto' } }],
      finishReason: expect.stringMatching(/^tool.calls$/),
      usage: [5, 6],
    });
    expect(answers.slice(1)).toEqual([answers[0], answers[0]]);
    expect(sample.upstreamCalls).toBe(1);
  });

  it.each(everyWay)('%s, %s: an error has its status and its words, and is not stored', async (_name, _how, client, how) => {
    sample.llm.nextRequestError(429, { message: 'Too many questions.', type: 'rate_limit_error', code: 'rate_limit_exceeded' });
    const error = (await ask(client, how).catch((reason: unknown) => reason)) as { status?: number; statusCode?: number; message: string };
    expect(error.status ?? error.statusCode).toBe(429);
    expect(error.message).toContain('Too many questions.');
    expect((await ask(client, how)).text).toBe('Tokyo.');
    expect(sample.upstreamCalls).toBe(2);
    expect(statuses).toEqual([`${MISS}; detail="error"`, how.stream ? MISS : STORED]);
  });
});

describe('a stream under way', () => {
  let upstream: ChatUpstream;

  beforeEach(async () => {
    upstream = new ChatUpstream();
    app = await sample.start({ LLM_BASE_URL: await upstream.listen() });
  });

  afterEach(() => upstream.close());

  /** Asks, and tells when the first text is there. */
  function begin(client: ChatClient, signal?: AbortSignal): { answer: Promise<Answer>; begun: Promise<string> } {
    let onText!: (text: string) => void;
    const begun = new Promise<string>((resolve) => (onText = resolve));
    const answer = ask(client, { stream: true, signal, onText });
    answer.catch(() => undefined);
    return { answer, begun };
  }

  it.each(clients)('$name: a second caller joins it, and a third gets it again', async (client) => {
    const first = begin(client);
    const stream = await upstream.stream(0);
    stream.say('To');
    expect(await first.begun).toBe('To');
    const second = begin(client);
    expect(await second.begun).toBe('To');
    stream.say('kyo', '.');
    stream.end();
    const answers = [await first.answer, await second.answer, await ask(client, { stream: true }), await ask(client, { stream: false })];
    expect(answers[0]).toMatchObject({ text: 'Tokyo.', finishReason: 'stop', usage: [3, 4] });
    expect(answers.slice(1)).toEqual([answers[0], answers[0], answers[0]]);
    expect(upstream.streams).toHaveLength(1);
    expect(statuses).toEqual([MISS, MISS, HIT, HIT]);
  });

  it.each(clients)('$name: hanging up alone ends the upstream call', async (client) => {
    const leaving = new AbortController();
    const first = begin(client, leaving.signal);
    const stream = await upstream.stream(0);
    stream.say('To');
    await first.begun;
    leaving.abort();
    expect(await stream.closed).toBe(false);
    await expect(first.answer).rejects.toThrow();
    const second = begin(client);
    const again = await upstream.stream(1);
    again.say('Kyoto');
    again.end();
    expect((await second.answer).text).toBe('Kyoto');
  });

  it.each(clients)('$name: hanging up leaves another reader its answer', async (client) => {
    const leaving = new AbortController();
    const [first, second] = [begin(client, leaving.signal), begin(client)];
    const stream = await upstream.stream(0);
    stream.say('To');
    await Promise.all([first.begun, second.begun]);
    leaving.abort();
    await expect(first.answer).rejects.toThrow();
    stream.say('kyo.');
    stream.end();
    expect((await second.answer).text).toBe('Tokyo.');
    expect(await stream.closed).toBe(true);
    expect((await ask(client, { stream: true })).text).toBe('Tokyo.');
    expect(upstream.streams).toHaveLength(1);
  });

  it.each(clients)('$name: an error midway reaches the client, and nothing is stored', async (client) => {
    const first = begin(client);
    const stream = await upstream.stream(0);
    stream.say('To');
    await first.begun;
    stream.fail({ message: 'The model is overloaded.', type: 'server_error', code: 'overloaded', param: null });
    await expect(first.answer).rejects.toThrow('The model is overloaded.');
    expect(app.get(LlmCache).stats()).toMatchObject({ errors: 1, stored: 0 });
    const second = begin(client);
    (await upstream.stream(1)).say('Tokyo.');
    (await upstream.stream(1)).end();
    expect((await second.answer).text).toBe('Tokyo.');
  });

  it('a connection that breaks midway is an error for the client, not an end', async () => {
    const first = begin(clients[0]!);
    const stream = await upstream.stream(0);
    stream.say('To');
    await first.begun;
    stream.breakOff();
    await expect(first.answer).rejects.toThrow('The answer could not be completed.');
    expect(app.get(LlmCache).stats()).toMatchObject({ errors: 1, stored: 0 });
  });

  it('a client that hangs up before the first word ends it too', async () => {
    for (const body of [{ stream: true }, { stream: false }]) {
      const leaving = new AbortController();
      const answer = fetch(`${await app.getUrl()}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ messages: [{ role: 'user', content: QUESTION }], ...body }),
        signal: leaving.signal,
      });
      const stream = await upstream.stream(upstream.streams.length);
      leaving.abort();
      await expect(answer).rejects.toThrow();
      expect(await stream.closed).toBe(false);
    }
  });

  it.each(['reads on', 'hangs up'])('a client that does not read for a while, and %s', async (what) => {
    const leaving = new AbortController();
    const answering = fetch(`${await app.getUrl()}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: QUESTION }], stream: true }),
      signal: leaving.signal,
    });
    const stream = await upstream.stream(0);
    const page = 'x'.repeat(100_000);
    for (let pages = 0; pages < 8; pages++) stream.say(page);
    const response = await answering;
    for (let turn = 0; turn < 200; turn++) await settled(); // what fits is on its way
    if (what === 'hangs up') {
      leaving.abort();
      expect(await stream.closed).toBe(false);
    } else {
      stream.end();
      expect((await response.text()).split(page)).toHaveLength(8 + 1);
    }
  });

  it('POST /tickets/reply: the client of a ticket shares it too, and ends it when alone', async () => {
    const leaving = new AbortController();
    const reply = async (signal?: AbortSignal): Promise<ReadableStreamDefaultReader<string>> => {
      const response = await fetch(`${await app.getUrl()}/tickets/reply`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"ticket":"Where is it?"}', signal: signal ?? null,
      });
      return response.body!.pipeThrough(new TextDecoderStream()).getReader();
    };
    const asked = [reply(leaving.signal), reply()] as const;
    const stream = await upstream.stream(0);
    stream.say('Here.');
    const [first, second] = await Promise.all(asked);
    for (const reader of [first, second]) expect((await reader.read()).value).toBe('data: {"text":"Here."}\n\n');
    leaving.abort();
    await second.cancel();
    expect(await stream.closed).toBe(false);
    expect(upstream.streams).toHaveLength(1);
  });
});

describe('POST /v1/chat/completions, to the byte', () => {
  const messages = [{ role: 'user', content: QUESTION }];
  const complete = (body: object, headers?: Record<string, string>): supertest.Test => post(app, '/v1/chat/completions', body, headers);
  const events = ({ text }: supertest.Response): string[] => [...text.matchAll(/([\s\S]*?)\n\n/g)].map(([, event]) => event!);

  it('streams events that end with [DONE], and the usage only for who asks for it', async () => {
    for (const [options, withUsage] of [[undefined, false], [{ include_usage: true }, true], [null, false]] as const) {
      const response = await complete({ messages, stream: true, stream_options: options }).expect(200).expect('Content-Type', /^text\/event-stream/);
      const [last, ...rest] = events(response).reverse();
      expect(last).toBe('data: [DONE]');
      expect(rest.every((event) => event.startsWith('data: {'))).toBe(true);
      const chunks = rest.reverse().map((event) => JSON.parse(event.slice('data: '.length)) as { object: string; choices: unknown[]; usage?: object });
      expect(chunks.every(({ object }) => object === 'chat.completion.chunk')).toBe(true);
      expect(chunks.filter(({ choices }) => choices.length === 0)).toHaveLength(withUsage ? 1 : 0);
    }
    expect(sample.upstreamCalls).toBe(1);
  });

  it.each([
    ['no object', []],
    ['no messages', {}],
    ['an empty list of messages', { messages: [] }],
    ['messages that are a text', { messages: 'hello' }],
    ['a message without a role', { messages: [{ content: 'hello' }] }],
    ['a message that is null', { messages: [null] }],
    ['a model that is a number', { messages, model: 7 }],
    ['a stream that is a word', { messages, stream: 'yes' }],
  ])("%s: a 400 in OpenAI's shape", async (_case, body) => {
    const { body: answer } = await complete(body).expect(400) as { body: { error: object } };
    expect(answer).toEqual({ error: { message: expect.any(String), type: 'invalid_request_error', param: null, code: null } });
    expect(sample.upstreamCalls).toBe(0);
  });

  it("does not take the SDK's own options from a client", async () => {
    await complete({ messages, headers: { authorization: 'Bearer stolen' }, timeout: 1, signal: {} }).expect(200);
    const { headers, body } = sample.llm.getLastRequest()!;
    expect(JSON.stringify([headers, body])).not.toMatch(/stolen|"timeout"|"signal"/);
  });

  it('follows Cache-Control, and says so', async () => {
    const { body } = await complete({ messages }, { 'Cache-Control': 'only-if-cached' }).expect(504).expect('Cache-Status', 'nestjs-llm-cache; detail="only-if-cached"') as { body: unknown };
    expect(body).toMatchObject({ error: { type: 'cache_error', code: 'LLM_CACHE_MISS' } });
    await complete({ messages, stream: true }, { 'Cache-Control': 'only-if-cached' }).expect(504);
    await complete({ messages }, { 'Cache-Control': 'no-store' }).expect('Cache-Status', `${MISS}; detail="no-store"`);
    await complete({ messages }).expect('Cache-Status', STORED);
    await complete({ messages }, { 'Cache-Control': 'no-cache' }).expect('Cache-Status', STORED);
    await complete({ messages, store: true }).expect('Cache-Status', 'nestjs-llm-cache; fwd=bypass; detail="stateful request"');
    expect(sample.upstreamCalls).toBe(4);
  });

  it('says that a call was shared', async () => {
    const { asked, answer } = sample.holdAnswer();
    const send = async (): Promise<string> => (await complete({ messages }).expect(200)).headers['cache-status'] as string;
    const first = send();
    await asked;
    const second = send();
    const [request] = (await once(app.getHttpServer() as Server, 'request')) as [IncomingMessage];
    await once(request, 'end');
    await settled();
    answer('Tokyo.');
    expect(await Promise.all([first, second])).toEqual([STORED, `${MISS}; collapsed`]);
  });

  it('502 when the LLM cannot be reached', async () => {
    await sample.stopLlm();
    for (const stream of [false, true]) {
      const { body } = await complete({ messages, stream }).expect(502) as { body: unknown };
      expect(body).toMatchObject({ error: { message: 'The LLM could not be reached.', type: 'upstream_error' } });
    }
  });
});

describe('POST /tickets/reply', () => {
  const reply = (headers?: Record<string, string>): supertest.Test => post(app, '/tickets/reply', { ticket: 'My invoice is wrong.' }, headers);
  const textOf = ({ text }: supertest.Response): string => [...text.matchAll(/data: (\{.*\})\n\n/g)].map(([, data]) => (JSON.parse(data!) as { text: string }).text).join('');

  it('streams the reply, the second time from the cache', async () => {
    const first = await reply().expect(200).expect('Content-Type', /^text\/event-stream/).expect('Cache-Status', MISS);
    const second = await reply().expect(200).expect('Cache-Status', HIT);
    expect(textOf(first)).toContain('"My invoice is wrong."');
    expect(first.text.endsWith('data: [DONE]\n\n')).toBe(true);
    expect(second.text).toBe(first.text);
    expect(sample.upstreamCalls).toBe(1);
  });

  it('has a status of its own for what fails before the first word', async () => {
    await reply({ 'Cache-Control': 'only-if-cached' }).expect(504);
    sample.llm.nextRequestError(500, { message: 'no' });
    await reply().expect(502, /The LLM answered with status 500/);
    await post(app, '/tickets/reply', {}).expect(400, /needs \\"ticket\\"/);
    await reply().expect(200);
  });
});
