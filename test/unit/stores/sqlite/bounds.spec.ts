import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { adapterOf, present, StoreFixture } from '../../../fixtures/sqlite/open-store.js';

let fixture: StoreFixture;
beforeEach(async () => (fixture = await StoreFixture.create()));
afterEach(async () => {
  jest.restoreAllMocks();
  await fixture.dispose();
});

const keys = (count: number, prefix = 'key') => Array.from({ length: count }, (_, index) => `${prefix} ${index}`);
const rows = () =>
  fixture.raw((connection) => connection.prepare('SELECT count(*) AS count, sum(bytes) AS bytes FROM llm_cache_v1').get());

describe('bounds', () => {
  it('evicts what was set first', async () => {
    const store = fixture.open({ maxEntries: 3 });
    for (const key of ['a', 'b', 'c', 'd']) await store.set(key, 'value');
    expect(await present(store, ['a', 'b', 'c', 'd'])).toEqual(['b', 'c', 'd']);
  });

  it('counts a read as a use', async () => {
    const store = fixture.open({ maxEntries: 3 });
    for (const key of ['a', 'b', 'c']) await store.set(key, 'value');
    await store.get('a');
    await store.set('d', 'value');
    await store.getMany(['a', 'c']);
    await store.set('e', 'value');
    expect(await present(store, ['a', 'b', 'c', 'd', 'e'])).toEqual(['a', 'c', 'e']);
  });

  it('counts an overwrite as a use, and once', async () => {
    const store = fixture.open({ maxEntries: 2 });
    for (const key of ['a', 'b', 'a', 'a', 'c']) await store.set(key, 'value');
    expect(await present(store, ['a', 'b', 'c'])).toEqual(['a', 'c']);
    expect(adapterOf(store).inspect().entries).toBe(2);
  });

  it('remembers more reads than it keeps in memory', async () => {
    const store = fixture.open({ maxEntries: 1_000 });
    const clock = jest.spyOn(Date, 'now');
    const start = Date.now();
    await Promise.all(keys(1_000).map((key) => store.set(key, 'value')));
    clock.mockReturnValue(start + 120_000);
    await store.getMany(keys(600));
    await Promise.all(keys(400, 'new').map((key) => store.set(key, 'value')));
    expect(await present(store, keys(1_000))).toEqual(keys(600));
  });

  it('keeps the order of use across a restart', async () => {
    const first = fixture.open({ maxEntries: 3 });
    const clock = jest.spyOn(Date, 'now');
    const start = Date.now();
    for (const key of ['a', 'b', 'c']) await first.set(key, 'value');
    clock.mockReturnValue(start + 120_000);
    await first.get('a');
    await first.disconnect();
    const second = fixture.open({ maxEntries: 3 });
    await second.set('d', 'value');
    expect(await present(second, ['a', 'b', 'c', 'd'])).toEqual(['a', 'c', 'd']);
  });

  it('evicts the older entry first even when the clock was set back meanwhile', async () => {
    const first = fixture.open({ maxEntries: 3 });
    for (const key of ['a', 'b', 'c']) await first.set(key, 'value');
    await first.disconnect();
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
    const second = fixture.open({ maxEntries: 3 });
    for (const key of ['d', 'e']) await second.set(key, 'value');
    expect(await present(second, ['a', 'b', 'c', 'd', 'e'])).toEqual(['c', 'd', 'e']);
  });

  it('keeps below maxBytes', async () => {
    const store = fixture.open({ maxBytes: 100_000 });
    for (const key of keys(50)) await store.set(key, 'x'.repeat(10_000));
    const { bytes, entries } = adapterOf(store).inspect();
    expect(bytes).toBeLessThanOrEqual(100_000);
    expect(entries).toBe(9);
    expect(await present(store, keys(50))).toEqual(keys(50).slice(-9));
  });

  it('counts bytes of UTF-8, not characters', async () => {
    const store = fixture.open({ maxBytes: 10_000 });
    expect(await store.set('key', '中'.repeat(4_000))).toBe(false);
    expect(await store.set('key', 'x'.repeat(4_000))).toBe(true);
  });

  it('does not keep an entry larger than the store, nor what it was to replace', async () => {
    const store = fixture.open({ maxBytes: 10_000 });
    await store.set('other', 'value');
    await store.set('key', 'old');
    expect(await store.set('key', 'x'.repeat(10_001))).toBe(false);
    expect(await present(store, ['key', 'other'])).toEqual(['other']);
  });

  it('keeps the bound while many write at once', async () => {
    const store = fixture.open({ maxEntries: 50 });
    await Promise.all(keys(1_000).map((key) => store.set(key, 'value')));
    expect(rows()).toMatchObject({ count: 50 });
    expect(await present(store, keys(1_000))).toEqual(keys(1_000).slice(-50));
  });

  it('gets below lower bounds after a reopen, a slice with each write', async () => {
    const first = fixture.open();
    await Promise.all(keys(1_000).map((key) => first.set(key, 'value')));
    await first.disconnect();
    const second = fixture.open({ maxEntries: 10 });
    for (const key of keys(5, 'new')) await second.set(key, 'value');
    expect(adapterOf(second).inspect().entries).toBe(10);
    expect(await present(second, keys(5, 'new'))).toHaveLength(5);
  });
});

describe('inspect', () => {
  it('agrees with the rows after sets, overwrites, deletes and a clear', async () => {
    const store = fixture.open();
    await Promise.all(keys(300).map((key) => store.set(key, 'value')));
    await Promise.all(keys(100).map((key) => store.set(key, 'a longer value')));
    await store.delete(keys(50));
    const { entries, bytes } = adapterOf(store).inspect();
    expect(rows()).toMatchObject({ count: entries, bytes });
    expect(entries).toBe(250);
    await store.clear();
    expect(adapterOf(store).inspect()).toMatchObject({ entries: 0, bytes: 0 });
  });

  it('knows what is there from the first read on, and what others wrote from the next write on', async () => {
    const first = fixture.open();
    await first.set('a', 'value');
    const second = fixture.open();
    await second.get('a');
    expect(adapterOf(second).inspect().entries).toBe(1);
    await first.set('b', 'value');
    await second.set('c', 'value');
    expect(adapterOf(second).inspect().entries).toBe(3);
  });
});

describe('expired entries', () => {
  it('are removed from the file by later writes', async () => {
    const store = fixture.open();
    await Promise.all(keys(600).map((key) => store.set(key, 'value', 1_000)));
    await store.set('kept', 'value', 60_000);
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 1_001);
    for (let write = 0; write < 3; write += 1) await store.set('writer', 'value');
    expect(rows()).toMatchObject({ count: 2 });
  });

  it('make room before anything that is still good', async () => {
    const store = fixture.open({ maxEntries: 3 });
    await store.set('good', 'value');
    await store.set('short', 'value', 1_000);
    await store.set('also good', 'value');
    jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 1_001);
    await store.set('new', 'value');
    expect(await present(store, ['good', 'short', 'also good', 'new'])).toEqual(['good', 'also good', 'new']);
  });
});

describe('the file', () => {
  it('shrinks again after much was removed', async () => {
    const store = fixture.open();
    await Promise.all(keys(400).map((key) => store.set(key, 'x'.repeat(10_000))));
    const pages = () => fixture.raw((connection) => (connection.prepare('PRAGMA page_count').get() as { page_count: number }).page_count);
    const before = pages();
    await store.clear();
    for (let write = 0; write < 32; write += 1) await store.set('writer', 'value');
    expect(pages()).toBeLessThan(before / 2);
  });
});
