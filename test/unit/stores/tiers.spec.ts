import { beforeEach, describe, expect, it } from '@jest/globals';
import { LlmCacheStoreError } from '../../../lib/core/errors.js';
import type { HeldEntry } from '../../../lib/stores/own-store.js';
import type { Tier } from '../../../lib/stores/tier.js';
import { Tiers } from '../../../lib/stores/tiers.js';

type Operation = 'get' | 'set' | 'delete';

/** A store in a Map. Operations that are held wait for `release`. */
class TierDouble {
  readonly data = new Map<string, string>();
  readonly log: string[] = [];
  readonly held = new Set<Operation>();
  readonly failing = new Map<Operation, LlmCacheStoreError['kind']>();
  private waiting: Array<() => void> = [];

  constructor(
    readonly name: string,
    readonly isSynchronous = false,
  ) {}

  peek(key: string): HeldEntry | undefined {
    const text = this.isSynchronous ? this.data.get(key) : undefined;
    return text === undefined ? undefined : { text };
  }

  /** Answers with what was there when it was asked, however late. */
  async get(key: string): Promise<unknown> {
    const text = this.data.get(key);
    await this.operate('get', key);
    return text;
  }

  async set(key: string, text: string, ttlMs: number | undefined): Promise<void> {
    await this.operate('set', `${key} ${ttlMs}`);
    this.data.set(key, text);
  }

  async delete(key: string): Promise<void> {
    await this.operate('delete', key);
    this.data.delete(key);
  }

  /** Lets operations go that wait, the oldest first. */
  async release(count = Infinity): Promise<void> {
    if (count === Infinity) this.held.clear();
    for (const go of this.waiting.splice(0, count)) go();
    await settle();
  }

  private async operate(operation: Operation, what: string): Promise<void> {
    this.log.push(`${operation} ${what}`);
    if (this.held.has(operation)) await new Promise<void>((resolve) => this.waiting.push(resolve));
    const kind = this.failing.get(operation);
    if (kind !== undefined) throw new LlmCacheStoreError(kind, `${operation} ${kind} in ${this.name}`);
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

describe('tiers', () => {
  let memory: TierDouble;
  let disk: TierDouble;
  let tiers: Tiers;

  beforeEach(() => {
    memory = new TierDouble('memory', true);
    disk = new TierDouble('disk');
    tiers = tiersOf(memory, disk);
  });

  it('say which of them are memory, and which keeps the versions', () => {
    expect([tiers.startInMemory, tiers.allInMemory, tiers.last]).toEqual([true, false, disk]);
    expect([tiersOf(memory).startInMemory, tiersOf(memory).allInMemory]).toEqual([true, true]);
    expect([tiersOf(disk).startInMemory, tiersOf(disk).allInMemory]).toEqual([false, false]);
  });

  it('read one tier', async () => {
    disk.data.set('k', 'text');
    expect(await tiers.read(1, 'k')).toBe('text');
    expect(await tiers.read(0, 'k')).toBeUndefined();
  });

  it('write every tier, with the lifetime', async () => {
    await tiers.write('k', 'text', 1_000);
    await tiers.write('l', 'text', undefined);
    for (const tier of [memory, disk]) expect(tier.log).toEqual(['set k 1000', 'set l undefined']);
  });

  describe('a write under way', () => {
    it('is visible at once, however slow the store', async () => {
      tiers = tiersOf(disk);
      disk.held.add('set');
      const writing = tiers.write('k', 'text', 1_000);
      expect(tiers.held('k')?.text).toBe('text');
      await disk.release();
      await writing;
      expect(tiers.held('k')).toBeUndefined(); // the store has it now
      expect(await tiers.read(0, 'k')).toBe('text');
    });

    it('that is overtaken shows the later text', async () => {
      tiers = tiersOf(disk);
      disk.held.add('set');
      const writing = [tiers.write('k', 'old', 1), tiers.write('k', 'new', 1)];
      expect(tiers.held('k')?.text).toBe('new');
      await disk.release(1);
      expect([disk.data.get('k'), tiers.held('k')?.text]).toEqual(['old', 'new']);
      await disk.release();
      await Promise.all(writing);
      expect(disk.data.get('k')).toBe('new');
      expect(tiers.held('k')).toBeUndefined();
    });

    it('reaches a read that began before it', async () => {
      disk.data.set('k', 'old');
      disk.held.add('get');
      const reading = tiers.read(1, 'k');
      await tiers.write('k', 'new', 1);
      await disk.release();
      expect(await reading).toBe('new');
    });

    it('does not reach a read of another key', async () => {
      disk.held.add('get');
      const reading = tiers.read(1, 'other');
      await tiers.write('k', 'new', 1);
      await disk.release();
      expect(await reading).toBeUndefined();
    });
  });

  it('share one read between callers who ask at the same time, and only then', async () => {
    disk.data.set('k', 'text');
    disk.held.add('get');
    const reading = [tiers.read(1, 'k'), tiers.read(1, 'k'), tiers.read(1, 'other')];
    await disk.release();
    expect(await Promise.all(reading)).toEqual(['text', 'text', undefined]);
    expect(disk.log).toEqual(['get k', 'get other']);
    await tiers.read(1, 'k');
    expect(disk.log).toEqual(['get k', 'get other', 'get k']);
  });

  it('bring nothing that was removed meanwhile, and nothing that comes back after', async () => {
    disk.data.set('k', 'old');
    disk.held.add('get');
    const before = tiers.read(1, 'k');
    await tiers.remove('k');
    const after = tiers.read(1, 'k');
    await disk.release();
    expect([tiers.isRemoved('k', await before), tiers.isRemoved('k', await after)]).toEqual([true, true]);
    await tiers.write('k', 'new', 1);
    expect([tiers.isRemoved('k', 'old'), tiers.isRemoved('k', 'new'), tiers.isRemoved('other', 'old')]).toEqual([true, false, false]);
  });

  describe('a write that fails', () => {
    it('is no failure while another tier has the entry', async () => {
      disk.failing.set('set', 'failed');
      await tiers.write('k', 'text', 1);
      expect(memory.data.get('k')).toBe('text');
    });

    it('rejects once all tiers have answered, when none has taken the entry', async () => {
      disk.failing.set('set', 'failed');
      memory.failing.set('set', 'failed');
      const slow = tiersOf(disk, memory);
      memory.held.add('set');
      let failure: unknown = 'still waiting';
      const writing = slow.write('k', 'later', 1).catch((error: unknown) => (failure = error));
      await settle();
      expect(failure).toBe('still waiting');
      await memory.release();
      await writing;
      expect(failure).toBeInstanceOf(LlmCacheStoreError);
    });

    it('is not remembered when the store said no', async () => {
      tiers = tiersOf(disk);
      disk.failing.set('set', 'failed');
      await tiers.write('k', 'text', 1).catch(() => undefined);
      expect(tiers.held('k')).toBeUndefined();
    });

    it.each(['timeout', 'skipped'] as const)('is remembered after %s: the next call in this process has the answer', async (kind) => {
      tiers = tiersOf(disk);
      disk.failing.set('set', kind);
      await tiers.write('k', 'text', 1).catch(() => undefined);
      expect(tiers.held('k')?.text).toBe('text');
    });

    it('keeps no more than 1,000 answers for a store that never takes them', async () => {
      tiers = tiersOf(disk);
      disk.failing.set('set', 'timeout');
      for (let index = 0; index < 1_200; index++) await tiers.write(`k${index}`, 'text', 1).catch(() => undefined);
      const kept = Array.from({ length: 1_200 }, (_, index) => tiers.held(`k${index}`)).filter((entry) => entry !== undefined);
      expect(kept).toHaveLength(1_000);
      expect(tiers.held('k1199')).toBeDefined();
    });

    it('keeps no more than 32 MiB for it', async () => {
      tiers = tiersOf(disk);
      disk.failing.set('set', 'timeout');
      const text = 'x'.repeat(10 * 1024 * 1024);
      for (const key of ['a', 'b', 'c', 'd']) await tiers.write(key, text, 1).catch(() => undefined);
      expect(['a', 'b', 'c', 'd'].map((key) => tiers.held(key) !== undefined)).toEqual([false, true, true, true]);
    });
  });

  describe('promotion', () => {
    it('copies an entry to the faster tiers with the lifetime it has left, and to no other', async () => {
      const remote = new TierDouble('remote');
      tiers = tiersOf(memory, disk, remote);
      tiers.promote('k', 'text', 700, 1, tiers.removals);
      await settle();
      expect([memory.log, disk.log, remote.log]).toEqual([['set k 700'], [], []]);
    });

    it('that fails is nobody’s problem', async () => {
      memory.failing.set('set', 'failed');
      tiers.promote('k', 'text', 1, 1, tiers.removals);
      await settle(); // an unhandled rejection would fail the test run
      expect(memory.data.size).toBe(0);
    });
  });

  describe('removal', () => {
    it('empties every tier', async () => {
      await tiers.write('k', 'text', 1);
      expect(await tiers.remove('k')).toEqual([]);
      expect([memory.data.size, disk.data.size]).toEqual([0, 0]);
      expect(tiers.held('k')).toBeUndefined();
    });

    it('waits for a write under way, which would bring the entry back', async () => {
      disk.held.add('set');
      const writing = tiers.write('k', 'text', 1);
      const removing = tiers.remove('k');
      await settle();
      expect(disk.log).toEqual(['set k 1']);
      await disk.release();
      await Promise.all([writing, removing]);
      expect(disk.log).toEqual(['set k 1', 'delete k']);
      expect([memory.data.size, disk.data.size]).toEqual([0, 0]);
      expect(tiers.held('k')).toBeUndefined();
    });

    it('forgets an answer that a slow store never took', async () => {
      tiers = tiersOf(disk);
      disk.failing.set('set', 'timeout');
      await tiers.write('k', 'text', 1).catch(() => undefined);
      await tiers.remove('k');
      expect(tiers.held('k')).toBeUndefined();
    });

    it('names the tiers that did not confirm, and removes from the others', async () => {
      await tiers.write('k', 'text', 1);
      disk.failing.set('delete', 'timeout');
      const failures = await tiers.remove('k');
      expect(failures.map(({ tier, error }) => [tier, error.kind])).toEqual([['disk', 'timeout']]);
      expect(memory.data.size).toBe(0);
    });

    it('of a key nobody wrote is confirmed', async () => {
      expect(await tiers.remove('nobody')).toEqual([]);
    });
  });
});

function tiersOf(...doubles: TierDouble[]): Tiers {
  return new Tiers(doubles as unknown as Tier[]);
}
