import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LlmCacheConfigError } from '../../../../lib/core/errors.js';
import { sqliteStore, type SqliteStoreOptions } from '../../../../lib/stores/sqlite/index.js';
import { adapterOf, StoreFixture } from '../../../fixtures/sqlite/open-store.js';

const path = '/tmp/never-opened/cache.sqlite';

const REFUSED: ReadonlyArray<readonly [description: string, options: unknown, message: RegExp]> = [
  ['no options', undefined, /options must be an object/],
  ['no path', {}, /"path" must be the path of a file/],
  ['an undefined path', { path: undefined }, /"path" must be the path of a file/],
  ['an empty path', { path: '' }, /"path" must be the path of a file/],
  ['a blank path', { path: '  ' }, /"path" must be the path of a file/],
  ['a path that is no string', { path: 7 }, /"path" must be the path of a file/],
  ['a path with a NUL', { path: '/tmp/a\0b' }, /"path" must be the path of a file/],
  [':memory:', { path: ':memory:' }, /"path" .*use memoryStore/],
  ['maxBytes 0', { path, maxBytes: 0 }, /"maxBytes" must be a positive whole number/],
  ['negative maxBytes', { path, maxBytes: -1 }, /"maxBytes" must be a positive whole number/],
  ['fractional maxBytes', { path, maxBytes: 1.5 }, /"maxBytes" must be a positive whole number/],
  ['maxBytes as text', { path, maxBytes: '1gb' }, /"maxBytes" must be a positive whole number/],
  ['maxEntries 0', { path, maxEntries: 0 }, /"maxEntries" must be a positive whole number/],
  ['fractional maxEntries', { path, maxEntries: 0.5 }, /"maxEntries" must be a positive whole number/],
  ['maxEntries NaN', { path, maxEntries: Number.NaN }, /"maxEntries" must be a positive whole number/],
  ['infinite maxEntries', { path, maxEntries: Infinity }, /"maxEntries" must be a positive whole number/],
  ['an unknown option', { path, maxSize: 5 }, /unknown option "maxSize".*path, maxBytes, maxEntries/],
];

describe('options of sqliteStore', () => {
  it.each(REFUSED)('refuses %s', (_description, options, message) => {
    expect(() => sqliteStore(options as SqliteStoreOptions)).toThrow(message);
    expect(() => sqliteStore(options as SqliteStoreOptions)).toThrow(LlmCacheConfigError);
  });

  it('has bounds by default', () => {
    expect(adapterOf(sqliteStore({ path })).inspect()).toEqual({
      entries: 0,
      maxEntries: 1_000_000,
      bytes: 0,
      maxBytes: 1_073_741_824,
    });
  });
});

describe('sqliteStore before its first use', () => {
  let fixture: StoreFixture;
  beforeEach(async () => (fixture = await StoreFixture.create()));
  afterEach(() => fixture.dispose());

  it('touches no file, even when closed', async () => {
    const inNewFolder = join(fixture.folderPath, 'not', 'yet', 'cache.sqlite');
    const store = fixture.open({ path: inNewFolder });
    await store.disconnect();
    expect(existsSync(join(fixture.folderPath, 'not'))).toBe(false);
    await store.set('key', 'value');
    expect(existsSync(inNewFolder)).toBe(true);
  });

  it('says what to install when there is no driver', async () => {
    jest.resetModules();
    jest.unstable_mockModule('../../../../lib/stores/sqlite/load-driver.cjs', () => ({
      loadDriver: () => {
        throw Object.assign(new Error("Cannot find module 'libsql'"), { code: 'MODULE_NOT_FOUND' });
      },
    }));
    const module = await import('../../../../lib/stores/sqlite/index.js');
    expect(() => module.sqliteStore({ path })).toThrow(/npm i libsql/);
    expect(() => module.sqliteStore({ path })).toThrow(
      expect.objectContaining({ code: 'LLM_CACHE_CONFIG', cause: expect.objectContaining({ code: 'MODULE_NOT_FOUND' }) }),
    );
  });
});
