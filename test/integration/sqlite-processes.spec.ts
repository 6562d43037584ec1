import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { compileForChild } from '../fixtures/sqlite/compile-for-child.js';
import { adapterOf, StoreFixture } from '../fixtures/sqlite/open-store.js';

const WRITER = fileURLToPath(new URL('../fixtures/sqlite/writer.mjs', import.meta.url));

let compiled: Awaited<ReturnType<typeof compileForChild>>;
let fixture: StoreFixture;
const children: ChildProcess[] = [];

beforeAll(async () => (compiled = await compileForChild()), 30_000);
afterAll(() => compiled.remove());
beforeEach(async () => (fixture = await StoreFixture.create()));
afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await fixture.dispose();
});

/** A process of its own that writes `count` entries; 0 means until it is killed. `acknowledged` grows as sets resolve. */
function startWriter(name: string, count: number): { child: ChildProcess; acknowledged: string[]; ended: Promise<unknown> } {
  const child = fork(WRITER, [pathToFileURL(compiled.entry).href, fixture.path, name, String(count)], {
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  children.push(child);
  const acknowledged: string[] = [];
  child.on('message', (key) => acknowledged.push(key as string));
  // A process may have ended before its last messages are read.
  const ended = Promise.all([once(child, 'close'), once(child, 'disconnect')]).then(([close]) => close as unknown);
  return { child, acknowledged, ended };
}

const valueOf = (key: string) => `value of ${key} ${'x'.repeat(2_000)}`;

describe('several processes on one file', () => {
  it('lose nothing that was acknowledged to any of four that write at once', async () => {
    const writers = ['a', 'b', 'c', 'd'].map((name) => startWriter(name, 250));
    const ends = await Promise.all(writers.map(({ ended }) => ended));
    expect(ends).toEqual(writers.map(() => [0, null]));
    const keys = writers.flatMap(({ acknowledged }) => acknowledged);
    expect(new Set(keys).size).toBe(1_000);
    const store = fixture.open();
    expect(await store.getMany(keys)).toEqual(keys.map(valueOf));
    expect(adapterOf(store).inspect().entries).toBe(1_000);
  }, 30_000);

  it('lose nothing that was acknowledged before a kill -9', async () => {
    for (let round = 0; round < 3; round += 1) {
      const { child, acknowledged, ended } = startWriter(`round ${round}`, 0);
      while (acknowledged.length < 100) await once(child, 'message');
      child.kill('SIGKILL');
      expect(await ended).toEqual([null, 'SIGKILL']);
      const store = fixture.open();
      expect(await store.getMany(acknowledged)).toEqual(acknowledged.map(valueOf));
      expect(adapterOf(store).damaged).toBe(0);
      await store.disconnect();
    }
  }, 30_000);

  it('go on beside one that was killed', async () => {
    const survivor = fixture.open();
    await survivor.set('before', 'value');
    const { child, acknowledged, ended } = startWriter('killed', 0);
    while (acknowledged.length < 50) {
      await once(child, 'message');
      await survivor.set(`survivor ${acknowledged.length}`, 'value');
    }
    child.kill('SIGKILL');
    await ended;
    expect(await survivor.set('after', 'value')).toBe(true);
    expect(await survivor.getMany(acknowledged)).toEqual(acknowledged.map(valueOf));
  }, 30_000);
});

describe('a process with an open store', () => {
  it('ends by itself', async () => {
    const { ended, acknowledged } = startWriter('short', 8);
    expect(await ended).toEqual([0, null]);
    expect(acknowledged).toHaveLength(8);
  }, 30_000);
});
