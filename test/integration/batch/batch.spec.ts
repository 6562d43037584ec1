import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type BatchItem, type BatchOptions, type BatchProgress, type BatchRequest, CacheLlm, type ChatRequest, type ChatResponse, LlmCache,
  LlmCacheConfigError, type LlmCacheOptions, LlmService, memoryStore, withCacheControl,
} from 'nestjs-llm-cache';
import { FakeLlmProvider, LlmCacheTestingModule, type ScriptedAnswer } from 'nestjs-llm-cache/testing';
import { opened } from '../../fixtures/apps.js';
import { all, ask, echo, serverError, start, textOf } from '../../fixtures/batches.js';
import { deferred, settled } from '../../fixtures/deferred.js';
import { adapterOf, StoreFixture } from '../../fixtures/sqlite/open-store.js';

const statusesOf = (items: BatchItem[]): string[] => items.map(({ outcome }) => outcome.status);
const answersTo = (...texts: string[]): string[] => texts.map((text) => `Answer to: ${text}`);

describe('items', () => {
  it('come in the order of the requests, each with its own answer, stored or not', async () => {
    const { llm, provider } = await start();
    for (const text of ['b', 'c']) await llm.chat(ask(text));
    const items = await all(llm.batch(['a', 'b', 'c', 'd'].map((text) => ask(text))));
    expect(items.map(textOf)).toEqual(answersTo('a', 'b', 'c', 'd'));
    expect(items.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(statusesOf(items)).toEqual(['miss', 'hit', 'hit', 'miss']);
    expect(provider.calls).toHaveLength(4);
  });

  it('come as they are answered with ordered: false', async () => {
    const slow = deferred<string>();
    const { llm } = await start({}, (request) => (echo(request) === 'slow' ? slow.promise : echo(request)));
    const seen: string[] = [];
    for await (const item of llm.batch(['slow', 'a', 'b'].map((text) => ask(text)), { ordered: false })) {
      seen.push(textOf(item));
      if (seen.length === 2) slow.resolve('slow');
    }
    expect(seen).toEqual(['a', 'b', 'slow']);
  });

  it('carry the custom_id of a batch line', async () => {
    const { llm } = await start();
    const lines = [{ custom_id: 'first', method: 'POST', url: '/v1/chat/completions', body: ask('a') }, ask('b')];
    expect((await all(llm.batch(lines))).map(({ id }) => id)).toEqual(['first', undefined]);
  });

  it.each<[string, Iterable<ChatRequest> | AsyncIterable<ChatRequest>]>([
    ['an array', [ask('a'), ask('b')]],
    ['a Set', new Set([ask('a'), ask('b')])],
    ['a generator', (function* () { yield ask('a'); yield ask('b'); })()],
    ['an array of promises', [Promise.resolve(ask('a')), ask('b')] as ChatRequest[]],
    ['an async generator', (async function* () { yield ask('a'); await Promise.resolve(); yield ask('b'); })()],
  ])('are made from %s', async (_what, requests) => {
    const { llm } = await start();
    expect((await all(llm.batch(requests))).map(textOf)).toEqual(answersTo('a', 'b'));
  });

  it('are none for an empty batch, which says so once', async () => {
    const { llm } = await start();
    const told: BatchProgress[] = [];
    expect(await all(llm.batch([], { onProgress: (progress) => told.push(progress) }))).toEqual([]);
    expect(told).toEqual([{ done: 0, total: 0, hits: 0, coalesced: 0, failures: 0, perSecond: 0, remainingMs: 0 }]);
  });

  it('belong to the request as it was yielded, though the source goes on using the same object', async () => {
    const { llm, provider } = await start();
    const shared = ask('');
    const requests = (function* () {
      for (const text of ['a', 'b', 'c']) {
        shared.messages[0]!.content = text;
        yield shared;
      }
    })();
    expect((await all(llm.batch(requests, { concurrency: 1 }))).map(textOf)).toEqual(answersTo('a', 'b', 'c'));
    expect(provider.calls.map(echo)).toEqual(['a', 'b', 'c']);
  });

  it('tell apart what only instances of classes tell apart', async () => {
    const { llm, provider } = await start({}, (request) => JSON.stringify(request.messages[0]!.content));
    const urls = ['http://a.example/', 'http://b.example/'];
    const requests = urls.map((url) => ({ messages: [{ role: 'user', content: new URL(url) }] }) as unknown as ChatRequest);
    expect((await all(llm.batch(requests))).map(textOf)).toEqual(urls.map((url) => JSON.stringify(url)));
    expect(provider.calls).toHaveLength(2);
    expect(await llm.text([{ role: 'user', content: new URL('http://c.example/') as never }])).toBe('"http://c.example/"');
  });

  it('are private: one reader’s changes reach no other', async () => {
    const { llm } = await start({}, truncated('cut'));
    const texts: string[] = [];
    for await (const item of llm.batch(['a', 'a', 'b', 'a'].map((text) => ask(text)), { concurrency: 1 })) {
      texts.push(textOf(item));
      item.response!.choices[0]!.message.content = 'changed';
    }
    expect(texts).toEqual(['cut', 'cut', 'cut', 'cut']);
  });
});

function truncated(content: string): ChatResponse {
  return { choices: [{ index: 0, finish_reason: 'length', message: { role: 'assistant', content } }], usage: { total_tokens: 7 } };
}

describe('equal requests', () => {
  it('are sent once, next to each other and far apart', async () => {
    const { llm, llmCache, provider } = await start();
    const texts = ['a', 'a', 'a', ...Array.from({ length: 600 }, (_, index) => `other ${index % 300}`), 'a'];
    const items = await all(llm.batch(texts.map((text) => ask(text))));
    expect(items.map(textOf)).toEqual(answersTo(...texts));
    expect(provider.calls).toHaveLength(301);
    const { hits, misses, coalesced, upstream } = llmCache.stats();
    expect({ misses, upstream, repeats: hits + coalesced }).toEqual({ misses: 301, upstream: 301, repeats: 303 });
    expect(statusesOf(items).slice(0, 3)).toEqual(['miss', 'coalesced', 'coalesced']);
    expect(statusesOf(items).at(-1)).toBe('hit');
  });

  it.each<[string, LlmCacheOptions, BatchOptions, ScriptedAnswer]>([
    ['an answer the gate refuses', {}, {}, truncated('cut')],
    ['an answer that is too large to store', { maxEntryBytes: 100 }, {}, 'x'.repeat(1_000)],
    ['noStore', {}, { noStore: true }, 'answer'],
    ['noCache', {}, { noCache: true }, 'answer'],
    ['a store that is down', { stores: brokenStore() }, {}, 'answer'],
    ['an error that would come again', {}, {}, serverError(400)],
    ['an error of unknown kind', {}, {}, new Error('no')],
  ])('are sent once in spite of %s', async (_what, options, batchOptions, answer) => {
    const { llm, provider } = await start(options, answer);
    if (batchOptions.noCache) await llm.chat(ask('a'));
    const before = provider.calls.length;
    const texts = ['a', 'a', ...Array.from({ length: 300 }, (_, index) => `b ${index}`), 'a', 'a'];
    const items = await all(llm.batch(texts.map((text) => ask(text)), batchOptions));
    expect(provider.calls.slice(before).filter((call) => echo(call) === 'a')).toHaveLength(1);
    expect(new Set(items.map(textOf)).size).toBe(1);
  });

  it('are tried again after a failure that may have passed', async () => {
    const { llm, provider } = await start({}, serverError(500), 'better');
    const items = await all(llm.batch(['a', 'a'].map((text) => ask(text)), { window: 1 }));
    expect(items.map(textOf)).toEqual(['! status 500', 'better']);
    expect(provider.calls).toHaveLength(2);
  });

  it('share an answer without changing it', async () => {
    const answer = { ...truncated('cut'), made: new Date(0), score: Number.NaN, none: undefined };
    const { llm } = await start({}, answer);
    const items = await all(llm.batch(['a', 'a'].map((text) => ask(text))));
    for (const { response } of items) expect(response).toStrictEqual(answer);
  });

  it('share the very error, and its outcome says so', async () => {
    const error = serverError(400);
    const { llm } = await start({}, error);
    const items = await all(llm.batch(['a', 'a'].map((text) => ask(text))));
    expect(items.map((item) => item.error)).toEqual([error, error]);
    expect(items[1]!.error).toBe(error);
    expect(statusesOf(items)).toEqual(['miss', 'coalesced']);
  });
});

describe('an invalidation in the middle of a batch', () => {
  const [good, cut] = [(text: string): string => text, truncated];

  it.each<[string, (llmCache: LlmCache, llm: LlmService) => Promise<void>, (text: string) => string | ChatResponse, BatchOptions]>([
    ['clear', (llmCache) => llmCache.clear(), cut, {}],
    ['a tag', (llmCache) => llmCache.invalidate({ tags: ['facts'] }), cut, {}],
    ['a key', (llmCache, llm) => llmCache.invalidate({ key: llm.partsOf(ask('a')) }), cut, {}],
    ['clear', (llmCache) => llmCache.clear(), good, { noStore: true }],
    ['clear', (llmCache) => llmCache.clear(), good, { noCache: true }],
    ['clear', (llmCache) => llmCache.clear(), good, {}],
  ])('by %s: whoever is read after it gets nothing of before', async (_what, invalidate, answer, options) => {
    let fact = 'old';
    const first = deferred();
    const { llm, llmCache } = await start({}, async () => answer(fact));
    const requests = (async function* () {
      yield ask('a');
      await first.promise;
      fact = 'new';
      await invalidate(llmCache, llm);
      yield* [ask('a'), ask('a')];
    })();
    const texts: string[] = [];
    for await (const item of llm.batch(requests, { tags: ['facts'], ...options })) {
      texts.push(textOf(item));
      first.resolve();
    }
    expect(texts).toEqual(['old', 'new', 'new']);
  });

  it('of an answer under way: who asks after it is not told it, and does not wait for it', async () => {
    const old = deferred<string>();
    const { llm, llmCache, provider } = await start({}, () => (provider.calls.length === 1 ? old.promise : 'new'));
    const requests = (async function* () {
      yield ask('a');
      await settled();
      await llmCache.clear();
      yield* [ask('a'), ask('a')];
    })();
    const texts: string[] = [];
    for await (const item of llm.batch(requests, { ordered: false })) {
      texts.push(textOf(item));
      if (texts.length === 2) old.resolve('old');
    }
    expect(texts).toEqual(['new', 'new', 'old']);
    expect(provider.calls).toHaveLength(2);
    expect(await llm.text('a')).toBe('new');
  });
});

function brokenStore(): LlmCacheOptions['stores'] {
  const broken = (): never => {
    throw new Error('down');
  };
  return { get: broken, set: broken, delete: broken, clear: broken };
}

describe('look-ups', () => {
  it('of a window are one getMany of the store', async () => {
    const reads = { get: 0, getMany: [] as number[] };
    const held = new Map<string, unknown>();
    const store = {
      get: (key: string) => (reads.get++, held.get(key)),
      getMany: async (keys: string[]) => (reads.getMany.push(keys.length), keys.map((key) => held.get(key))),
      set: (key: string, value: unknown) => void held.set(key, value),
      delete: (key: string) => held.delete(key),
      clear: () => held.clear(),
    };
    const { llm } = await start({ stores: store });
    const requests = Array.from({ length: 100 }, (_, index) => ask(`question ${index}`));
    await all(llm.batch(requests));
    Object.assign(reads, { get: 0, getMany: [] });
    const items = await all(llm.batch(requests));
    expect(new Set(statusesOf(items))).toEqual(new Set(['hit']));
    expect(reads.get).toBe(0);
    expect(reads.getMany.reduce((sum, count) => sum + count, 0)).toBe(100);
    expect(reads.getMany.length).toBeLessThan(4); // one, but on a machine that takes its time to read them
  });

  it.each([
    ['fewer answers than keys', (values: unknown[]) => values.slice(1)],
    ['no list', () => undefined],
  ])('that bring %s count for nothing', async (_what, spoil) => {
    const held = new Map<string, unknown>();
    const store = {
      get: (key: string) => held.get(key),
      getMany: async (keys: string[]) => spoil(keys.map((key) => held.get(key))),
      set: (key: string, value: unknown) => void held.set(key, value),
      delete: (key: string) => held.delete(key),
      clear: () => held.clear(),
    };
    const { llm, provider } = await start({ stores: store });
    const requests = ['a', 'b', 'c'].map((text) => ask(text));
    await all(llm.batch(requests));
    const items = await all(llm.batch(requests));
    expect(items.map(textOf)).toEqual(answersTo('a', 'b', 'c'));
    expect(provider.calls.length).toBeLessThanOrEqual(6);
  });

  it('reach memory before a slower store, and each tier once', async () => {
    const [fast, slow] = [memoryStore(), memoryStore()];
    const { llm } = await start({ stores: [fast, slow] });
    const items = [...(await all(llm.batch([ask('a')]))), ...(await all(llm.batch([ask('a')])))];
    expect(items.map(({ outcome: { status, tier } }) => [status, tier])).toEqual([['miss', undefined], ['hit', 0]]);
  });
});

describe('a request that fails', () => {
  it('for a reason that cannot be read is an item all the same', async () => {
    const headers = {
      get: () => {
        throw new Error('no such header');
      },
    };
    const error = Object.assign(new Error('odd'), { status: 503, headers });
    const { llm } = await start({}, () => error);
    const items = await all(llm.batch([ask('a'), ask('b')]));
    expect(items.map((item) => item.error)).toEqual([error, error]);
  });

  it('is an item with its own error; the others go on', async () => {
    const error = new TypeError('boom');
    const { llm, provider } = await start({}, (request) => (echo(request) === 'b' ? error : echo(request)));
    const items = await all(llm.batch(['a', 'b', 'c'].map((text) => ask(text))));
    expect(items.map(textOf)).toEqual(['a', '! boom', 'c']);
    expect(items[1]!.error).toBe(error);
    expect(await llm.text('c')).toBe('c');
    expect(provider.calls).toHaveLength(3);
  });

  it.each([[null], ['a text'], [{}], [{ messages: 'no list' }], [{ custom_id: 'x', body: {} }], [{ custom_id: 'x', body: null }]])(
    'because it is none (%j) says so, and is not sent',
    async (given) => {
      const { llm, provider } = await start();
      const items = await all(llm.batch([ask('a'), given as never, ask('b')]));
      expect(items.map(textOf)).toEqual([answersTo('a')[0], expect.stringContaining('request 1 must be a chat request'), answersTo('b')[0]]);
      expect(LlmCacheConfigError.isInstance(items[1]!.error)).toBe(true);
      expect(items[1]!.outcome).toEqual({ status: 'bypass', name: 'fake', stored: false, reason: 'not a request' });
      expect(provider.calls).toHaveLength(2);
    },
  );
});

describe('a source', () => {
  it('that throws on its tenth request gives the nine before, then its error', async () => {
    const error = new Error('disk');
    const { llm } = await start();
    const requests = (function* () {
      for (let index = 0; index < 9; index++) yield ask(`question ${index}`);
      throw error;
    })();
    const items: BatchItem[] = [];
    const reading = (async () => {
      for await (const item of llm.batch(requests)) items.push(item);
    })();
    await expect(reading).rejects.toBe(error);
    expect(items).toHaveLength(9);
  });

  it('of promises ends the batch with the error of one that fails', async () => {
    const { llm } = await start();
    const error = new Error('disk');
    const requests = [ask('a'), Promise.reject(error)] as ChatRequest[];
    await expect(all(llm.batch(requests))).rejects.toBe(error);
  });

  it('is read on before the last item that is there has been taken', async () => {
    const { llm, provider } = await start();
    const requests = Array.from({ length: 20 }, (_, index) => ask(`question ${index}`));
    for await (const { index } of llm.batch(requests, { window: 10 })) {
      await settled();
      if (index === 5) expect(provider.calls.length).toBeGreaterThan(10);
    }
  });

  it('that takes its time keeps no request waiting', async () => {
    const { llm } = await start();
    const second = deferred();
    const requests = (async function* () {
      yield ask('a');
      await second.promise;
      yield ask('b');
    })();
    const items = llm.batch(requests)[Symbol.asyncIterator]();
    expect(textOf((await items.next()).value as BatchItem)).toBe(answersTo('a')[0]);
    second.resolve();
    expect(textOf((await items.next()).value as BatchItem)).toBe(answersTo('b')[0]);
  });

  it('is read no further than the window, and closed when nobody reads on', async () => {
    const { llm } = await start();
    let [read, closed] = [0, false];
    const requests = (function* () {
      try {
        for (;;) yield ask(`question ${read++}`);
      } finally {
        closed = true;
      }
    })();
    for await (const { index } of llm.batch(requests, { window: 20 })) {
      expect(read - index).toBeLessThanOrEqual(21);
      if (index === 100) break;
    }
    expect(closed).toBe(true);
  });

  it.each([[undefined], [null], [7], ['a text'], [{}]])('that is no iterable (%j) is refused at once', async (requests) => {
    const { llm } = await start();
    expect(() => llm.batch(requests as never)).toThrow(LlmCacheConfigError);
  });
});

describe('the kill switch', () => {
  it('leaves a batch uncached, and complete', async () => {
    const { llm, provider } = await start({ mode: 'off' });
    const items = await all(llm.batch([ask('a'), ask('a')]));
    expect(items.map(textOf)).toEqual(answersTo('a', 'a'));
    expect(statusesOf(items)).toEqual(['bypass', 'bypass']);
    expect(provider.calls).toHaveLength(2);
  });
});

describe('upstream', () => {
  it.each([1, 3, 8])('holds %i requests at one time', async (concurrency) => {
    let [running, most] = [0, 0];
    const { llm } = await start({}, async (request) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      return echo(request);
    });
    await all(llm.batch(Array.from({ length: 30 }, (_, index) => ask(`question ${index}`)), { concurrency }));
    expect(most).toBe(concurrency);
  });

  it('sees the model configuration of the method around, and the reader’s context does not matter', async () => {
    const context = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const { llm } = await start({}, (request) => (seen.push([request.model, request.temperature, context.getStore()]), 'ok'));
    const batch = context.run('asked', () => llm.batch([ask('a', { temperature: 0 })], { tags: ['nightly'] }));
    await context.run('read', () => all(batch));
    expect(seen).toEqual([[undefined, 0, 'asked']]);
  });

  it('follows the cache control around it', async () => {
    const { llm, provider } = await start();
    await llm.chat(ask('a'));
    const items = await withCacheControl({ noCache: true }, () => all(llm.batch([ask('a')])));
    expect(statusesOf(items)).toEqual(['miss']);
    expect(provider.calls).toHaveLength(2);
  });
});

describe('abort', () => {
  it('ends the batch at once with its reason; what was answered is stored', async () => {
    const hangs = deferred<string>();
    const { llm, provider } = await start({}, (request) => (echo(request) === 'slow' ? hangs.promise : echo(request)));
    const controller = new AbortController();
    const items: BatchItem[] = [];
    const reading = (async () => {
      for await (const item of llm.batch(['a', 'b', 'slow', 'd'].map((text) => ask(text)), { signal: controller.signal, concurrency: 1 })) {
        items.push(item);
        if (items.length === 2) setImmediate(() => controller.abort(new Error('enough')));
      }
    })();
    await expect(reading).rejects.toThrow('enough');
    expect(items.map(textOf)).toEqual(['a', 'b']);
    expect(provider.calls.map(echo)).toEqual(['a', 'b', 'slow']);
    const again = await all(llm.batch([ask('a'), ask('b')]));
    expect(statusesOf(again)).toEqual(['hit', 'hit']);
  });

  it('cancels the requests under way, as leaving does', async () => {
    const signals: AbortSignal[] = [];
    const provider = {
      id: 'slow',
      chat: (_request: ChatRequest, { signal }: { signal: AbortSignal }) => {
        signals.push(signal);
        return signals.length === 1 ? Promise.resolve(truncated('first')) : new Promise<ChatResponse>(() => undefined);
      },
    };
    const { llm } = await start({ provider });
    for await (const item of llm.batch(['a', 'b', 'c'].map((text) => ask(text)), { concurrency: 2 })) {
      expect(textOf(item)).toBe('first');
      await new Promise((resolve) => setImmediate(resolve));
      break;
    }
    expect(signals.slice(1).map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  it.each(['left', 'aborted'])('reads no further once it is %s, though the source has no end and cannot be closed', async (how) => {
    const { llm } = await start();
    const controller = new AbortController();
    let read = 0;
    const requests: Iterable<ChatRequest> = {
      [Symbol.iterator]: () => ({ next: () => ({ done: false, value: ask(`question ${read++}`) }) }),
    };
    const reading = (async () => {
      for await (const _ of llm.batch(requests, { window: 20, signal: controller.signal })) {
        if (how === 'left') break;
        controller.abort();
      }
    })();
    await reading.catch(() => undefined);
    const before = read;
    await settled();
    expect(read).toBe(before);
    expect(process.getActiveResourcesInfo()).not.toContain('Immediate');
  });

  it('by leaving takes effect at once, while an item is awaited', async () => {
    const hangs = deferred<string>();
    const { llm, provider } = await start({}, () => hangs.promise);
    const items = llm.batch(['a', 'b'].map((text) => ask(text)), { concurrency: 1 })[Symbol.asyncIterator]();
    const awaited = items.next();
    await settled();
    expect(await items.return!()).toEqual({ done: true, value: undefined });
    expect(await awaited).toEqual({ done: true, value: undefined });
    expect(provider.calls).toHaveLength(1);
  });

  it('of the one request that has a signal of its own ends that one', async () => {
    const { llm } = await start({}, (request) => (echo(request) === 'slow' ? new Promise<string>(() => undefined) : echo(request)));
    const controller = new AbortController();
    const requests = [ask('slow', { signal: controller.signal }), ask('b')];
    setImmediate(() => controller.abort(new Error('this one')));
    expect((await all(llm.batch(requests))).map(textOf)).toEqual(['! this one', 'b']);
  });

  it('by one signal may end many batches, without a warning of Node', async () => {
    const { llm } = await start();
    const { signal } = new AbortController();
    await all(llm.batch([ask('a')], { signal }));
    const most = Object.getOwnPropertySymbols(signal).find(({ description }) => description === 'events.maxEventTargetListeners')!;
    expect((signal as unknown as Record<symbol, number>)[most]).toBe(0);
  });

  it('before the start sends nothing', async () => {
    const { llm, provider } = await start();
    const reason = new Error('too late');
    await expect(all(llm.batch([ask('a')], { signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
    expect(provider.calls).toHaveLength(0);
  });
});

describe('onProgress', () => {
  it('tells how far the batch is, and what it cost', async () => {
    const { llm } = await start({}, (request) => (echo(request) === 'bad' ? new Error('no') : echo(request)));
    await llm.chat(ask('stored'));
    const told: BatchProgress[] = [];
    const requests: BatchRequest[] = ['stored', 'new', 'new', 'bad'].map((text) => ask(text));
    await all(llm.batch(requests, { onProgress: (progress) => told.push(progress) }));
    expect(told.map(({ done, total }) => [done, total])).toEqual([[1, 4], [2, 4], [3, 4], [4, 4]]);
    expect(told.at(-1)).toMatchObject({ hits: 1, coalesced: 1, failures: 1, remainingMs: 0 });
  });

  it('tells that all is done when the source ends after the last item', async () => {
    const { llm } = await start();
    const told: BatchProgress[] = [];
    const requests = (async function* () {
      yield ask('a');
      await settled();
    })();
    await all(llm.batch(requests, { onProgress: (progress) => told.push(progress) }));
    expect(told.at(-1)).toMatchObject({ done: 1, total: 1, remainingMs: 0 });
  });

  it('learns the total of an async source when it has ended, and disturbs nothing when it throws', async () => {
    const { llm } = await start();
    const totals: Array<number | undefined> = [];
    const requests = (async function* () {
      yield* ['a', 'b'].map((text) => ask(text));
    })();
    const items = await all(
      llm.batch(requests, {
        onProgress: ({ total }) => {
          totals.push(total);
          throw new Error('observer');
        },
      }),
    );
    expect(items).toHaveLength(2);
    expect(totals.at(-1)).toBe(2);
  });
});

describe('options', () => {
  it.each<[keyof BatchOptions | 'concurency', unknown]>([
    ['concurrency', 0], ['concurrency', 1.5], ['window', -1], ['ordered', 'yes'], ['requestsPerMinute', 0], ['tokensPerMinute', NaN],
    ['retryFor', 'soon'], ['onProgress', 1], ['signal', {}], ['ttl', 0], ['concurency', 3],
  ])('refuse %s: %j, naming it', async (name, value) => {
    const { llm } = await start();
    expect(() => llm.batch([], { [name]: value })).toThrow(LlmCacheConfigError);
    expect(() => llm.batch([], { [name]: value })).toThrow(`"${name}"`);
  });

  it('of a single call apply to each request', async () => {
    const { llm, llmCache, provider } = await start();
    await all(llm.batch([ask('a')], { tags: ['nightly'] }));
    await llmCache.invalidate({ tags: ['nightly'] });
    await all(llm.batch([ask('a')], { sample: 1 }));
    await all(llm.batch([ask('a')], { sample: 2 }));
    expect(provider.calls).toHaveLength(3);
  });
});

describe('a cache that is closed in the middle', () => {
  it.each([1, 5])('(after %i turns) gives every item, and no store of ours stays open', async (turns) => {
    const fixture = await StoreFixture.create();
    const requests = Array.from({ length: 200 }, (_, index) => ask(`question ${index}`));
    await all((await start({ stores: fixture.open() })).llm.batch(requests));
    const store = fixture.open();
    const { llm, llmCache } = await start({ stores: store });
    const items = all(llm.batch(requests));
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await llmCache.close();
    expect((await items).map(textOf)).toEqual(answersTo(...requests.map(echo)));
    await settled();
    expect(adapterOf(store)['file'].isOpen).toBe(false);
    await fixture.dispose();
  });
});

describe('inside a cached method', () => {
  class Report {
    constructor(private readonly llm: LlmService) {}

    @CacheLlm({ model: { model: 'large' } })
    async write(topics: string[]): Promise<string[]> {
      return (await all(this.llm.batch(topics.map((topic) => ask(topic))))).map(textOf);
    }
  }

  it('ends with the method’s callers', async () => {
    const { llm, llmCache, provider } = await start({}, serverError(429, { 'retry-after': '60' }));
    const controller = new AbortController();
    let ended: unknown;
    const around = llmCache.wrap(
      { name: 'report', input: 1 },
      () => all(llm.batch([ask('a'), ask('b')], { concurrency: 1 })).catch((error: unknown) => (ended = error)),
      { signal: controller.signal },
    );
    await settled();
    const reason = new Error('nobody waits');
    controller.abort(reason);
    await expect(around).rejects.toBe(reason);
    await settled();
    expect(ended).toBe(reason);
    expect(provider.calls).toHaveLength(1);
  });

  it('asks with the method’s model, and one spend is counted', async () => {
    const provider = new FakeLlmProvider();
    const moduleRef = await Test.createTestingModule({
      imports: [LlmCacheTestingModule.forRoot({ provider })],
      providers: [{ provide: Report, inject: [LlmService], useFactory: (llm: LlmService) => new Report(llm) }],
    }).compile();
    opened(moduleRef);
    await moduleRef.init();
    const report = moduleRef.get(Report);
    for (let time = 0; time < 2; time++) expect(await report.write(['a', 'b', 'a'])).toEqual(answersTo('a', 'b', 'a'));
    expect(provider.calls.map(({ model }) => model)).toEqual(['large', 'large']);
    expect(moduleRef.get(LlmCache).stats()).toMatchObject({ upstream: 2, hits: 1 });
  });
});
