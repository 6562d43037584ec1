import { chmodSync, chownSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { canMount, mount, unmount } from '../fixtures/small-disk.js';
import { CallingProcess, lockElsewhere, type Compiled, type ProcessOptions } from '../fixtures/sqlite/calling-process.js';
import { compileForChild } from '../fixtures/sqlite/compile-for-child.js';
import { FireFixture } from '../fixtures/sqlite/under-fire.js';

// What surrounds the file is in trouble: folder, disk, lock. Calls are answered, and the store works again afterwards.

const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

let compiled: Compiled;
let fixture: FireFixture;
const running = new Set<CallingProcess>();
beforeAll(async () => (compiled = await compileForChild()), 30_000);
afterAll(() => compiled.remove());
beforeEach(async () => {
  fixture = await FireFixture.create();
  mkdirSync(fixture.store);
});
afterEach(async () => {
  for (const each of running) each.kill();
  await fixture.dispose();
});

function start(options: ProcessOptions = {}): CallingProcess {
  const started = new CallingProcess(compiled, fixture.path, options);
  running.add(started);
  return started;
}

const allFailed = (count: number) => Array<string>(count).fill('store-failed');

/** Root may write everywhere, so the calls are made by somebody else. */
function startAsNobody(): CallingProcess {
  if (!isRoot) return start();
  chmodSync(fixture.root, 0o755);
  for (const file of ['', ...readdirSync(fixture.store)]) chownSync(join(fixture.store, file), NOBODY, NOBODY);
  return start({ uid: NOBODY });
}

describe('a folder that cannot be written', () => {
  it('answers calls without storing, and stores again once it can', async () => {
    chmodSync(fixture.store, 0o555);
    const caller = startAsNobody();
    const first = await caller.ask(0, 2);
    expect(first).toMatchObject({ upstream: 2, reasons: allFailed(2) });
    expect(first.warnings.join('\n')).toContain('SQLITE_CANTOPEN');
    chmodSync(fixture.store, 0o755);
    await caller.letFiveSecondsPass();
    expect(await caller.ask(0, 3)).toMatchObject({ upstream: 3, reasons: [undefined, undefined, undefined] });
    expect(await caller.ask(0, 3)).toMatchObject({ upstream: 0, warnings: [] });
  }, 30_000);
});

describe('a file that cannot be written', () => {
  it('is read, answers calls without storing, and stores again once it can', async () => {
    const first = start();
    await first.ask(0, 20);
    await first.close();
    chmodSync(fixture.path, 0o444);
    const caller = startAsNobody();
    const during = await caller.ask(0, 22);
    expect(during).toMatchObject({ upstream: 2, reasons: [...Array<undefined>(20).fill(undefined), ...allFailed(2)] });
    expect(during.warnings).toEqual(['sqlite: set failed (SQLITE_READONLY). Calls go on without it.']);
    // SQLite gave those beside it the same permissions.
    for (const file of readdirSync(fixture.store)) chmodSync(join(fixture.store, file), 0o644);
    await caller.letFiveSecondsPass();
    expect(await caller.ask(0, 22)).toMatchObject({ upstream: 2, reasons: Array(22).fill(undefined) });
    expect(await caller.ask(0, 22)).toMatchObject({ upstream: 0, warnings: [] });
  }, 30_000);
});

describe('a full disk', () => {
  it('as a limit on the size of files: earlier answers are read, others are not stored, and a process without the limit goes on', async () => {
    const caller = start({ fileBlocks: 2_000 });
    const reasons: Array<string | undefined> = [];
    while (!reasons.includes('store-failed')) reasons.push(...(await caller.ask(reasons.length, 10)).reasons);
    const stored = reasons.indexOf('store-failed');
    expect(stored).toBeGreaterThan(10);
    await caller.letFiveSecondsPass();
    expect(await caller.ask(0, stored)).toMatchObject({ upstream: 0 });
    await caller.close();
    const fresh = fixture.open();
    expect(await fresh.askAll(stored)).toBe(0);
    await fresh.askAll(reasons.length);
    expect(await fresh.askAll(reasons.length)).toBe(0);
    expect(fresh.warnings).toEqual([]);
  }, 30_000);

  const mounted = canMount();
  it.each(mounted ? ['a file system of 1 MB'] : [])('as %s: earlier answers are read, others are not stored, and it goes on when there is room', async () => {
    mount(fixture.store);
    try {
      const ballast = join(fixture.store, 'ballast');
      writeFileSync(ballast, Buffer.alloc(300_000));
      const caller = fixture.open();
      let count = 0;
      while (caller.failures === 0) await caller.ask(count++);
      const stored = count - 1;
      expect(stored).toBeGreaterThan(5);
      expect(caller.warnings).toEqual([expect.stringMatching(/^sqlite: set failed \(SQLITE_(FULL|IOERR)\)\. Calls go on without it\.$/)]);
      expect(await caller.askAll(stored)).toBe(0);
      rmSync(ballast);
      expect(await caller.askFrom(stored, 3)).toBe(3);
      expect(await caller.askAll(count)).toBe(0);
      await caller.close();
      const fresh = fixture.open();
      expect(await fresh.askAll(count)).toBe(0);
      await fresh.close();
    } finally {
      unmount(fixture.store);
    }
  }, 30_000);
});

describe('a lock held by another process for longer than storeTimeout', () => {
  it('leaves earlier answers readable and calls answered in time; what was waiting is written when it is released', async () => {
    const caller = fixture.open(100);
    await caller.askAll(8);
    caller.forget();
    const release = await lockElsewhere(compiled, fixture.path);
    expect(await caller.askAll(8)).toBe(0);
    const startedAt = performance.now();
    await caller.ask(8);
    const waited = performance.now() - startedAt;
    expect(waited).toBeGreaterThanOrEqual(95);
    expect(waited).toBeLessThan(2_000);
    expect(caller.outcomes.at(-1)).toMatchObject({ reason: 'store-failed' });
    expect(caller.warnings).toEqual(['sqlite: set took longer than storeTimeout (100 ms). Calls go on without it.']);
    await release();
    await caller.close();
    const fresh = fixture.open();
    expect(await fresh.askAll(9)).toBe(0);
  }, 30_000);
});
