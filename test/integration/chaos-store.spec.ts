import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Keyv } from 'keyv';
import { CacheLlm, LlmCache, LlmCacheHealthIndicator, type LlmCacheStats, LlmService, memoryStore } from 'nestjs-llm-cache';
import { ChaosStore, FakeClock, FakeLlmProvider, LlmCacheTestingModule, type LlmCacheTestingOptions } from 'nestjs-llm-cache/testing';
import { opened } from '../fixtures/apps.js';
import { settled } from '../fixtures/deferred.js';

@Injectable()
class TicketsService {
  constructor(private readonly llm: LlmService) {}

  @CacheLlm()
  async summary(ticket: string): Promise<string> {
    return this.llm.text(`Summarize: ${ticket}`);
  }
}

const STORE_TIMEOUT_MS = 25;

describe('ChaosStore', () => {
  let chaos: ChaosStore;
  let clock: FakeClock;
  let provider: FakeLlmProvider;
  let llmCache: LlmCache;
  let summary: (ticket?: string) => Promise<string>;
  let isDegraded: () => Promise<boolean>;

  beforeEach(() => {
    clock = new FakeClock();
    chaos = new ChaosStore();
  });

  /** An app over the store, as another process would start it: with an LLM that numbers its answers. */
  async function start(options: LlmCacheTestingOptions = {}): Promise<void> {
    provider = new FakeLlmProvider(() => `summary ${provider.calls.length}`);
    const moduleRef = opened(
      await Test.createTestingModule({
        imports: [LlmCacheTestingModule.forRoot({ provider, clock, stores: chaos, storeTimeout: STORE_TIMEOUT_MS, ...options })],
        providers: [TicketsService],
      }).compile(),
    );
    llmCache = moduleRef.get(LlmCache);
    summary = (ticket = 'a ticket') => moduleRef.get(TicketsService).summary(ticket);
    isDegraded = async () => (await moduleRef.get(LlmCacheHealthIndicator).isHealthy()).llmCache.degraded;
  }

  const tier = (): LlmCacheStats['tiers'][number] => llmCache.stats().tiers.at(-1)!;

  it('without trouble is a store, asked as one that may hang', async () => {
    await start();
    expect([await summary(), await summary()]).toEqual(['summary 1', 'summary 1']);
    expect(tier()).toMatchObject({ name: 'chaos', breaker: 'closed', hits: 1, errors: 0, lastError: null });
    expect(tier().entries).toBeGreaterThan(0);
    expect(chaos.journal.map(({ operation }) => operation)).toEqual(expect.arrayContaining(['get', 'set']));
    expect(chaos.journal.some((record) => 'trouble' in record)).toBe(false);
    await start();
    expect(await summary()).toBe('summary 1');
    expect(provider.calls).toHaveLength(0);
  });

  it('that fails costs misses, and is left alone after five failures in a row', async () => {
    await start();
    await summary();
    chaos.fail(new Error('refused'));
    expect([await summary(), await summary('b'), await summary('c')]).toEqual(['summary 2', 'summary 3', 'summary 4']);
    expect(tier()).toMatchObject({ breaker: 'open', lastError: 'failed' });
    const asked = chaos.journal.length;
    expect(await summary('d')).toBe('summary 5');
    expect(chaos.journal).toHaveLength(asked);
    expect(chaos.journal.at(-1)).toEqual({ operation: expect.any(String), key: expect.any(String), trouble: 'fail' });
    chaos.recover();
    expect([await summary('e'), await summary('e')]).toEqual(['summary 6', 'summary 6']);
    expect(provider.calls).toHaveLength(6);
  });

  it('is in trouble with the operations it is told, and no others', async () => {
    chaos.fail(new Error('read-only'), { operations: ['set', 'delete'] });
    await expect(chaos.set('a', 'text')).rejects.toThrow('read-only');
    await expect(chaos.delete('a')).rejects.toThrow('read-only');
    expect(await chaos.get('a')).toBeUndefined();
  });

  it('behind memory makes no upstream call more', async () => {
    await start({ stores: [memoryStore(), chaos] });
    chaos.fail();
    expect(await Promise.all([summary(), summary(), summary()])).toEqual(['summary 1', 'summary 1', 'summary 1']);
    expect(await summary()).toBe('summary 1');
    expect(provider.calls).toHaveLength(1);
  });

  it('that hangs opens the breaker with its first timeout, degrades the health, and is probed after five seconds', async () => {
    await start();
    await summary();
    expect(await isDegraded()).toBe(false);
    chaos.hang();
    chaos.journal.length = 0;
    expect(await summary('another')).toBe('summary 2');
    expect(tier()).toMatchObject({ breaker: 'open', lastError: 'timeout' });
    const asked = chaos.journal.length;
    expect(chaos.journal[0]).toEqual({ operation: 'get', key: expect.any(String), trouble: 'hang' });
    for (let call = 0; call < 20; call++) await summary(`ticket ${call}`);
    expect(provider.calls).toHaveLength(22);
    expect(await isDegraded()).toBe(true);
    expect(chaos.journal).toHaveLength(asked);

    chaos.recover({ announce: false });
    clock.advance('4s');
    expect(await isDegraded()).toBe(true);
    expect(tier().breaker).toBe('open');
    clock.advance('1s');
    expect(tier().breaker).toBe('half-open');
    expect(await summary()).toBe('summary 1'); // the probe finds what was stored before
    expect(tier()).toMatchObject({ breaker: 'closed', degradedMs: 5_000 });
    expect(await isDegraded()).toBe(false);
  });

  it('that has recovered is used at once, when its cache is told', async () => {
    await start();
    await summary();
    chaos.hang();
    await summary('another');
    expect(tier().breaker).toBe('open');
    chaos.recover();
    expect(tier().breaker).toBe('closed');
    expect(await summary()).toBe('summary 1');
  });

  it('carries out what hung when it recovers, and not before', async () => {
    await start();
    await summary('another'); // so that there are versions
    chaos.hang({ operations: ['set'] });
    await summary();
    chaos.fail();
    await settled();
    const { entries } = tier();
    chaos.recover();
    await settled();
    expect(tier().entries).toBeGreaterThan(entries!);
    await start();
    expect(await summary()).toBe('summary 2');
    expect(provider.calls).toHaveLength(0);
  });

  it('that is slow, but not too slow, still hits', async () => {
    await start();
    await summary();
    chaos.slow('3ms', { operations: ['get'] });
    expect(await summary()).toBe('summary 1');
    expect(tier().breaker).toBe('closed');
    chaos.slow('1m');
    expect(await summary('another')).toBe('summary 2');
    expect(tier()).toMatchObject({ breaker: 'open', lastError: 'timeout' });
  });

  it.each<[how: string, change: (text: string) => string]>([
    ['cut off', (text) => text.slice(0, 40)],
    ['something else', () => 'garbage'],
    ['nothing', () => ''],
  ])('with corrupt entries, %s, costs misses, and no breaker', async (_how, change) => {
    await start();
    await summary();
    chaos.corrupt(change);
    expect(await summary()).toBe('summary 2');
    expect(llmCache.stats().rejected).toBeGreaterThan(0);
    expect(tier()).toMatchObject({ breaker: 'closed', errors: 0 });
    expect(chaos.journal).toContainEqual({ operation: 'get', key: expect.any(String), trouble: 'corrupt' });
    expect(await isDegraded()).toBe(false);
  });

  it('leaves entries whole that it corrupts as they are read, and not those it corrupts as they are stored', async () => {
    await start();
    await summary();
    chaos.corrupt((text) => text.slice(0, 40));
    await llmCache.wrap({ name: 'other', input: 1 }, () => 'stored whole');
    chaos.recover();
    await start();
    expect(await llmCache.wrap({ name: 'other', input: 1 }, () => 'asked again')).toBe('stored whole');
    expect(await summary()).toBe('summary 1');
    chaos.corrupt((text) => text.slice(0, 40), { operations: ['set'] });
    await summary('another');
    chaos.recover();
    await start();
    await summary('another');
    expect(provider.calls).toHaveLength(1);
  });

  it('that lost everything costs a miss each', async () => {
    await start();
    await summary();
    await chaos.loseEverything();
    await start();
    expect([await summary(), await summary()]).toEqual(['summary 1', 'summary 1']);
    expect(provider.calls).toHaveLength(1);
  });

  it('strikes the same operations each time with the same seed, and about as many as the rate says', async () => {
    const struck = async (seed?: number): Promise<string> => {
      const store = new ChaosStore(seed === undefined ? {} : { seed });
      store.fail(new Error('struck'), { rate: 0.25 });
      for (let key = 0; key < 400; key++) await store.get(String(key)).catch(() => undefined);
      return store.journal.map(({ trouble }) => (trouble === undefined ? '.' : 'x')).join('');
    };
    const [first, again, other] = [await struck(), await struck(1), await struck(2)];
    expect(again).toBe(first);
    expect(other).not.toBe(first);
    for (const run of [first, other]) expect(run.replaceAll('.', '').length / 400).toBeCloseTo(0.25, 1);
  });

  it.each<[what: string, store: () => Keyv]>([
    ['a memoryStore', memoryStore],
    ['a Keyv', () => new Keyv()],
  ])('goes around %s, and into a Keyv', async (_what, store) => {
    const inner = store();
    chaos = new ChaosStore({ store: inner });
    await start({ stores: new Keyv({ store: chaos, namespace: 'around' }) });
    expect([await summary(), await summary()]).toEqual(['summary 1', 'summary 1']);
    chaos.fail();
    expect(await summary()).toBe('summary 2');
    chaos.recover();
    await llmCache.clear();
    expect(await summary()).toBe('summary 3');
    await chaos.loseEverything();
    await start({ stores: new Keyv({ store: chaos, namespace: 'around' }) });
    await summary();
    expect(provider.calls).toHaveLength(1);
  });

  describe('leaves nothing behind', () => {
    afterEach(() => void jest.useRealTimers());

    it('when the module is closed', async () => {
      await start();
      expect(chaos.recoveryListeners.size).toBe(1);
      chaos.slow('1m');
      await summary();
      jest.useFakeTimers();
      const waiting = [chaos.get('a'), chaos.set('b', 'text'), chaos.delete('c')];
      expect(jest.getTimerCount()).toBe(3);
      await llmCache.close();
      expect(jest.getTimerCount()).toBe(0);
      expect(await Promise.all(waiting)).toHaveLength(3);
      expect(chaos.recoveryListeners.size).toBe(0);
    });
  });

  it.each<[what: string, run: (store: ChaosStore) => unknown, message: string]>([
    ['a store that is none', () => new ChaosStore({ store: {} as never }), 'ChaosStore: option "store" must be a Keyv or a Keyv storage adapter, not an object.'],
    ['an unknown option', () => new ChaosStore({ rate: 1 } as never), 'ChaosStore: unknown option "rate". Known options: store, seed.'],
    ['an unknown operation', (store) => store.hang({ operations: ['clear' as never] }), `ChaosStore.hang: option "operations" must be an array of 'get', 'set', 'delete', not an array.`],
    ['a rate beyond 1', (store) => store.fail(undefined, { rate: 5 }), 'ChaosStore.fail: option "rate" must be a number from 0 to 1, not 5.'],
    ['no duration', (store) => store.slow(0), 'ChaosStore.slow: give a positive whole number of milliseconds'],
  ])('refuses %s', (_what, run, message) => {
    expect(() => run(chaos)).toThrow(message);
  });
});
