import { describe, expect, it } from '@jest/globals';
import { createCache } from 'cache-manager';
import { Keyv } from 'keyv';
import { LlmCacheConfigError } from '../../../lib/core/errors.js';
import { ownAdapterOf } from '../../../lib/stores/keyv-shape.js';
import { memoryStore } from '../../../lib/stores/memory/index.js';
import { givenStores, type StoreInput } from '../../../lib/stores/store-input.js';

describe('stores as they are given', () => {
  it('takes a Keyv as it is and leaves it to its owner', () => {
    const keyv = new Keyv();
    expect(givenStores(keyv)).toEqual([keyv]);
    expect(givenStores(keyv)[0]).toBe(keyv);
    expect(ownAdapterOf(keyv)).toBeUndefined();
  });

  it('owns a store of its own factory', () => {
    const keyv = memoryStore();
    expect(givenStores([keyv])[0]).toBe(keyv);
    expect(ownAdapterOf(keyv)).toBeDefined();
  });

  it('takes the stores of a cache-manager Cache, in its order, and owns those of its own factory', () => {
    const stores = [memoryStore(), new Keyv()];
    const given = givenStores(createCache({ stores }));
    expect(given.map((keyv) => stores.indexOf(keyv as Keyv))).toEqual([0, 1]);
    expect(given.map((keyv) => ownAdapterOf(keyv) !== undefined)).toEqual([true, false]);
  });

  it('takes a mix, fastest first', () => {
    const [first, second, third] = [memoryStore(), new Keyv(), new Keyv()];
    const given = givenStores([first, createCache({ stores: [second] }), third]);
    expect(given.map((keyv) => [first, second, third].indexOf(keyv as Keyv))).toEqual([0, 1, 2]);
  });

  it('puts a Keyv before a storage adapter, such as a Map', async () => {
    const map = new Map<string, unknown>();
    const [given] = givenStores(map);
    await given!.set('k', 'v');
    expect(await given!.get('k')).toBe('v');
    expect(map.size).toBe(1);
    expect(ownAdapterOf(given!)).toBeUndefined();
  });

  it('finds its own adapter, given without its Keyv', async () => {
    const adapter = ownAdapterOf(memoryStore())!;
    const [given] = givenStores(adapter);
    await given!.set('k', 'v');
    expect(ownAdapterOf(given!)).toBe(adapter);
    expect(adapter.peek!('k')?.text).toBe('v');
  });

  it('knows a Keyv of another copy or version by its shape', () => {
    const foreign = { hooks: {}, stats: {}, opts: {}, get: async () => 1, set: async () => true, delete: async () => true, clear: async () => {} };
    expect(givenStores(foreign)[0]).toBe(foreign);
  });

  it('touches no store at start-up', () => {
    const touched: string[] = [];
    const spy = (name: string) => (): never => {
      touched.push(name);
      throw new Error('not now');
    };
    givenStores({ get: spy('get'), set: spy('set'), delete: spy('delete'), clear: spy('clear') });
    expect(touched).toEqual([]);
  });

  it.each<[stores: unknown, place: string, hint?: string]>([
    [undefined, 'stores'],
    [null, 'stores'],
    ['redis://localhost', 'stores'],
    [{}, 'stores'],
    [{ get() {}, set() {}, delete() {} }, 'stores'],
    [Promise.resolve(new Keyv()), 'stores', 'await it'],
    [[new Keyv(), undefined], 'stores[1]'],
    [[Promise.resolve()], 'stores[0]', 'await it'],
    [[[new Keyv()]], 'stores[0]'],
    [[], 'an empty list'],
  ])('refuses %p and names the place (%#)', (stores, place, hint = '') => {
    const give = (): unknown => givenStores(stores as StoreInput);
    expect(give).toThrow(LlmCacheConfigError);
    expect(give).toThrow(place);
    expect(give).toThrow('a Keyv, a Keyv storage adapter or a cache-manager Cache');
    expect(give).toThrow(hint);
  });
});
