import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { createCache as createCache7, KeyvAdapter } from 'cache-manager';
import { createCache as createCache6 } from 'cache-manager-6';
import { Keyv as Keyv5 } from 'keyv';
import { Keyv as Keyv6, KeyvMemoryAdapter, type KeyvStorageAdapter } from 'keyv-6';
import { KeyvFile } from 'keyv-file';
import { LRUCache } from 'lru-cache';
import { LlmCache, LlmCacheConfigError, LlmCacheInvalidationError, LlmCacheModule, memoryStore, type StoreInput } from 'nestjs-llm-cache';
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
/** As the storage adapter of a Keyv 6, whose type wants more than its code. */
const over6 = (adapter: unknown, options: object = {}) => new Keyv6({ store: adapter as KeyvStorageAdapter, ...options });
const gzip = {
  compress: async (text: string) => gzipSync(text).toString('base64'),
  decompress: async (text: string) => gunzipSync(Buffer.from(text, 'base64')).toString(),
};
/** Settings that a caller gives his own Keyv, and that must reach the store as he wants them. */
const KEYV_5_SETTINGS: ReadonlyArray<readonly [name: string, options: object]> = [
  ['as it is', {}],
  ['with a namespace', { namespace: 'app' }],
  ['with a namespace that useKeyPrefix: false keeps out of the keys', { namespace: 'app', useKeyPrefix: false }],
  ['with compression', { compression: gzip }],
];
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
  ['Keyv 6 over the adapter of memoryStore', () => itself(over6(memoryStore().store))],
  ['Keyv 6 over the adapter of sqliteStore', () => itself(over6(adapterOf(fixture.open())))],
  ...KEYV_5_SETTINGS.flatMap(([name, options]): Array<readonly [string, () => Made]> => [
    [`Keyv 5 over the adapter of memoryStore, ${name}`, () => itself(new Keyv5({ store: memoryStore().store, ...options }))],
    [`Keyv 5 over the adapter of sqliteStore, ${name}`, () => itself(new Keyv5({ store: adapterOf(fixture.open()), ...options }))],
    [`memoryStore, ${name}`, () => itself(Object.assign(memoryStore(), options))],
    [`sqliteStore, ${name}`, () => itself(Object.assign(fixture.open(), options))],
  ]),
  ['a Map', () => throughKeyv(new Map())],
  ['the adapter of keyv-file', () => throughKeyv(keyvFile())],
  ['Keyv 6 over the adapter of keyv-file', () => itself(over6(keyvFile()))],
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

describe('a store of ours inside a Keyv of the caller', () => {
  const sqlite = (wrap: (adapter: object) => unknown): StoreInput => wrap(adapterOf(fixture.open())) as StoreInput;
  const WRAPS: ReadonlyArray<readonly [name: string, wrap: (adapter: object) => unknown]> = [
    ...KEYV_5_SETTINGS.map(([name, options]) => [`Keyv 5 ${name}`, (adapter: object) => new Keyv5({ store: adapter, ...options })] as const),
    ['Keyv 6', (adapter) => over6(adapter)],
    ['Keyv 6 with a namespace', (adapter) => over6(adapter, { namespace: 'app' })],
    ['Keyv 6 with compression', (adapter) => over6(adapter, { compression: gzip })],
  ];

  it.each(WRAPS)('%s answers after a restart, and is still ours to name and to close', async (_name, wrap) => {
    for (const calls of [1, 0]) {
      const upstream = jest.fn(() => 'answer');
      const llmCache = new LlmCache({ stores: sqlite(wrap) });
      expect(await llmCache.wrap(parts('ticket'), upstream)).toBe('answer');
      expect(upstream).toHaveBeenCalledTimes(calls);
      expect(llmCache.stats().tiers).toMatchObject([{ name: 'sqlite', errors: 0 }]);
      await llmCache.close();
    }
  });
});

describe('two caches, each with a Keyv of its own over one store', () => {
  it.each<[name: string, keyvs: (map: Map<string, unknown>) => [unknown, unknown]]>([
    ['Keyv 5 over a Map', (map) => [new Keyv5({ store: map }), new Keyv5({ store: map })]],
    ['Keyv 6 over a Map', (map) => [over6(map), over6(map)]],
    ['Keyv 6 over a Map, with a namespace', (map) => [over6(map, { namespace: 'app' }), over6(map, { namespace: 'app' })]],
    ['Keyv 6, each with a storage adapter over one Map', (map) => [over6(new KeyvMemoryAdapter(map)), over6(new KeyvMemoryAdapter(map))]],
    ['cache-manager over Keyv 6', (map) => [createCache7({ stores: [over6(map) as never] }), over6(map)]],
  ])('%s: what one clears the other does not serve', async (_name, keyvs) => {
    const [one, other] = keyvs(new Map()).map((stores) => new LlmCache({ stores: stores as StoreInput })) as [LlmCache, LlmCache];
    await one.wrap(parts('ticket'), () => 'old');
    expect(await other.wrap(parts('ticket'), () => 'unused')).toBe('old');
    await one.clear();
    expect(await other.wrap(parts('ticket'), () => 'new')).toBe('new');
  });
});

/** A store that can go down; what a Keyv before it makes of that is the Keyv's. */
class ShakyStore {
  readonly entries = new Map<string, unknown>();
  isDown = false;

  private async use<Result>(work: () => Result): Promise<Result> {
    if (this.isDown) throw new Error('ECONNREFUSED');
    return work();
  }
  get = (key: string) => this.use(() => this.entries.get(key));
  set = (key: string, value: unknown) => this.use(() => void this.entries.set(key, value));
  delete = (key: string) => this.use(() => this.entries.delete(key));
  clear = () => this.use(() => this.entries.clear());
}

describe.each<[name: string, over: (store: ShakyStore) => unknown]>([
  ['Keyv 5', (store) => new Keyv5({ store })],
  ['Keyv 5 that emits no errors', (store) => new Keyv5({ store, emitErrors: false })],
  ['Keyv 5 that throws errors', (store) => new Keyv5({ store, throwOnErrors: true })],
  ['Keyv 6', (store) => over6(store)],
  ['cache-manager over Keyv 6', (store) => createCache7({ stores: [over6(store) as never] })],
])('%s over a store that goes down', (_name, over) => {
  it('confirms no invalidation by key until the store has', async () => {
    const store = new ShakyStore();
    const llmCache = new LlmCache({ stores: over(store) as StoreInput });
    await llmCache.wrap(parts('ticket'), () => 'answer');
    const invalidate = (input: string) => llmCache.invalidate({ key: parts(input) });
    store.isDown = true;
    const results = await Promise.allSettled(['ticket', 'never asked', 'ticket'].map(invalidate));
    expect(results.map((result) => result.status === 'rejected' && result.reason instanceof LlmCacheInvalidationError)).toEqual([true, true, true]);
    store.isDown = false;
    await invalidate('ticket');
    await invalidate('never asked');
    expect([...store.entries.keys()].filter((key) => key.includes(llmCache.keyFor(parts('ticket'))))).toEqual([]);
  });
});

describe('a Keyv that does not give back the text it was given', () => {
  const upperCase = { compress: (text: string) => text.toUpperCase(), decompress: (text: string) => text };

  it.each<[name: string, keyv: () => unknown, told: number]>([
    ['Keyv 5, a compression that changes it', () => new Keyv5({ compression: upperCase }), 1],
    ['Keyv 5, a serializer whose result has no value', () => new Keyv5({ serialize: (data) => JSON.stringify(data.value), deserialize: JSON.parse }), 1],
    ['Keyv 5, a serializer to bytes', () => new Keyv5({ serialize: (data) => Buffer.from(JSON.stringify(data)) as never }), 1],
    ['Keyv 6, a compression that changes it', () => new Keyv6({ compression: upperCase as never }), 1],
    ['Keyv 6, a serializer whose result has no value', () => new Keyv6({ serialization: { stringify: (data: unknown) => JSON.stringify((data as { value: string }).value), parse: JSON.parse } }), 1],
    ['Keyv 6 without a serializer', () => new Keyv6({ serialization: false }), 0],
    ['Keyv 5 with a compression', () => new Keyv5({ compression: gzip }), 0],
  ])('%s: a miss each time, and one warning', async (_name, keyv, told) => {
    const stores = [keyv() as StoreInput];
    const llmCache = new LlmCache({ stores });
    const warnings: string[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event.message));
    let calls = 0;
    for (const input of ['a', 'a', 'b', 'a']) await llmCache.wrap(parts(input), () => `secret ${++calls}`);
    expect(calls).toBe(told > 0 ? 4 : 2);
    expect(warnings).toHaveLength(told);
    for (const warning of warnings) {
      expect(warning).toContain('store 0: ');
      expect(warning).toContain('serializer');
      expect(warning.toLowerCase()).not.toContain('secret');
    }
  });

  it('is not told of an answer that had expired before it was read back', async () => {
    const store = new Keyv5();
    jest.spyOn(store, 'get').mockResolvedValue(undefined as never);
    const llmCache = new LlmCache({ stores: store, ttl: 50 });
    const warnings: unknown[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event));
    await llmCache.wrap(parts('ticket'), () => 'answer');
    expect(warnings).toEqual([]);
  });

  it('is noticed by reading the first answer back, and no other', async () => {
    const entries = new Map<string, unknown>();
    const reads = jest.spyOn(entries, 'get');
    const llmCache = new LlmCache({ stores: new Keyv5({ store: entries }) });
    for (const input of ['a', 'b', 'c']) await llmCache.wrap(parts(input), () => 'answer');
    const readsOf = (input: string) => reads.mock.calls.filter(([key]) => key.endsWith(llmCache.keyFor(parts(input)))).length;
    expect(['a', 'b', 'c'].map(readsOf)).toEqual([2, 1, 1]);
  });

  const encryption = { current: 'a', keys: { a: Buffer.alloc(32, 1) } };

  it('is noticed where entries are encrypted', async () => {
    const llmCache = new LlmCache({ stores: new Keyv5({ compression: upperCase }), encryption });
    const warnings: unknown[] = [];
    llmCache.on((event) => event.type === 'warning' && warnings.push(event));
    for (const input of ['a', 'a', 'b']) await llmCache.wrap(parts(input), () => 'answer');
    expect(warnings).toHaveLength(1);
  });

  it.each([
    ['plain', undefined],
    ['encrypted', encryption],
  ])('is not told of an answer that another cache wrote meanwhile: %s entries', async (_what, given) => {
    const entries = new Map<string, unknown>();
    const [one, other] = [0, 1].map(() => new LlmCache({ stores: new Keyv5({ store: entries }), encryption: given })) as [LlmCache, LlmCache];
    const warnings: unknown[] = [];
    for (const llmCache of [one, other]) llmCache.on((event) => event.type === 'warning' && warnings.push(event));
    await Promise.all([one, other].map((llmCache, index) => llmCache.wrap(parts('ticket'), () => `answer ${index}`)));
    expect(warnings).toEqual([]);
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
    ['a storage adapter of Keyv 6', new KeyvMemoryAdapter(new Map()), 'pass new Keyv({ store: adapter }), with Keyv from keyv 6'],
    ['a storage adapter of Keyv 6 inside a Keyv 5', new Keyv5({ store: new KeyvMemoryAdapter(new Map()) }), 'pass new Keyv({ store: adapter }), with Keyv from keyv 6'],
    ['an LRUCache', new LRUCache({ max: 10 }), 'pass memoryStore({ maxEntries, maxBytes })'],
    ['an object of nothing', {}, 'must be a Keyv, a Keyv storage adapter or a cache-manager Cache'],
  ])('%s is refused at start-up, with what to pass instead', async (_name, store, helps) => {
    const inCache = { wrap: () => undefined, stores: [memoryStore(), store] };
    const places = [
      [store, '"stores"'],
      [[memoryStore(), store], '"stores[1]"'],
      [inCache, '"stores.stores[1]"'],
      [[memoryStore(), inCache], '"stores[1].stores[1]"'],
    ] as const;
    for (const [stores, place] of places) {
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
