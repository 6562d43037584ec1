import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';

/** The part of a Keyv that the package uses: a store of strings. */
export interface StringStore {
  get(key: string): Promise<unknown>;
  getMany(keys: string[]): Promise<unknown[]>;
  set(key: string, value: string, ttlMs?: number): Promise<unknown>;
  delete(key: string): Promise<boolean>;
  clear(): Promise<void>;
}

export interface StoreUnderTest {
  readonly store: StringStore;
  /** Closes the store and opens what it kept, as a restarted process would. */
  reopen?(): Promise<StringStore>;
  dispose(): Promise<void>;
}

/** A store that keeps what it has outside of the process; what is left to do before and after it is disconnected for the last time. */
export function reopening(open: () => StringStore & { disconnect(): Promise<unknown> }, { beforeLast, afterLast }: { beforeLast?: (store: StringStore) => Promise<void>; afterLast?: () => Promise<void> }): StoreUnderTest {
  let store = open();
  return {
    store,
    reopen: async () => {
      await store.disconnect();
      return (store = open());
    },
    dispose: async () => {
      await beforeLast?.(store);
      await store.disconnect();
      await afterLast?.();
    },
  };
}

export interface ConformanceFlags {
  /** What was set is there after a reopen. */
  readonly persistent: boolean;
}

const VALUES: ReadonlyArray<readonly [description: string, value: string]> = [
  ['an empty string', ''],
  ['plain text', 'forty-two'],
  ['JSON', '{"answer":"a \\"quoted\\" word","list":[1,2,3]}'],
  ['every printable kind of Unicode', 'naïve Ω 中文 🦜 👩‍👩‍👧 \u202Eright to left'],
  ['control characters', 'line\r\n\ttab\u0000nul\u001F'],
  ['a text in packed form', '=1700000000000\nnot an expiry'],
  ['a text in Keyv form', '{"value":"other","expires":1}'],
  ['a text in Keyv base64 form', ':base64:AAAA'],
  ['1 MB of ASCII', 'x'.repeat(1024 * 1024)],
  ['1 MB of other text', '中'.repeat(350_000)],
];

const KEYS: ReadonlyArray<readonly [description: string, key: string]> = [
  ['a hash', 'llm:v1:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'],
  ['SQL', "'; DROP TABLE entries; --"],
  ['wildcards', '100%_*?[a-z]\\'],
  ['Unicode', 'clé:日本:🗝️'],
  ['control characters', 'a\u0000b\n\r\tc'],
  ['a path', '../../etc/passwd'],
  ['an object property', '__proto__'],
  ['1 KB', 'k'.repeat(1024)],
];

/** The contract of a store as the package uses it. What a store does not promise is a flag, not a skipped test. */
export function keyvConformance(name: string, makeStore: () => Promise<StoreUnderTest>, flags: ConformanceFlags): void {
  describe(`${name} as a store of strings`, () => {
    let tested: StoreUnderTest;
    let store: StringStore;

    beforeEach(async () => {
      tested = await makeStore();
      store = tested.store;
    });
    afterEach(async () => {
      jest.restoreAllMocks();
      await tested.dispose();
    });

    describe('values', () => {
      it.each(VALUES)('gives back %s', async (_description, value) => {
        await store.set('key', value);
        expect((await store.get('key')) === value).toBe(true);
      });

      it('overwrites', async () => {
        await store.set('key', 'first, and longer than what follows');
        await store.set('key', 'second');
        expect(await store.get('key')).toBe('second');
      });

      it('answers a missing key with undefined', async () => {
        expect(await store.get('nobody set this')).toBeUndefined();
      });
    });

    describe('keys', () => {
      it.each(KEYS)('tells %s from its neighbours', async (_description, key) => {
        await store.set(key, 'mine');
        await store.set(`${key}.`, 'longer');
        await store.set(key.slice(0, -1), 'shorter');
        expect(await store.getMany([key, `${key}.`, key.slice(0, -1)])).toEqual(['mine', 'longer', 'shorter']);
      });

      it('distinguishes case and composed characters', async () => {
        await store.set('Key', 'upper');
        await store.set('caf\u00E9', 'composed');
        expect(await store.getMany(['key', 'cafe\u0301'])).toEqual([undefined, undefined]);
      });
    });

    describe('getMany', () => {
      it('answers in the order of the keys, with undefined for missing ones and again for repeated ones', async () => {
        await store.set('a', '1');
        await store.set('b', '2');
        expect(await store.getMany(['b', 'missing', 'a', 'b'])).toEqual(['2', undefined, '1', '2']);
      });

      it('answers no keys with nothing', async () => {
        expect(await store.getMany([])).toEqual([]);
      });
    });

    describe('delete', () => {
      it('removes one key and says so', async () => {
        await store.set('gone', '1');
        await store.set('kept', '2');
        expect(await store.delete('gone')).toBe(true);
        expect(await store.getMany(['gone', 'kept'])).toEqual([undefined, '2']);
      });

      it('does not mind a missing key', async () => {
        await store.delete('nobody set this');
        expect(await store.get('nobody set this')).toBeUndefined();
      });
    });

    describe('clear', () => {
      it('removes everything, and the store goes on', async () => {
        for (let index = 0; index < 20; index += 1) await store.set(`key ${index}`, 'value');
        await store.clear();
        expect(await store.getMany(['key 0', 'key 19'])).toEqual([undefined, undefined]);
        await store.set('key 0', 'again');
        expect(await store.get('key 0')).toBe('again');
      });
    });

    describe('time to live', () => {
      it('ends an entry, whichever way it is read', async () => {
        await store.set('short', 'value', 1_000);
        await store.set('long', 'value', 60_000);
        await store.set('for ever', 'value');
        passTime(1_001);
        expect(await store.get('short')).toBeUndefined();
        expect(await store.getMany(['short', 'long', 'for ever'])).toEqual([undefined, 'value', 'value']);
      });

      it('holds until it ends', async () => {
        await store.set('key', 'value', 1_000);
        passTime(900);
        expect(await store.get('key')).toBe('value');
      });

      it('starts anew when the entry is set again', async () => {
        await store.set('key', 'value', 1_000);
        await store.set('key', 'value', 60_000);
        passTime(1_001);
        expect(await store.get('key')).toBe('value');
      });
    });

    describe('concurrency', () => {
      it('keeps each of 200 entries set at once', async () => {
        const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`);
        await Promise.all(keys.map((key) => store.set(key, `value of ${key}`)));
        expect(await store.getMany(keys)).toEqual(keys.map((key) => `value of ${key}`));
      });

      it('lets the last of many sets of one key win', async () => {
        await Promise.all(Array.from({ length: 50 }, (_, index) => store.set('key', `value ${index}`)));
        expect(await store.get('key')).toBe('value 49');
      });
    });

    if (flags.persistent) {
      describe('reopened', () => {
        it('still has what was set, less what was deleted', async () => {
          await Promise.all([store.set('kept', 'value'), store.set('gone', 'value'), store.set('changed', 'old')]);
          await store.set('changed', 'new');
          await store.delete('gone');
          const reopened = await tested.reopen!();
          expect(await reopened.getMany(['kept', 'gone', 'changed'])).toEqual(['value', undefined, 'new']);
        });

        it('still ends entries on time', async () => {
          await store.set('short', 'value', 1_000);
          const reopened = await tested.reopen!();
          passTime(1_001);
          expect(await reopened.get('short')).toBeUndefined();
        });
      });
    }
  });
}

function passTime(ms: number): void {
  const later = Date.now() + ms;
  jest.spyOn(Date, 'now').mockReturnValue(later);
}
