import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type ChatChunk, LlmCache, LlmCacheConfigError, LlmService } from 'nestjs-llm-cache';
import { openAiProvider } from 'nestjs-llm-cache/openai';
import { APIConnectionError, APIUserAbortError, BadRequestError, OpenAI, RateLimitError } from 'openai';
import { LLMock } from '@copilotkit/aimock';
import { deferred } from '../fixtures/deferred.js';
import { collect } from '../fixtures/streams.js';

interface Asked {
  url: string;
  body: Record<string, unknown>;
  headers: IncomingMessage['headers'];
}

/** A server that speaks chat completions as the test tells it to. */
class ChatServer {
  readonly asked: Asked[] = [];
  respond: (response: ServerResponse, asked: Asked) => void = answer('Tokyo.');
  private readonly server: Server;

  constructor() {
    this.server = createServer((request, response) => void this.handle(request, response));
  }

  async listen(): Promise<void> {
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
    const asked = { url: request.url!, body, headers: request.headers };
    this.asked.push(asked);
    this.respond(response, asked);
  }
}

function json(status: number, body: unknown, headers: Record<string, string> = {}) {
  return (response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
}

function answer(content: string) {
  return json(200, {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-4o-mini',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content, refusal: null } }],
    usage: { prompt_tokens: 8, completion_tokens: 2, total_tokens: 10 },
  });
}

const question = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'What is the capital of Japan?' }] };

describe('openAiProvider over the real SDK', () => {
  const server = new ChatServer();
  let caches: LlmCache[] = [];

  beforeAll(() => server.listen());
  afterAll(() => server.close());
  afterEach(async () => {
    server.asked.length = 0;
    server.respond = answer('Tokyo.');
    for (const llmCache of caches) await llmCache.close();
    caches = [];
  });

  function client(path = '/v1', maxRetries = 0): OpenAI {
    return new OpenAI({ apiKey: 'sk-test-secret', baseURL: server.origin + path, maxRetries });
  }

  function service(openai: OpenAI, llmCache = new LlmCache()): LlmService {
    caches.push(llmCache);
    return new LlmService(llmCache, openAiProvider(openai));
  }

  it('asks once and answers twice, as the SDK would', async () => {
    const llm = service(client());
    const direct = await client().chat.completions.create(question as never);
    server.asked.length = 0;
    const [first, second] = [await llm.chat(question), await llm.chat(question)];
    expect(first).toMatchObject({ choices: [{ message: { content: 'Tokyo.' } }], usage: { total_tokens: 10 } });
    expect(JSON.parse(JSON.stringify(first))).toEqual(JSON.parse(JSON.stringify(direct)));
    expect(second).toEqual(first);
    expect(server.asked).toHaveLength(1);
    expect(server.asked[0]).toMatchObject({ url: '/v1/chat/completions', body: question });
  });

  it('asks without `stream`, and sends headers and timeout as request options', async () => {
    await service(client()).chat({ ...question, stream: true, headers: { 'x-trace': 'abc' }, timeout: 5_000 });
    expect(server.asked[0]!.body).toEqual(question);
    expect(server.asked[0]!.headers['x-trace']).toBe('abc');
    expect(server.asked[0]!.headers['authorization']).toBe('Bearer sk-test-secret');
  });

  it('names the endpoint in its id, without credentials, query or trailing slash', () => {
    const at = (baseURL: string): string => openAiProvider({ baseURL, chat: client().chat }).id;
    expect(openAiProvider(client()).id).toBe(`openai:${server.origin}/v1`);
    expect(at('https://user:pa55word@llm.example.com:8443/v1/?key=sk-secret#frag')).toBe('openai:https://llm.example.com:8443/v1');
    expect(at('https://api.openai.com/v1/')).toBe(at('https://api.openai.com/v1'));
    expect(at('')).toBe('openai:default');
    expect(at('no url with sk-secret')).toBe('openai:default');
    expect(openAiProvider(client(), { id: 'mine' }).id).toBe('mine');
  });

  it('keeps two base URLs apart', async () => {
    const llmCache = new LlmCache();
    await service(client('/v1'), llmCache).chat(question);
    await service(client('/v2'), llmCache).chat(question);
    await service(client('/v1'), llmCache).chat(question);
    expect(server.asked.map(({ url }) => url)).toEqual(['/v1/chat/completions', '/v2/chat/completions']);
  });

  it('aborts the HTTP request when its last caller leaves, and rejects with the caller\'s reason', async () => {
    const [arrived, closed] = [deferred(), deferred()];
    server.respond = (response) => {
      response.on('close', () => closed.resolve());
      arrived.resolve();
    };
    const controllers = [new AbortController(), new AbortController()];
    const llm = service(client());
    const calls = Promise.allSettled(controllers.map(({ signal }) => llm.chat(question, { signal })));
    await arrived.promise;
    const [one, two] = [new Error('one'), new Error('two')];
    controllers[0]!.abort(one);
    controllers[1]!.abort(two);
    await closed.promise;
    expect(await calls).toMatchObject([{ reason: one }, { reason: two }]);
    expect(server.asked).toHaveLength(1);
  });

  it('leaves retries to the SDK: a 429 that passes is one call', async () => {
    let times = 0;
    server.respond = (response, asked) => {
      if (++times < 3) json(429, { error: { message: 'slow down' } }, { 'retry-after-ms': '1' })(response);
      else answer('Tokyo.')(response);
      expect(asked.url).toBe('/v1/chat/completions');
    };
    const llmCache = new LlmCache();
    const llm = service(client('/v1', 2), llmCache);
    expect(await llm.text(question.messages, { model: 'gpt-4o-mini' })).toBe('Tokyo.');
    expect(server.asked).toHaveLength(3);
    expect(llmCache.stats()).toMatchObject({ upstream: 1, errors: 0, misses: 1, stored: 1 });
  });

  it.each([
    ['429', 429, RateLimitError],
    ['400', 400, BadRequestError],
  ])('rethrows the SDK\'s own error object: %s', async (_case, status, type) => {
    server.respond = json(status, { error: { message: 'no', type: 'x', code: 'y' } });
    const openai = client();
    const thrown: unknown[] = [];
    const watched = {
      baseURL: openai.baseURL,
      chat: {
        completions: {
          create: async (body: never, options?: never): Promise<unknown> =>
            openai.chat.completions.create(body, options).catch((error: unknown) => {
              thrown.push(error);
              throw error;
            }),
        },
      },
    };
    const llmCache = new LlmCache();
    caches.push(llmCache);
    const llm = new LlmService(llmCache, openAiProvider(watched));
    const error: unknown = await llm.chat(question).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(type);
    expect(error).toBe(thrown[0]);
    expect(thrown).toHaveLength(1);
    expect(llmCache.stats()).toMatchObject({ upstream: 1, errors: 1, stored: 0 });
  });

  it('a connection that breaks is the SDK\'s error too, and the next call works', async () => {
    const llm = service(client());
    server.respond = (response) => response.destroy();
    await expect(llm.chat(question)).rejects.toBeInstanceOf(APIConnectionError);
    server.respond = answer('Tokyo.');
    expect(await llm.text(question.messages, { model: 'gpt-4o-mini' })).toBe('Tokyo.');
  });

  it('an abort inside the SDK that no caller asked for is rethrown as it is', async () => {
    const failure = new APIUserAbortError();
    const llm = new LlmService(new LlmCache(), openAiProvider({ chat: { completions: { create: () => Promise.reject(failure) } } }));
    await expect(llm.chat(question)).rejects.toBe(failure);
  });

  it.each([undefined, null, {}, { chat: {} }, { chat: { completions: {} } }, { chat: { completions: { create: 'sk-secret' } } }])(
    'refuses %j for a client',
    (given) => {
      expect(() => openAiProvider(given as never)).toThrow(LlmCacheConfigError);
      expect(() => openAiProvider(given as never)).toThrow(/chat\.completions\.create/);
    },
  );
});

describe('openAiProvider.stream over the real SDK', () => {
  const mock = new LLMock({ host: '127.0.0.1', port: 0, chunkSize: 3 });
  const caches: LlmCache[] = [];

  beforeAll(() => mock.start());
  afterAll(() => mock.stop());
  afterEach(async () => {
    mock.clearRequests();
    mock.clearFixtures();
    for (const llmCache of caches.splice(0)) await llmCache.close();
  });

  function service(): { llm: LlmService; llmCache: LlmCache } {
    const llmCache = new LlmCache();
    caches.push(llmCache);
    const openai = new OpenAI({ apiKey: 'none', baseURL: `${mock.url}/v1`, maxRetries: 0 });
    return { llm: new LlmService(llmCache, openAiProvider(openai)), llmCache };
  }

  const textOf = (chunks: ChatChunk[]): string => chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');

  it('asks for the usage, and gives the chunks as they come', async () => {
    mock.on({ endpoint: 'chat' }, { content: 'Tokyo, of course.', usage: { prompt_tokens: 8, completion_tokens: 5 } });
    const { llm, llmCache } = service();
    const chunks = await collect(llm.stream({ ...question, stream_options: { include_usage: false } }));
    expect(textOf(chunks)).toBe('Tokyo, of course.');
    expect(chunks.filter(({ choices }) => choices[0]?.delta.content).length).toBeGreaterThan(3);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 13 } });
    expect(mock.getLastRequest()!.body).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    expect(await collect(llm.stream(question))).toEqual(chunks);
    expect((await llm.chat(question)).choices[0]!.message.content).toBe('Tokyo, of course.');
    expect(mock.getRequests()).toHaveLength(1);
    expect(llmCache.stats()).toMatchObject({ upstream: 1, hits: 2, tokens: { spent: 13, saved: 26 } });
  });

  it('sends headers as request options', async () => {
    mock.on({ endpoint: 'chat' }, { content: 'Tokyo.' });
    await collect(service().llm.stream({ ...question, headers: { 'x-trace': 'abc' }, timeout: 5_000 }));
    const { headers, body } = mock.getLastRequest()!;
    expect(headers['x-trace']).toBe('abc');
    expect(body).not.toHaveProperty('timeout');
  });

  it('stores nothing that was cut off', async () => {
    mock.on({ endpoint: 'chat' }, { content: 'Tokyo is the', finishReason: 'length' });
    const { llm, llmCache } = service();
    for (let time = 0; time < 2; time++) expect(textOf(await collect(llm.stream(question)))).toBe('Tokyo is the');
    expect(mock.getRequests()).toHaveLength(2);
    expect(llmCache.stats()).toMatchObject({ refused: 2, stored: 0 });
  });

  it.each([[429, RateLimitError], [400, BadRequestError]])("throws the SDK's own error: %s", async (status, type) => {
    mock.nextRequestError(status, { message: 'no', type: 'x', code: 'y' });
    mock.on({ endpoint: 'chat' }, { content: 'Tokyo.' });
    const { llm } = service();
    const error: unknown = await collect(llm.stream(question)).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(type);
    expect(error).toMatchObject({ status, error: { message: 'no', type: 'x', code: 'y' } });
    expect(textOf(await collect(llm.stream(question)))).toBe('Tokyo.');
  });

  it('aborts the HTTP request when its last reader leaves', async () => {
    const [arrived, closed] = [deferred(), deferred()];
    const server = new ChatServer();
    await server.listen();
    server.respond = (response) => {
      response.on('close', () => closed.resolve());
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"To"}}]}\n\n');
      arrived.resolve();
    };
    const llmCache = new LlmCache();
    caches.push(llmCache);
    const llm = new LlmService(llmCache, openAiProvider(new OpenAI({ apiKey: 'none', baseURL: `${server.origin}/v1`, maxRetries: 0 })));
    const leaving = new AbortController();
    const [one, other] = [llm.stream(question, { signal: leaving.signal }), llm.stream(question)].map((stream) => stream[Symbol.asyncIterator]());
    expect(await Promise.all([one!.next(), other!.next()])).toMatchObject([{ done: false }, { done: false }]);
    await arrived.promise;
    const reason = new Error('gone');
    leaving.abort(reason);
    await expect(one!.next()).rejects.toBe(reason);
    await other!.return!();
    await closed.promise;
    expect(server.asked).toHaveLength(1);
    await server.close();
  });
});
