import { LRUCache } from 'lru-cache';
import type { LlmCacheStoreError } from '../core/errors.js';
import type { HeldEntry } from './own-store.js';
import type { Tier } from './tier.js';

/** Answers on their way to slow stores: enough for a burst, bounded for a store that never answers. */
const MAX_UNSETTLED_WRITES = 1_000;
const MAX_UNSETTLED_BYTES = 32 * 1024 * 1024;
const MAX_REMEMBERED_REMOVALS = 10_000;

interface Read {
  readonly result: Promise<unknown>;
  /** Set by a write that finished while the read was under way. */
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
  /** Keys that were removed, with the text written since, if any: no other text of theirs is an entry. */
  private readonly removed = new LRUCache<string, { written?: string }>({ max: MAX_REMEMBERED_REMOVALS });

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
    const text = this.all[index]!.get(key).catch(() => undefined); // the tier has told its listener
    return this.share(index, key, text);
  }

  private share(index: number, key: string, reading: Promise<unknown>): Promise<unknown> {
    const id = `${index} ${key}`;
    const read: Read = {
      result: reading.then((text) => {
        if (this.reads.get(id) === read) this.reads.delete(id);
        return read.written ?? text;
      }),
    };
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
    const texts = this.all[index]!.getMany(free).catch((): unknown[] => []); // the tier has told its listener
    // Before the single reads hear of it, so that they find the next tier's read under way.
    void texts.then((found) => this.readManyFrom(index + 1, free.filter((_, place) => found[place] === undefined)));
    for (const [place, key] of free.entries()) void this.share(index, key, texts.then((found) => found[place]));
  }

  /** Resolves once every tier has answered; rejects when none has taken the entry. Writes of one key keep their order. */
  async write(key: string, text: string, ttlMs: number | undefined): Promise<void> {
    if (this.removed.has(key)) this.removed.set(key, { written: text });
    this.unsettled.set(key, text);
    for (const index of this.all.keys()) {
      const read = this.reads.get(`${index} ${key}`);
      if (read !== undefined) read.written = text;
    }
    const written = this.writeAfter(this.writes.get(key), () => this.all.map((tier) => tier.set(key, text, ttlMs)));
    this.writes.set(key, written);
    const results = await written;
    if (this.writes.get(key) === written) this.writes.delete(key);
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as LlmCacheStoreError] : []));
    // A store that is merely slow may write it yet; until then this process remembers.
    if (failures.every(({ kind }) => kind === 'failed') && this.unsettled.get(key) === text) this.unsettled.delete(key);
    if (failures.length === this.all.length) throw failures[0]!;
  }

  private async writeAfter(previous: Promise<unknown> | undefined, write: () => Array<Promise<void>>): Promise<Array<PromiseSettledResult<void>>> {
    if (previous !== undefined) await previous;
    return Promise.allSettled(write());
  }

  /** Copies an entry found in one tier to the faster ones, with the lifetime it has left. */
  promote(key: string, text: string, ttlMs: number | undefined, foundIn: number): void {
    // A tier that fails says so to its listener.
    for (const tier of this.all.slice(0, foundIn)) tier.set(key, text, ttlMs).catch(() => undefined);
  }

  /** Removes an entry everywhere; resolves to the tiers that did not confirm, and why. */
  async remove(key: string): Promise<Array<{ tier: string; error: LlmCacheStoreError }>> {
    this.forget(key);
    await this.writes.get(key);
    this.unsettled.delete(key);
    const results = await Promise.allSettled(this.all.map((tier) => tier.delete(key)));
    return results.flatMap((result, index) =>
      result.status === 'rejected' ? [{ tier: this.all[index]!.name, error: result.reason as LlmCacheStoreError }] : [],
    );
  }

  /** From now on no text of before counts as this key's entry. */
  forget(key: string): void {
    this.removed.set(key, {});
    this.unsettled.delete(key);
  }

  /** Whether a text found for a key is from before its removal: a store may have failed to delete it, or a late write brought it back. */
  isRemoved(key: string, text: unknown): boolean {
    const removal = this.removed.size > 0 ? this.removed.get(key) : undefined;
    return removal !== undefined && removal.written !== text;
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
