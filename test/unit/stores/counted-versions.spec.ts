import { beforeEach, describe, expect, it } from '@jest/globals';
import { LlmCacheStoreError } from '../../../lib/core/errors.js';
import { FakeClock } from '../../../lib/testing/fake-clock.js';
import type { CoordinationListener } from '../../../lib/stores/coordination.js';
import { GroupVersions } from '../../../lib/stores/group-versions.js';
import type { Tier } from '../../../lib/stores/tier.js';

const TRUSTED_FOR_MS = 5_000;

/** A store that counts, as several processes see it: each has a tier of its own. */
class CountingStore {
  readonly counters = new Map<string, number>();
  isDown = false;
  /** Messages are kept back while this is set. */
  losesMessages = false;
  /** Reads and increases wait while this is set. */
  held: Array<() => void> | undefined;
  reads: string[][] = [];
  private readonly listeners = new Set<CoordinationListener>();
  private begun = 0;

  tier(): Tier {
    return {
      name: 'counting',
      isSynchronous: false,
      isCoordinated: true,
      generation: 0,
      identity: { store: {}, namespace: '' },
      subscribe: (listener: CoordinationListener) => void this.listeners.add(listener),
      counts: async (names: string[]) => {
        this.reads.push(names);
        const counts = names.map((name) => this.present(name));
        await this.operate();
        return counts;
      },
      increase: async (name: string, lastSeen: number | undefined, note?: string) => {
        await this.operate();
        const present = this.present(name);
        const count = Math.max(present, lastSeen !== undefined && lastSeen - present < 1_000_000 ? lastSeen : 0) + 1;
        this.counters.set(name, count);
        if (!this.losesMessages) this.announce(name, count, note);
        return count;
      },
    } as unknown as Tier;
  }

  announce(name: string, count: number, note?: string): void {
    for (const { onIncrease } of this.listeners) onIncrease(name, count, note);
  }

  disconnectAll(): void {
    for (const { onGap } of this.listeners) onGap();
  }

  release(): void {
    for (const go of this.held!.splice(0)) go();
    this.held = undefined;
  }

  private present(name: string): number {
    if (!this.counters.has(name)) this.counters.set(name, ++this.begun * 10_000_000);
    return this.counters.get(name)!;
  }

  private async operate(): Promise<void> {
    if (this.held !== undefined) await new Promise<void>((resolve) => this.held!.push(resolve));
    if (this.isDown) throw new LlmCacheStoreError('failed', 'down');
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

describe('group versions in a store that counts', () => {
  let store: CountingStore;
  let clock: FakeClock;
  let here: GroupVersions;
  let there: GroupVersions;
  const process = (): GroupVersions => GroupVersions.of(store.tier(), clock, TRUSTED_FOR_MS);

  beforeEach(() => {
    store = new CountingStore();
    clock = new FakeClock();
    [here, there] = [process(), process()];
  });

  it('are the same in every process', async () => {
    expect(await here.snapshot(['a', 'b'])).toEqual(await there.snapshot(['a', 'b']));
  });

  it('are read together, and once by callers who ask at the same time', async () => {
    await Promise.all([here.snapshot(['a', 'b']), here.snapshot(['b', 'c'])]);
    expect(store.reads.filter((names) => !names[0]!.includes('removals'))).toEqual([['a', 'b'], ['c']]);
  });

  it('a bump ends them in the other process when its message arrives', async () => {
    const snapshot = await there.snapshot(['a']);
    await here.bump(['a']);
    expect(there.check(snapshot)).toBe('outdated');
    expect(await there.snapshot(['a'])).toEqual(await here.snapshot(['a']));
  });

  it('a bump whose message is lost ends them after the time they are trusted', async () => {
    const snapshot = await there.snapshot(['a']);
    store.losesMessages = true;
    await here.bump(['a']);
    clock.advance(TRUSTED_FOR_MS - 1);
    expect(there.check(snapshot)).toBe('current');
    clock.advance(1);
    expect(await there.check(snapshot)).toBe('outdated');
  });

  it('are trusted from when they were asked for, not from when the answer came', async () => {
    store.held = [];
    const reading = there.snapshot(['a']);
    clock.advance(TRUSTED_FOR_MS - 1);
    await settle();
    store.release();
    const snapshot = await reading;
    expect(there.check(snapshot)).toBe('current');
    clock.advance(1);
    expect(there.check(snapshot)).toBeInstanceOf(Promise);
  });

  it('a new connection ends the trust at once: a message may be missing', async () => {
    const snapshot = await there.snapshot(['a']);
    store.losesMessages = true;
    await here.bump(['a']);
    store.disconnectAll();
    expect(await there.check(snapshot)).toBe('outdated');
  });

  it('a message that arrives while the version is read wins over the older count', async () => {
    store.held = [];
    const reading = there.snapshot(['a']);
    await settle();
    const { held } = store;
    store.held = undefined;
    await here.bump(['a']);
    for (const go of held) go();
    expect(await reading).toEqual(await here.snapshot(['a']));
  });

  it('a message that was overtaken changes nothing', async () => {
    await here.bump(['a']);
    const snapshot = await there.snapshot(['a']);
    const [[, version]] = snapshot as [[string, string]];
    for (const count of [Number(version) - 1, Number(version)]) store.announce('a', count);
    expect(there.check(snapshot)).toBe('current');
  });

  it('a bump counts here before the store has it, and what is asked then waits for the store to say its version', async () => {
    const snapshot = await here.snapshot(['a']);
    store.held = [];
    const bumped = here.bump(['a']);
    expect(here.check(snapshot)).toBe('outdated');
    const next = here.snapshot(['a']);
    expect(next).toBeInstanceOf(Promise);
    await settle();
    store.release();
    await bumped;
    expect(await next).toEqual([['a', String(store.counters.get('a'))]]);
    expect(here.check(await next)).toBe('current');
  });

  it('a bump that the store did not confirm holds here, and is made again', async () => {
    const snapshot = await here.snapshot(['a']);
    store.isDown = true;
    await expect(here.bump(['a'])).rejects.toBeInstanceOf(LlmCacheStoreError);
    clock.advance(TRUSTED_FOR_MS);
    expect(await here.check(snapshot)).toBe('outdated');
    store.isDown = false;
    expect(await here.check(snapshot)).toBe('outdated');
    expect(there.check(snapshot)).not.toBe('current');
    expect(await there.check(snapshot)).toBe('outdated');
  });

  it('a bump that is made again does not bring back what another process has ended meanwhile', async () => {
    store.isDown = true;
    await here.bump(['a']).catch(() => undefined);
    store.isDown = false;
    const between = await there.snapshot(['a']);
    await there.bump(['a']);
    await here.snapshot(['a']);
    expect(await there.check(between)).toBe('outdated');
    expect(await process().check(between)).toBe('outdated');
  });

  it('a counter the store has lost is another one', async () => {
    const snapshot = await here.snapshot(['a']);
    store.counters.clear();
    clock.advance(TRUSTED_FOR_MS);
    expect(await here.check(snapshot)).toBe('outdated');
  });

  it('a counter that went back, as on a replica that takes over, goes on from where it was', async () => {
    const before = await here.snapshot(['a']);
    await here.bump(['a']);
    const [[, known]] = (await here.snapshot(['a'])) as [[string, string]];
    store.counters.set('a', Number(known) - 1);
    clock.advance(TRUSTED_FOR_MS);
    expect(await here.check(before)).toBe('outdated');
    expect(store.counters.get('a')).toBeGreaterThan(Number(known));
    expect(await process().check(before)).toBe('outdated');
  });

  it('known to nobody while the store is down, they are made up, and forgotten when it is back', async () => {
    store.isDown = true;
    const snapshot = await here.snapshot(['a']);
    expect(await here.check(snapshot)).toBe('unverified');
    store.isDown = false;
    expect(await here.check(snapshot)).toBe('outdated');
  });
});

describe('removals of keys in a store that counts', () => {
  let store: CountingStore;
  let clock: FakeClock;

  const process = () => {
    const log: string[] = [];
    const versions = GroupVersions.of(store.tier(), clock, TRUSTED_FOR_MS);
    versions.removals.listen({
      onRemovedHere: (key) => log.push(`here ${key}`),
      onRemovalConfirmed: (key) => log.push(`confirmed ${key}`),
      onRemovedElsewhere: (key) => log.push(`elsewhere ${key}`),
      onRemovalsMissed: () => log.push('missed'),
    });
    return { versions, log };
  };
  const remove = async ({ versions }: ReturnType<typeof process>, key: string): Promise<void> => {
    versions.removals.announce(key);
    await versions.removals.publish(key);
  };

  beforeEach(() => {
    store = new CountingStore();
    clock = new FakeClock();
  });

  it('are told to every process once', async () => {
    const [a, b] = [process(), process()];
    await remove(a, 'llm1.llm.k');
    expect([a.log, b.log]).toEqual([['here llm1.llm.k'], ['elsewhere llm1.llm.k']]);
  });

  it('are not missed where every message arrived', async () => {
    const [a, b] = [process(), process()];
    await b.versions.snapshot(['g']);
    for (const key of ['k', 'l', 'm']) await remove(a, key);
    clock.advance(TRUSTED_FOR_MS);
    await b.versions.snapshot(['g']);
    await a.versions.snapshot(['g']);
    expect(a.log).toEqual(['here k', 'here l', 'here m']);
    expect(b.log).toEqual(['elsewhere k', 'elsewhere l', 'elsewhere m']);
  });

  it('are not missed by who removed, though its own message comes late', async () => {
    const a = process();
    await a.versions.snapshot(['g']);
    store.losesMessages = true;
    await remove(a, 'k');
    clock.advance(TRUSTED_FOR_MS);
    await a.versions.snapshot(['g']);
    expect(a.log).toEqual(['here k']);
  });

  it('are missed where a message was lost, which shows with the next look at the versions', async () => {
    const [a, b] = [process(), process()];
    await b.versions.snapshot(['g']);
    store.losesMessages = true;
    await remove(a, 'k');
    store.losesMessages = false;
    await remove(a, 'l');
    expect(b.log).toEqual(['elsewhere l']);
    clock.advance(TRUSTED_FOR_MS);
    await b.versions.snapshot(['g']);
    expect(b.log).toEqual(['elsewhere l', 'missed']);
  });

  it('count for whoever watches', async () => {
    const [a, b] = [process(), process()];
    const { applied } = b.versions.removals;
    await remove(a, 'k');
    expect(b.versions.removals.applied).not.toBe(applied);
  });

  it('reject when the store does not confirm', async () => {
    const a = process();
    store.isDown = true;
    await expect(a.versions.removals.publish('k')).rejects.toBeInstanceOf(LlmCacheStoreError);
  });
});
