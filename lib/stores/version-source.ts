import { randomBytes } from 'node:crypto';
import type { Tier } from './tier.js';

/** Where the versions of groups are kept. What fails rejects. */
export interface VersionSource {
  /** Whether the store, not the process, says which version a bump leads to. */
  readonly decides: boolean;
  /** The present version of each group, in their order; a group without one gets it. */
  read(groups: readonly string[]): Promise<string[]>;
  /**
   * Ends a group's version. Resolves to the next one, once the store has it.
   * @param proposal A version that was never used.
   * @param known The version this process knew last.
   */
  bump(group: string, proposal: string, known: string | undefined): Promise<string>;
}

export function newVersion(): string {
  return randomBytes(9).toString('base64url');
}

/**
 * Versions in any store that can get and set. They are random, not counted, so that one lost by the store can never come
 * back as one an old entry remembers. The scheme of versioned namespaces is memcached's ("namespacing", memcached wiki).
 */
export class RandomVersions implements VersionSource {
  readonly decides = false;
  private readonly writing = new Map<string, Promise<void>>();

  constructor(private readonly tier: Tier) {}

  read(groups: readonly string[]): Promise<string[]> {
    return Promise.all(groups.map((group) => this.readOne(group)));
  }

  private async readOne(group: string): Promise<string> {
    const stored = await this.tier.get(group);
    return typeof stored === 'string' ? stored : this.create(group);
  }

  /** Written and read back, so that processes that start together agree on one. */
  private async create(group: string): Promise<string> {
    const version = newVersion();
    const stored = await this.tier.claim(group, version);
    return typeof stored === 'string' ? stored : version;
  }

  /** Bumps of one group are written in their order: an earlier one that lands late must not undo a later. */
  async bump(group: string, proposal: string): Promise<string> {
    const write = (this.writing.get(group) ?? Promise.resolve()).then(() => this.tier.set(group, proposal, undefined));
    const settled = write.catch(() => undefined);
    this.writing.set(group, settled);
    await settled;
    if (this.writing.get(group) === settled) this.writing.delete(group);
    await write;
    return proposal;
  }
}

/**
 * Versions that a shared store counts for all its users. A bump that is delayed, repeated or crossed by another one only
 * ever counts on, so it cannot bring back a version that an old entry remembers.
 */
export class CountedVersions implements VersionSource {
  readonly decides = true;

  constructor(private readonly tier: Tier) {}

  async read(groups: readonly string[]): Promise<string[]> {
    return (await this.tier.counts(groups)).map(String);
  }

  async bump(group: string, _proposal: string, known: string | undefined): Promise<string> {
    return String(await this.tier.increase(group, countOf(known)));
  }
}

/** The count that a version stands for; `undefined` where it was made up here, because the store was out of reach. */
export function countOf(version: string | undefined): number | undefined {
  return version !== undefined && /^\d+$/.test(version) ? Number(version) : undefined;
}
