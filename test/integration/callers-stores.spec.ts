import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { createCache as createCache7, KeyvAdapter } from 'cache-manager';
import { createCache as createCache6 } from 'cache-manager-6';
import { Keyv as Keyv5 } from 'keyv';
import { Keyv as Keyv6 } from 'keyv-6';
import { KeyvFile } from 'keyv-file';
import { LlmCache, LlmCacheConfigError, LlmCacheModule, memoryStore, type StoreInput } from 'nestjs-llm-cache';
import { adapterOf, StoreFixture } from '../fixtures/sqlite/open-store.js';

// Stores that an app brings along, of both major versions of Keyv and of cache-manager.

/** What the app itself does with its store. */
interface AppsOwn {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown): Promise<unknown>;
}

let fixture: StoreFixture;
const files: KeyvFile[] = [];
beforeEach(async () => (fixture = await StoreFixture.create()));
afterEach(async () => {
  jest.restoreAllMocks();
  // keyv-file writes after reads too, and lets nobody wait for it but the next writer.
  for (const file of files.splice(0)) await file.clear();
  await fixture.dispose();
});

/** A store and the app's own way to it. */
type Made = readonly [stores: unknown, own: AppsOwn];

const itself = (store: AppsOwn): Made => [store, store];
const throughKeyv = (adapter: object): Made => [adapter, new Keyv5({ store: adapter })];
const keyvFile = (): KeyvFile => {
  const file = new KeyvFile({ filename: join(fixture.folderPath, 'cache.json'), writeDelay: 1 });
  files.push(file);
  return file;
};
const throughCache = (cache: unknown): Made => [cache, cache as AppsOwn];

/** A store as cache-manager 5 had them, with ttl in milliseconds. */
function storeOfCacheManager5() {
  const entries = new Map<string, { value: unknown; expiresAtMs: number }>();
  const fresh = (key: string) => {
    const entry = entries.get(key);
    return entry !== undefined && entry.expiresAtMs > Date.now() ? entry.value : undefined;
  };
  return {
    name: 'old',
    get: async <T>(key: string) => fresh(key) as T | undefined,
    set: async (key: string, value: unknown, ttl = 0) => void entries.set(key, { value, expiresAtMs: ttl > 0 ? Date.now() + ttl : Infinity }),
    del: async (key: string) => void entries.delete(key),
    reset: async () => entries.clear(),
    mget: async (...keys: string[]) => keys.map(fresh),
    mset: async () => undefined,
    mdel: async (...keys: string[]) => keys.forEach((key) => entries.delete(key)),
    keys: async () => [...entries.keys()],
    ttl: async () => -1,
  };
}

const STORES: ReadonlyArray<readonly [name: string, make: () => Made]> = [
  ['Keyv 5', () => itself(new Keyv5())],
  ['Keyv 5 over a Map, with a namespace', () => itself(new Keyv5({ store: new Map(), namespace: 'app' }))],
  ['Keyv 6', () => itself(new Keyv6())],
  ['Keyv 6 over a Map, with a namespace', () => itself(new Keyv6({ store: new Map(), namespace: 'app' }))],
  ['Keyv 6 over the adapter of memoryStore', () => itself(new Keyv6({ store: memoryStore().store as Map<string, unknown> }))],
  ['Keyv 6 over the adapter of sqliteStore', () => itself(new Keyv6({ store: adapterOf(fixture.open()) as unknown as Map<string, unknown> }))],
  ['a Map', () => throughKeyv(new Map())],
  ['the adapter of keyv-file', () => throughKeyv(keyvFile())],
  ['Keyv 6 over the adapter of keyv-file', () => itself(new Keyv6({ store: keyvFile() as unknown as Map<string, unknown> }))],
  ['cache-manager 7', () => throughCache(createCache7())],
  ['cache-manager 7 over Keyv 5', () => throughCache(createCache7({ stores: [new Keyv5()] }))],
  ['cache-manager 7 over Keyv 6', () => throughCache(createCache7({ stores: [new Keyv6() as never] }))],
  ['cache-manager 6 over Keyv 5', () => throughCache(createCache6({ stores: [new Keyv5()] }))],
  ['cache-manager 6 over Keyv 6', () => throughCache(createCache6({ stores: [new Keyv6() as never] }))],
  ['a store of cache-manager 5 inside KeyvAdapter', () => throughKeyv(new KeyvAdapter(storeOfCacheManager5()))],
];

const parts = (input: unknown) => ({ name: 'Tickets.summary', input });

describe.each(STORES)('%s', (_name, make) => {
  let stores: StoreInput;
  let own: AppsOwn;
  let calls: number;
  beforeEach(() => {
    const [made, appsOwn] = make();
    [stores, own, calls] = [made as StoreInput, appsOwn, 0];
  });
  const ask = (llmCache: LlmCache, input: unknown = 'ticket') => llmCache.wrap(parts(input), () => `answer ${++calls}, naïve 🦜`);

  it('answers from it after a miss, and so does a new cache over it', async () => {
    const llmCache = new LlmCache({ stores });
    expect([await ask(llmCache), await ask(llmCache)]).toEqual(['answer 1, naïve 🦜', 'answer 1, naïve 🦜']);
    const another = new LlmCache({ stores });
    expect(await ask(another)).toBe('answer 1, naïve 🦜');
    expect(another.stats()).toMatchObject({ hits: 1, misses: 0 });
    expect(another.stats().tiers.map(({ errors }) => errors)).toEqual(another.stats().tiers.map(() => 0));
  });

  it('forgets one answer by its key, for a new cache too', async () => {
    const llmCache = new LlmCache({ stores });
    await ask(llmCache);
    await ask(llmCache, 'kept');
    await llmCache.invalidate({ key: parts('ticket') });
    expect(await ask(new LlmCache({ stores }))).toBe('answer 3, naïve 🦜');
    expect(await ask(new LlmCache({ stores }), 'kept')).toBe('answer 2, naïve 🦜');
  });

  it("forgets everything of its own on clear, for a new cache too, and nothing of the app's and of others", async () => {
    const [llmCache, neighbour] = [new LlmCache({ stores }), new LlmCache({ stores, namespace: 'neighbour' })];
    await own.set('session:1', 'of the app');
    await ask(neighbour);
    await ask(llmCache);
    await llmCache.clear();
    expect(await ask(new LlmCache({ stores }))).toBe('answer 3, naïve 🦜');
    expect(await ask(new LlmCache({ stores, namespace: 'neighbour' }))).toBe('answer 1, naïve 🦜');
    expect(await own.get('session:1')).toBe('of the app');
  });

  it('hands it the ttl, so that it forgets by itself', async () => {
    const llmCache = new LlmCache({ stores, ttl: '1h', jitter: 0 });
    await ask(llmCache);
    const key = llmCache.keyFor(parts('ticket'));
    const nowMs = Date.now();
    const now = jest.spyOn(Date, 'now');
    now.mockReturnValue(nowMs + 3_500_000);
    expect((await own.get(key)) ?? undefined).toBeDefined();
    now.mockReturnValue(nowMs + 3_600_001);
    expect((await own.get(key)) ?? undefined).toBeUndefined();
  });
});

describe('what is no store', () => {
  class RedisClient {
    get(): void {}
    set(): void {}
    del(): void {}
    sendCommand(): void {}
  }

  it.each<[name: string, store: unknown, helps: string]>([
    ['a store of cache-manager 5', storeOfCacheManager5(), 'pass new KeyvAdapter(store), with KeyvAdapter from cache-manager 6 or 7'],
    ['a Cache of cache-manager 5', { ...storeOfCacheManager5(), wrap: () => undefined, store: storeOfCacheManager5() }, 'pass one of cache-manager 6 or 7'],
    ['a Redis client', new RedisClient(), 'a Keyv storage adapter over it, such as KeyvRedis of @keyv/redis'],
    ['a promise', Promise.resolve(new Keyv5()), 'await it in the useFactory of forRootAsync'],
    ['a class', KeyvFile, 'pass what it returns, or an instance'],
    ['a factory that was not called', memoryStore, 'pass what it returns, or an instance'],
    ['an address', 'redis://localhost', 'pass a store that was made with it'],
    ['an object of nothing', {}, 'must be a Keyv, a Keyv storage adapter or a cache-manager Cache'],
  ])('%s is refused at start-up, with what to pass instead', async (_name, store, helps) => {
    for (const [stores, place] of [[store, '"stores"'], [[memoryStore(), store], '"stores[1]"']] as const) {
      const options = { stores: stores as StoreInput };
      const starting = Test.createTestingModule({ imports: [LlmCacheModule.forRoot(options)] }).compile();
      const error = await starting.then(() => undefined, (reason: Error) => reason);
      expect(error).toBeInstanceOf(LlmCacheConfigError);
      expect(error!.message).toContain(`option ${place} must be`);
      expect(error!.message).toContain(helps);
      expect(() => new LlmCache(options)).toThrow(error!.message);
    }
  });
});
