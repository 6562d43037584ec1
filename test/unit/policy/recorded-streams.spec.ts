import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, jest } from '@jest/globals';
import { type KeyParts, memoryStore } from 'nestjs-llm-cache';
import { ANSWER_SHAPES, STREAM_SHAPES } from '../../../lib/engine/admission.js';
import { inspectAnswer } from '../../../lib/policy/gate.js';
import { assembleChunks } from '../../../lib/policy/streamed-answer.js';
import { sealEnvelope } from '../../../lib/stores/envelope.js';
import { chunkCodec, joinChunks } from '../../../lib/streaming/chunk-codec.js';
import { EXPECTED_STREAMS } from '../../fixtures/recorded/expected.js';
import { collect, QUESTION, setUp, words } from '../../fixtures/streams.js';

const FOLDER = fileURLToPath(new URL('../../fixtures/recorded/', import.meta.url));
const files = (readdirSync(FOLDER, { recursive: true }) as string[]).filter((path) => /-stream[\\/].*\.json$/.test(path));
const names = files.map((path) => path.replaceAll('\\', '/').replace('.json', '')).sort();

const chunksOf = (name: string): unknown[] => JSON.parse(readFileSync(`${FOLDER}${name}.json`, 'utf8')) as unknown[];
const refusedNames = names.filter((name) => EXPECTED_STREAMS[name]!.verdict !== 'stored');
const judged = (chunks: unknown[]) => inspectAnswer(assembleChunks(chunks, STREAM_SHAPES), ANSWER_SHAPES);

describe('recorded streams', () => {
  it('are all expected, and all there', () => {
    expect(names).toEqual(Object.keys(EXPECTED_STREAMS).sort());
  });

  it.each(['openai-chat', 'openai-responses', 'anthropic', 'gemini', 'ai-sdk', 'langchain', 'sse'])('%s: some are stored, some are refused for each kind of reason', (vendor) => {
    const verdicts = new Set(names.filter((name) => name.startsWith(`${vendor}-stream/`)).map((name) => EXPECTED_STREAMS[name]!.verdict));
    expect([...verdicts]).toEqual(expect.arrayContaining(['stored', 'truncated', 'empty', 'error', 'unfinished']));
  });

  it.each(names)('%s', (name) => {
    const { verdict, usage, model, finishReason } = EXPECTED_STREAMS[name]!;
    const { refused = 'stored', usage: read, ...rest } = judged(chunksOf(name));
    expect({ refused, usage: read && [read.inputTokens, read.outputTokens, read.totalTokens], ...rest }).toEqual({ refused: verdict, usage, model, finishReason });
  });

  it('have chunks of one shape at most: the order of the shapes does not matter', () => {
    const shapesOf = (chunk: unknown): number => STREAM_SHAPES.filter((shape) => shape.matches(chunk as Record<string, unknown>)).length;
    expect(names.filter((name) => chunksOf(name).some((chunk) => shapesOf(chunk) > 1))).toEqual([]);
  });

  it.each(names)('%s is left as it was, and adds up to the same again', (name) => {
    const chunks = chunksOf(name);
    const first = structuredClone(assembleChunks(chunks, STREAM_SHAPES));
    expect(chunks).toEqual(chunksOf(name));
    expect(assembleChunks(chunks, STREAM_SHAPES)).toEqual(first);
  });

  it.each(names.filter((name) => EXPECTED_STREAMS[name]!.verdict === 'stored'))('%s is refused when it breaks off with an error, or in the middle', (name) => {
    const chunks = chunksOf(name);
    const error = { error: { message: 'The engine died.' } };
    const isText = typeof chunks[0] === 'string';
    expect(judged([...chunks.slice(0, 2), isText ? `\n\ndata: ${JSON.stringify(error)}\n\n` : error]).refused).toBe('error');
    expect(judged(chunks.slice(0, Math.ceil(chunks.length / 2))).refused).toBeDefined();
  });
});

describe('through a cache', () => {
  it.each(names)('%s is asked for once or each time', async (name) => {
    const { verdict } = EXPECTED_STREAMS[name]!;
    const { ask, outcomes } = setUp();
    const produce = jest.fn(() => words(...chunksOf(name)));
    const [first, second] = [await collect(ask(produce)), await collect(ask(produce))];
    expect([first, second]).toEqual([chunksOf(name), chunksOf(name)]);
    const isStored = verdict === 'stored';
    expect(outcomes).toEqual(isStored ? [['miss', true, undefined], ['hit', false, undefined]] : [['miss', false, verdict], ['miss', false, verdict]]);
    expect(produce).toHaveBeenCalledTimes(isStored ? 1 : 2);
  });

  it.each(refusedNames)('%s, stored by a laxer version, is refused when it is read', async (name) => {
    const store = memoryStore();
    const { ask, llmCache, outcomes } = setUp({ stores: store });
    const codec = chunkCodec();
    const parts: KeyParts & { stream: true } = { ...QUESTION, stream: true };
    const key = llmCache.keyFor(parts);
    const nowMs = Date.now();
    const put = (chunks: unknown[]): Promise<unknown> =>
      store.set(key, sealEnvelope({ key, createdAtMs: nowMs, expiresAtMs: nowMs + 60_000, versions: [], latencyMs: 1, usage: undefined, model: undefined, finishReason: undefined, payload: joinChunks(chunks.map((chunk) => codec.encode(chunk))) }));
    await put(chunksOf(name));
    expect(await collect(ask(() => words('better')))).toEqual(['better']);
    await put(['good']);
    expect(await collect(ask(() => words('never')))).toEqual(['good']); // such an entry is served where its answer is good
    expect(outcomes.map(([status]) => status)).toEqual(['miss', 'hit']);
  });
});
