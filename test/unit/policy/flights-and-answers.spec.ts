import { describe, expect, it } from '@jest/globals';
import { LlmCache, LlmService } from 'nestjs-llm-cache';
import { FakeLlmProvider } from 'nestjs-llm-cache/testing';
import { inspectAnswer } from '../../../lib/policy/gate.js';
import { openAiChatShape } from '../../../lib/policy/openai-chat-shape.js';
import { SingleFlight } from '../../../lib/policy/single-flight.js';

describe('a signal that has aborted already', () => {
  it('rejects the wait', async () => {
    const flight = new SingleFlight<string, string>().start('k', 'leader', async () => 'answer');
    await expect(flight.wait(AbortSignal.abort('gone'))).rejects.toBe('gone');
  });

  it('at any moment after a store has answered keeps the caller from getting an answer, or the upstream from being called', async () => {
    for (let turns = 0; turns < 15; turns++) {
      const abort = new AbortController();
      const spin = (left: number): void => (left === 0 ? abort.abort('gone') : queueMicrotask(() => spin(left - 1)));
      const store = {
        hooks: {},
        stats: {},
        get: async (key: string): Promise<unknown> => {
          if (!key.includes('.versions')) spin(turns);
          return undefined;
        },
        set: async () => true,
        delete: async () => true,
        clear: async () => undefined,
      };
      const cache = new LlmCache({ stores: store });
      const asked = cache.wrap({ name: 'n', input: turns }, () => new Promise((resolve) => setImmediate(resolve, 'answer')), { signal: abort.signal });
      await expect(asked).rejects.toBe('gone');
    }
  });
});

describe('a produce that throws synchronously', () => {
  it('frees the key', async () => {
    const flights = new SingleFlight<string, string>();
    const failure = new Error('at once');
    const flight = flights.start('k', 'leader', () => {
      throw failure;
    });
    await expect(flight.wait(undefined)).rejects.toBe(failure);
    expect(flights.get('k')).toBeUndefined();
  });
});

const inspect = (answer: unknown): ReturnType<typeof inspectAnswer> => inspectAnswer(answer, [openAiChatShape]);
const completion = (message: unknown, finish_reason = 'stop'): unknown => ({ object: 'chat.completion', choices: [{ finish_reason, message }] });

describe('an answer with choices of its own', () => {
  it.each<[unknown]>([
    [{ question: 'Which planet?', choices: ['Mars', 'Venus'] }],
    [{ question: 'Which planet?', choices: [{ id: 'a', label: 'Mars' }] }],
    [{ question: 'Say anything.', choices: [] }],
    [{ object: 'text_completion', choices: [{ text: 'Tokyo.', finish_reason: 'stop' }] }],
  ])('%j may be stored', (answer) => {
    expect(inspect(answer).refused).toBeUndefined();
  });
});

describe('content parts that say nothing', () => {
  it.each<[unknown]>([
    [[{ type: 'text', text: '' }]],
    [[{ type: 'refusal', refusal: 'I cannot help.' }]],
    [[{ type: 'thinking', thinking: 'Let me see' }]],
  ])('%j is not stored', (content) => {
    expect(inspect(completion({ content })).refused).toBeDefined();
  });
});

describe('a finish reason that is a property of every object', () => {
  it('is unfinished like any other unknown one', () => {
    expect(inspect(completion({ content: 'x' }, 'constructor')).refused).toBe('unfinished');
  });
});

describe('FakeLlmProvider', () => {
  it('answers a request it cannot copy', async () => {
    const llm = new LlmService(new LlmCache(), new FakeLlmProvider('x'));
    expect((await llm.chat({ messages: [], onToken: () => undefined })).choices).toHaveLength(1);
  });
});
