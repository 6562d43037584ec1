import { describe, expect, it } from '@jest/globals';
import { LlmCache } from 'nestjs-llm-cache';
import { Observable, of, throwError } from 'rxjs';
import { settled } from '../../fixtures/deferred.js';
import { collect, ManualStream, setUp, words } from '../../fixtures/streams.js';

const CHUNK = { object: 'chat.completion.chunk', id: 'c', model: 'gpt-4o', created: 1 };
const delta = (content: string, finish: string | null = null): object => ({ ...CHUNK, choices: [{ index: 0, delta: { content }, finish_reason: finish }] });

describe('a stream read to its end', () => {
  it('is stored, and answers the next caller chunk by chunk', async () => {
    const { ask, outcomes } = setUp();
    const chunks = ['a', { b: [1, null] }, '', 3, new Date(0), undefined, new Map([[1, new Uint8Array(2)]])];
    expect(await collect(ask(() => words(...chunks)))).toEqual(chunks);
    expect(await collect(ask(() => words('never')))).toEqual(chunks);
    expect(outcomes).toEqual([['miss', true, undefined], ['hit', false, undefined]]);
  });

  it('passes the very chunks through, at once', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    const chunk = { a: 1 };
    upstream.push(chunk);
    expect((await stream.next()).value).toBe(chunk);
    const waiting = stream.next();
    await settled();
    upstream.push(chunk);
    expect((await waiting).value).toBe(chunk);
    await stream.return(undefined);
  });

  it('pulls no chunk that nobody asked for', async () => {
    const { ask } = setUp();
    const upstream = new ManualStream();
    const stream = ask(upstream.produce);
    await settled();
    expect([upstream.starts, upstream.pulled]).toEqual([0, 0]);
    upstream.push('a', 'b', 'c');
    await stream.next();
    await settled();
    expect([upstream.starts, upstream.pulled]).toEqual([1, 1]);
    await stream.return(undefined);
  });

  it.each<[source: string, produce: () => unknown]>([
    ['an async generator', () => words('a', 'b')],
    ['a promise of one', async () => words('a', 'b')],
    ['an Observable', () => of('a', 'b')],
    ['an Observable of another copy of rxjs', () => ({ subscribe: (observer: never) => of('a', 'b').subscribe(observer) })],
    ['a ReadableStream', () => ReadableStream.from(['a', 'b'])],
    ['a list', () => ['a', 'b']],
  ])('may be %s', async (_source, produce) => {
    const { ask, outcomes } = setUp();
    expect(await collect(ask(produce))).toEqual(['a', 'b']);
    expect(await collect(ask(produce))).toEqual(['a', 'b']);
    expect(outcomes.map(([status]) => status)).toEqual(['miss', 'hit']);
  });

  it('shares no entry with a whole answer of the same parts', async () => {
    const { llmCache, ask } = setUp();
    await collect(ask(() => words('streamed')));
    expect(await llmCache.wrap({ name: 'Tickets.reply', input: 'question' }, () => 'whole')).toBe('whole');
    expect(await collect(ask(() => words('never')))).toEqual(['streamed']);
  });

  it('is removed by its parts', async () => {
    const { llmCache, ask } = setUp();
    await collect(ask(() => words('old')));
    await llmCache.invalidate({ key: { name: 'Tickets.reply', input: 'question', stream: true } });
    expect(await collect(ask(() => words('new')))).toEqual(['new']);
  });
});

describe('what is not stored', () => {
  const run = (): number => 1;
  const boom = new RangeError('boom');
  const throwing = async function* (): AsyncGenerator {
    yield 'a';
    throw boom;
  };

  it.each<[what: string, reason: string, produce: () => unknown]>([
    ['no chunk at all', 'empty', () => words()],
    ['empty texts', 'empty', () => words('', '')],
    ['an error chunk', 'error', () => words({ a: 1 }, { error: { message: 'overloaded' } })],
    ['a truncated answer', 'truncated', () => words(delta('a'), delta('', 'length'))],
    ['a filtered answer', 'content-filter', () => words(delta('a'), delta('', 'content_filter'))],
    ['a stream without its end', 'unfinished', () => words(delta('a'), delta('b'))],
    ['a chunk with a function', 'unstorable', () => words('a', { run })],
    ['more than maxEntryBytes', 'too-large', () => words('x'.repeat(600), 'y'.repeat(600))],
  ])('%s: %s', async (_what, reason, produce) => {
    const { ask, outcomes } = setUp({ maxEntryBytes: 1_000 });
    const first = await collect(ask(produce));
    expect(await collect(ask(produce))).toEqual(first);
    expect(outcomes).toEqual([['miss', false, reason], ['miss', false, reason]]);
  });

  it.each<[what: string, produce: () => unknown, chunks: unknown[]]>([
    ['a throw in the middle', throwing, ['a']],
    ['a throw before the first chunk', () => { throw boom; }, []],
    ['a promise that rejects', () => Promise.reject(boom), []],
    ['an Observable that fails at once', () => throwError(() => boom), []],
    ['an Observable that fails later', () => new Observable((subscriber) => { subscriber.next('a'); setImmediate(() => subscriber.error(boom)); }), ['a']],
  ])('%s: its readers get the chunks, then the very error; the next caller starts anew', async (_what, produce, chunks) => {
    const { ask, outcomes } = setUp();
    for (let time = 0; time < 2; time++) {
      const stream = ask(produce);
      for (const chunk of chunks) expect(await stream.next()).toEqual({ done: false, value: chunk });
      await expect(stream.next()).rejects.toBe(boom);
      expect(await stream.next()).toEqual({ done: true, value: undefined });
    }
    expect(outcomes).toEqual([['miss', false, 'error'], ['miss', false, 'error']]);
  });

  it.each<[what: string, produce: () => unknown]>([
    ['a text', () => 'text'],
    ['nothing', () => undefined],
    ['a number', () => 5],
    ['a ReadableStream that somebody else reads', () => { const stream = ReadableStream.from(['a']); stream.getReader(); return stream; }],
  ])('%s: a TypeError for its reader', async (_what, produce) => {
    const { ask } = setUp();
    await expect(collect(ask(produce))).rejects.toMatchObject({ name: 'TypeError' });
  });

  it('a chunk that cannot be stored is warned of once, and passed on as it is', async () => {
    const { ask, llmCache } = setUp();
    const warnings: string[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
    class Token {
      constructor(readonly text: string) {}
    }
    for (let time = 0; time < 2; time++) {
      const [token] = await collect(ask(() => words(new Token('a'))));
      expect(token).toBeInstanceOf(Token);
    }
    expect(warnings).toEqual([expect.stringMatching(/Tickets\.reply: a chunk holds an instance of Token.*revive/)]);
  });

  it('a break', async () => {
    const { ask, outcomes } = setUp();
    for (let time = 0; time < 2; time++) for await (const chunk of ask(() => words('a', 'b', 'c'))) if (chunk === 'b') break;
    await settled();
    expect(outcomes).toEqual([['miss', false, 'aborted'], ['miss', false, 'aborted']]);
  });

  it('an answer whose caller wants it not to be', async () => {
    const { ask, outcomes } = setUp();
    for (let time = 0; time < 2; time++) await collect(ask(() => words('a'), { noStore: true }));
    expect(outcomes).toEqual([['miss', false, 'no-store'], ['miss', false, 'no-store']]);
  });
});

describe('cache control', () => {
  it('noCache asks anew and stores that', async () => {
    const { ask } = setUp();
    await collect(ask(() => words('old')));
    expect(await collect(ask(() => words('new'), { noCache: true }))).toEqual(['new']);
    expect(await collect(ask(() => words('never')))).toEqual(['new']);
  });

  it('bypass neither reads nor stores, and counts what was spent', async () => {
    const { ask, outcomes, llmCache } = setUp();
    const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
    const answer = (): unknown => words(delta('a', 'stop'), { ...CHUNK, choices: [], usage });
    for (let time = 0; time < 2; time++) await collect(ask(answer, { bypass: true }));
    expect(outcomes).toEqual([['bypass', false, 'requested'], ['bypass', false, 'requested']]);
    expect(llmCache.stats()).toMatchObject({ bypassed: 2, upstream: 2, tokens: { spent: 14, saved: 0 } });
  });

  it('onlyIfCached rejects a miss when it is read', async () => {
    const { ask } = setUp();
    await expect(collect(ask(() => words('a'), { onlyIfCached: true }))).rejects.toThrow(/onlyIfCached/);
    await collect(ask(() => words('a')));
    expect(await collect(ask(() => words('never'), { onlyIfCached: true }))).toEqual(['a']);
  });

  it("the cache that is off passes everything through", async () => {
    const { ask, outcomes } = setUp({ mode: 'off' });
    for (let time = 0; time < 2; time++) expect(await collect(ask(() => words('a', 'b')))).toEqual(['a', 'b']);
    expect(outcomes.map(([, , reason]) => reason)).toEqual(['off', 'off']);
  });

  it('a filter sees the whole answer, and can refuse it', async () => {
    const seen: unknown[] = [];
    const { ask, outcomes } = setUp({ cacheable: (answer) => seen.push(answer) > 1 });
    await collect(ask(() => words('half ', 'an answer')));
    await collect(ask(() => words('a ', 'whole')));
    await collect(ask(() => words('never')));
    expect(seen).toEqual(['half an answer', 'a whole', 'a whole']);
    expect(outcomes).toEqual([['miss', false, 'not-cacheable'], ['miss', true, undefined], ['hit', false, undefined]]);
  });

  it('revive makes the instances out of stored chunks', async () => {
    class Token {
      constructor(readonly text: string) {}
    }
    const llmCache = new LlmCache();
    const defaults = { revive: (plain: unknown) => new Token((plain as Token).text) };
    const parts = { name: 'n', input: 1, stream: true };
    const tokens = { given: undefined, about: () => ({ parts, defaults }), produce: () => words(new Token('a')) };
    const ask = async (): Promise<unknown[]> => {
      const read = await llmCache.openerOf(tokens, {})(() => new AbortController().signal);
      return [read.take()];
    };
    const first = await llmCache.openerOf(tokens, {})(() => new AbortController().signal);
    await new Promise<void>((resolve) => first.whenReady(resolve));
    expect(first.take()).toBeInstanceOf(Token);
    await new Promise<void>((resolve) => { first.take(); first.whenReady(resolve); });
    await settled();
    expect(await ask()).toEqual([new Token('a')]);
    expect(llmCache.stats()).toMatchObject({ misses: 1, hits: 1 });
  });
});
