import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CacheModule, CACHE_MANAGER } from '@nestjs/cache-manager';
import { Test } from '@nestjs/testing';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type Cache, createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { LlmCache, LlmCacheModule, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { FakeClock } from 'nestjs-llm-cache/testing';

const parts = (input: unknown) => ({ name: 'Test.ask', input });

describe('persistence and tiers', () => {
  let folder: string;
  let path: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'llm-cache-'));
    path = join(folder, 'cache.db');
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('an answer outlives the process; clear() and invalidate() are not undone by a restart', async () => {
    const start = () => new LlmCache({ stores: [memoryStore(), sqliteStore({ path })] });
    let llmCache = start();
    await llmCache.wrap(parts(1), () => 'first');
    await llmCache.wrap(parts(2), () => 'first', { tags: ['t'] });
    await llmCache.close();
    llmCache = start();
    expect(await llmCache.wrap(parts(1), () => 'never')).toBe('first');
    expect(await llmCache.wrap(parts(2), () => 'never')).toBe('first');
    await llmCache.invalidate({ tags: ['t'] });
    await llmCache.close();
    llmCache = start();
    expect(await llmCache.wrap(parts(1), () => 'never')).toBe('first');
    expect(await llmCache.wrap(parts(2), () => 'second')).toBe('second');
    await llmCache.clear();
    await llmCache.close();
    llmCache = start();
    expect(await llmCache.wrap(parts(1), () => 'third')).toBe('third');
    expect(await llmCache.wrap(parts(2), () => 'third')).toBe('third');
    await llmCache.close();
  });

  it('promotes with the lifetime that is left', async () => {
    const clock = new FakeClock();
    const slow = new Keyv();
    const options = { ttl: '1h', jitter: 0 } as const;
    await new LlmCache({ ...options, stores: slow }, clock).wrap(parts(1), () => 'first');
    clock.advance('50m');
    const memory = memoryStore();
    const llmCache = new LlmCache({ ...options, stores: [memory, slow] }, clock);
    const tiers: unknown[] = [];
    const ask = (answer: string) => llmCache.wrap(parts(1), () => answer, { onOutcome: ({ status, tier }) => tiers.push([status, tier]) });
    expect(await ask('never')).toBe('first');
    expect(await ask('never')).toBe('first');
    clock.advance('10m');
    expect(await ask('second')).toBe('second');
    expect(tiers).toEqual([['hit', 1], ['hit', 0], ['miss', undefined]]);
  });

  it('tells the faster store how long a promoted entry has left', async () => {
    const clock = new FakeClock();
    const [fast, slow] = [new Keyv(), new Keyv()];
    const options = { ttl: '1h', jitter: 0 } as const;
    await new LlmCache({ ...options, stores: slow }, clock).wrap(parts(1), () => 'first');
    clock.advance('50m');
    const set = jest.spyOn(fast, 'set');
    await new LlmCache({ ...options, stores: [fast, slow] }, clock).wrap(parts(1), () => 'never');
    expect(set.mock.calls.map(([, , ttl]) => ttl)).toEqual([10 * 60_000]);
  });

  it('a second process on the same file learns of a clear() within five seconds', async () => {
    const clock = new FakeClock();
    const [a, b] = [0, 1].map(() => new LlmCache({ stores: [memoryStore(), sqliteStore({ path })] }, clock)) as [LlmCache, LlmCache];
    await a.wrap(parts(1), () => 'old');
    expect(await b.wrap(parts(1), () => 'never')).toBe('old');
    await a.clear();
    clock.advance('5s');
    expect(await b.wrap(parts(1), () => 'new')).toBe('new');
    await Promise.all([a.close(), b.close()]);
  });

  it('processes that start on an empty file at once find each other\'s answers', async () => {
    for (let round = 0; round < 5; round++) {
      const file = join(folder, `fresh-${round}.db`);
      const open = (): LlmCache => new LlmCache({ stores: sqliteStore({ path: file }) });
      const caches = [open(), open(), open()];
      await Promise.all(caches.map((llmCache, index) => llmCache.wrap(parts(index), () => `from ${index}`)));
      await Promise.all(caches.map((llmCache) => llmCache.close()));
      const late = open();
      for (const index of caches.keys()) expect(await late.wrap(parts(index), () => 'asked again')).toBe(`from ${index}`);
      await late.close();
    }
  });

  it("an app's own CACHE_MANAGER backs the module, and stays the app's", async () => {
    const store = sqliteStore({ path });
    const moduleRef = await Test.createTestingModule({
      imports: [
        CacheModule.registerAsync({ isGlobal: true, useFactory: () => ({ stores: [memoryStore(), store] }) }),
        LlmCacheModule.forRootAsync({ inject: [CACHE_MANAGER], useFactory: (cache: Cache) => ({ stores: cache }) }),
      ],
    }).compile();
    const llmCache = moduleRef.get(LlmCache);
    const cache = moduleRef.get<Cache>(CACHE_MANAGER);
    await cache.set('session', { user: 1 });
    await llmCache.wrap(parts(1), () => 'answer');
    expect(await cache.get('session')).toEqual({ user: 1 });
    expect(llmCache.stats().tiers.map(({ name }) => name)).toEqual(['memory', 'sqlite']);
    await llmCache.clear();
    expect(await cache.get('session')).toEqual({ user: 1 });
    await llmCache.wrap(parts(1), () => 'second');
    await moduleRef.close();
    const restarted = new LlmCache({ stores: createCache({ stores: [sqliteStore({ path })] }) });
    expect(await restarted.wrap(parts(1), () => 'never')).toBe('second');
  });

  it('counts what functools.lru_cache counts, and what was spent and saved', async () => {
    const clock = new FakeClock();
    const llmCache = new LlmCache({ stores: [memoryStore({ maxEntries: 7 }), new Keyv()] }, clock);
    const answer = { choices: [{ finish_reason: 'stop', message: { content: 'hi' } }], usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 } };
    const ask = () =>
      llmCache.wrap(parts(1), () => {
        clock.advance('2s');
        return answer;
      });
    await ask();
    await ask();
    await ask();
    expect(llmCache.stats()).toMatchObject({
      hits: 2, misses: 1, stale: 0, coalesced: 0, bypassed: 0, stored: 1, refused: 0, rejected: 0, upstream: 1, errors: 0,
      tokens: { spent: 15, saved: 30 },
      ms: { spent: 2_000, saved: 4_000 },
      tiers: [
        { name: 'memory', maxEntries: 7, hits: 2, misses: 1, errors: 0 },
        { name: 'store 1', entries: null, hits: 0, misses: 1 },
      ],
    });
  });
});
