import { stat } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Change } from '../../../../lib/stores/sqlite/changes.js';
import { loadDriver } from '../../../../lib/stores/sqlite/load-driver.cjs';
import { SqliteDatabase } from '../../../../lib/stores/sqlite/sqlite-database.js';
import { WriteQueue } from '../../../../lib/stores/sqlite/write-queue.js';
import { adapterOf, StoreFixture } from '../../../fixtures/sqlite/open-store.js';

const MOST_CHANGES = 128;
const MOST_TEXT = 1024 * 1024;
const LONG_WAL_BYTES = 4 * 1024 * 1024;

const set = (index: number, length: number): Change => ({ kind: 'set', key: `key ${index}`, value: 'x'.repeat(length), expiresAtMs: null });
const sets = (count: number, length: number) => Array.from({ length: count }, (_, index) => set(index, length));
const textOf = (batch: readonly Change[]) => batch.reduce((sum, change) => sum + (change.kind === 'set' ? change.value.length : 0), 0);

/** Counts the turns that the event loop gives to others. */
function countTurns() {
  let counted = 0;
  let counting = true;
  const count = () => {
    counted += 1;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  return { turns: () => counted, stop: () => (counting = false) };
}

describe('batches', () => {
  it.each([
    { what: 'small', count: 2_000, length: 10, batches: 16 },
    { what: '2 KB', count: 2_000, length: 2_000, batches: 16 },
    { what: '20 KB', count: 2_000, length: 20_000, batches: 39 },
    { what: 'larger than a batch', count: 5, length: MOST_TEXT + 1, batches: 5 },
  ])('of a burst of $what values keep their bounds and their order, with a turn for others after each', async ({ count, length, batches }) => {
    const { turns, stop } = countTurns();
    const seen: Array<{ batch: readonly Change[]; turn: number }> = [];
    const queue = new WriteQueue((batch) => {
      seen.push({ batch, turn: turns() });
      return Promise.resolve(batch.map(() => true));
    });
    const changes = sets(count, length);
    await Promise.all(changes.map((change) => queue.add(change)));
    stop();
    expect(seen).toHaveLength(batches);
    expect(seen.flatMap(({ batch }) => batch)).toEqual(changes);
    for (const { batch } of seen) {
      expect(batch.length).toBeLessThanOrEqual(MOST_CHANGES);
      if (batch.length > 1) expect(textOf(batch)).toBeLessThanOrEqual(MOST_TEXT);
    }
    expect(new Set(seen.map(({ turn }) => turn)).size).toBe(batches);
  });
});

describe('the file', () => {
  let fixture: StoreFixture;
  beforeEach(async () => (fixture = await StoreFixture.create()));
  afterEach(async () => {
    jest.restoreAllMocks();
    await fixture.dispose();
  });

  const walSize = async () => (await stat(`${fixture.path}-wal`)).size;
  const fill = (store: ReturnType<StoreFixture['open']>, count: number, length: number) =>
    Promise.all(Array.from({ length: count }, (_, index) => store.set(`key ${index}`, 'x'.repeat(length))));

  it('has a WAL that is emptied whenever it has grown long, in a turn of its own', async () => {
    const { turns, stop } = countTurns();
    const emptiedIn: number[] = [];
    const writtenIn: number[] = [];
    const { checkpoint, transaction } = SqliteDatabase.prototype;
    jest.spyOn(SqliteDatabase.prototype, 'checkpoint').mockImplementation(function (this: SqliteDatabase, mostBytes) {
      const wal = checkpoint.call(this, mostBytes);
      if (wal === 'emptied') emptiedIn.push(turns());
      return wal;
    });
    jest.spyOn(SqliteDatabase.prototype, 'transaction').mockImplementation(function (this: SqliteDatabase, work) {
      writtenIn.push(turns());
      return transaction.call(this, work);
    });
    const store = fixture.open();
    await store.set('key', 'value');
    const progress = { done: false };
    const filled = fill(store, 1_000, 20_000).finally(() => (progress.done = true));
    let longest = 0;
    while (!progress.done) {
      longest = Math.max(longest, await walSize());
      await new Promise(setImmediate);
    }
    await filled;
    stop();
    expect(emptiedIn.length).toBeGreaterThanOrEqual(3);
    expect(writtenIn.filter((turn) => emptiedIn.includes(turn))).toEqual([]);
    expect(longest).toBeGreaterThan(MOST_TEXT);
    // A batch takes more in the file than its text: part of the last page of each value, and the indexes.
    expect(longest).toBeLessThan(LONG_WAL_BYTES + 2 * MOST_TEXT);
  });

  it('takes writes while a reader keeps the WAL from being emptied, and empties it afterwards', async () => {
    const store = fixture.open();
    await store.set('first', 'value');
    const reader = loadDriver()(fixture.path);
    try {
      reader.exec('BEGIN');
      reader.prepare('SELECT count(*) FROM llm_cache_v1').get();
      await fill(store, 500, 20_000);
      expect(await walSize()).toBeGreaterThan(LONG_WAL_BYTES);
      reader.exec('COMMIT');
      await store.set('last', 'value');
      expect(await walSize()).toBeLessThan(LONG_WAL_BYTES);
    } finally {
      reader.close();
    }
    expect(await store.get('key 499')).toHaveLength(20_000);
  });

  it('is told of many reads in slices', async () => {
    const store = fixture.open();
    await fill(store, 300, 10);
    const rows: number[] = [];
    const touch = jest.spyOn(SqliteDatabase.prototype, 'touch');
    const { transaction } = SqliteDatabase.prototype;
    jest.spyOn(SqliteDatabase.prototype, 'transaction').mockImplementation(function (this: SqliteDatabase, work) {
      touch.mockClear();
      const result = transaction.call(this, work);
      rows.push(touch.mock.calls.length);
      return result;
    });
    await store.getMany(Array.from({ length: 256 }, (_, index) => `key ${index}`));
    await adapterOf(store).disconnect();
    expect(rows).toEqual([64, 64, 64, 64]);
  });
});
