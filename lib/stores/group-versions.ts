import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import type { Tier } from './tier.js';

/** The version of each group an answer belongs to: its namespace, name, scope and tags. */
export type Versions = ReadonlyArray<readonly [group: string, version: string]>;

/** Another process may have bumped a version; after this long the store is asked again. */
const TRUSTED_FOR_MS = 5_000;
/** A version that falls out of memory is read from the store again. */
const MAX_GROUPS = 100_000;

interface KnownVersion {
  readonly version: string;
  readonly readAtMs: number;
  /** Of the store. One that has started anew does not hold this version: the next process would not find it there. */
  readonly generation: number;
}

/**
 * Invalidation in O(1): each group has a version, an entry remembers the versions from before it was computed, and
 * a bump makes every older entry a miss without touching it. Versions are random, not counted, so that one lost by the
 * store can never come back as one an old entry remembers. They live in the slowest tier, beside the entries that
 * survive a restart. The scheme of versioned namespaces is memcached's ("namespacing", memcached wiki).
 */
export class GroupVersions {
  /** Oldest first. */
  private readonly known = new Map<string, KnownVersion>();
  /** Bumps that the store has not confirmed: they are written again before the store is believed. */
  private readonly unconfirmed = new Map<string, string>();
  /** How many keys were removed, in this process. */
  removals = 0;
  private readonly keyListeners = new Set<(key: string) => void>();
  private readonly reading = new Map<string, Promise<string>>();
  private readonly writing = new Map<string, Promise<void>>();
  /** In a memory store, the version of every group that was never bumped. */
  private unbumped = newVersion();

  private constructor(
    private readonly tier: Tier,
    private readonly clock: Clock,
  ) {}

  /** The versions of one store, shared by every user of it in this process, so that an invalidation reaches all at once. */
  static of(tier: Tier, clock: Clock): GroupVersions {
    const { store, namespace } = tier.identity;
    const byNamespace = versionsOf(store);
    const versions = byNamespace.get(namespace) ?? new GroupVersions(tier, clock);
    byNamespace.set(namespace, versions);
    return versions;
  }

  /** A key has no version; its removal is told to every user of the store in this process. @returns a function that stops it. */
  onKeyRemoved(listener: (key: string) => void): () => void {
    this.keyListeners.add(listener);
    return () => void this.keyListeners.delete(listener);
  }

  announceRemoved(key: string): void {
    this.removals++;
    for (const listener of this.keyListeners) listener(key);
  }

  /** The present versions; a group without one gets it. */
  snapshot(groups: readonly string[]): Versions | Promise<Versions> {
    const present = this.inMemory(groups);
    if (present !== undefined) return present;
    return Promise.all(groups.map(async (group) => [group, await this.read(group)] as const));
  }

  /** Whether nothing was bumped since the snapshot. */
  areCurrent(versions: Versions): boolean | Promise<boolean> {
    for (const [group, version] of versions) {
      const known = this.fresh(group);
      if (known === undefined) return this.areCurrentInStore(versions);
      if (known !== version) return false;
    }
    return true;
  }

  /** Applies here before it returns a promise, which rejects when the store did not confirm. */
  bump(groups: readonly string[]): Promise<void> {
    return Promise.all(groups.map((group) => this.bumpOne(group))).then(() => undefined);
  }

  private inMemory(groups: readonly string[]): Versions | undefined {
    const present: Array<[string, string]> = [];
    for (const group of groups) {
      const known = this.fresh(group);
      if (known === undefined) return undefined;
      present.push([group, known]);
    }
    return present;
  }

  private async areCurrentInStore(versions: Versions): Promise<boolean> {
    const current = await Promise.all(versions.map(async ([group, version]) => (await this.read(group)) === version));
    return current.every(Boolean);
  }

  /** The version that needs no look into the store. A memory store has no other users, so there all are known here. */
  private fresh(group: string): string | undefined {
    const known = this.known.get(group);
    if (this.tier.isSynchronous) return known?.version ?? this.unbumped;
    if (known === undefined || known.generation !== this.tier.generation) return undefined;
    const ageMs = this.clock.now() - known.readAtMs;
    return ageMs >= 0 && ageMs < TRUSTED_FOR_MS ? known.version : undefined;
  }


  private read(group: string): Promise<string> {
    let running = this.reading.get(group);
    if (running === undefined) {
      running = this.readNow(group).finally(() => this.reading.delete(group));
      this.reading.set(group, running);
    }
    return running;
  }

  private async readNow(group: string): Promise<string> {
    const before = this.fresh(group);
    if (before !== undefined) return before;
    const known = this.known.get(group);
    const { generation } = this.tier;
    const read = await this.readFromStore(group, known?.version);
    const meanwhile = this.known.get(group);
    // Bumped, or read by another caller, while this one waited.
    if (meanwhile !== undefined && meanwhile !== known) return meanwhile.version;
    return this.remember(group, read, generation).version;
  }

  /** What the store holds. Where it cannot say, what was known goes on counting; a version it has lost is made anew. */
  private async readFromStore(group: string, known: string | undefined): Promise<string> {
    const bumped = this.unconfirmed.get(group);
    try {
      if (bumped !== undefined) return await this.confirm(group, bumped);
      const stored = await this.tier.get(group);
      return typeof stored === 'string' ? stored : await this.create(group);
    } catch {
      return bumped ?? known ?? newVersion();
    }
  }

  /** Written and read back, so that processes that start together agree on one. */
  private async create(group: string): Promise<string> {
    const version = newVersion();
    const stored = await this.tier.claim(group, version);
    return typeof stored === 'string' ? stored : version;
  }

  private async bumpOne(group: string): Promise<void> {
    const { version } = this.remember(group, newVersion());
    if (this.tier.isSynchronous) return;
    this.unconfirmed.set(group, version);
    await this.confirm(group, version);
  }

  /** Bumps of one group are written in their order: an earlier one that lands late must not undo a later. */
  private async confirm(group: string, version: string): Promise<string> {
    const write = (this.writing.get(group) ?? Promise.resolve()).then(() => this.tier.set(group, version, undefined));
    const settled = write.catch(() => undefined);
    this.writing.set(group, settled);
    await settled;
    if (this.writing.get(group) === settled) this.writing.delete(group);
    await write;
    if (this.unconfirmed.get(group) === version) this.unconfirmed.delete(group);
    return version;
  }

  private remember(group: string, version: string, generation = this.tier.generation): KnownVersion {
    const known = { version, readAtMs: this.clock.now(), generation };
    this.known.delete(group);
    this.known.set(group, known);
    if (this.known.size > MAX_GROUPS) this.forgetOldest();
    return known;
  }

  /** A bump in a memory store that is forgotten must not bring old entries back: all are missed from here on. */
  private forgetOldest(): void {
    const [oldest] = this.known.keys();
    this.known.delete(oldest!);
    if (this.tier.isSynchronous) this.unbumped = newVersion();
  }
}

/** On the store itself, under a registered symbol, so that the ESM and the CJS copy of the package share them. */
const VERSIONS = Symbol.for('nestjs-llm-cache:group-versions/1');
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

function newVersion(): string {
  return randomBytes(9).toString('base64url');
}
