import { beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import {
type CacheOutcome,
type ChatRequest,
type ChatResponse,
LlmCache,
LlmCacheConfigError,
type LlmCacheOptions,
LlmProviderError,
LlmService,
} from 'nestjs-llm-cache';
import { FakeLlmProvider, LlmCacheTestingModule, type ScriptedAnswer } from 'nestjs-llm-cache/testing';
import { opened } from '../fixtures/apps.js';

let provider: FakeLlmProvider;
let llm: LlmService;
let llmCache: LlmCache;

async function start(options: LlmCacheOptions = {}, ...script: ScriptedAnswer[]): Promise<void> {
  provider = new FakeLlmProvider(...script);
  const moduleRef = await Test.createTestingModule({ imports: [LlmCacheTestingModule.forRoot({ provider, ...options })] }).compile();
  opened(moduleRef);
  llm = moduleRef.get(LlmService);
  llmCache = moduleRef.get(LlmCache);
}

beforeEach(() => start());

function request(fields: Record<string, unknown> = {}, text = 'What is the capital of Japan?'): ChatRequest {
  return { messages: [{ role: 'user', content: text }], ...fields };
}

function answer(fields: { finish_reason?: string; content?: string | null; error?: unknown } & Record<string, unknown> = {}): ChatResponse {
  const { finish_reason = 'stop', content = 'Tokyo.', ...message } = fields;
  return { object: 'chat.completion', choices: [{ index: 0, finish_reason, message: { role: 'assistant', content, ...message } }] };
}

async function outcomeOf(given: ChatRequest): Promise<CacheOutcome> {
  let outcome: CacheOutcome | undefined;
  await llm.chat(given, { onOutcome: (told) => (outcome = told) });
  return outcome!;
}

describe('chat', () => {
  it('answers the second time from the cache, with an equal answer of its own', async () => {
    const first = await llm.chat(request());
    const second = await llm.chat(request());
    expect(second).toEqual(first);
    expect(second).not.toBe(first);
    expect(provider.calls).toHaveLength(1);
  });

  it('shares one call among callers at the same time', async () => {
    await Promise.all(Array.from({ length: 5 }, () => llm.chat(request())));
    expect(provider.calls).toHaveLength(1);
  });

  it.each<[string, Record<string, unknown>]>([
    ['model', { model: 'large' }],
    ['temperature', { temperature: 0.5 }],
    ['seed', { seed: 1 }],
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }],
    ['response_format', { response_format: { type: 'json_object' } }],
    ['a field nobody knows yet', { deep_thought: 42 }],
  ])('tells requests apart by %s', async (_field, fields) => {
    await llm.chat(request());
    await llm.chat(request(fields));
    expect(provider.calls).toHaveLength(2);
    expect(provider.calls[1]).toEqual(request(fields));
  });

  it('does not change the request it is given', async () => {
    const given = Object.freeze(request({ stream: true, headers: { a: 'b' } }));
    const before = structuredClone(given);
    await llm.chat(given);
    expect(given).toEqual(before);
  });
});

describe('text', () => {
  it('takes a prompt or messages, and shares entries with chat', async () => {
    await start({}, 'Tokyo.');
    expect(await llm.text('What is the capital of Japan?')).toBe('Tokyo.');
    expect(await llm.text([{ role: 'user', content: 'What is the capital of Japan?' }])).toBe('Tokyo.');
    await llm.chat(request());
    expect(provider.calls).toHaveLength(1);
  });

  it('takes configuration and call options', async () => {
    await llm.text('q', { temperature: 0 });
    await llm.text('q', { temperature: 0 }, { noCache: true });
    await llm.text('q', { temperature: 1 });
    expect(provider.calls.map(({ temperature }) => temperature)).toEqual([0, 0, 1]);
  });

  it.each([
    ['a tool call', answer({ content: null, finish_reason: 'tool_calls', tool_calls: [{ id: '1' }] })],
    ['no choices', { choices: [] }],
    ['an error body', { error: { message: 'prompt text' } } as unknown as ChatResponse],
  ])('refuses an answer that is no text: %s', async (_case, response) => {
    await start({}, response);
    const asking = llm.text('q');
    await expect(asking).rejects.toThrow(LlmProviderError);
    await expect(asking).rejects.toThrow(/fake answered without text/);
    await expect(asking).rejects.not.toThrow(/prompt text/);
  });
});

describe('fields that never change an answer', () => {
  it.each<[string, unknown]>([
    ['stream', true], ['stream', false], ['stream_options', { include_usage: true }], ['metadata', { ticket: 1 }], ['safety_identifier', 'u1'],
    ['prompt_cache_key', 'k'], ['headers', { 'x-trace': '1' }], ['timeout', 1000], ['store', false],
  ])('%s: %j stays out of the key', async (field, value) => {
    await llm.chat(request());
    await llm.chat(request({ [field]: value }));
    expect(provider.calls).toHaveLength(1);
    expect(llmCache.explain(llm.partsOf(request()), llm.partsOf(request({ [field]: value })))).toEqual([]);
  });

  it('stream: true and false share an entry, and the provider is asked without `stream`', async () => {
    await llm.chat(request({ stream: true, stream_options: { include_usage: true }, metadata: { ticket: 1 } }));
    await llm.chat(request({ stream: false }));
    expect(provider.calls).toEqual([request({ metadata: { ticket: 1 } })]);
  });

  it('a declared volatile field stays out of the key, and still reaches the provider', async () => {
    await start({ volatile: ['user'] });
    await llm.chat(request({ user: 'u1' }));
    await llm.chat(request({ user: 'u2' }));
    expect(provider.calls).toEqual([request({ user: 'u1' })]);
  });

  it('a field that is not declared volatile takes part', async () => {
    await llm.chat(request({ user: 'u1' }));
    await llm.chat(request({ user: 'u2' }));
    expect(provider.calls).toHaveLength(2);
  });

  it('a signal in the request is not in the key, and aborts the caller', async () => {
    await llm.chat(request({ signal: new AbortController().signal }));
    await llm.chat(request());
    expect(provider.calls).toEqual([request()]);
    await expect(llm.chat(request({ signal: AbortSignal.abort('left') }))).rejects.toBe('left');
  });
});

describe('requests that depend on state at the provider', () => {
  it.each<[string, unknown]>([
    ['previous_response_id', 'resp_1'], ['conversation', 'conv_1'], ['conversation', { id: 'conv_1' }], ['background', true], ['store', true],
  ])('%s: %j runs uncached', async (field, value) => {
    const given = request({ [field]: value });
    expect(await outcomeOf(given)).toMatchObject({ status: 'bypass', reason: 'stateful request', stored: false });
    await llm.chat(given);
    expect(provider.calls).toEqual([given, given]);
  });

  it.each<[string, unknown]>([
    ['previous_response_id', null], ['conversation', undefined], ['background', false],
  ])('%s: %j does not', async (field, value) => {
    await llm.chat(request({ [field]: value }));
    expect(await outcomeOf(request({ [field]: value }))).toMatchObject({ status: 'hit' });
  });
});

describe('answers that are served and not stored', () => {
  it.each<[string, ChatResponse, string]>([
    ['cut off', answer({ finish_reason: 'length' }), 'truncated'],
    ['filtered', answer({ finish_reason: 'content_filter' }), 'content-filter'],
    ['refused', answer({ content: null, refusal: 'I cannot help with that.' }), 'refusal'],
    ['empty', answer({ content: '' }), 'empty'],
    ['without choices', { choices: [] }, 'empty'],
    ['an error body', { error: { message: 'overloaded' } } as unknown as ChatResponse, 'error'],
  ])('%s', async (_case, response, reason) => {
    await start({}, response);
    expect(await outcomeOf(request())).toMatchObject({ status: 'miss', stored: false, reason });
    expect(await llm.chat(request())).toEqual(response);
    expect(provider.calls).toHaveLength(2);
  });
});

describe('what can go wrong', () => {
  it('without a provider LlmService can be injected, and a call names the option', async () => {
    await start({ provider: undefined });
    for (const call of [() => llm.chat(request()), () => llm.text('q')]) {
      await expect(call()).rejects.toThrow(LlmCacheConfigError);
      await expect(call()).rejects.toThrow(/"provider"/);
    }
    expect(() => llm.partsOf(request())).toThrow(LlmCacheConfigError);
  });

  it('what the provider throws is rethrown unchanged, and not stored', async () => {
    const failure = Object.assign(new Error('rate limited'), { status: 429 });
    await start({}, failure, 'Tokyo.');
    await expect(llm.chat(request())).rejects.toBe(failure);
    expect(await llm.text('What is the capital of Japan?')).toBe('Tokyo.');
  });

  it('everyone who waits gets the same error, and the provider was asked once', async () => {
    const failure = new Error('down');
    await start({}, failure);
    const results = await Promise.allSettled([llm.chat(request()), llm.chat(request()), llm.chat(request())]);
    expect(results.map((result) => (result as PromiseRejectedResult).reason as unknown)).toEqual([failure, failure, failure]);
    expect(provider.calls).toHaveLength(1);
  });

  it.each([undefined, null, 'Tokyo.', 42, [], {}, { choices: 'x' }, { choices: null }, { data: [] }])(
    'an answer in no known shape is LlmProviderError: %j',
    async (response) => {
      const odd = { id: 'odd', chat: async () => response as unknown as ChatResponse };
      await start({ provider: odd });
      const asking = llm.chat(request());
      await expect(asking).rejects.toThrow(LlmProviderError);
      await expect(asking).rejects.toThrow(/^LlmProvider odd answered without a `choices` array/);
      await expect(llm.chat(request())).rejects.toMatchObject({ code: 'LLM_CACHE_PROVIDER_ANSWER' });
    },
  );

  it('two providers never share an entry', () => {
    const services = ['a', 'b'].map((id) => new LlmService(llmCache, { id, chat: async () => answer() }));
    const [one, two] = services.map((service) => llmCache.keyFor(service.partsOf(request())));
    expect(one).not.toBe(two);
  });
});
