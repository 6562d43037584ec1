import { LRUCache } from 'lru-cache';
import type { LlmCacheStoreError } from '../core/errors.js';
import type { CommitRight } from './coordination.js';
import type { HeldEntry } from './own-store.js';
import type { Tier } from './tier.js';
import { newVersion } from './version-source.js';

/** Answers on their way to slow stores: enough for a burst, bounded for a store that never answers. */
const MAX_UNSETTLED_WRITES = 1_000;
const MAX_UNSETTLED_BYTES = 32 * 1024 * 1024;
const MAX_REMEMBERED_REMOVALS = 10_000;

interface Read {
  readonly result: Promise<unknown>;
  /** What counts instead of what is found: set by a write or a removal while the read is under way. */
  instead?: { readonly text: string | undefined };
}

/** Of a key, with the text written since, if any. */
interface Removal {
  written?: string;
}

/**
 * The tiers as one store, fastest first. Equal reads are shared, and a written entry is visible at once, however long
 * the stores take to write it.
 */
export class Tiers {
  private readonly unsettled = new LRUCache<string, string>({
    max: MAX_UNSETTLED_WRITES,
    maxSize: MAX_UNSETTLED_BYTES,
    sizeCalculation: (text) => text.length + 1,
  });
  private readonly writes = new Map<string, Promise<Array<PromiseSettledResult<void>>>>();
  private readonly reads = new Map<string, Read>();
  /** Keys that were removed, with the text written since, if any: no other text of theirs is an entry. Most caches never need it. */
  private removed: LRUCache<string, Removal> | undefined;
  /** Changes whenever entries are let go of: what the shared store was asked for before may be one of them. */
  removals = 0;
  /**
   * Joins the keys in tiers of this process that lie before a shared store: what they have from before this process, or
   * from before it missed a removal elsewhere, may have been removed, and is never looked at again.
   */
  private epoch = newVersion();

  constructor(readonly all: readonly Tier[]) {}

  /** The tier that holds the versions: the slowest, which is the one that survives a restart. */
  get last(): Tier {
    return this.all[this.all.length - 1]!;
  }

  get startInMemory(): boolean {
    return this.all[0]!.isSynchronous;
  }

  get allInMemory(): boolean {
    return this.startInMemory && this.all.length === 1;
  }

  /** The entry, where it can be had at once: its write is still under way, or the first tier is memory. */
  held(key: string): HeldEntry | undefined {
    const text = this.unsettled.size > 0 ? this.unsettled.get(key) : undefined;
    return text === undefined ? this.all[0]!.peek(key) : { text };
  }

  /** One tier's text for a key. Callers who ask at the same time share one read. */
  read(index: number, key: string): Promise<unknown> {
    const id = `${index} ${key}`;
    const running = this.reads.get(id);
    if (running !== undefined) return running.result;
    const tier = this.all[index]!;
    return this.share(id, tier.get(this.keyIn(tier, key)));
  }

  private share(id: string, reading: Promise<unknown>): Promise<unknown> {
    const settled = (text?: unknown): unknown => {
      if (this.reads.get(id) === read) this.reads.delete(id);
      return read.instead === undefined ? text : read.instead.text;
    };
    const read: Read = { result: reading.then(settled, () => settled()) }; // a tier that fails says so to its listener
    this.reads.set(id, read);
    return read.result;
  }

  /**
   * Starts one read for many keys from the first slow tier, and one from each further tier for those not found before.
   * Reads of single keys meanwhile share it.
   */
  readMany(keys: readonly string[]): void {
    const missing = [...new Set(keys)].filter((key) => this.held(key) === undefined);
    this.readManyFrom(this.startInMemory ? 1 : 0, missing);
  }

  private readManyFrom(index: number, keys: readonly string[]): void {
    const free = keys.filter((key) => !this.reads.has(`${index} ${key}`));
    if (index >= this.all.length || free.length < 2) return;
    const tier = this.all[index]!;
    const texts = tier.getMany(free.map((key) => this.keyIn(tier, key))).catch((): unknown[] => []); // the tier has told its listener
    // Before the single reads hear of it, so that they find the next tier's read under way.
    void texts.then((found) => this.readManyFrom(index + 1, free.filter((_, place) => found[place] === undefined)));
    for (const [place, key] of free.entries()) void this.share(`${index} ${key}`, texts.then((found) => found[place]));
  }

  /**
   * Resolves once every tier has answered; rejects when none has taken the entry. Writes of one key keep their order.
   * @param right In the slowest tier. Where that refuses the entry because the right was lost, the entry is nowhere.
   */
  async write(key: string, text: string, ttlMs: number | undefined, right?: CommitRight): Promise<void> {
    const removal = this.removed?.get(key);
    if (removal !== undefined) removal.written = text;
    this.unsettled.set(key, text);
    for (const index of this.all.keys()) {
      const read = this.reads.get(`${index} ${key}`);
      if (read !== undefined) read.instead = { text };
    }
    const write = (tier: Tier): Promise<void> =>
      right === undefined || tier !== this.last ? tier.set(this.keyIn(tier, key), text, ttlMs) : tier.commit(key, text, ttlMs, right);
    const written = this.writeAfter(this.writes.get(key), () => this.all.map(write));
    this.writes.set(key, written);
    const results = await written;
    if (this.writes.get(key) === written) this.writes.delete(key);
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as LlmCacheStoreError] : []));
    const fenced = failures.find(({ kind }) => kind === 'fenced');
    if (fenced !== undefined) {
      this.letGo(key);
      throw fenced;
    }
    if (right !== undefined && failures.length === 0 && removal?.written === text) this.endRemoval(key, removal);
    // A store that is merely slow may write it yet; until then this process remembers.
    if (failures.every(({ kind }) => kind === 'failed') && this.unsettled.get(key) === text) this.unsettled.delete(key);
    if (failures.length === this.all.length) throw failures[0]!;
  }

  private async writeAfter(previous: Promise<unknown> | undefined, write: () => Array<Promise<void>>): Promise<Array<PromiseSettledResult<void>>> {
    if (previous !== undefined) await previous;
    return Promise.allSettled(write());
  }

  /**
   * Copies an entry found in one tier to the faster ones, with the lifetime it has left.
   * @param removals when it was asked for: one that was removed since is not kept
   */
  promote(key: string, text: string, ttlMs: number | undefined, foundIn: number, removals: number): void {
    if (removals !== this.removals) return;
    // A tier that fails says so to its listener.
    for (const tier of this.all.slice(0, foundIn)) tier.set(this.keyIn(tier, key), text, ttlMs).catch(() => undefined);
  }

  /** Removes an entry everywhere; resolves to the tiers that did not confirm, and why. */
  async remove(key: string): Promise<Array<{ tier: string; error: LlmCacheStoreError }>> {
    this.forget(key);
    await this.writes.get(key);
    this.unsettled.delete(key);
    const results = await Promise.allSettled(this.all.map((tier) => tier.delete(this.keyIn(tier, key))));
    return results.flatMap((result, index) =>
      result.status === 'rejected' ? [{ tier: this.all[index]!.name, error: result.reason as LlmCacheStoreError }] : [],
    );
  }

  /** From now on no text of before counts as this key's entry; until its removal is confirmed, nor one of another process. */
  forget(key: string): void {
    this.rememberRemoved(key, {});
    this.unsettled.delete(key);
  }

  private rememberRemoved(key: string, removal: Removal): void {
    this.removed ??= new LRUCache({ max: MAX_REMEMBERED_REMOVALS });
    this.removed.set(key, removal);
  }

  /** Nothing has of before any more: what the stores have from now on counts, whoever wrote it. */
  private endRemoval(key: string, removal: Removal): void {
    if (this.removed?.get(key) === removal) this.removed.delete(key);
  }

  /** The shared store has removed it: what that has from now on was computed since, by this process or another. */
  confirmRemoval(key: string): void {
    if (!this.last.isCoordinated) return;
    const removal = this.removed?.get(key);
    this.removed?.delete(key);
    if (removal?.written === undefined) this.letGo(key);
  }

  /** Lets go of what is held here of an entry that another process has removed; the shared store has what counts. */
  letGo(key: string): void {
    this.removals++;
    this.unsettled.delete(key);
    for (const [index, tier] of this.all.entries()) {
      const read = this.reads.get(`${index} ${key}`);
      if (read !== undefined) read.instead = { text: undefined };
      tier.forget(key);
    }
    const slow = this.all.filter((tier) => this.isBeforeShared(tier));
    if (slow.length > 0) void this.deleteFrom(slow, key);
  }

  /** Until tiers of this process have let go of an entry, no text of it counts. */
  private async deleteFrom(tiers: readonly Tier[], key: string): Promise<void> {
    const removal = {};
    this.rememberRemoved(key, removal);
    const results = await Promise.allSettled(tiers.map((tier) => tier.delete(this.keyIn(tier, key))));
    if (results.every(({ status }) => status === 'fulfilled')) this.endRemoval(key, removal);
  }

  /** {@link letGo} of every key that begins so. */
  letGoAll(prefix: string): void {
    this.removals++;
    for (const key of this.unsettled.keys()) if (key.startsWith(prefix)) this.unsettled.delete(key);
    for (const read of this.reads.values()) read.instead = { text: undefined };
    for (const tier of this.all) tier.forget(prefix);
    this.epoch = newVersion();
  }

  private keyIn(tier: Tier, key: string): string {
    return this.isBeforeShared(tier) ? `${key}:${this.epoch}` : key;
  }

  /** Whether it is neither memory nor the store that others remove entries from. */
  private isBeforeShared(tier: Tier): boolean {
    return this.last.isCoordinated && tier !== this.last && !tier.isSynchronous;
  }

  /** Whether a text found for a key is from before its removal: a store may have failed to delete it, or a late write brought it back. */
  isRemoved(key: string, text: unknown): boolean {
    const removal = this.removed?.get(key);
    return removal !== undefined && removal.written !== text;
  }

  /** Whether every store answers, asked by a key that begins like this app's own: it may have no right to others. */
  async check(keyPrefix: string): Promise<boolean> {
    const answered = await Promise.all(this.all.map((tier) => tier.check(`${keyPrefix}health`)));
    return answered.every(Boolean);
  }

  /** Waits for writes under way and closes our own stores; gives up on one that takes longer than the deadline. */
  async close(timeoutMs: number): Promise<void> {
    await Promise.allSettled(this.writes.values());
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise((resolve) => (timer = setTimeout(resolve, timeoutMs)));
    await Promise.race([Promise.allSettled(this.all.map((tier) => tier.close())), deadline]);
    clearTimeout(timer);
  }
}
