import { beforeEach, describe, expect, it } from '@jest/globals';
import { LlmCacheStoreError } from '../../../lib/core/errors.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import { GroupVersions, type Versions } from '../../../lib/stores/group-versions.js';
import type { Tier } from '../../../lib/stores/tier.js';
import { tierDouble } from '../../fixtures/tier-double.js';

const TRUSTED_FOR_MS = 5_000;

/** One store as several processes see it: each has a tier of its own over the same data. */
class SharedStore {
  readonly data = new Map<string, string>();
  readonly log: string[] = [];
  /** Operations wait while this is set; `release` lets them go, in the order they were made. */
  held = false;
  writesFail = false;
  private waiting: Array<() => void> = [];

  tier(): Tier {
    return tierDouble({
      get: (group: string) => this.operate(`get ${group}`, () => this.data.get(group)),
      set: (group: string, version: string) =>
        this.operate(`set ${group}`, () => {
          if (this.writesFail) throw new LlmCacheStoreError('failed', 'set failed');
          this.data.set(group, version);
        }),
    });
  }

  async release(): Promise<void> {
    this.held = false;
    while (this.waiting.length > 0) {
      this.waiting.shift()!();
      await settle();
    }
  }

  private async operate<T>(what: string, run: () => T): Promise<T> {
    this.log.push(what);
    if (this.held) await new Promise<void>((resolve) => this.waiting.push(resolve));
    return run();
  }
}

/** Lets everything run that waits for nothing but promises. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

const versionOf = (versions: Versions): string => versions[0]![1];

describe('group versions in a store that is shared', () => {
  let store: SharedStore;
  let clock: FakeClock;
  let versions: GroupVersions;
  const another = (): GroupVersions => GroupVersions.of(store.tier(), clock, TRUSTED_FOR_MS);

  beforeEach(() => {
    store = new SharedStore();
    clock = new FakeClock(1_000_000);
    versions = another();
  });

  it('are one object for one store, so that an invalidation reaches every user of it in the process', () => {
    const tier = store.tier();
    expect(GroupVersions.of(tier, clock, TRUSTED_FOR_MS)).toBe(GroupVersions.of(tier, clock, TRUSTED_FOR_MS));
    expect(GroupVersions.of(store.tier(), clock, TRUSTED_FOR_MS)).not.toBe(GroupVersions.of(tier, clock, TRUSTED_FOR_MS));
  });

  it('gives a group without a version one, and writes it down', async () => {
    const snapshot = await versions.snapshot(['g']);
    expect(store.data.get('g')).toBe(versionOf(snapshot));
    expect(await versions.snapshot(['g'])).toEqual(snapshot);
    expect(await versions.check(snapshot)).toBe('current');
  });

  it('reads the version another process gave', async () => {
    store.data.set('g', 'given');
    expect(await versions.snapshot(['g'])).toEqual([['g', 'given']]);
  });

  it('keeps groups apart, in their order', async () => {
    const snapshot = await versions.snapshot(['a', 'b', 'c']);
    expect(snapshot.map(([group]) => group)).toEqual(['a', 'b', 'c']);
    expect(new Set(snapshot.map(([, version]) => version)).size).toBe(3);
    await versions.bump(['b']);
    expect(await versions.check([snapshot[0]!, snapshot[2]!])).toBe('current');
    expect(await versions.check(snapshot)).toBe('outdated');
  });

  it('answers from memory, without a promise, for five seconds', async () => {
    const snapshot = await versions.snapshot(['g']);
    store.log.length = 0;
    clock.advance(TRUSTED_FOR_MS - 1);
    expect(versions.check(snapshot)).toBe('current');
    expect(versions.snapshot(['g'])).toEqual(snapshot);
    expect(store.log).toEqual([]);
    clock.advance(1);
    expect(versions.check(snapshot)).toBeInstanceOf(Promise);
  });

  it('sees a bump of another process after five seconds', async () => {
    const snapshot = await versions.snapshot(['g']);
    await another().bump(['g']);
    clock.advance(TRUSTED_FOR_MS);
    expect(await versions.check(snapshot)).toBe('outdated');
    expect(versionOf(await versions.snapshot(['g']))).toBe(store.data.get('g'));
  });

  it('asks the store again when the clock was set back', async () => {
    const snapshot = await versions.snapshot(['g']);
    await another().bump(['g']);
    clock.setNow(1);
    expect(await versions.check(snapshot)).toBe('outdated');
  });

  it('lets processes that start together agree on one version', async () => {
    const processes = [versions, another(), another()];
    await Promise.all(processes.map(async (each) => each.snapshot(['g'])));
    const seen = processes.map((each) => versionOf(each.snapshot(['g']) as Versions));
    expect(new Set([...seen, store.data.get('g')]).size).toBe(1);
  });

  it('shares one version between callers who ask at the same time', async () => {
    const snapshots = await Promise.all([versions.snapshot(['g']), versions.snapshot(['g'])]);
    const last = await versions.snapshot(['g']);
    expect(versionOf(last)).toBe(store.data.get('g'));
    expect(snapshots.filter((snapshot) => versionOf(snapshot) === versionOf(last)).length).toBeGreaterThan(0);
  });

  describe('a bump', () => {
    it('counts here before the store has it', async () => {
      const snapshot = await versions.snapshot(['g']);
      store.held = true;
      const bumped = versions.bump(['g']);
      expect(versions.check(snapshot)).toBe('outdated');
      expect(versionOf(versions.snapshot(['g']) as Versions)).not.toBe(versionOf(snapshot));
      await store.release();
      await bumped;
      expect(store.data.get('g')).not.toBe(versionOf(snapshot));
    });

    it('never repeats a version', async () => {
      const seen = new Set<string>();
      for (let round = 0; round < 50; round++) {
        await versions.bump(['g']);
        seen.add(versionOf(await versions.snapshot(['g'])));
      }
      expect(seen.size).toBe(50);
    });

    it('wins over what a read under way brings', async () => {
      store.data.set('g', 'old');
      store.held = true;
      const reading = versions.snapshot(['g']);
      await settle();
      const bumped = versions.bump(['g']);
      await store.release();
      await bumped;
      expect(versionOf(await reading)).not.toBe('old');
      expect(await versions.check([['g', 'old']])).toBe('outdated');
    });

    it('rejects when the store did not confirm it, and counts here all the same', async () => {
      const snapshot = await versions.snapshot(['g']);
      store.writesFail = true;
      await expect(versions.bump(['g'])).rejects.toBeInstanceOf(LlmCacheStoreError);
      expect(versions.check(snapshot)).toBe('outdated');
    });

    it('that the store did not confirm wins over its old version after five seconds, and is written again', async () => {
      const snapshot = await versions.snapshot(['g']);
      store.writesFail = true;
      await versions.bump(['g']).catch(() => undefined);
      const bumped = versions.snapshot(['g']) as Versions;
      store.writesFail = false;
      clock.advance(TRUSTED_FOR_MS);
      expect(store.data.get('g')).toBe(versionOf(snapshot));
      expect(await versions.check(snapshot)).toBe('outdated');
      expect(store.data.get('g')).toBe(versionOf(bumped));
      expect(await versions.check(bumped)).toBe('current');
    });

    it('that the store did not confirm holds for as long as the store is down', async () => {
      const snapshot = await versions.snapshot(['g']);
      store.writesFail = true;
      await versions.bump(['g']).catch(() => undefined);
      for (let round = 0; round < 3; round++) {
        clock.advance(TRUSTED_FOR_MS);
        expect(await versions.check(snapshot)).toBe('outdated');
      }
      store.writesFail = false;
      clock.advance(TRUSTED_FOR_MS);
      await versions.snapshot(['g']);
      expect(store.data.get('g')).not.toBe(versionOf(snapshot));
    });

    it('that is confirmed is not written again: another process may have bumped since', async () => {
      await versions.bump(['g']);
      await another().bump(['g']);
      const latest = store.data.get('g');
      clock.advance(TRUSTED_FOR_MS);
      expect(versionOf(await versions.snapshot(['g']))).toBe(latest);
      expect(store.data.get('g')).toBe(latest);
    });
  });

  it('reads a version the store has lost as another one: entries are missed, never wrong', async () => {
    const snapshot = await versions.snapshot(['g']);
    store.data.clear();
    clock.advance(TRUSTED_FOR_MS);
    expect(await versions.check(snapshot)).toBe('outdated');
    expect(store.data.get('g')).toBeDefined();
    expect(store.data.get('g')).not.toBe(versionOf(snapshot));
  });

  it('says so when the store cannot be asked, and nothing is known against a version', async () => {
    store.writesFail = true;
    const snapshot = await versions.snapshot(['g']);
    clock.advance(TRUSTED_FOR_MS);
    expect(await versions.check(snapshot)).toBe('unverified');
    expect(await versions.check([['g', 'another']])).toBe('outdated');
  });

  it('believes a version that was verified for as long as it may, whatever becomes of the store', async () => {
    const snapshot = await versions.snapshot(['g']);
    store.data.clear();
    store.writesFail = true;
    clock.advance(TRUSTED_FOR_MS - 1);
    expect(versions.check(snapshot)).toBe('current');
    clock.advance(1);
    expect(await versions.check(snapshot)).toBe('unverified');
  });

  it('believes for as long as the least patient user of the store says', async () => {
    const tier = store.tier();
    const patient = GroupVersions.of(tier, clock, 60_000);
    expect(GroupVersions.of(tier, clock, 1_000)).toBe(patient);
    const snapshot = await patient.snapshot(['g']);
    clock.advance(1_000);
    expect(patient.check(snapshot)).toBeInstanceOf(Promise);
  });

  it.each(['', 0, null, {}, 1])('takes %p in the place of a version for none', async (stored) => {
    store.data.set('g', stored as string);
    const snapshot = await versions.snapshot(['g']);
    expect(typeof versionOf(snapshot)).toBe('string');
  });
});

describe('group versions in memory', () => {
  let touched: string[];
  let versions: GroupVersions;
  const clock = new FakeClock(0);

  beforeEach(() => {
    touched = [];
    const touch = (what: string) => async () => void touched.push(what);
    const tier = { name: 'memory', isSynchronous: true, isCoordinated: false, subscribe: () => undefined, identity: { store: {}, namespace: '' }, get: touch('get'), set: touch('set') };
    versions = GroupVersions.of(tier as unknown as Tier, clock, TRUSTED_FOR_MS);
  });

  it('are there at once, without the store', () => {
    const snapshot = versions.snapshot(['a', 'b']) as Versions;
    expect(snapshot.map(([group]) => group)).toEqual(['a', 'b']);
    expect(versions.check(snapshot)).toBe('current');
    expect(touched).toEqual([]);
  });

  it('stay as they are until they are bumped, however long', () => {
    const snapshot = versions.snapshot(['a', 'b']) as Versions;
    clock.advance('365d');
    expect(versions.check(snapshot)).toBe('current');
  });

  it('count a bump before it returns, for its own group', () => {
    const snapshot = versions.snapshot(['a', 'b']) as Versions;
    void versions.bump(['a']);
    expect(versions.check(snapshot)).toBe('outdated');
    expect(versions.check([snapshot[1]!])).toBe('current');
  });

  it('confirm a bump that there is no store for', async () => {
    await expect(versions.bump(['a', 'b'])).resolves.toBeUndefined();
    expect(touched).toEqual([]);
  });
});
