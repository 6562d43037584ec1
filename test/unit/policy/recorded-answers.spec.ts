import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, jest } from '@jest/globals';
import { type CacheOutcome, LlmCache, memoryStore } from 'nestjs-llm-cache';
import { ANSWER_SHAPES } from '../../../lib/engine/admission.js';
import { inspectAnswer } from '../../../lib/policy/gate.js';
import { sealEnvelope } from '../../../lib/stores/envelope.js';
import { encodeValue } from '../../../lib/stores/value-codec.js';
import { EXPECTED } from '../../fixtures/recorded/expected.js';

const FOLDER = fileURLToPath(new URL('../../fixtures/recorded/', import.meta.url));
const files = (readdirSync(FOLDER, { recursive: true }) as string[]).filter((path) => path.endsWith('.json') && !/-stream[\\/]/.test(path));
const names = files.map((path) => path.replaceAll('\\', '/').replace('.json', '')).sort();

const answerOf = (name: string): Record<string, unknown> => JSON.parse(readFileSync(`${FOLDER}${name}.json`, 'utf8')) as Record<string, unknown>;
const refusedNames = names.filter((name) => EXPECTED[name]!.verdict !== 'stored');
const parts = (name: string) => ({ name: 'Recorded.ask', input: name });

describe('recorded answers', () => {
  it('are all expected, and all there', () => {
    expect(names).toEqual(Object.keys(EXPECTED).sort());
  });

  it.each(['openai-chat', 'openai-responses', 'anthropic', 'ai-sdk', 'langchain', 'gemini'])('%s: some are stored, some are refused for each kind of reason', (vendor) => {
    const verdicts = new Set(names.filter((name) => name.startsWith(`${vendor}/`)).map((name) => EXPECTED[name]!.verdict));
    expect([...verdicts]).toEqual(expect.arrayContaining(['stored', 'truncated', 'empty', 'error']));
  });

  it.each(names)('%s', (name) => {
    const { verdict, usage, model, finishReason } = EXPECTED[name]!;
    const { refused = 'stored', usage: read, ...rest } = inspectAnswer(answerOf(name), ANSWER_SHAPES);
    expect({ refused, usage: read && [read.inputTokens, read.outputTokens, read.totalTokens], ...rest }).toEqual({ refused: verdict, usage, model, finishReason });
  });

  it('have one shape at most: the order of the shapes does not matter', () => {
    const shapesOf = (name: string): number => ANSWER_SHAPES.filter((shape) => shape.matches(answerOf(name))).length;
    expect(names.filter((name) => shapesOf(name) > 1)).toEqual([]);
  });
});

describe('through a cache', () => {
  it.each(names)('%s is asked for once or each time, and counted', async (name) => {
    const { verdict, usage } = EXPECTED[name]!;
    const llmCache = new LlmCache();
    const produce = jest.fn(() => answerOf(name));
    const outcomes: CacheOutcome[] = [];
    const ask = () => llmCache.wrap(parts(name), produce, { onOutcome: (outcome) => outcomes.push(outcome) });
    const [first, second] = [await ask(), await ask()];
    expect(second).toEqual(first);
    const isStored = verdict === 'stored';
    expect(outcomes).toMatchObject(
      isStored ? [{ status: 'miss', stored: true }, { status: 'hit' }] : [{ status: 'miss', stored: false, reason: verdict }, { status: 'miss', reason: verdict }],
    );
    const total = usage?.[2] ?? 0;
    expect(llmCache.stats().tokens).toEqual(isStored ? { spent: total, saved: total } : { spent: 2 * total, saved: 0 });
    expect(produce).toHaveBeenCalledTimes(isStored ? 1 : 2);
  });

  it.each(refusedNames)('%s, stored by a laxer version, is refused when it is read, and replaced', async (name) => {
    const store = memoryStore();
    const llmCache = new LlmCache({ stores: store });
    const key = llmCache.keyFor(parts(name));
    const payload = encodeValue(answerOf(name), { flatten: false });
    const nowMs = Date.now();
    const entry = { key, createdAtMs: nowMs, expiresAtMs: nowMs + 60_000, versions: [], latencyMs: 1, usage: undefined, model: undefined, finishReason: undefined };
    await store.set(key, sealEnvelope({ ...entry, payload }));
    expect(await llmCache.wrap(parts(name), () => 'better')).toBe('better');
    await store.set(key, sealEnvelope({ ...entry, payload: encodeValue('good', { flatten: false }) }));
    expect(await llmCache.wrap(parts(name), () => 'never')).toBe('good'); // such an entry is served where its answer is good
  });
});
