import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { type BatchItem, type ChatRequest, type ChatResponse, LlmCache, LlmService, memoryStore } from 'nestjs-llm-cache';
import { ask, echo, textOf } from '../fixtures/batches.js';

/** What the provider does with a question: the kind is in its text. */
const KINDS = ['good', 'cut', 'fails', 'may pass'] as const;

const question = fc.tuple(fc.constantFrom(...KINDS), fc.nat(6)).map(([kind, number]) => `${kind} ${number}`);

function answerTo(request: ChatRequest): ChatResponse {
  const text = echo(request);
  if (text.startsWith('fails')) throw Object.assign(new Error(text), { status: 400 });
  if (text.startsWith('may pass')) throw Object.assign(new Error(text), { status: 500 });
  return { choices: [{ index: 0, finish_reason: text.startsWith('cut') ? 'length' : 'stop', message: { role: 'assistant', content: text } }] };
}

const expectedText = (text: string): string => (text.startsWith('good') || text.startsWith('cut') ? text : `! ${text}`);

describe('a batch', () => {
  it('has one item for each request, its own, whatever is stored, repeated, refused or fails; and asks each question once', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(question, { maxLength: 60 }),
        fc.uniqueArray(question, { maxLength: 8 }),
        fc.record({ concurrency: fc.integer({ min: 1, max: 6 }), window: fc.integer({ min: 1, max: 30 }), ordered: fc.boolean() }),
        fc.boolean(),
        fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 }),
        async (texts, storedTexts, options, isAsync, delays) => {
          const sent: string[] = [];
          let calls = 0;
          const provider = {
            id: 'model',
            chat: async (request: ChatRequest) => {
              sent.push(echo(request));
              for (let turn = delays[calls++ % (delays.length || 1)] ?? 0; turn > 0; turn--) await new Promise((resolve) => setImmediate(resolve));
              return answerTo(request);
            },
          };
          const llmCache = new LlmCache({ stores: memoryStore() }, undefined, provider.id);
          const llm = new LlmService(llmCache, provider);
          for (const text of storedTexts.filter((stored) => stored.startsWith('good'))) await llm.chat(ask(text));
          const inStore = new Set(sent.splice(0));
          const requests = isAsync ? (async function* () { yield* texts.map((text) => ask(text)); })() : texts.map((text) => ask(text));
          const items: BatchItem[] = [];
          for await (const item of llm.batch(requests, options)) items.push(item);

          expect(items.map(({ index }) => index).sort((a, b) => a - b)).toEqual(texts.map((_, index) => index));
          if (options.ordered) expect(items.map(({ index }) => index)).toEqual(texts.map((_, index) => index));
          for (const item of items) expect(textOf(item)).toBe(expectedText(texts[item.index]!));
          const lasting = sent.filter((text) => !text.startsWith('may pass'));
          expect(lasting.sort()).toEqual([...new Set(texts.filter((text) => !text.startsWith('may pass') && !inStore.has(text)))].sort());
          const { hits, misses, coalesced, bypassed } = llmCache.stats();
          expect(hits + misses + coalesced + bypassed - inStore.size).toBe(texts.length);
          await llmCache.close();
        },
      ),
      { numRuns: 150 },
    );
  });
});
