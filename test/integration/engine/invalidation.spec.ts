import { describe, expect, it } from '@jest/globals';
import { type InvalidationTarget, LlmCache, LlmCacheConfigError, LlmCacheInvalidationError, memoryStore } from 'nestjs-llm-cache';
import { deferred, settled } from '../../fixtures/deferred.js';
import { troubledStore } from '../../fixtures/stores.js';

const parts = { name: 'Test.ask', input: 'question', scope: 'acme' };
const options = { tags: ['invoices', 'x'] };

describe('invalidation', () => {
  const reaching: Array<[string, (llmCache: LlmCache) => Promise<void>]> = [
    ['clear()', (llmCache) => llmCache.clear()],
    ['its tag', (llmCache) => llmCache.invalidate({ tags: ['other', 'invoices'] })],
    ['its name', (llmCache) => llmCache.invalidate({ name: 'Test.ask' })],
    ['its name in full', (llmCache) => llmCache.invalidate({ name: 'Test#Test.ask' })],
    ['its scope', (llmCache) => llmCache.invalidate({ scope: 'acme' })],
    ['its parts', (llmCache) => llmCache.invalidate({ key: parts })],
    ['its key', (llmCache) => llmCache.invalidate({ key: llmCache.keyFor(parts) })],
    ['any field that matches', (llmCache) => llmCache.invalidate({ name: 'Other.ask', scope: 'acme' })],
  ];

  it.each(reaching)('%s removes a stored answer', async (_, invalidate) => {
    const llmCache = new LlmCache({ stores: [memoryStore(), memoryStore()] });
    await llmCache.wrap(parts, () => 'old', options);
    await invalidate(llmCache);
    expect(await llmCache.wrap(parts, () => 'new', options)).toBe('new');
    expect(await llmCache.wrap(parts, () => 'never', options)).toBe('new');
  });

  it.each(reaching)('%s beats a call under way: its callers are answered, nothing is stored, nobody joins', async (_, invalidate) => {
    const llmCache = new LlmCache();
    const upstream = deferred<string>();
    const asked = llmCache.wrap(parts, () => upstream.promise, options);
    await settled();
    await invalidate(llmCache);
    const later = llmCache.wrap(parts, () => 'new', options);
    upstream.resolve('old');
    expect(await asked).toBe('old');
    expect(await later).toBe('new');
    expect(await llmCache.wrap(parts, () => 'never', options)).toBe('new');
  });

  it.each([
    ['another tag', { tags: ['y'] }],
    ['another name', { name: 'Test.other' }],
    ['another scope', { scope: 'other' }],
    ['another key', { key: { ...parts, input: 'other' } }],
  ] as Array<[string, InvalidationTarget]>)('%s leaves it alone', async (_, target) => {
    const llmCache = new LlmCache();
    await llmCache.wrap(parts, () => 'old', options);
    await llmCache.invalidate(target);
    expect(await llmCache.wrap(parts, () => 'new', options)).toBe('old');
  });

  it('clear() touches its own namespace only', async () => {
    const store = memoryStore();
    const [a, b] = ['a', 'b'].map((namespace) => new LlmCache({ stores: store, namespace })) as [LlmCache, LlmCache];
    await a.wrap(parts, () => 'of a');
    await b.wrap(parts, () => 'of b');
    await store.set('somebody else', 'theirs');
    await a.clear();
    expect(await a.wrap(parts, () => 'new')).toBe('new');
    expect(await b.wrap(parts, () => 'new')).toBe('of b');
    expect(await store.get('somebody else')).toBe('theirs');
  });

  it.each([memoryStore, () => troubledStore().keyv])('reaches every user of the store in this process at once (%#)', async (makeStore) => {
    const store = makeStore();
    const [a, b] = [new LlmCache({ stores: store }), new LlmCache({ stores: store })];
    const upstream = deferred<string>();
    await a.wrap(parts, () => 'old', options);
    const running = b.wrap({ ...parts, input: 'slow' }, () => upstream.promise, options);
    await settled();
    await a.clear();
    expect(await b.wrap(parts, () => 'new', options)).toBe('new');
    const later = b.wrap({ ...parts, input: 'slow' }, () => 'new', options);
    upstream.resolve('old');
    expect(await running).toBe('old');
    expect(await later).toBe('new');
  });

  it('beats a call whose versions came from a slow store', async () => {
    const llmCache = new LlmCache({ stores: troubledStore().keyv });
    const upstream = deferred<string>();
    const running = llmCache.wrap(parts, () => upstream.promise, options);
    await settled();
    await llmCache.clear();
    const later = llmCache.wrap(parts, () => 'new', options);
    await settled();
    upstream.resolve('old');
    expect([await running, await later]).toEqual(['old', 'new']);
  });

  it('by another user of the store keeps an answer under way out of it', async () => {
    const store = memoryStore();
    const [a, b] = [new LlmCache({ stores: store }), new LlmCache({ stores: store })];
    const upstream = deferred<string>();
    const outcomes: unknown[] = [];
    const running = a.wrap(parts, () => upstream.promise, { ...options, onOutcome: ({ stored, reason }) => outcomes.push([stored, reason]) });
    await settled();
    await b.invalidate({ tags: ['x'] });
    upstream.resolve('old');
    expect(await running).toBe('old');
    expect(outcomes).toEqual([[false, 'invalidated']]);
  });

  it('leaves no name, tag or scope to be read in the store', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: store.keyv });
    await llmCache.wrap(parts, () => 'answer', options);
    await llmCache.invalidate({ tags: ['invoices'], name: 'Test.ask', scope: 'acme' });
    await llmCache.wrap(parts, () => 'answer', options);
    const shown = JSON.stringify([...store.entries]);
    expect(store.entries.size).toBeGreaterThan(4);
    for (const word of ['invoices', 'Test.ask', 'acme', 'question']) expect(shown).not.toContain(word);
  });

  it('an answer being read from a slow store during an invalidation reaches nobody who asks later', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: [memoryStore(), store.keyv] });
    await new LlmCache({ stores: store.keyv }).wrap(parts, () => 'old');
    const read = store.hold('get');
    const early = llmCache.wrap(parts, () => 'early');
    await settled();
    const invalidated = llmCache.invalidate({ key: parts });
    store.heal();
    await invalidated;
    read.resolve();
    await early;
    expect(await llmCache.wrap(parts, () => 'new')).not.toBe('old');
  });

  it('rejects, after applying here, when a store does not confirm; says which; and is not undone later', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: [memoryStore(), store.keyv] });
    await llmCache.wrap(parts, () => 'old', options);
    store.fail('set', 'delete');
    const rejection: unknown = await llmCache.clear().catch((error: unknown) => error);
    expect(LlmCacheInvalidationError.isInstance(rejection)).toBe(true);
    expect(rejection).toMatchObject({ code: 'LLM_CACHE_INVALIDATION', tiers: ['store 1'] });
    await expect(llmCache.invalidate({ key: parts })).rejects.toMatchObject({ tiers: ['store 1'] });
    store.heal();
    expect(await llmCache.wrap(parts, () => 'new', options)).toBe('new');
  });

  it.each([[undefined], [null], [{}], ['text'], [{ tag: 'x' }], [{ tags: 'x' }], [{ tags: [''] }], [{ name: '' }], [{ scope: '' }], [{ key: 5 }]])(
    'refuses the target %p',
    async (target) => {
      const llmCache = new LlmCache();
      const rejection: unknown = await llmCache.invalidate(target as never).catch((error: unknown) => error);
      expect(LlmCacheConfigError.isInstance(rejection)).toBe(true);
    },
  );

  it('invalidating what an answer was made from removes the answer too', async () => {
    const llmCache = new LlmCache();
    const outer = (answer: string) =>
      llmCache.wrap({ name: 'Outer.ask', input: 1 }, () => llmCache.wrap(parts, () => answer, { tags: ['document'] }));
    await outer('old');
    await llmCache.invalidate({ tags: ['document'] });
    expect(await outer('new')).toBe('new');
  });

  it('invalidating a method removes what was computed inside it', async () => {
    const llmCache = new LlmCache();
    const outer = (answer: string) => llmCache.wrap({ name: 'Outer.ask', input: 1 }, () => llmCache.wrap(parts, () => answer));
    await outer('old');
    await llmCache.invalidate({ name: 'Outer.ask' });
    expect(await outer('new')).toBe('new');
  });
});
