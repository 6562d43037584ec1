import { rmSync, writeFileSync } from 'node:fs';
import { readdir, rename, rm, stat, truncate, writeFile, open as openFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Keyv } from 'keyv';
import { loadDriver } from '../../../../lib/stores/sqlite/load-driver.cjs';
import { SqliteFile } from '../../../../lib/stores/sqlite/sqlite-file.js';
import { adapterOf, StoreFixture } from '../../../fixtures/sqlite/open-store.js';

let fixture: StoreFixture;
let notices: string[];
beforeEach(async () => {
  fixture = await StoreFixture.create();
  notices = [];
});
afterEach(() => fixture.dispose());

function openNoted(): Keyv {
  const store = fixture.open();
  adapterOf(store).onNotice = (message) => notices.push(message);
  return store;
}

async function filled(): Promise<void> {
  const store = fixture.open();
  await Promise.all(Array.from({ length: 500 }, (_, index) => store.set(`key ${index}`, 'x'.repeat(2_000))));
  await store.disconnect();
}

const quarantined = async () => (await readdir(fixture.folderPath)).filter((name) => /\.corrupt-[^-].*\dZ$/.test(name));

describe('a damaged row', () => {
  const DAMAGE: ReadonlyArray<readonly [description: string, sql: string]> = [
    ['a changed value', "UPDATE llm_cache_v1 SET value = CAST('=\nother' AS BLOB)"],
    ['a changed checksum', 'UPDATE llm_cache_v1 SET checksum = checksum + 1'],
    ['a value that is not UTF-8', "UPDATE llm_cache_v1 SET value = x'FF41'"],
    ['a value of type text that is not UTF-8', "UPDATE llm_cache_v1 SET value = CAST(x'FF41' AS TEXT)"],
    ['a value of type number', 'UPDATE llm_cache_v1 SET value = 9007199254740993'],
    ['a checksum of type text', "UPDATE llm_cache_v1 SET checksum = CAST(x'FF41' AS TEXT)"],
    ["another key's value", "UPDATE llm_cache_v1 SET key = CAST('key' AS BLOB)"],
  ];

  it.each(DAMAGE)('with %s is a miss, counted and removed', async (_description, sql) => {
    const store = openNoted();
    await store.set(sql.includes('SET key') ? 'other key' : 'key', 'value');
    fixture.raw((connection) => connection.exec(sql));
    expect(await store.get('key')).toBeUndefined();
    expect(adapterOf(store).damaged).toBe(1);
    await store.disconnect();
    expect(fixture.raw((connection) => connection.prepare('SELECT count(*) AS rows FROM llm_cache_v1').get())).toMatchObject({ rows: 0 });
    expect(notices).toEqual([]);
  });

  it('does not take its successor with it', async () => {
    const store = openNoted();
    await store.set('key', 'old');
    fixture.raw((connection) => connection.exec("UPDATE llm_cache_v1 SET value = x'41'"));
    const read = store.get('key');
    const write = store.set('key', 'new');
    expect(await read).not.toBe('old');
    await write;
    await store.disconnect();
    expect(await store.get('key')).toBe('new');
  });

  it('is left out when entries are listed', async () => {
    const store = openNoted();
    await store.set('a', 'value');
    await store.set('b', 'value');
    fixture.raw((connection) => connection.exec("UPDATE llm_cache_v1 SET value = x'41' WHERE key = CAST('a' AS BLOB)"));
    const found: unknown[] = [];
    for await (const [key] of adapterOf(store).iterator()) found.push(key);
    expect(found).toEqual(['b']);
  });
});

describe('a damaged file', () => {
  const DAMAGE: ReadonlyArray<readonly [description: string, damage: () => Promise<void>]> = [
    ['that is garbage', () => replace(Buffer.alloc(20_000, 'not a database. '))],
    ['that is short garbage', () => replace(Buffer.from('x'))],
    ['that was cut in half', async () => truncate(fixture.path, Math.floor((await stat(fixture.path)).size / 2))],
    ['that was cut after its first page', () => truncate(fixture.path, 8192)],
    ['whose head was zeroed', () => overwrite(0, Buffer.alloc(8192))],
    ['whose middle was overwritten', () => overwrite(8192, Buffer.alloc(400_000, 0xa5))],
  ];

  it.each(DAMAGE)('%s is set aside, and reads and writes go on', async (_description, damage) => {
    await filled();
    await damage();
    const store = openNoted();
    for (let index = 0; index < 500; index += 1) await store.get(`key ${index}`);
    await store.set('new', 'value');
    expect(await store.get('new')).toBe('value');
    expect(await quarantined()).toHaveLength(1);
    expect(notices).toHaveLength(1);
    expect(notices[0]).toContain('.corrupt-');
    await store.disconnect();
    expect(await fixture.open().get('new')).toBe('value');
  });

  it('that is found by a write keeps that write', async () => {
    await writeFile(fixture.path, Buffer.alloc(20_000, 'not a database. '));
    const store = openNoted();
    expect(await store.set('key', 'value')).toBe(true);
    expect(await store.get('key')).toBe('value');
    expect(await quarantined()).toHaveLength(1);
  });

  it('is set aside once by two stores that find it together', async () => {
    await writeFile(fixture.path, Buffer.alloc(20_000, 'not a database. '));
    const [a, b] = [openNoted(), openNoted()];
    await Promise.all([a.set('a', 'value'), b.set('b', 'value')]);
    expect(await a.getMany(['a', 'b'])).toEqual(['value', 'value']);
    expect(await quarantined()).toHaveLength(1);
  });

  it('is left alone when another process has replaced it in the meantime', async () => {
    const file = new SqliteFile(fixture.path, loadDriver());
    let attempts = 0;
    await file.use((database) => {
      attempts += 1;
      if (attempts > 1) return database.totals();
      rmSync(fixture.path);
      writeFileSync(fixture.path, '');
      throw Object.assign(new Error('malformed'), { code: 'SQLITE_CORRUPT' });
    });
    file.close();
    expect(attempts).toBe(2);
    expect(await quarantined()).toEqual([]);
  });

  it('that is empty is simply filled', async () => {
    await writeFile(fixture.path, '');
    const store = openNoted();
    await store.set('key', 'value');
    expect(await store.get('key')).toBe('value');
    expect(notices).toEqual([]);
  });
});

describe('a file that goes away while it is open', () => {
  it('is made anew when it was deleted', async () => {
    const store = openNoted();
    await store.set('old', 'value');
    for (const suffix of ['', '-wal', '-shm']) await rm(fixture.path + suffix, { force: true });
    expect(await store.get('old')).toBeUndefined();
    await store.set('new', 'value');
    expect(await fixture.open().get('new')).toBe('value');
  });

  it('is made anew when only the database itself was deleted', async () => {
    const store = openNoted();
    await store.set('old', 'value');
    await rm(fixture.path);
    await store.set('new', 'value');
    await store.disconnect();
    expect(await fixture.open().getMany(['old', 'new'])).toEqual([undefined, 'value']);
  });

  it('is read from its successor when it was replaced', async () => {
    const other = fixture.open({ path: `${fixture.path}.other` });
    await other.set('key', 'from the other file');
    await other.disconnect();
    const store = openNoted();
    await store.set('key', 'value');
    for (const suffix of ['-wal', '-shm']) await rm(fixture.path + suffix, { force: true });
    await rename(`${fixture.path}.other`, fixture.path);
    expect(await store.get('key')).toBe('from the other file');
    expect(notices).toEqual([]);
  });

  it('comes back after its folder was deleted', async () => {
    const path = `${fixture.folderPath}/sub/cache.sqlite`;
    const store = fixture.open({ path });
    await store.set('key', 'value');
    await rm(`${fixture.folderPath}/sub`, { recursive: true });
    await store.set('key', 'again');
    await store.disconnect();
    expect(await fixture.open({ path }).get('key')).toBe('again');
  });
});

describe("somebody else's database", () => {
  it('keeps its tables, version and settings', async () => {
    fixture.raw((connection) => {
      connection.exec('PRAGMA user_version = 7; PRAGMA application_id = 42');
      connection.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO orders (note) VALUES ('theirs')");
    });
    const store = fixture.open({ maxEntries: 2 });
    for (const key of ['a', 'b', 'c']) await store.set(key, 'value');
    await store.clear();
    await store.set('d', 'value');
    expect(await store.get('d')).toBe('value');
    await store.disconnect();
    const pragma = (name: string) => fixture.raw((connection) => connection.prepare(`PRAGMA ${name}`).get());
    expect(pragma('user_version')).toMatchObject({ user_version: 7 });
    expect(pragma('application_id')).toMatchObject({ application_id: 42 });
    expect(pragma('journal_mode')).toMatchObject({ journal_mode: 'delete' });
    expect(fixture.raw((connection) => connection.prepare('SELECT note FROM orders').get())).toMatchObject({ note: 'theirs' });
    expect(await quarantined()).toEqual([]);
  });
});

/** As a file of its own: libsql keeps its lock on the old one until garbage collection. */
async function replace(bytes: Buffer): Promise<void> {
  await rm(fixture.path);
  await writeFile(fixture.path, bytes);
}

async function overwrite(position: number, bytes: Buffer): Promise<void> {
  const file = await openFile(fixture.path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  await file.close();
}
