import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { loadDriver } from '../../lib/stores/sqlite/load-driver.cjs';
import { FireFixture, type Caller, type Lost } from '../fixtures/sqlite/under-fire.js';

// The file goes away, or something else takes its place, while it is open.

const ENTRIES = 48;
const KNOWN = 16;

interface Replacement {
  readonly trouble: string;
  readonly inflict: (fixture: FireFixture) => Promise<void> | void;
  readonly lost: Lost;
  readonly damagedFiles: 0 | 1;
}

const CASES: readonly Replacement[] = [
  { trouble: 'deleted', inflict: ({ path }) => rmSync(path), lost: 'everything in the file', damagedFiles: 0 },
  { trouble: 'deleted with `-wal` and `-shm`', inflict: removeAll, lost: 'everything in the file', damagedFiles: 0 },
  { trouble: 'its folder deleted', inflict: ({ store }) => rmSync(store, { recursive: true }), lost: 'everything in the file', damagedFiles: 0 },
  { trouble: 'replaced by an empty file', inflict: ({ path }) => replace(path, ''), lost: 'everything in the file', damagedFiles: 0 },
  { trouble: 'replaced by a text file', inflict: ({ path }) => replace(path, 'hello'), lost: 'everything in the file', damagedFiles: 1 },
  { trouble: 'replaced by another store', inflict: replaceByStore, lost: 'everything in the file', damagedFiles: 0 },
  { trouble: "replaced by another app's database", inflict: replaceByOrders, lost: 'everything in the file', damagedFiles: 0 },
];

function removeAll({ path }: FireFixture): void {
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true });
}

function replace(path: string, bytes: string | Buffer): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

/** A whole store, with the answers to the first questions. */
async function replaceByStore({ path }: FireFixture): Promise<void> {
  const other = await FireFixture.create();
  const caller = other.open();
  await caller.askAll(KNOWN);
  await caller.close();
  replace(path, readFileSync(other.path));
  await other.dispose();
}

function replaceByOrders({ path }: FireFixture): void {
  const connection = loadDriver()(`${path}.new`);
  connection.exec("CREATE TABLE orders (note TEXT); INSERT INTO orders VALUES ('theirs')");
  connection.close();
  renameSync(`${path}.new`, path);
}

function ordersOf(path: string): unknown {
  const connection = loadDriver()(path);
  try {
    return connection.prepare('SELECT note FROM orders').all();
  } finally {
    connection.close();
  }
}

let fixture: FireFixture;
let caller: Caller;
beforeEach(async () => {
  fixture = await FireFixture.create();
  caller = fixture.open();
  await caller.askAll(ENTRIES);
  caller.forget();
});
afterEach(async () => {
  jest.restoreAllMocks();
  await fixture.dispose();
});

/** Five failures in a row, and a store is left alone for five seconds. */
function letFiveSecondsPass(): void {
  const nowMs = performance.now();
  jest.spyOn(performance, 'now').mockImplementation(() => nowMs + 5_001);
}

describe('a file', () => {
  it.each(CASES)('$trouble while it is open: every answer is right, $lost is lost, and no more', async ({ trouble, inflict, damagedFiles }) => {
    await inflict(fixture);
    const known = trouble.endsWith('another store') ? KNOWN : 0;
    expect(await caller.askAll(ENTRIES)).toBe(ENTRIES - known);
    expect(await caller.askAll(ENTRIES)).toBe(0);
    expect(caller.failures).toBe(0);
    await caller.close();
    expect(await fixture.open().askAll(ENTRIES)).toBe(0);
    expect(await fixture.quarantined()).toHaveLength(damagedFiles);
    expect(caller.warnings).toHaveLength(damagedFiles);
    if (trouble.includes('another app')) expect(ordersOf(fixture.path)).toMatchObject([{ note: 'theirs' }]);
  });

  it('replaced by a directory: answers are not stored, until it is gone', async () => {
    removeAll(fixture);
    mkdirSync(fixture.path);
    expect(await caller.askAll(4)).toBe(4);
    expect(caller.outcomes.map(({ reason }) => reason)).toEqual(Array(4).fill('store-failed'));
    expect(caller.warnings).toContain('sqlite: set failed (SQLITE_CANTOPEN). Calls go on without it.');
    expect(readdirSync(fixture.path)).toEqual([]);
    rmSync(fixture.path, { recursive: true });
    letFiveSecondsPass();
    await caller.ask(ENTRIES); // one call probes the store
    expect(await caller.askAll(4)).toBe(4);
    expect(await caller.askAll(4)).toBe(0);
    expect(readdirSync(fixture.store)).toContain('cache.sqlite');
    await caller.close();
    expect(await fixture.open().askAll(4)).toBe(0);
  });
});
