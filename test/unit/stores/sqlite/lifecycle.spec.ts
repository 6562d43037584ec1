import { mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Keyv } from 'keyv';
import { loadDriver, type SqliteConnection } from '../../../../lib/stores/sqlite/load-driver.cjs';
import { adapterOf, present, StoreFixture } from '../../../fixtures/sqlite/open-store.js';

let fixture: StoreFixture;
beforeEach(async () => (fixture = await StoreFixture.create()));
afterEach(async () => {
  jest.restoreAllMocks();
  await fixture.dispose();
});

describe('waiting writes', () => {
  it('are seen by reads of the same store', async () => {
    const store = adapterOf(fixture.open());
    await store.set('removed', 'value');
    const writes = [store.set('key', 'value'), store.delete('removed')];
    expect(await store.getMany(['key', 'removed', 'missing'])).toEqual(['value', undefined, undefined]);
    expect(await store.hasMany(['key', 'removed'])).toEqual([true, false]);
    expect(await Promise.all(writes)).toEqual([true, true]);
  });

  it('are hidden by a clear that follows, and visible when they follow it', async () => {
    const store = adapterOf(fixture.open());
    await store.set('stored', 'value');
    const writes = [store.set('before', 'value'), store.clear(), store.set('after', 'value')];
    const expected = [undefined, undefined, 'value'];
    expect(await store.getMany(['stored', 'before', 'after'])).toEqual(expected);
    await Promise.all(writes);
    expect(await store.getMany(['stored', 'before', 'after'])).toEqual(expected);
  });

  it('are in the file before set resolves', async () => {
    await fixture.open().set('key', 'value');
    expect(await fixture.open().get('key')).toBe('value');
  });

  it('tell each delete whether there was something', async () => {
    const store = fixture.open();
    await store.set('key', 'value');
    expect(await Promise.all([store.delete('key'), store.delete('key'), store.delete('missing')])).toEqual([true, false, false]);
    expect(await store.delete(['missing'])).toBe(false);
  });
});

describe('disconnect', () => {
  it('writes what is waiting and leaves an empty WAL', async () => {
    const store = fixture.open();
    const writes = Promise.all(Array.from({ length: 500 }, (_, index) => store.set(`key ${index}`, 'x'.repeat(1_000))));
    await store.disconnect();
    await writes;
    const wal = await stat(`${fixture.path}-wal`).catch(() => ({ size: 0 }));
    expect(wal.size).toBe(0);
    expect(await fixture.open().get('key 499')).toHaveLength(1_000);
  });

  it('may be repeated, at once and later', async () => {
    const store = fixture.open();
    await store.set('key', 'value');
    await Promise.all([store.disconnect(), store.disconnect()]);
    await store.disconnect();
    expect(await store.get('key')).toBe('value');
  });

  it('is followed by a fresh start when the store is used again', async () => {
    const store = fixture.open();
    await store.set('a', '1');
    await store.disconnect();
    await store.set('b', '2');
    expect(await store.getMany(['a', 'b'])).toEqual(['1', '2']);
  });
});

describe('namespaces', () => {
  const inNamespace = (namespace: string) => new Keyv({ store: adapterOf(fixture.open()), namespace });

  it('are cleared exactly', async () => {
    const names = ['a', 'a%', 'a_', 'A', 'ab', 'a:b'];
    const stores = names.map(inNamespace);
    for (const store of stores) await store.set('key', 'value');
    await stores[0]!.clear();
    // Keys of "a:b" start with "a:" as well: Keyv joins the two without escaping.
    expect(await Promise.all(stores.map((store) => store.has('key')))).toEqual([false, true, true, true, true, false]);
  });

  it('are all cleared by a clear without one', async () => {
    const named = inNamespace('a');
    await named.set('key', 'value');
    await fixture.open().clear();
    expect(await named.get('key')).toBeUndefined();
  });

  it('are listed exactly, over many pages and without what has expired', async () => {
    const [store, other] = [inNamespace('a'), inNamespace('ab')];
    const keys = Array.from({ length: 200 }, (_, index) => `key ${index}`);
    await Promise.all(keys.map((key) => store.set(key, 'value')));
    await store.set('expired', 'value', -1);
    await other.set('other', 'value');
    const found = new Map<string, unknown>();
    for await (const [key, value] of store.iterator!('a')) found.set(key as string, value);
    expect(found).toEqual(new Map(keys.map((key) => [key, 'value'])));
  });
});

describe('text that SQLite cannot hold', () => {
  it('is not kept and is never taken for something else', async () => {
    const store = fixture.open();
    await store.set('key \uFFFD', 'value');
    expect(await store.set('key \uD800', 'other')).toBe(false);
    expect(await store.get('key \uD800')).toBeUndefined();
    expect(await store.delete('key \uD800')).toBe(false);
    expect(await store.set('lone', 'value \uDC00')).toBe(false);
    expect(await store.get('lone')).toBeUndefined();
    expect(await store.get('key \uFFFD')).toBe('value');
  });

  it('is refused when it is no text at all', async () => {
    await expect(adapterOf(fixture.open()).set('key', 5 as never)).rejects.toThrow(TypeError);
  });
});

describe('the WAL, while somebody keeps a read transaction open', () => {
  it('grows up to a bound, and is emptied when that ends', async () => {
    const store = fixture.open({ maxBytes: 20_000_000 });
    await store.set('first', 'value');
    const other = loadDriver()(fixture.path);
    other.exec('BEGIN');
    other.prepare('SELECT count(*) FROM llm_cache_v1').get();
    const writeMany = async () => {
      for (let index = 0; index < 100; index += 1) await store.set(`key ${index}`, 'x'.repeat(1_000_000));
    };
    const walBytes = async () => (await stat(`${fixture.path}-wal`)).size;
    await expect(writeMany()).rejects.toMatchObject({ code: 'SQLITE_FULL', message: expect.stringContaining('read transaction') });
    expect(await walBytes()).toBeLessThan(70_000_000);
    expect(await store.get('first')).toBeUndefined(); // the bounds hold meanwhile
    other.exec('COMMIT');
    other.close();
    expect(await store.set('after', 'value')).toBe(true);
    expect(await walBytes()).toBeLessThan(4_000_000);
  }, 30_000);
});

describe('reading many', () => {
  it('lets other work in after every eight', async () => {
    const store = fixture.open();
    const keys = Array.from({ length: 64 }, (_, index) => `key ${index}`);
    await Promise.all(keys.map((key) => store.set(key, 'value')));
    const turnsOf = async (read: () => Promise<unknown>) => {
      let turns = 0;
      const count = () => {
        turns += 1;
        immediate = setImmediate(count);
      };
      let immediate = setImmediate(count);
      await read();
      clearImmediate(immediate);
      return turns;
    };
    expect(await turnsOf(() => adapterOf(store).getMany(keys))).toBeGreaterThanOrEqual(7);
    const list = async () => {
      for await (const entry of adapterOf(store).iterator()) void entry;
    };
    expect(await turnsOf(list)).toBeGreaterThanOrEqual(7);
  });
});

describe('failures', () => {
  it('reject with a code, and end when their cause does', async () => {
    await mkdir(fixture.path);
    const store = fixture.open();
    await expect(store.get('key')).rejects.toMatchObject({ code: 'SQLITE_CANTOPEN' });
    await expect(store.set('key', 'value')).rejects.toMatchObject({ code: 'SQLITE_CANTOPEN' });
    await rm(fixture.path, { recursive: true });
    expect(await store.set('key', 'value')).toBe(true);
  });

  it('reject when the folder cannot be made', async () => {
    await writeFile(`${fixture.folderPath}/file`, '');
    const store = fixture.open({ path: `${fixture.folderPath}/file/cache.sqlite` });
    await expect(store.set('key', 'value')).rejects.toMatchObject({ code: expect.stringMatching(/^E/) });
    await store.disconnect();
  });

  it('leave nothing of a failed write to be read', async () => {
    await mkdir(fixture.path);
    const store = fixture.open();
    await store.set('key', 'value').catch(() => {});
    await rm(fixture.path, { recursive: true });
    expect(await store.get('key')).toBeUndefined();
  });

  describe('while another process holds the lock', () => {
    let other: SqliteConnection;
    let store: Keyv;
    beforeEach(async () => {
      store = fixture.open();
      await store.set('a', 'value');
      other = loadDriver()(fixture.path);
      other.exec('BEGIN IMMEDIATE');
    });
    afterEach(() => void other.close());

    it('writes wait, reads do not', async () => {
      let written = false;
      const write = store.set('b', 'value').then((result) => (written = result));
      await sleep(40);
      expect(written).toBe(false);
      expect(await store.get('a')).toBe('value');
      other.exec('COMMIT');
      expect(await write).toBe(true);
      expect(await present(fixture.open(), ['a', 'b'])).toEqual(['a', 'b']);
    });

    it('writes give up in the end, and the next ones succeed', async () => {
      let now = 0;
      jest.spyOn(performance, 'now').mockImplementation(() => (now += 3_000));
      await expect(store.set('b', 'value')).rejects.toMatchObject({ code: 'SQLITE_BUSY' });
      other.exec('COMMIT');
      expect(await store.set('b', 'value')).toBe(true);
    });
  });
});
