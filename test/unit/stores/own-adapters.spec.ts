import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { MemoryAdapter } from '../../../lib/stores/memory/memory-adapter.js';
import { pack, type OwnStoreAdapter } from '../../../lib/stores/own-store.js';
import { loadDriver } from '../../../lib/stores/sqlite/load-driver.cjs';
import { SqliteAdapter } from '../../../lib/stores/sqlite/sqlite-adapter.js';
import { temporaryFolder } from '../../fixtures/sqlite/temporary-folder.js';

// The adapters without the Keyv in front of them, which would look at expiry and namespace once more.

const BOUNDS = { maxEntries: 100, maxBytes: 1_000_000 };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let adapters: OwnStoreAdapter[];
beforeEach(async () => {
  folder = await temporaryFolder();
  adapters = [];
});
afterEach(async () => {
  jest.restoreAllMocks();
  for (const adapter of adapters) await adapter.disconnect?.();
  await folder.remove();
});

const makers: Array<[name: string, make: () => OwnStoreAdapter]> = [
  ['memory', () => new MemoryAdapter(BOUNDS.maxEntries, BOUNDS.maxBytes)],
  ['sqlite', () => new SqliteAdapter(join(folder.path, 'cache.sqlite'), BOUNDS, loadDriver())],
];

describe.each(makers)('the %s adapter', (_name, make) => {
  const open = (): OwnStoreAdapter => {
    const adapter = make();
    adapters.push(adapter);
    return adapter;
  };

  it('ends an entry with its last millisecond', async () => {
    const adapter = open();
    const nowMs = Date.now();
    const now = jest.spyOn(Date, 'now').mockReturnValue(nowMs);
    await adapter.set('key', pack('value', nowMs + 1_000), 1_000);
    now.mockReturnValue(nowMs + 1_000);
    expect(await adapter.get('key')).toBeDefined();
    now.mockReturnValue(nowMs + 1_001);
    expect(await adapter.get('key')).toBeUndefined();
    expect(await adapter.has!('key')).toBe(false);
    expect(await adapter.getMany!(['key'])).toEqual([undefined]);
  });

  it('clears its namespace, and no other that starts like it', async () => {
    const adapter = open();
    const keys = ['a:1', 'a:2', 'ab:1', 'b:1', 'a'];
    for (const key of keys) await adapter.set(key, pack('value', undefined));
    adapter.namespace = 'a';
    await adapter.clear();
    expect(await adapter.getMany!(keys)).toEqual([undefined, undefined, ...keys.slice(2).map(() => pack('value', undefined))]);
  });

  it('iterates over a namespace only', async () => {
    const adapter = open();
    for (const key of ['a:1', 'ab:1', 'b:1']) await adapter.set(key, pack('value', undefined));
    const seen: unknown[] = [];
    for await (const [key] of adapter.iterator!('a') as AsyncGenerator<[string]>) seen.push(key);
    expect(seen).toEqual(['a:1']);
  });
});
