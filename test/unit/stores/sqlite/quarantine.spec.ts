import { readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { identityOf, setAside } from '../../../../lib/stores/sqlite/quarantine.js';
import { adapterOf, StoreFixture } from '../../../fixtures/sqlite/open-store.js';

let fixture: StoreFixture;
beforeEach(async () => {
  fixture = await StoreFixture.create();
  jest.useFakeTimers({ doNotFake: ['nextTick', 'setImmediate', 'setTimeout', 'performance'], now: new Date('2026-01-01') });
});
afterEach(async () => {
  jest.useRealTimers();
  await fixture.dispose();
});

const names = () => readdirSync(fixture.folderPath).sort();

describe('setting a damaged file aside', () => {
  it('takes its WAL along', () => {
    for (const suffix of ['', '-wal', '-shm']) writeFileSync(fixture.path + suffix, `damaged${suffix}`);
    const aside = setAside(fixture.path, identityOf(fixture.path))!;
    expect(aside).toBe(`${fixture.path}.corrupt-2026-01-01T00-00-00.000Z`);
    expect(readFileSync(`${aside}-wal`, 'utf8')).toBe('damaged-wal');
    expect(names()).toHaveLength(3);
  });

  it('keeps the newest three, and nothing of the older ones', async () => {
    const store = fixture.open();
    const notices: string[] = [];
    adapterOf(store).onNotice = (message) => notices.push(message);
    writeFileSync(`${fixture.path}.corrupt-notes.txt`, 'of the operator');
    for (let day = 1; day <= 5; day += 1) {
      jest.setSystemTime(new Date(`2026-01-0${day}`));
      writeFileSync(`${fixture.path}.new`, Buffer.alloc(1_000, 'not a database. '));
      renameSync(`${fixture.path}.new`, fixture.path);
      writeFileSync(`${fixture.path}.corrupt-2026-01-0${day}T00-00-00.000Z-wal`, 'the WAL of a damaged file');
      expect(await store.set('key', `day ${day}`)).toBe(true);
      expect(await store.get('key')).toBe(`day ${day}`);
    }
    const damaged = names().filter((name) => name.includes('.corrupt-'));
    expect(damaged).toEqual([
      ...[3, 4, 5].flatMap((day) => ['', '-wal'].map((suffix) => `cache.sqlite.corrupt-2026-01-0${day}T00-00-00.000Z${suffix}`)),
      'cache.sqlite.corrupt-notes.txt',
    ]);
    expect(notices).toHaveLength(5);
    expect(notices[4]).toMatch(/was damaged\. It was renamed to .*\.corrupt-2026-01-05.*The newest 3 damaged files are kept\./);
  });

  it('gives back a file that another process has put there in the meantime', () => {
    writeFileSync(fixture.path, 'damaged');
    const damaged = identityOf(fixture.path);
    renameSync(fixture.path, `${fixture.path}.elsewhere`);
    for (const suffix of ['', '-wal']) writeFileSync(fixture.path + suffix, `good${suffix}`);
    expect(setAside(fixture.path, damaged)).toBeUndefined();
    expect(names()).toEqual(['cache.sqlite', 'cache.sqlite-wal', 'cache.sqlite.elsewhere']);
    expect(readFileSync(`${fixture.path}-wal`, 'utf8')).toBe('good-wal');
  });

  it('may come too late', () => {
    expect(setAside(fixture.path, '1:1')).toBeUndefined();
    expect(names()).toEqual([]);
  });
});
