import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CacheOutcome, type InvalidationTarget, type LlmCache, LlmCacheInvalidationError, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from '../../../lib/stores/sqlite/index.js';
import { deferred } from '../../fixtures/deferred.js';
import { Processes } from '../../fixtures/redis/processes.js';
import { adapterOf, describeWithServers, openServer, until } from '../../fixtures/redis/with-redis.js';

const parts = { name: 'Test.ask', input: 'question', scope: 'acme' };
const options = { tags: ['invoices'] };

describeWithServers('invalidation between processes', () => {
  const redis = openServer();
  const processes = new Processes(() => redis.server);

  const command = (...args: string[]): Promise<unknown> => redis.client.sendCommand(args);
  const subscribers = async (): Promise<number> => ((await command('PUBSUB', 'NUMSUB', `${processes.namespace}:messages`)) as [string, number])[1];
  const commands = async (): Promise<number> => {
    const info = (await command('INFO', 'commandstats')) as string;
    const calls = [...info.matchAll(/cmdstat_(\w+)[^:]*:calls=(\d+)/g)].filter(([, name]) => !['ping', 'info'].includes(name!));
    return calls.reduce((sum, [, , count]) => sum + Number(count), 0);
  };

  /** Versions are believed for so long that only messages count, unless told otherwise. */
  const process = (given: Parameters<Processes['start']>[0] = {}): LlmCache => processes.start({ maxInvalidationDelay: '10m', ...given });
  const pair = async (): Promise<[LlmCache, LlmCache]> => {
    const [here, there] = [process(), process()];
    await here.wrap(parts, () => 'old', options);
    expect(await there.wrap(parts, () => 'not asked', options)).toBe('old');
    await until(async () => (await subscribers()) === 2);
    return [here, there];
  };
  const ask = (cache: LlmCache): Promise<string> => cache.wrap(parts, () => 'new', options);

  it.each<[string, (cache: LlmCache) => Promise<void>]>([
    ['clear', (cache) => cache.clear()],
    ['invalidate by tag', (cache) => cache.invalidate({ tags: ['invoices'] })],
    ['invalidate by name', (cache) => cache.invalidate({ name: 'Test.ask' })],
    ['invalidate by scope', (cache) => cache.invalidate({ scope: 'acme' })],
    ['invalidate by key', (cache) => cache.invalidate({ key: parts })],
  ])('%s reaches the memory of another process with its message, and nobody is served the old answer', async (_, invalidate) => {
    const [here, there] = await pair();
    await invalidate(here);
    expect(await ask(here)).toBe('new');
    await until(async () => (await ask(there)) === 'new');
    expect(await there.wrap(parts, () => 'never', options)).toBe('new');
  });

  it.each<[string, InvalidationTarget]>([
    ['by tag', { tags: ['invoices'] }],
    ['by key', { key: parts }],
  ])('%s beats a call that runs in another process: its caller is answered, nothing is stored', async (_, target) => {
    const [here, there] = await pair();
    const later = { name: 'Test.later', input: '' };
    await there.wrap(later, () => 'stored');
    const upstream = deferred<string>();
    const asked = deferred();
    const outcomes: CacheOutcome[] = [];
    const running = there.wrap(parts, () => (asked.resolve(), upstream.promise), { ...options, noCache: true, onOutcome: (outcome) => outcomes.push(outcome) });
    await asked.promise;
    await here.invalidate(target);
    await here.invalidate({ key: later }); // its message comes after the other
    await until(() => there.wrap(later, () => '', { onlyIfCached: true }).then(() => false, () => true));
    upstream.resolve('old');
    expect(await running).toBe('old');
    expect(outcomes).toMatchObject([{ status: 'miss', stored: false, reason: 'invalidated' }]);
    expect(await ask(here)).toBe('new');
  });

  it('whoever removed an entry reads what another process has computed since', async () => {
    const [here, there] = await pair();
    await here.invalidate({ key: parts });
    await until(async () => (await ask(there)) === 'new');
    expect(await here.wrap(parts, () => 'again', options)).toBe('new');
    const failing = here.wrap({ name: 'Test.outer', input: '' }, async () => {
      await ask(here);
      throw new Error('it could make nothing of the answer, which is removed');
    });
    await expect(failing).rejects.toThrow('it could make nothing');
    expect(await process().wrap(parts, () => 'newest', options)).toBe('newest');
    expect(await here.wrap(parts, () => 'again', options)).toBe('newest');
  });

  it('by key reaches the memory of every cache on the store, and what one of them computes then is for all', async () => {
    const shared = processes.store();
    const [one, two] = [1, 2].map(() => processes.start({ stores: [memoryStore(), shared] })) as [LlmCache, LlmCache];
    await one.wrap(parts, () => 'old', options);
    expect(await ask(two)).toBe('old');
    await one.invalidate({ key: parts });
    expect(await ask(one)).toBe('new');
    expect(await two.wrap(parts, () => 'again', options)).toBe('new');
  });

  it.each(['versions', 'a lease'])('by key is no later than its message, though the reply with %s comes after that', async (delayed) => {
    const here = process();
    const store = processes.store();
    const there = processes.start({ stores: [memoryStore(), store], storeTimeout: '5s' });
    const { coordination } = adapterOf(store);
    let isHeard = false;
    coordination.subscribe({ onIncrease: (_name, _count, note) => void (isHeard ||= note !== undefined), onGap: () => undefined });
    await there.wrap({ name: 'Test.warm', input: '' }, () => 'up');
    await until(async () => (await subscribers()) === 1);
    const removed = once(async () => {
      await here.invalidate({ key: parts });
      await until(() => isHeard);
    });
    if (delayed === 'versions') {
      await here.wrap(parts, () => 'old', options);
      const { counts } = coordination;
      coordination.counts = (names) => removed().then(() => counts(names));
    } else {
      const { leases } = coordination;
      const take = leases.take.bind(leases);
      leases.take = async (...request) => {
        await here.wrap(parts, () => 'old', options);
        const reply = await take(...request);
        await removed();
        return reply;
      };
    }
    await ask(there); // was asked before
    expect(isHeard).toBe(true);
    expect(await here.wrap(parts, () => 'new', options)).toBe('new');
    expect(await ask(there)).toBe('new');
  });

  describe('of a process that keeps a file in front', () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), 'llm-cache-'));
    });
    afterEach(async () => {
      await processes.close();
      rmSync(folder, { recursive: true });
    });

    const processWithFile = (): LlmCache => processes.start({ stores: [sqliteStore({ path: join(folder, 'cache.db') }), processes.store()] });

    it('a removal by key reaches the file', async () => {
      const [here] = await pair();
      const there = processWithFile();
      expect(await ask(there)).toBe('old');
      expect(await ask(there)).toBe('old');
      expect(there.stats().tiers).toMatchObject([{ hits: 1 }, { hits: 1 }]);
      await until(async () => (await subscribers()) === 3);
      await here.invalidate({ key: parts });
      await until(async () => (await ask(there)) === 'new');
      expect(await here.wrap(parts, () => 'never', options)).toBe('new');
    });

    it('one whose message was lost does too', async () => {
      const [here] = await pair();
      const there = processWithFile();
      expect(await ask(there)).toBe('old');
      await until(async () => (await subscribers()) === 3);
      await command('CLIENT', 'KILL', 'TYPE', 'pubsub');
      await here.invalidate({ key: parts });
      await until(async () => (await ask(there)) === 'new');
    });

    it('one from while the process was down does too', async () => {
      const [here] = await pair();
      const before = processWithFile();
      expect(await ask(before)).toBe('old');
      await before.close();
      await here.invalidate({ key: parts });
      expect(await ask(processWithFile())).toBe('new');
    });
  });

  it('a lost message delays it by no more than the bound', async () => {
    const [here, there] = [process(), process({ maxInvalidationDelay: '300ms' })];
    await here.wrap(parts, () => 'old', options);
    expect(await ask(there)).toBe('old');
    await until(async () => (await subscribers()) === 2);
    const [counter] = (await command('KEYS', `${processes.namespace}:*.versions`)) as [string];
    await command('INCR', counter); // as a bump whose message nobody got
    const invalidatedAt = performance.now();
    while ((await ask(there)) === 'old') expect(performance.now() - invalidatedAt).toBeLessThan(1_000);
    expect(performance.now() - invalidatedAt).toBeGreaterThan(1);
  });

  it('a call that runs for longer than the bound is not joined by who asks after it', async () => {
    const [here, there] = [process(), process({ maxInvalidationDelay: '50ms' })];
    const upstream = deferred<string>();
    const asked = deferred();
    let newer = 0;
    const running = there.wrap(parts, () => (asked.resolve(), upstream.promise), options);
    await asked.promise;
    await here.clear();
    await new Promise((resolve) => setTimeout(resolve, 60));
    const asks = Array.from({ length: 2 }, () => there.wrap(parts, () => `new ${++newer}`, { ...options, noStore: true }));
    expect(await Promise.all(asks)).toEqual(['new 1', 'new 1']);
    upstream.resolve('old');
    expect(await running).toBe('old');
  });

  it('a connection for messages that was cut is made anew, and what was missed meanwhile counts', async () => {
    const [here, there] = await pair();
    await command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await here.invalidate({ key: parts });
    await here.clear();
    await until(async () => (await ask(there)) === 'new');
    await until(async () => (await subscribers()) === 2);
    await here.clear();
    await until(async () => (await there.wrap(parts, () => 'newer', options)) === 'newer');
  });

  it('by key keeps out what is computed meanwhile by a process that has no lease and gets no message', async () => {
    const [here] = await pair();
    const there = processes.start({ singleFlight: { distributed: false } });
    await ask(there);
    await until(async () => (await subscribers()) === 3);
    const upstream = deferred<string>();
    const outcomes: CacheOutcome[] = [];
    const running = there.wrap(parts, () => upstream.promise, { ...options, noCache: true, onOutcome: (outcome) => outcomes.push(outcome) });
    await command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await here.invalidate({ key: parts });
    await until(async () => (await subscribers()) === 3);
    const later = { name: 'Test.later', input: '' };
    await there.wrap(later, () => 'stored');
    await here.invalidate({ key: later }); // its message comes over the new connection
    await until(() => there.wrap(later, () => '', { onlyIfCached: true }).then(() => false, () => true));
    upstream.resolve('old');
    expect(await running).toBe('old');
    expect(outcomes).toMatchObject([{ stored: false, reason: 'invalidated' }]);
    expect(await ask(there)).toBe('new');
  });

  it('nobody joins a call from before an invalidation whose message was lost', async () => {
    const [here, there] = [process(), process()];
    const upstream = deferred<string>();
    const asked = deferred();
    const running = there.wrap(parts, () => (asked.resolve(), upstream.promise), options);
    await asked.promise;
    await until(async () => (await subscribers()) === 1);
    await command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await here.invalidate({ tags: ['invoices'] });
    await until(async () => (await subscribers()) === 2);
    const later = there.wrap(parts, () => 'new', options);
    await new Promise((resolve) => setTimeout(resolve, 50));
    upstream.resolve('old');
    expect(await running).toBe('old');
    expect(await later).toBe('new');
  });

  it('takes as many commands for ten entries as for a thousand', async () => {
    const cache = process();
    const commandsOf = async (invalidate: () => Promise<void>): Promise<number> => {
      const before = await commands();
      await invalidate();
      return (await commands()) - before;
    };
    const store = (from: number, to: number): Promise<unknown> =>
      Promise.all(Array.from({ length: to - from }, (_, index) => cache.wrap({ ...parts, input: from + index }, () => 'answer', options)));
    await store(0, 10);
    const few = [await commandsOf(() => cache.clear()), await commandsOf(() => cache.invalidate({ tags: ['invoices'] }))];
    await store(10, 1_000);
    const many = [await commandsOf(() => cache.clear()), await commandsOf(() => cache.invalidate({ tags: ['invoices'] }))];
    expect(many).toEqual(few);
    expect(Math.max(...many)).toBeLessThan(5);
  });

  it('one that was not confirmed keeps the answers of others out only until this process has stored a newer one', async () => {
    const [here, there] = [process({ maxInvalidationDelay: '20ms' }), process({ maxInvalidationDelay: '20ms' })];
    await ask(here);
    await redis.server.kill();
    await expect(here.invalidate({ key: parts })).rejects.toThrow(LlmCacheInvalidationError);
    await redis.server.restart();
    await until(async () => (await here.checkStores()) && there.checkStores());
    const stores = async (cache: LlmCache, answer: string): Promise<boolean> => {
      const outcomes: CacheOutcome[] = [];
      await cache.wrap(parts, () => answer, { ...options, onOutcome: (outcome) => outcomes.push(outcome) });
      return outcomes.some((outcome) => outcome.status === 'miss' && outcome.stored);
    };
    await until(() => stores(here, 'newer'));
    await there.invalidate(options);
    await until(() => stores(there, 'newest'));
    await until(async () => (await here.wrap(parts, () => 'not stored', { ...options, noStore: true })) === 'newest');
  });

  it('a server that was restarted empty revives nothing', async () => {
    const [here, there] = await pair();
    await redis.server.restart();
    await until(async () => (await ask(there)) === 'new');
    await until(async () => ['new', 'newest'].includes(await here.wrap(parts, () => 'newest', options)));
    expect(await ask(here)).not.toBe('old');
  });

  it('clocks that disagree do not matter', async () => {
    const real = Date.now;
    const here = process();
    try {
      Date.now = () => real() + 3_600_000;
      await here.wrap(parts, () => 'old', options);
      Date.now = () => real() - 3_600_000;
      const there = process();
      await there.clear();
      expect(await there.wrap(parts, () => 'new', { ...options, onlyIfCached: true }).catch(({ code }) => code)).toBe('LLM_CACHE_MISS');
      Date.now = real;
      await until(async () => (await ask(here)) === 'new');
    } finally {
      Date.now = real;
    }
  });
});

/** Runs it when it is first called. */
function once<T>(run: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined;
  return () => (done ??= run());
}
