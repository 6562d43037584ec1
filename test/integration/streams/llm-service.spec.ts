import { describe, expect, it } from '@jest/globals';
import { type ChatChunk, type ChatRequest, type ChatResponse, LlmCache, type LlmProvider, LlmService, withCacheControl } from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { deferred, settled } from '../../fixtures/deferred.js';
import { collect } from '../../fixtures/streams.js';

const request: ChatRequest = { model: 'gpt-4o', messages: [{ role: 'user', content: 'Which city?' }] };
const head = { id: 'chatcmpl-1', created: 1, model: 'gpt-4o-2024-08-06', system_fingerprint: 'fp_1' };
const usage = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13, completion_tokens_details: { reasoning_tokens: 2 } };
const chunk = (delta: object, finish: string | null = null, index = 0): ChatChunk => ({
  ...head, object: 'chat.completion.chunk', choices: [{ index, delta: delta as ChatChunk['choices'][0]['delta'], finish_reason: finish }],
});
const last: ChatChunk = { ...head, object: 'chat.completion.chunk', choices: [], usage };
const whole = (message: object, finish = 'stop', index = 0): ChatResponse['choices'][0] => ({ index, finish_reason: finish, message: { role: 'assistant', ...message } });

/** One answer in both shapes. */
const answers: Array<[what: string, chunks: ChatChunk[], choices: unknown[]]> = [
  ['text', [chunk({ role: 'assistant', content: '' }), chunk({ content: 'To' }), chunk({ content: 'kyo.' }), chunk({}, 'stop'), last], [whole({ content: 'Tokyo.' })]],
  ['reasoning', [
    chunk({ role: 'assistant', content: null, reasoning_content: 'Let ' }), chunk({ reasoning_content: 'me think.' }), chunk({ content: 'Tokyo.' }), chunk({}, 'stop'), last,
  ], [whole({ content: 'Tokyo.', reasoning_content: 'Let me think.' })]],
  ['tool calls', [
    chunk({ role: 'assistant', content: null, tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'find', arguments: '' } }] }),
    chunk({ tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] }),
    chunk({ tool_calls: [{ index: 1, id: 'call_2', type: 'function', function: { name: 'weather', arguments: '{}' } }] }),
    chunk({ tool_calls: [{ index: 0, function: { arguments: '"Tokyo"}' } }] }),
    chunk({}, 'tool_calls'), last,
  ], [whole({
    content: null,
    tool_calls: [
      { id: 'call_1', type: 'function', function: { name: 'find', arguments: '{"city":"Tokyo"}' } },
      { id: 'call_2', type: 'function', function: { name: 'weather', arguments: '{}' } },
    ],
  }, 'tool_calls')]],
  ['two choices', [
    chunk({ role: 'assistant', content: 'Tokyo' }), chunk({ role: 'assistant', content: 'Kyoto' }, null, 1), chunk({ content: '!' }, null, 1),
    chunk({}, 'stop'), chunk({}, 'stop', 1), last,
  ], [whole({ content: 'Tokyo' }), whole({ content: 'Kyoto!' }, 'stop', 1)]],
];

class TwoShapes implements LlmProvider {
  readonly id = 'two-shapes';
  chats = 0;
  streams = 0;
  constructor(private readonly chunks: ChatChunk[], private readonly choices: unknown[]) {}

  async chat(): Promise<ChatResponse> {
    this.chats++;
    return structuredClone({ ...head, object: 'chat.completion', choices: this.choices, usage }) as ChatResponse;
  }

  async *stream(): AsyncGenerator<ChatChunk> {
    this.streams++;
    yield* structuredClone(this.chunks);
  }
}

function serviceOver(provider: LlmProvider) {
  const llmCache = new LlmCache({}, undefined, provider.id);
  return { llm: new LlmService(llmCache, provider), llmCache };
}

/** What a client makes of chunks: texts and arguments joined. */
function assembled(chunks: ChatChunk[]): unknown {
  const choices = new Map<number, Record<string, unknown>>();
  for (const { index = 0, delta, finish_reason: finish } of chunks.flatMap(({ choices: list }) => list)) {
    const choice = choices.get(index) ?? { content: '', reasoning: '', calls: [] as Array<Record<string, string>> };
    choices.set(index, choice);
    choice['content'] += delta.content ?? '';
    choice['reasoning'] += (delta['reasoning_content'] as string) ?? '';
    for (const call of (delta['tool_calls'] ?? []) as Array<{ index: number; id?: string; function: { name?: string; arguments?: string } }>) {
      const calls = choice['calls'] as Array<Record<string, string>>;
      const present = (calls[call.index] ??= { id: call.id!, name: call.function.name!, arguments: '' });
      present['arguments'] += call.function.arguments ?? '';
    }
    choice['finish'] = finish ?? choice['finish'];
  }
  return { choices: [...choices.values()], usage: chunks.find((candidate) => candidate.usage)?.usage };
}

describe('one entry for both shapes', () => {
  it.each(answers)('%s: streamed, then replayed, then whole: equal', async (_what, chunks, choices) => {
    const provider = new TwoShapes(chunks, choices);
    const { llm } = serviceOver(provider);
    expect(await collect(llm.stream(request))).toEqual(chunks);
    expect(await collect(llm.stream(request))).toEqual(chunks);
    expect(await llm.chat(request)).toEqual({ ...head, object: 'chat.completion', choices, usage });
    expect([provider.streams, provider.chats]).toEqual([1, 0]);
  });

  it.each(answers)('%s: whole, then streamed: equal', async (_what, chunks, choices) => {
    const provider = new TwoShapes(chunks, choices);
    const { llm } = serviceOver(provider);
    const response = await llm.chat(request);
    const streamed = await collect(llm.stream(request));
    expect(assembled(streamed)).toEqual(assembled(chunks));
    expect(streamed.every(({ object, id, model }) => object === 'chat.completion.chunk' && id === head.id && model === head.model)).toBe(true);
    expect(await llm.chat(request)).toEqual(response);
    expect([provider.streams, provider.chats]).toEqual([0, 1]);
  });

  it('stream and stream_options do not change the key', async () => {
    const provider = new TwoShapes(answers[0]![1], answers[0]![2]);
    const { llm } = serviceOver(provider);
    await collect(llm.stream({ ...request, stream: true, stream_options: { include_usage: true } }));
    await collect(llm.stream({ ...request, stream: false }));
    expect(provider.streams).toBe(1);
  });

  it('usage of a replay is saved, not spent', async () => {
    const { llm, llmCache } = serviceOver(new TwoShapes(answers[0]![1], answers[0]![2]));
    const outcomes: unknown[] = [];
    for (let time = 0; time < 2; time++) await collect(llm.stream(request, { onOutcome: ({ status, usage: counted }) => outcomes.push([status, counted?.totalTokens]) }));
    expect(outcomes).toEqual([['miss', 13], ['hit', 13]]);
    expect(llmCache.stats()).toMatchObject({ upstream: 1, tokens: { spent: 13, saved: 13 } });
  });
});

describe('calls at the same time', () => {
  it('a whole caller waits for the stream under way', async () => {
    const provider = new TwoShapes(answers[0]![1], answers[0]![2]);
    const { llm, llmCache } = serviceOver(provider);
    const [chunks, response] = await Promise.all([collect(llm.stream(request)), settled().then(() => llm.chat(request))]);
    expect([chunks.length, response.choices]).toEqual([5, answers[0]![2]]);
    expect(provider.streams + provider.chats).toBe(1);
    expect(llmCache.stats().upstream).toBe(1);
  });

  it('a whole caller joins a stream that has begun, and a streaming one a whole call', async () => {
    const gate = deferred();
    let calls = 0;
    const slow: LlmProvider = {
      id: 'slow',
      chat: async () => {
        calls++;
        await gate.promise;
        return { ...head, choices: [whole({ content: 'Tokyo.' })], usage };
      },
      async *stream() {
        calls++;
        yield chunk({ content: 'Tokyo' });
        await gate.promise;
        yield chunk({ content: '.' }, 'stop');
      },
    };
    const { llm, llmCache } = serviceOver(slow);
    const streamed = collect(llm.stream(request));
    await settled();
    const joined = llm.chat(request);
    const other = { ...request, seed: 2 };
    const chatted = llm.chat(other);
    await settled();
    const following = collect(llm.stream(other));
    await settled();
    gate.resolve();
    expect((await joined).choices[0]!.message.content).toBe('Tokyo.');
    expect(assembled(await following)).toMatchObject({ choices: [{ content: 'Tokyo.', finish: 'stop' }] });
    await Promise.all([streamed, chatted]);
    expect(calls).toBe(2);
    expect(llmCache.stats()).toMatchObject({ misses: 2, coalesced: 2 });
  });
});

describe('LlmService.stream', () => {
  it('is served by chat where the LlmProvider has no stream, and caches', async () => {
    let calls = 0;
    const provider: LlmProvider = { id: 'whole', chat: async () => (calls++, { ...head, choices: [whole({ content: 'Tokyo.' })], usage }) };
    const { llm } = serviceOver(provider);
    for (let time = 0; time < 2; time++) expect(assembled(await collect(llm.stream(request)))).toMatchObject({ choices: [{ content: 'Tokyo.', finish: 'stop' }] });
    expect(calls).toBe(1);
    const fresh = withCacheControl({ noCache: true }, () => llm.stream(request));
    await collect(fresh);
    expect(calls).toBe(2);
  });

  it.each(['length', 'content_filter', null])('does not store an answer that ended with %s', async (finish) => {
    const provider = new TwoShapes([chunk({ content: 'To' }), chunk({}, finish)], []);
    const { llm } = serviceOver(provider);
    for (let time = 0; time < 2; time++) expect(await collect(llm.stream(request))).toHaveLength(2);
    expect(provider.streams).toBe(2);
  });

  it('passes an error chunk on, and does not store it', async () => {
    const provider = new TwoShapes([chunk({ content: 'To' }), { error: { message: 'overloaded' } } as never], []);
    const { llm } = serviceOver(provider);
    for (let time = 0; time < 2; time++) expect((await collect(llm.stream(request)))[1]).toEqual({ error: { message: 'overloaded' } });
    expect(provider.streams).toBe(2);
  });

  it('rejects chunks of no known shape', async () => {
    const { llm } = serviceOver(new TwoShapes(['text' as never], []));
    await expect(collect(llm.stream(request))).rejects.toMatchObject({ code: 'LLM_CACHE_PROVIDER_ANSWER' });
  });

  it('without an LlmProvider says so', () => {
    const llm = new LlmService(new LlmCache(), undefined);
    expect(() => llm.stream(request)).toThrow(/provider/);
  });

  it('of the fake provider comes word by word', async () => {
    const provider = new FakeLlmProvider('The invoice is  wrong.');
    const { llm } = serviceOver(provider);
    const chunks = await collect(llm.stream(request));
    expect(chunks.map(({ choices }) => choices[0]?.delta.content).filter((content) => content !== undefined)).toEqual(['The', ' invoice', ' is', '  wrong.']);
    expect((await llm.chat(request)).choices[0]!.message.content).toBe('The invoice is  wrong.');
    expect(provider.calls).toHaveLength(1);
  });

  it('leaves with its reader: the provider is told', async () => {
    let seen: AbortSignal | undefined;
    let returned = false;
    const provider: LlmProvider = {
      id: 'endless',
      chat: async () => ({ choices: [] }),
      async *stream(_request, { signal }) {
        seen = signal;
        try {
          for (;;) yield chunk({ content: 'x' });
        } finally {
          returned = true;
        }
      },
    };
    const { llm } = serviceOver(provider);
    for await (const _ of llm.stream(request)) break;
    await settled();
    expect([seen!.aborted, returned]).toEqual([true, true]);
  });
});
