import type { Clock } from '../core/clock.js';
import { KeyRemovals } from './key-removals.js';
import { KnownVersions } from './known-versions.js';
import type { Tier } from './tier.js';
import { CountedVersions, countOf, newVersion, RandomVersions, type VersionSource } from './version-source.js';

/** The version of each group an answer belongs to: its namespace, name, scope and tags. */
export type Versions = ReadonlyArray<readonly [group: string, version: string]>;

/**
 * Whether versions are still the present ones. `unverified`: the store cannot be asked, and nothing is known against them
 * here; others may have ended them.
 */
export type Verdict = 'current' | 'outdated' | 'unverified';

const MAX_GROUPS = 100_000;
/** Two counts further apart are of different counters: the store has lost one and begun another. */
const FAR_APART = 1_000_000;

interface ReadVersion {
  readonly version: string;
  readonly verified: boolean;
}

/**
 * Invalidation in O(1): each group has a version, an entry remembers the versions from before it was computed, and
 * a bump makes every older entry a miss without touching it. Versions live in the slowest tier, beside the entries that
 * survive a restart. What is known of them here is believed for a while; where the store has messages, those tell at
 * once of bumps elsewhere, and the while is for the ones that get lost.
 */
export class GroupVersions {
  private readonly known: KnownVersions;
  /** Bumps that the store has not confirmed: they are made again before the store is believed. */
  private readonly unconfirmed = new Map<string, Promise<string>>();
  private readonly reading = new Map<string, Promise<ReadVersion>>();
  /** Counts heard of while a version was being read. */
  private readonly announced = new Map<string, number>();
  private readonly listeners = new Set<(group: string) => void>();
  private readonly source: VersionSource;
  readonly removals: KeyRemovals;

  private constructor(
    private readonly tier: Tier,
    clock: Clock,
    maxGroups: number,
  ) {
    this.known = new KnownVersions(tier, clock, maxGroups);
    this.source = tier.isCoordinated ? new CountedVersions(tier) : new RandomVersions(tier);
    this.removals = new KeyRemovals(tier);
    tier.subscribe({
      onIncrease: (name, count, note) => {
        if (!this.removals.hear(name, count, note)) this.hear(name, count);
      },
      onGap: () => this.known.distrust(),
    });
  }

  /**
   * The versions of one store, shared by every user of it in this process, so that an invalidation reaches all at once.
   * @param trustedForMs How long a version is believed without asking the store; the shortest of all users' counts.
   * @param maxGroups A version that falls out of memory is read from the store again.
   */
  static of(tier: Tier, clock: Clock, trustedForMs: number, maxGroups = MAX_GROUPS): GroupVersions {
    const { store, namespace } = tier.identity;
    const byNamespace = versionsOf(store);
    const versions = byNamespace.get(namespace) ?? new GroupVersions(tier, clock, maxGroups);
    byNamespace.set(namespace, versions);
    versions.known.trustFor(trustedForMs);
    return versions;
  }

  /** Has a bump by another process told, when its message comes. @returns a function that ends it */
  listen(onBumpedElsewhere: (group: string) => void): () => void {
    this.listeners.add(onBumpedElsewhere);
    return () => void this.listeners.delete(onBumpedElsewhere);
  }

  /** The present versions; a group without one gets it. Where the store cannot be asked, what was known last. */
  snapshot(groups: readonly string[]): Versions | Promise<Versions> {
    const present = this.inMemory(groups);
    if (present !== undefined) return present;
    return this.readAll(groups).then((reads) => groups.map((group, index) => [group, reads[index]!.version] as const));
  }

  /** Whether nothing was bumped since the snapshot. */
  check(versions: Versions): Verdict | Promise<Verdict> {
    const now = this.known.now();
    for (const [group, version] of versions) {
      const known = this.known.believed(group, now);
      if (known === undefined) return this.checkInStore(versions);
      if (known !== version) return 'outdated';
    }
    return 'current';
  }

  /** Applies here before it returns a promise, which rejects when the store did not confirm. */
  async bump(groups: readonly string[]): Promise<void> {
    await Promise.all(groups.map((group) => this.bumpOne(group)));
  }

  private inMemory(groups: readonly string[]): Versions | undefined {
    const present: Array<[string, string]> = [];
    const now = this.known.now();
    for (const group of groups) {
      const known = this.known.believed(group, now);
      if (known === undefined || this.isUndecided(group)) return undefined;
      present.push([group, known]);
    }
    return present;
  }

  /** A version made up here would be worth nothing once the store has said which one it is. */
  private isUndecided(group: string): boolean {
    return this.source.decides && this.unconfirmed.has(group);
  }

  private async checkInStore(versions: Versions): Promise<Verdict> {
    const reads = await this.readAll(versions.map(([group]) => group));
    if (versions.some(([, version], index) => reads[index]!.version !== version)) return 'outdated';
    return reads.every(({ verified }) => verified) ? 'current' : 'unverified';
  }

  /** Groups that nobody is reading yet are read together. */
  private readAll(groups: readonly string[]): Promise<ReadVersion[]> {
    const now = this.known.now();
    const unread = groups.filter((group) => (this.known.believed(group, now) === undefined || this.isUndecided(group)) && !this.reading.has(group));
    const stored = unread.length === 0 ? undefined : this.readStored(unread);
    for (const [index, group] of unread.entries()) {
      const read = this.settle(group, stored!.then((versions) => versions?.[index])).finally(() => {
        this.reading.delete(group);
        this.announced.delete(group);
      });
      this.reading.set(group, read);
    }
    return Promise.all(groups.map(async (group) => this.reading.get(group) ?? { version: this.known.last(group)!.version, verified: true }));
  }

  /** `undefined` where the store cannot say. */
  private async readStored(groups: readonly string[]): Promise<string[] | undefined> {
    try {
      const [versions] = await Promise.all([this.source.read(groups), this.removals.verify()]);
      return versions;
    } catch {
      return undefined;
    }
  }

  private async settle(group: string, reading: Promise<string | undefined>): Promise<ReadVersion> {
    const before = this.known.last(group);
    const asked = this.known.now();
    const read = await reading;
    if (this.unconfirmed.has(group)) return this.confirmAgain(group);
    const meanwhile = this.known.last(group);
    // Bumped, or told of by a message, while this one waited.
    if (meanwhile !== undefined && meanwhile !== before) return { version: meanwhile.version, verified: true };
    if (read === undefined) return { version: (meanwhile ?? before ?? this.known.makeUp(group, asked)).version, verified: false };
    if (isBehind(read, before?.version)) return this.raise(group, before!.version);
    return { version: this.known.remember(group, this.newerOf(group, read), asked).version, verified: true };
  }

  private async confirmAgain(group: string): Promise<ReadVersion> {
    try {
      return { version: await this.unconfirmed.get(group)!.catch(() => this.confirm(group)), verified: true };
    } catch {
      return { version: this.known.last(group)?.version ?? newVersion(), verified: false };
    }
  }

  /** The store has gone back to before a bump, as a replica does that takes over: the bump is made again. */
  private async raise(group: string, known: string): Promise<ReadVersion> {
    try {
      const version = await this.source.bump(group, newVersion(), known);
      return { version: this.known.remember(group, version).version, verified: true };
    } catch {
      return { version: known, verified: false };
    }
  }

  /** What was read, or the count that a message has told of since. */
  private newerOf(group: string, read: string): string {
    const announced = this.announced.get(group);
    return announced !== undefined && isBehind(read, String(announced)) ? String(announced) : read;
  }

  private bumpOne(group: string): Promise<string> {
    const known = this.known.last(group)?.version;
    const { version } = this.known.remember(group, newVersion());
    if (this.tier.isSynchronous) return Promise.resolve(version);
    return this.confirm(group, version, known);
  }

  /** Until the store has confirmed, the version that counts here is one made up here. */
  private confirm(group: string, proposal = this.known.last(group)?.version ?? newVersion(), known?: string): Promise<string> {
    const asked = this.known.now();
    const confirmed = this.source.bump(group, proposal, known).then((version) => {
      if (this.unconfirmed.get(group) === confirmed) {
        this.unconfirmed.delete(group);
        this.known.remember(group, version, asked);
      }
      return version;
    });
    confirmed.catch(() => undefined); // whoever asked is told
    this.unconfirmed.set(group, confirmed);
    return confirmed;
  }

  private hear(group: string, count: number): void {
    if (this.reading.has(group)) this.announced.set(group, count);
    const known = this.known.last(group);
    if (known === undefined || this.unconfirmed.has(group)) return;
    const ahead = count - (countOf(known.version) ?? Infinity);
    if (ahead > 0 && ahead < FAR_APART) {
      this.known.correct(group, String(count));
      // Who is reading it may have it from the store already.
      if (!this.reading.has(group)) for (const listener of this.listeners) listener(group);
    } else if (ahead > 0 || ahead < -FAR_APART) this.known.forget(group); // another counter: the store knows
  }
}

/** Whether a count is an earlier one of the same counter. */
function isBehind(version: string, known: string | undefined): boolean {
  const behind = (countOf(known) ?? NaN) - (countOf(version) ?? NaN);
  return behind > 0 && behind < FAR_APART;
}

/** On the store itself, under a registered symbol, so that the ESM and the CJS copy of the package share them. */
const VERSIONS = Symbol.for('nestjs-llm-cache:group-versions/2');
type Carrier = { [VERSIONS]?: Map<string, GroupVersions> };

/** By the namespace of the Keyv in front of the store. */
function versionsOf(store: object): Map<string, GroupVersions> {
  const carrier = store as Carrier;
  if (carrier[VERSIONS] === undefined) {
    if (!Object.isExtensible(store)) return new Map();
    Object.defineProperty(store, VERSIONS, { value: new Map() });
  }
  return carrier[VERSIONS]!;
}
