import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import Anthropic from '@anthropic-ai/sdk';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { LLMock } from '@copilotkit/aimock';
import { AIMessage, HumanMessage, ToolMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { Injectable, type InjectionToken, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { generateText, jsonSchema, Output, tool } from 'ai';
import { LlmCache, type LlmProvider, LlmService } from 'nestjs-llm-cache';
import { LlmCacheTestingModule } from 'nestjs-llm-cache/testing';
import OpenAI from 'openai';
import { join } from 'node:path';
import type { RefusalReason } from '../../lib/policy/gate.js';
import { opened } from '../fixtures/apps.js';
import { deferred, settled } from '../fixtures/deferred.js';
import { blocksOf, writeBlocks } from './documentation.js';

// The recipes' own code against a server that speaks the vendors' protocols.

const folder = writeBlocks(blocksOf('docs/recipes/'), 'recipes');
const recipe = async <T>(file: string): Promise<T> => (await import(join(folder, file))) as T;

const server = new LLMock({ host: '127.0.0.1', port: 0, logLevel: 'silent' });
/** The signals that reached the network. */
let signals: AbortSignal[] = [];
const fetchSeen: typeof fetch = (input, init) => {
  if (init?.signal) signals.push(init.signal);
  return fetch(input, init);
};

beforeAll(() => server.start());
afterAll(() => server.stop());
/** What the server reports, under each vendor's names. */
const usage = { prompt_tokens: 12, completion_tokens: 5 };
/** What a slow answer waits for. */
let slow = deferred();
afterEach(() => slow.resolve());
beforeEach(() => {
  slow = deferred();
  signals = [];
  server.reset();
  server.onMessage('json', { content: '{"total": 12.5}' });
  server.onMessage('prose', { content: 'Twelve fifty.' });
  server.onMessage('What is the total?', { content: '{"total": 12.5}' });
  server.onMessage('Caption it.', { content: 'A cat.' });
  server.onMessage('refund', { toolCalls: [{ name: 'refund', arguments: '{"order":"A1"}' }] });
  server.onMessage('slow', async () => {
    await slow.promise;
    return { content: 'Late.' };
  });
  server.onMessage('endless', { content: 'It goes on and', finishReason: 'length', usage });
  server.onMessage('ticket', { content: 'The invoice is wrong.', usage });
});

/** Stands where a test needs no service. */
@Injectable()
class Unused {}

const sent = (): Array<Record<string, unknown>> => server.getRequests().map(({ body }) => body as unknown as Record<string, unknown>);

async function start<T>(service: Type<T>, provided: Array<[InjectionToken, unknown]>, llmProvider?: LlmProvider): Promise<{ service: T; llmCache: LlmCache; llm: LlmService }> {
  const moduleRef = await Test.createTestingModule({
    imports: [LlmCacheTestingModule.forRoot({ provider: llmProvider })],
    providers: [service, ...provided.map(([provide, useValue]) => ({ provide, useValue }))],
  }).compile();
  opened(moduleRef);
  return { service: moduleRef.get(service), llmCache: moduleRef.get(LlmCache), llm: moduleRef.get(LlmService) };
}

const baseURL = (): string => `${server.url}/v1`;
const openai = (): OpenAI => new OpenAI({ baseURL: baseURL(), apiKey: 'none', maxRetries: 0, fetch: fetchSeen });
const anthropic = (): Anthropic => new Anthropic({ baseURL: server.url, apiKey: 'none', maxRetries: 0, fetch: fetchSeen });
const models = (): ReturnType<typeof createOpenAICompatible> =>
  createOpenAICompatible({ name: 'local', baseURL: baseURL(), apiKey: 'none', fetch: fetchSeen, supportsStructuredOutputs: true });
const chat = (fields: object = {}): ChatOpenAI =>
  new ChatOpenAI({ model: 'gpt-4o-mini', temperature: 0, apiKey: 'none', maxRetries: 0, configuration: { baseURL: baseURL(), fetch: fetchSeen }, ...fields });

/** Why each call was not stored. */
function reasonsOf(llmCache: LlmCache): unknown[] {
  const reasons: unknown[] = [];
  llmCache.on((event) => 'outcome' in event && reasons.push(event.outcome.reason));
  return reasons;
}

async function reachedTheNetwork(): Promise<void> {
  while (signals.length === 0) await settled();
}

interface Summarizes {
  summary(ticket: string, signal?: AbortSignal): Promise<unknown>;
}

/** What every recipe promises. */
const recipes: Array<{
  title: string;
  service: () => Promise<Type<Summarizes>>;
  client: () => Promise<Array<[InjectionToken, unknown]>>;
  /** Fields of the constant, as they reach the server. */
  configuration: object;
  /** Why an answer that was cut off is not stored. */
  cutOff?: RefusalReason;
}> = [
  {
    title: 'OpenAI chat completions',
    service: async () => (await recipe<{ OpenAiTicketsService: Type<Summarizes> }>('openai-tickets.service.ts')).OpenAiTicketsService,
    client: () => Promise.resolve([[OpenAI, openai()]]),
    configuration: { model: 'gpt-4o-mini', temperature: 0, max_tokens: 200 },
  },
  {
    title: 'OpenAI responses',
    service: async () => {
      const { OpenAiBriefsService } = await recipe<{ OpenAiBriefsService: Type<{ brief: Summarizes['summary'] }> }>('openai-briefs.service.ts');
      return class extends OpenAiBriefsService implements Summarizes {
        summary = (text: string, signal?: AbortSignal): Promise<unknown> => this.brief(text, signal);
      };
    },
    client: () => Promise.resolve([[OpenAI, openai()]]),
    configuration: { model: 'gpt-4o-mini' },
    cutOff: 'unfinished', // this server's `incomplete` comes without `incomplete_details`
  },
  {
    title: 'Anthropic messages',
    service: async () => (await recipe<{ AnthropicTicketsService: Type<Summarizes> }>('anthropic-tickets.service.ts')).AnthropicTicketsService,
    client: () => Promise.resolve([[Anthropic, anthropic()]]),
    configuration: { model: 'claude-haiku-4-5', max_tokens: 200 },
  },
  {
    title: "the AI SDK's generateText",
    service: async () => (await recipe<{ AiTicketsService: Type<Summarizes> }>('ai-tickets.service.ts')).AiTicketsService,
    client: async () => [[(await recipe<{ MODELS: symbol }>('ai-tickets.service.ts')).MODELS, models()]],
    configuration: { model: 'gpt-4o-mini', temperature: 0, max_tokens: 200 },
  },
  {
    title: "LangChain's ChatOpenAI",
    service: async () => (await recipe<{ LangChainTicketsService: Type<Summarizes> }>('langchain-tickets.service.ts')).LangChainTicketsService,
    client: () => Promise.resolve([[ChatOpenAI, chat()]]),
    configuration: { model: 'gpt-4o-mini', temperature: 0 },
  },
];

describe.each(recipes)('the recipe for $title', ({ service, client, configuration, cutOff = 'truncated' }) => {
  it('asks once, answers alike, and sends what its constant says', async () => {
    const { service: tickets, llmCache } = await start(await service(), await client());
    const first = await tickets.summary('ticket 1');
    const second = await tickets.summary('ticket 1');
    expect(JSON.stringify(first)).toContain('The invoice is wrong.');
    expect(second).toEqual(first);
    expect(llmCache.stats()).toMatchObject({ misses: 1, hits: 1, stored: 1, bypassed: 0, tokens: { spent: 17, saved: 17 } });
    expect(sent()).toEqual([expect.objectContaining(configuration)]);
    await tickets.summary('ticket 2');
    expect(sent()).toHaveLength(2);
  });

  it('serves a truncated answer and does not store it', async () => {
    const { service: tickets, llmCache } = await start(await service(), await client());
    const reasons = reasonsOf(llmCache);
    for (let time = 0; time < 2; time++) expect(JSON.stringify(await tickets.summary('endless'))).toContain('It goes on and');
    expect(sent()).toHaveLength(2);
    expect(reasons).toEqual([cutOff, cutOff]);
    expect(llmCache.stats()).toMatchObject({ misses: 2, stored: 0, refused: 2, tokens: { spent: 34, saved: 0 } });
  });

  it("throws the client's own error, and asks again", async () => {
    const { service: tickets } = await start(await service(), await client());
    server.nextRequestError(400, { message: 'too long', type: 'invalid_request_error' });
    await expect(tickets.summary('ticket 1')).rejects.toThrow('too long');
    expect(JSON.stringify(await tickets.summary('ticket 1'))).toContain('The invoice is wrong.');
  });

  it('hands on the signal of all its callers', async () => {
    const { service: tickets, llmCache } = await start(await service(), await client());
    const callers = [new AbortController(), new AbortController()];
    const answers = callers.map(({ signal }) => tickets.summary('slow', signal).catch((error: unknown) => error));
    const abort = async (index: number): Promise<void> => {
      callers[index]!.abort(new Error(`caller ${index} left`));
      expect(await answers[index]).toEqual(new Error(`caller ${index} left`));
    };
    await reachedTheNetwork();
    await abort(0);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
    await abort(1);
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
    expect(llmCache.stats()).toMatchObject({ stored: 0 });
  });
});

interface Receipts {
  total(receipt: Uint8Array): Promise<number>;
  nextStep(messages: OpenAI.ChatCompletionMessageParam[]): Promise<OpenAI.ChatCompletion>;
}

describe('the OpenAI receipts', () => {
  const open = async (): Promise<{ service: Receipts; llmCache: LlmCache }> => {
    const { OpenAiReceiptsService } = await recipe<{ OpenAiReceiptsService: Type<Receipts> }>('openai-receipts.service.ts');
    return start(OpenAiReceiptsService, [[OpenAI, openai()]]);
  };

  it('key on the bytes of an image and return structured output', async () => {
    const { service } = await open();
    expect(await service.total(Uint8Array.of(1, 2))).toBe(12.5);
    expect(await service.total(Uint8Array.of(1, 2))).toBe(12.5);
    expect(await service.total(Uint8Array.of(1, 3))).toBe(12.5);
    expect(sent()).toHaveLength(2);
    expect(sent()[0]).toMatchObject({ response_format: { json_schema: { name: 'receipt' } } });
  });

  it('do not store what cannot be used', async () => {
    const { service, llmCache } = await open();
    server.prependFixture({ match: { userMessage: 'What is the total?' }, response: { content: '{}' } });
    await expect(service.total(Uint8Array.of(1))).rejects.toThrow('The answer has no total');
    server.prependFixture({ match: { userMessage: 'What is the total?' }, response: { content: '{"total": 3', finishReason: 'length' } });
    await expect(service.total(Uint8Array.of(1))).rejects.toThrow(SyntaxError);
    server.prependFixture({ match: { userMessage: 'What is the total?' }, response: { content: '{"total": 3}' } });
    expect(await service.total(Uint8Array.of(1))).toBe(3);
    expect(llmCache.stats()).toMatchObject({ misses: 3, stored: 1 });
  });

  it('store tool calls', async () => {
    const { service } = await open();
    const messages = [{ role: 'user' as const, content: 'refund A1' }];
    const first = await service.nextStep(messages);
    expect(first.choices[0]!.message.tool_calls).toHaveLength(1);
    expect(await service.nextStep(messages)).toEqual(first);
    expect(sent()).toHaveLength(1);
    expect(sent()[0]).toMatchObject({ tools: [{ function: { name: 'refund' } }] });
  });

  it('lose only what the SDK hides', async () => {
    const { service } = await open();
    const messages = [{ role: 'user' as const, content: 'refund A1' }];
    const [miss, hit] = [await service.nextStep(messages), await service.nextStep(messages)];
    expect([miss, hit].map((completion) => Object.hasOwn(completion, '_request_id'))).toEqual([true, false]);
  });
});

interface AnthropicAgent {
  nextStep(messages: Anthropic.MessageParam[]): Promise<Anthropic.Message>;
  caption(png: Uint8Array): Promise<Anthropic.Message>;
}

describe('the Anthropic agent', () => {
  const open = async (): Promise<{ service: AnthropicAgent; llmCache: LlmCache }> => {
    const { AnthropicAgentService } = await recipe<{ AnthropicAgentService: Type<AnthropicAgent> }>('anthropic-agent.service.ts');
    return start(AnthropicAgentService, [[Anthropic, anthropic()]]);
  };

  it('stores tool_use blocks', async () => {
    const { service: agent } = await open();
    const first = await agent.nextStep([{ role: 'user', content: 'refund A1' }]);
    expect(first).toMatchObject({ stop_reason: 'tool_use', content: [{ type: 'tool_use', name: 'refund', input: { order: 'A1' } }] });
    expect(await agent.nextStep([{ role: 'user', content: 'refund A1' }])).toEqual(first);
    expect(sent()).toHaveLength(1);
  });

  it('does not store what was cut off', async () => {
    const { service: agent, llmCache } = await open();
    const reasons = reasonsOf(llmCache);
    server.prependFixture({ match: { userMessage: 'Caption it.' }, response: { content: 'A c', finishReason: 'length' } });
    await agent.nextStep([{ role: 'user', content: 'endless' }]);
    await agent.caption(Uint8Array.of(1));
    expect(reasons).toEqual(['truncated', 'truncated']);
  });

  it('keys on the bytes of an image', async () => {
    const { service: agent } = await open();
    const first = await agent.caption(Uint8Array.of(1));
    expect(await agent.caption(Uint8Array.of(1))).toEqual(first);
    await agent.caption(Uint8Array.of(2));
    expect(sent()).toHaveLength(2);
  });
});

describe('the Anthropic LlmProvider', () => {
  const open = async (): Promise<LlmService> => {
    const { anthropicProvider } = await recipe<{ anthropicProvider: (client: Anthropic) => LlmProvider }>('anthropic.provider.ts');
    return (await start(Unused, [], anthropicProvider(anthropic()))).llm;
  };
  const config = { model: 'claude-haiku-4-5', max_tokens: 50, stop: 'END' };

  it('answers in the chat shape, once', async () => {
    const llm = await open();
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'ticket 1' },
    ];
    const first = await llm.chat({ ...config, messages });
    expect(first).toMatchObject({ model: 'claude-haiku-4-5', choices: [{ finish_reason: 'end_turn', message: { content: 'The invoice is wrong.' } }] });
    expect(await llm.chat({ ...config, messages })).toEqual(first);
    expect(sent()).toEqual([expect.objectContaining({ model: 'claude-haiku-4-5', max_tokens: 50 })]);
    expect(JSON.stringify(sent()[0])).toContain('Be brief.');
  });

  it('tells the gate how the answer ended', async () => {
    const llm = await open();
    const outcomes: unknown[] = [];
    const onOutcome = ({ reason }: { reason?: string }): unknown => outcomes.push(reason);
    for (let time = 0; time < 2; time++) expect(await llm.text('endless', config, { onOutcome })).toBe('It goes on and');
    expect(outcomes).toEqual(['truncated', 'truncated']);
    await llm.text('refund', config, { onOutcome });
    expect(outcomes.at(-1)).toBe('unfinished');
  });
});

describe('the AI SDK middleware', () => {
  const open = async (): Promise<{ model: Parameters<typeof generateText>[0]['model']; llmCache: LlmCache }> => {
    const { cachedModel } = await recipe<{ cachedModel: (llmCache: LlmCache, model: unknown) => Parameters<typeof generateText>[0]['model'] }>('ai-cache.middleware.ts');
    const { llmCache } = await start(Unused, []);
    return { model: cachedModel(llmCache, models()('gpt-4o-mini')), llmCache };
  };

  it('answers from the cache, and tells requests apart', async () => {
    const { model } = await open();
    const first = await generateText({ model, prompt: 'ticket 1' });
    const second = await generateText({ model, prompt: 'ticket 1' });
    expect([second.text, second.finishReason, second.usage]).toEqual([first.text, first.finishReason, first.usage]);
    expect(sent()).toHaveLength(1);
    await generateText({ model, prompt: 'ticket 1', temperature: 1 });
    expect(sent()).toHaveLength(2);
  });

  it('keeps truncated answers out', async () => {
    const { model, llmCache } = await open();
    const reasons = reasonsOf(llmCache);
    for (let time = 0; time < 2; time++) expect((await generateText({ model, prompt: 'endless' })).finishReason).toBe('length');
    expect(reasons).toEqual(['truncated', 'truncated']);
    expect(llmCache.stats()).toMatchObject({ stored: 0, refused: 2 });
  });

  it('runs tools each time, on an answer from the cache', async () => {
    const { model } = await open();
    const refunded: unknown[] = [];
    const refund = tool({
      inputSchema: jsonSchema<{ order: string }>({ type: 'object', properties: { order: { type: 'string' } } }),
      execute: ({ order }) => refunded.push(order),
    });
    for (let time = 0; time < 2; time++) await generateText({ model, prompt: 'refund A1', tools: { refund } });
    expect(refunded).toEqual(['A1', 'A1']);
    expect(sent()).toHaveLength(1);
  });

  it('validates structured output on a hit as well', async () => {
    const { model } = await open();
    const output = Output.object({
      schema: jsonSchema<{ total: number }>({ type: 'object' }, {
        validate: (value) => ((value as { total?: unknown }).total === 12.5 ? { success: true, value: value as { total: number } } : { success: false, error: new Error('no') }),
      }),
    });
    for (let time = 0; time < 2; time++) expect((await generateText({ model, prompt: 'json', output })).output).toEqual({ total: 12.5 });
    expect(sent()).toHaveLength(1);
    await expect(generateText({ model, prompt: 'prose', output })).rejects.toThrow('No object generated');
  });

  it("one caller's abort leaves the other its answer", async () => {
    const { model, llmCache } = await open();
    const first = new AbortController();
    const leaving = generateText({ model, prompt: 'slow', abortSignal: first.signal }).catch((error: Error) => error.name);
    await reachedTheNetwork();
    const staying = generateText({ model, prompt: 'slow' });
    await settled();
    first.abort();
    expect(await leaving).toBe('AbortError');
    slow.resolve();
    expect((await staying).text).toBe('Late.');
    expect(llmCache.stats()).toMatchObject({ upstream: 1, coalesced: 1 });
  });
});

interface LangChainTickets extends Summarizes {
  message(ticket: string): Promise<AIMessage>;
  nextStep(messages: Array<HumanMessage | AIMessage | ToolMessage>): Promise<AIMessage>;
}

describe('the LangChain recipe', () => {
  const open = async (model = chat()): Promise<{ service: LangChainTickets; llmCache: LlmCache }> => {
    const { LangChainTicketsService } = await recipe<{ LangChainTicketsService: Type<LangChainTickets> }>('langchain-tickets.service.ts');
    return start(LangChainTicketsService, [[ChatOpenAI, model]]);
  };

  it('gives an AIMessage back on a hit', async () => {
    const { service } = await open();
    const [miss, hit] = [await service.message('ticket 1'), await service.message('ticket 1')];
    expect(hit).toBeInstanceOf(AIMessage);
    expect(JSON.stringify(hit)).toBe(JSON.stringify(miss));
    expect(hit.usage_metadata).toEqual(miss.usage_metadata);
  });

  it('does not store a step that was cut off', async () => {
    const { service, llmCache } = await open();
    const reasons = reasonsOf(llmCache);
    await service.nextStep([new HumanMessage('endless')]);
    expect(reasons).toEqual(['truncated']);
  });

  it('keys on what the client is configured to send', async () => {
    const [cold, warm] = [await open(chat({ temperature: 0 })), await open(chat({ temperature: 1 }))];
    const [a, b] = [cold, warm].map(({ llmCache, service }) => llmCache.partsOf(service, 'message', ['ticket 1']));
    expect(cold.llmCache.explain(a!, b!)).toEqual([{ path: 'model.temperature', kind: 'value' }]);
    await warm.service.message('ticket 1');
    expect(sent()).toEqual([expect.objectContaining({ temperature: 1 })]);
  });

  it('stores tool calls, and takes messages as arguments', async () => {
    const { service } = await open();
    const first = await service.nextStep([new HumanMessage('refund A1')]);
    const second = await service.nextStep([new HumanMessage('refund A1')]);
    expect(second.tool_calls).toEqual([expect.objectContaining({ name: 'refund', args: { order: 'A1' } })]);
    expect(JSON.stringify(second)).toBe(JSON.stringify(first));
    expect(sent()).toHaveLength(1);
    const result = (content: string): ToolMessage => new ToolMessage({ content, tool_call_id: first.tool_calls![0]!.id! });
    for (const content of ['done', 'done', 'failed']) await service.nextStep([new HumanMessage('ticket'), first, result(content)]);
    expect(sent()).toHaveLength(3);
  });
});

describe('the clients module', () => {
  it('provides both clients', async () => {
    const { ClientsModule } = await recipe<{ ClientsModule: Type<unknown> }>('clients.module.ts');
    const keys = { OPENAI_API_KEY: 'none', ANTHROPIC_API_KEY: 'none' };
    Object.assign(process.env, keys);
    try {
      const moduleRef = opened(await Test.createTestingModule({ imports: [ClientsModule] }).compile());
      expect([moduleRef.get(OpenAI).timeout, moduleRef.get(Anthropic).maxRetries]).toEqual([20_000, 1]);
    } finally {
      for (const name of Object.keys(keys)) delete process.env[name];
    }
  });
});
