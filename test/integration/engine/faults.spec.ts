import { describe, expect, it } from '@jest/globals';
import { Keyv } from 'keyv';
import { LlmCache, type LlmCacheEvent, memoryStore } from 'nestjs-llm-cache';
import { settled } from '../../fixtures/deferred.js';
import { troubledStore } from '../../fixtures/stores.js';

const parts = (input: unknown = 'question') => ({ name: 'Test.ask', input });

function counted(llmCache: LlmCache) {
  let calls = 0;
  return (input?: unknown) => llmCache.wrap(parts(input), () => `answer ${++calls}`);
}

describe('a store in trouble', () => {
  it('that fails to read costs a miss', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: store.keyv });
    const ask = counted(llmCache);
    await ask();
    store.fail('get');
    expect(await ask()).toBe('answer 2');
    expect(llmCache.stats().tiers[0]!.errors).toBeGreaterThan(0);
  });

  it('that fails to write costs nothing: the answer arrives, and is computed again', async () => {
    const store = troubledStore();
    store.fail('set');
    const ask = counted(new LlmCache({ stores: store.keyv }));
    expect(await ask()).toBe('answer 1');
    expect(await ask()).toBe('answer 2');
    store.heal();
    expect(await ask()).toBe('answer 3');
    expect(await ask()).toBe('answer 3');
  });

  it('that throws synchronously is one that fails', async () => {
    const broken = {
      get: () => {
        throw new Error('get');
      },
      set: () => {
        throw new Error('set');
      },
      delete: () => true,
      clear: () => undefined,
    };
    expect(await counted(new LlmCache({ stores: broken }))()).toBe('answer 1');
  });

  it('that reports a failed write as false has not stored the answer', async () => {
    const keyv = new Keyv({ store: new Map() });
    keyv.set = () => Promise.resolve(false);
    const llmCache = new LlmCache({ stores: keyv });
    const outcomes: unknown[] = [];
    await llmCache.wrap(parts(), () => 'answer', { onOutcome: (outcome) => outcomes.push(outcome) });
    expect(outcomes).toEqual([expect.objectContaining({ stored: false, reason: 'store-failed' })]);
  });

  it('that hangs costs its deadline once, and then nothing until it is probed again', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: [memoryStore(), store.keyv], storeTimeout: '30ms' });
    const ask = counted(llmCache);
    store.hang('get', 'set');
    const startedAt = performance.now();
    expect(await ask('first')).toBe('answer 1');
    const first = performance.now() - startedAt;
    expect(first).toBeGreaterThanOrEqual(22); // a deadline is met to a fifth
    expect(await ask('first')).toBe('answer 1');
    for (let input = 0; input < 100; input++) await ask(input);
    const asked = { ...store.asked };
    for (let input = 100; input < 200; input++) await ask(input);
    expect(store.asked).toEqual(asked);
  });

  it('that is slow to write shows its answer at once', async () => {
    const store = troubledStore();
    const llmCache = new LlmCache({ stores: store.keyv, storeTimeout: '20ms' });
    const ask = counted(llmCache);
    const write = store.hold('set');
    const first = ask();
    await settled();
    expect(await first).toBe('answer 1');
    expect(await ask()).toBe('answer 1');
    write.resolve();
    await settled();
    expect(await ask()).toBe('answer 1');
  });

  it('behind a healthy one does not keep it from serving', async () => {
    const store = troubledStore();
    store.fail('get', 'set');
    const ask = counted(new LlmCache({ stores: [memoryStore(), store.keyv] }));
    await ask();
    expect(await ask()).toBe('answer 1');
  });

  it('never lets a failure become an unhandled rejection', async () => {
    const unhandled: unknown[] = [];
    const listen = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', listen);
    const store = troubledStore();
    store.fail('get', 'set', 'delete');
    const llmCache = new LlmCache({ stores: [memoryStore(), store.keyv] });
    await counted(llmCache)();
    await llmCache.clear().catch(() => undefined);
    await llmCache.wrap(parts(1), () => Promise.reject(new Error('upstream'))).catch(() => undefined);
    await settled();
    process.off('unhandledRejection', listen);
    expect(unhandled).toEqual([]);
  });
});

describe('an entry in trouble is a miss, counted apart', () => {
  const garbage: Array<[string, (text: string, other: string) => unknown]> = [
    ['truncated', (text) => text.slice(0, -1)],
    ['with a changed letter', (text) => text.replace('answer', 'answes')],
    ['with a changed expiry', (text) => text.replace(/"expiresAtMs":\d/, '"expiresAtMs":9')],
    ['swapped with another', (_, other) => other],
    ['of an unknown format', (text) => text.replace('llm-cache/1', 'llm-cache/2')],
    ['somebody else\'s text', () => 'hello'],
    ['no text at all', () => ({ answer: 42 })],
    ['an empty text', () => ''],
    ['a number', () => 5],
  ];

  it.each([['memoryStore', memoryStore], ['Keyv', () => new Keyv()]] as const)('in %s', async (_, makeStore) => {
    for (const [, damage] of garbage) {
      const store = makeStore();
      const llmCache = new LlmCache({ stores: store });
      const events: LlmCacheEvent[] = [];
      llmCache.on((event) => events.push(event));
      const ask = counted(llmCache);
      await ask();
      await ask('other');
      const [key, otherKey] = [llmCache.keyFor(parts()), llmCache.keyFor(parts('other'))];
      const [text, other] = [await store.get<string>(key), await store.get<string>(otherKey)];
      await store.set(key, damage(text!, other!));
      expect(await ask()).toBe('answer 3');
      expect(await ask()).toBe('answer 3');
      expect(llmCache.stats()).toMatchObject({ rejected: 1, misses: 3, hits: 1 });
      expect(events.filter(({ type }) => type === 'rejected')).toHaveLength(1);
    }
  });

  it('passes the gate again when it is read', async () => {
    const store = memoryStore();
    const lax = new LlmCache({ stores: store });
    await lax.wrap(parts(), () => 'once thought good');
    const strict = new LlmCache({ stores: store, cacheable: (answer) => answer !== 'once thought good' });
    expect(await strict.wrap(parts(), () => 'better')).toBe('better');
    expect(await lax.wrap(parts(), () => 'never')).toBe('better');
  });

  it('is looked for in the next tier', async () => {
    const [memory, keyv] = [memoryStore(), new Keyv()];
    const llmCache = new LlmCache({ stores: [memory, keyv] });
    const ask = counted(llmCache);
    await ask();
    await memory.set(llmCache.keyFor(parts()), 'garbage');
    expect(await ask()).toBe('answer 1');
    expect(llmCache.stats().rejected).toBe(1);
  });
});
