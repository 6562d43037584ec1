import { hash } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { LlmCache, LlmCacheInvalidationError, memoryStore } from 'nestjs-llm-cache';
import { FakeClock } from 'nestjs-llm-cache/testing';
import { openEnvelope, sealEnvelope } from '../../../lib/stores/envelope.js';
import { GroupVersions, type Versions } from '../../../lib/stores/group-versions.js';
import type { Tier } from '../../../lib/stores/tier.js';
import { Tiers } from '../../../lib/stores/tiers.js';
import { encodeValue } from '../../../lib/stores/value-codec.js';
import { tierDouble } from '../../fixtures/tier-double.js';

async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}

/** A Keyv by shape, over a Map, whose operations a test replaces. */
function keyvDouble() {
  const map = new Map<string, unknown>();
  return {
    map,
    hooks: {},
    stats: {},
    get: async (key: string): Promise<unknown> => map.get(key),
    set: async (key: string, value: unknown): Promise<unknown> => (map.set(key, value), true),
    delete: async (key: string): Promise<unknown> => map.delete(key),
    clear: async (): Promise<void> => map.clear(),
  };
}

describe('clear() while the shared store is down', () => {
  it('holds in this process', async () => {
    const clock = new FakeClock();
    const store = keyvDouble();
    const cache = new LlmCache({ stores: [memoryStore(), store], jitter: 0 }, clock);
    let calls = 0;
    const ask = (): Promise<string> => cache.wrap({ name: 'n', input: 1 }, () => `answer ${++calls}`);
    await ask();

    const failing: Array<() => void> = [];
    store.get = () => Promise.reject(new Error('down'));
    store.set = () => new Promise((_resolve, reject) => failing.push(() => reject(new Error('down'))));
    clock.advance('6s');
    const before = ask(); // reads the version anew
    await settle();
    const cleared = cache.clear().catch((error: unknown) => error);
    await settle();
    for (const fail of failing.splice(0)) fail();
    await settle();
    for (const fail of failing.splice(0)) fail();
    expect(await cleared).toBeInstanceOf(LlmCacheInvalidationError);
    await before;
    expect(await ask()).not.toBe('answer 1');
  });
});

describe('a bump while a new version is read back', () => {
  it('wins', async () => {
    const data = new Map<string, string>();
    const waiting: Array<() => void> = [];
    const tier = tierDouble({
      get: (group: string) => new Promise((resolve) => waiting.push(() => resolve(data.get(group)))),
      set: (group: string, version: string) => new Promise<void>((resolve) => waiting.push(() => (data.set(group, version), resolve()))),
    });
    const versions = GroupVersions.of(tier, new FakeClock(), 5_000);
    const snapshot = Promise.resolve(versions.snapshot(['g']));
    await settle();
    waiting.shift()!(); // get: nothing there
    await settle();
    waiting.shift()!(); // set
    await settle();
    waiting.shift()!(); // get: the version just written...
    const old = data.get('g')!;
    const bumped = versions.bump(['g']); // ...but before it is seen, somebody clears
    await settle();
    waiting.shift()!();
    await bumped;
    await snapshot;
    expect(await versions.check([['g', old]])).toBe('outdated');
  });
});

describe('one failed read of a version', () => {
  it('invalidates nothing, and serves nothing that nobody can vouch for', async () => {
    const clock = new FakeClock();
    const store = keyvDouble();
    const cache = new LlmCache({ stores: store }, clock);
    let calls = 0;
    const ask = (input: number): Promise<string> => cache.wrap({ name: 'n', input }, () => `answer ${++calls}`);
    await ask(1);
    await ask(2);
    clock.advance('6s');
    const { get } = store;
    store.get = (key) => (key.endsWith('.versions') ? ((store.get = get), Promise.reject(new Error('ECONNRESET'))) : get(key));
    expect(await ask(1)).toBe('answer 3'); // another process may have cleared five seconds ago
    clock.advance('6s');
    expect(await ask(1)).toBe('answer 3');
    expect(await ask(2)).toBe('answer 2');
  });

  it('serves what is younger than an invalidation may be late', async () => {
    const clock = new FakeClock();
    const store = keyvDouble();
    const cache = new LlmCache({ stores: [memoryStore(), store], maxInvalidationDelay: '5s' }, clock);
    let calls = 0;
    const ask = (): Promise<string> => cache.wrap({ name: 'n', input: 1 }, () => `answer ${++calls}`);
    store.get = () => Promise.reject(new Error('ECONNREFUSED'));
    store.set = () => Promise.reject(new Error('ECONNREFUSED'));
    expect(await ask()).toBe('answer 1');
    clock.advance('4s');
    expect(await ask()).toBe('answer 1');
    clock.advance('1s');
    expect(await ask()).toBe('answer 2');
    expect(await ask()).toBe('answer 2');
  });
});

describe('a version that falls out of memory while it is read', () => {
  it('is no error', async () => {
    const clock = new FakeClock();
    const data = new Map<string, string>();
    let release: (() => void) | undefined;
    let slow = false;
    const tier = tierDouble({
      get: async (group: string) => {
        if (slow) await new Promise<void>((resolve) => (release = resolve));
        return data.get(group);
      },
      set: async (group: string, version: string) => void data.set(group, version),
    });
    const versions = GroupVersions.of(tier, clock, 5_000, 100);
    await versions.snapshot(['g']);
    clock.advance('6s');
    slow = true;
    const reading = versions.snapshot(['g']) as Promise<Versions>;
    await settle();
    void versions.bump(Array.from({ length: 101 }, (_, index) => `other ${index}`));
    release!();
    expect((await reading)[0]![1]).toBe(data.get('g'));
  });
});

describe('an unconfirmed bump that falls out of memory', () => {
  it('still counts', async () => {
    const data = new Map<string, string>();
    let down = false;
    const set = async (group: string, version: string): Promise<void> => {
      if (down) throw new Error('down');
      data.set(group, version);
    };
    const tier = tierDouble({ get: async (group: string) => data.get(group), set });
    const versions = GroupVersions.of(tier, new FakeClock(), 5_000, 100);
    const old = await versions.snapshot(['g']);
    down = true;
    await versions.bump(['g']).catch(() => undefined);
    await versions.bump(Array.from({ length: 101 }, (_, index) => `other ${index}`)).catch(() => undefined);
    expect(await versions.check(old)).toBe('outdated');
  });
});

describe('removal with two writes under way', () => {
  it('waits for both', async () => {
    const data = new Map<string, string>();
    const waiting: Array<() => void> = [];
    const tier = {
      name: 'slow',
      isSynchronous: false,
      peek: () => undefined,
      set: (key: string, text: string) => new Promise<void>((resolve) => waiting.push(() => (data.set(key, text), resolve()))),
      delete: async (key: string) => void data.delete(key),
    };
    const tiers = new Tiers([tier as unknown as Tier]);
    const writes = [tiers.write('k', 'old', 1), tiers.write('k', 'new', 1)];
    await settle();
    const removed = tiers.remove('k');
    waiting[0]!();
    await settle();
    waiting[1]!();
    await Promise.all([...writes, removed]);
    expect(data.get('k')).toBeUndefined();
  });
});

describe('an answer too large for the memory store', () => {
  it('is not stored, as its outcome says', async () => {
    const cache = new LlmCache({ stores: memoryStore({ maxBytes: 1_000 }) });
    const told: string[] = [];
    const ask = (): Promise<string> =>
      cache.wrap({ name: 'n', input: 1 }, () => 'x'.repeat(5_000), { onOutcome: ({ status, stored }) => told.push(`${status} ${stored}`) });
    await ask();
    await ask();
    expect(told).toEqual(['miss false', 'miss false']);
  });
});

describe('what would not come back as it was', () => {
  class Page extends Array<number> {}
  class Frame extends Uint8Array {}
  Object.defineProperty(Frame, 'name', { value: 'Uint8Array' }); // as a minifier or a bundler's rename may
  it.each<[string, unknown]>([
    ['a subclass of Array', Page.from([1])],
    ['bytes with fields', Object.assign(Buffer.from('x'), { mime: 'image/png' })],
    ['a subclass of a typed array', new Frame(1)],
  ])('%s is refused', (_title, value) => {
    expect(() => encodeValue(value, { flatten: false })).toThrow();
  });
});

describe('an array of holes', () => {
  it('of more than a million is refused', () => {
    expect(() => encodeValue(Object.assign([], { length: 2_000_000 }), { flatten: false })).toThrow('1000000');
  }, 60_000);
});

describe('envelope', () => {
  it('is not opened when a replacement character became a lone surrogate', () => {
    const sealed = sealEnvelope({ key: 'k', createdAtMs: 0, expiresAtMs: null, versions: [], latencyMs: 0, payload: 'j"\ufffd"' });
    expect(openEnvelope(sealed.replace('\ufffd', '\ud800'), 'k')).toBe('damaged');
  });

  it.each(['null', '1', '"x"', '[]', '{"key":"k"}'])('with the header %s is damaged', (header) => {
    const content = `${header}\nj1`;
    expect(openEnvelope(`llm-cache/1 ${hash('sha256', content, 'base64url').slice(0, 22)}\n${content}`, 'k')).toBe('damaged');
  });
});
