import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import Anthropic from '@anthropic-ai/sdk';
import { AIMessage, mapStoredMessageToChatMessage, type StoredMessage } from '@langchain/core/messages';
import { ChatOpenAI } from '@langchain/openai';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai';
import { CacheLlm, type CacheLlmOptions, type CacheOutcome, LlmCache, LlmCacheModule } from 'nestjs-llm-cache';
import OpenAI from 'openai';
import { opened } from '../fixtures/apps.js';

/** Answers each request with the next recorded answer; the last one stays. */
class RecordedServer {
  asked = 0;
  script: string[] = [];
  private readonly server: Server = createServer((request, response) => {
    request.resume();
    const name = this.script[Math.min(this.asked++, this.script.length - 1)]!;
    const body = readFileSync(new URL(`../fixtures/recorded/${name}.json`, import.meta.url));
    response.writeHead(200, { 'content-type': 'application/json', 'x-request-id': `req_${this.asked}`, 'request-id': `req_${this.asked}` }).end(body);
  });

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
}

const server = new RecordedServer();
beforeAll(() => server.listen());
afterAll(() => server.close());
beforeEach(() => {
  server.asked = 0;
});

const question = 'What is the weather in the capital of Japan?';
const maxRetries = 0;
const openai = (): OpenAI => new OpenAI({ apiKey: 'none', baseURL: `${server.origin}/v1`, maxRetries });
const anthropic = (): Anthropic => new Anthropic({ apiKey: 'none', baseURL: server.origin, maxRetries });
const languageModel = () => createOpenAICompatible({ name: 'local', baseURL: `${server.origin}/v1`, apiKey: 'none' })('gpt-4o');
const chat = (more: object = {}): ChatOpenAI => new ChatOpenAI({ model: 'gpt-4o', apiKey: 'none', maxRetries, configuration: { baseURL: `${server.origin}/v1` }, ...more });
const city = jsonSchema({ type: 'object', properties: { city: { type: 'string' } }, required: ['city'] });
const weather = tool({ inputSchema: city, execute: () => 'sunny' });

/** A client, asked inside a decorated method of an app. */
async function appWith(ask: () => Promise<unknown>, options: CacheLlmOptions = {}) {
  @Injectable()
  class Assistant {
    @CacheLlm({ model: { model: 'as the client has it' }, ...options })
    async ask(_question: string): Promise<unknown> {
      return ask();
    }
  }
  const moduleRef = await Test.createTestingModule({ imports: [LlmCacheModule.forRoot()], providers: [Assistant] }).compile();
  opened(await moduleRef.init());
  const llmCache = moduleRef.get(LlmCache);
  const outcomes: CacheOutcome[] = [];
  const warnings: string[] = [];
  llmCache.on((event) => {
    if ('outcome' in event) outcomes.push(event.outcome);
    if (event.type === 'warning') warnings.push(event.message);
  });
  return { assistant: moduleRef.get(Assistant), llmCache, outcomes, warnings };
}

async function askTwice(ask: () => Promise<unknown>, script: string[], options?: CacheLlmOptions) {
  server.script = script;
  const app = await appWith(ask, options);
  const answers = [await app.assistant.ask(question), await app.assistant.ask(question)] as const;
  return { ...app, answers, tokens: app.llmCache.stats().tokens };
}

const messages = [{ role: 'user' as const, content: question }];

/** Plain parts of what the two libraries return as instances. */
const textOf = async (options: object = {}) => {
  const { text, finishReason, usage, totalUsage, toolCalls, response } = await generateText({ model: languageModel(), prompt: question, maxRetries, ...options });
  const calls = toolCalls.map(({ toolCallId, toolName, input }) => ({ toolCallId, toolName, input: input as unknown }));
  return { text, finishReason, usage, totalUsage, toolCalls: calls, model: response.modelId };
};
const messageOf = async (more?: object) => (await chat(more).invoke(question)).toDict();

describe('the real clients', () => {
  const responses = () => openai().responses.create({ model: 'gpt-4.1', input: question });
  const claude = () => anthropic().messages.create({ model: 'claude-sonnet-4-6', max_tokens: 100, messages });
  const completions = () => openai().chat.completions.create({ model: 'gpt-4o', messages });

  it.each<[string, () => Promise<unknown>, string[], total: number]>([
    ['openai chat', completions, ['openai-chat/text'], 22],
    ['openai chat, tool calls', completions, ['openai-chat/tool-calls'], 76],
    ['openai Responses', responses, ['openai-responses/text'], 23],
    ['openai Responses, function call', responses, ['openai-responses/function-call'], 78],
    ['Anthropic', claude, ['anthropic/text-prompt-cached'], 4_624],
    ['Anthropic, tool use', claude, ['anthropic/tool-use-only'], 420],
    ['AI SDK, plain part', textOf, ['openai-chat/text'], 22],
    ['AI SDK, tool calls for the caller', () => textOf({ tools: { weather: tool({ inputSchema: city }) } }), ['openai-chat/tool-calls'], 76],
    ['AI SDK, loop of tools', () => textOf({ tools: { weather }, stopWhen: stepCountIs(3) }), ['openai-chat/tool-calls', 'openai-chat/text'], 98],
    ['LangChain, toDict', messageOf, ['openai-chat/text'], 22],
    ['LangChain over Responses', () => messageOf({ useResponsesApi: true }), ['openai-responses/text'], 23],
  ])('%s: a good answer is asked for once, and counted', async (_client, ask, script, total) => {
    const { answers, outcomes, tokens, warnings } = await askTwice(ask, script);
    expect(server.asked).toBe(script.length);
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[1]).not.toBe(answers[0]);
    expect(outcomes).toMatchObject([{ status: 'miss', stored: true }, { status: 'hit', usage: { totalTokens: total } }]);
    expect(tokens).toEqual({ spent: total, saved: total });
    expect(warnings).toEqual([]);
  });

  it.each<[client: string, reason: string, script: string, ask: () => Promise<unknown>]>([
    ['openai chat', 'truncated', 'openai-chat/truncated', completions],
    ['openai Responses', 'truncated', 'openai-responses/truncated', responses],
    ['openai Responses', 'refusal', 'openai-responses/refusal', responses],
    ['openai Responses', 'error', 'openai-responses/failed', responses],
    ['Anthropic', 'truncated', 'anthropic/truncated', claude],
    ['Anthropic', 'unfinished', 'anthropic/pause-turn', claude],
    ['AI SDK, plain part', 'truncated', 'openai-chat/truncated', textOf],
    ['AI SDK, the result itself', 'truncated', 'openai-chat/truncated', () => generateText({ model: languageModel(), prompt: question, maxRetries })],
    ['AI SDK, out of steps', 'unfinished', 'openai-chat/tool-calls', () => generateText({ model: languageModel(), prompt: question, tools: { weather } })],
    ['LangChain, toDict', 'truncated', 'openai-chat/truncated', messageOf],
    ['LangChain, the message itself', 'truncated', 'openai-chat/truncated', () => chat().invoke(question)],
    ['LangChain over Responses', 'truncated', 'openai-responses/truncated', () => messageOf({ useResponsesApi: true })],
  ])('%s: %s, so asked for each time (%s)', async (_client, reason, script, ask) => {
    const { outcomes, warnings, llmCache } = await askTwice(ask, [script]);
    expect(server.asked).toBe(2);
    expect(outcomes).toMatchObject([{ status: 'miss', stored: false, reason }, { status: 'miss', stored: false, reason }]);
    expect(llmCache.stats()).toMatchObject({ stored: 0, refused: 2, tokens: { saved: 0 } });
    expect(warnings).toEqual([]);
  });

  it('LlmCache.wrap does the same', async () => {
    server.script = ['anthropic/text', 'anthropic/truncated'];
    const llmCache = new LlmCache();
    const ask = (input: string) => llmCache.wrap({ name: 'Assistant.ask', input }, claude);
    expect(await ask('a')).toEqual(await ask('a'));
    expect(server.asked).toBe(1);
    await ask('b');
    await ask('b');
    expect(server.asked).toBe(3);
    await llmCache.close();
  });
});

describe('what a client leaves on an answer out of sight', () => {
  it('the SDKs\' request id is not enumerable: the miss has it, a hit does not', async () => {
    const { answers } = await askTwice(() => openai().responses.create({ model: 'gpt-4.1', input: question }), ['openai-responses/text']);
    const [miss, hit] = answers as unknown as Array<{ _request_id?: string; output_text: string }>;
    expect(miss!['_request_id']).toBe('req_1');
    expect(hit!['_request_id']).toBeUndefined();
    expect(Object.keys(hit!)).toEqual(Object.keys(miss!));
    expect(hit!.output_text).toBe('The capital of Japan is Tokyo.');
  });
});

describe('an instance of a class', () => {
  const result = (options: object = {}) => generateText({ model: languageModel(), prompt: question, maxRetries, ...options });

  it.each<[string, () => Promise<unknown>, script: string, className: string]>([
    ['AI SDK', result, 'openai-chat/text', 'DefaultGenerateTextResult'],
    ['LangChain', () => chat().invoke(question), 'openai-chat/text', 'AIMessage'],
  ])('%s: is served, not stored, counted, and one warning names its class', async (_client, ask, script, className) => {
    const { outcomes, warnings, tokens } = await askTwice(ask, [script]);
    expect(server.asked).toBe(2);
    expect(outcomes).toMatchObject([{ stored: false, reason: 'unstorable', usage: { totalTokens: 22 } }, { reason: 'unstorable' }]);
    expect(warnings).toEqual([expect.stringMatching(new RegExp(`Assistant\\.ask: the answer holds an instance of ${className}.*not stored.*revive`))]);
    expect(tokens).toEqual({ spent: 44, saved: 0 });
  });

  it('LangChain: comes back as one with `revive`, which is given the message as JSON', async () => {
    const revive = (plain: unknown) => new AIMessage((plain as { kwargs: ConstructorParameters<typeof AIMessage>[0] & object }).kwargs);
    const { answers, tokens } = await askTwice(() => chat().invoke(question), ['openai-chat/tool-calls'], { revive });
    expect(server.asked).toBe(1);
    expect(answers[1]).toBeInstanceOf(AIMessage);
    expect((answers[1] as AIMessage).toDict()).toEqual(JSON.parse(JSON.stringify((answers[0] as AIMessage).toDict())));
    expect((answers[1] as AIMessage).tool_calls).toMatchObject([{ name: 'weather', args: { city: 'Tokyo' } }]);
    expect(tokens).toEqual({ spent: 76, saved: 76 });
  });

  it('LangChain: what toDict makes of a message is stored, and made one again by the caller', async () => {
    const { answers } = await askTwice(messageOf, ['openai-chat/text']);
    expect(mapStoredMessageToChatMessage(answers[1] as StoredMessage)).toMatchObject({ content: 'The capital of Japan is Tokyo.' });
  });

  it('AI SDK: `revive` is given its steps, and may return what the method\'s callers need of them', async () => {
    const revive = (plain: unknown) => {
      if (!(plain instanceof Object && 'steps' in plain)) return plain;
      const last = (plain.steps as Array<{ content: Array<{ type: string; text?: string }>; finishReason: string }>).at(-1)!;
      return { text: last.content.map(({ text = '' }) => text).join(''), finishReason: last.finishReason };
    };
    const { answers } = await askTwice(result, ['openai-chat/text'], { revive });
    expect(server.asked).toBe(1);
    expect(answers[1]).toEqual({ text: (answers[0] as { text: string }).text, finishReason: 'stop' });
  });

  it('AI SDK: a stream is handed through unread: to look at its promises would start it', async () => {
    server.script = ['openai-chat/text'];
    const stream = streamText({ model: languageModel(), prompt: question, maxRetries, onError: () => undefined });
    const prototype = Object.getPrototypeOf(stream) as Record<string, unknown>;
    const getters = (['finishReason', 'steps', 'text', 'content', 'toolCalls', 'usage', 'totalUsage', 'output'] as const).map((name) => jest.spyOn(prototype, name, 'get'));
    const { assistant, outcomes } = await appWith(async () => stream);
    expect(await assistant.ask(question)).toBe(stream);
    expect(outcomes).toMatchObject([{ stored: false, reason: 'unstorable' }]);
    for (const getter of getters) {
      expect(getter).not.toHaveBeenCalled();
      getter.mockRestore();
    }
    await stream.consumeStream();
  });
});
