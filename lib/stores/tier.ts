import { LlmCacheStoreError } from '../core/errors.js';
import type { CommitRight, CoordinationListener, Leases } from './coordination.js';
import { isEncrypted } from './entry-format.js';
import { openEnvelope } from './envelope.js';
import { StoreGuard, type GuardStats } from './guard.js';
import { errorsOf, isPresent, isShared, openAdapterOf, ownAdapterOf, placeOf, type EmittedErrors, type KeyvLike } from './keyv-shape.js';
import { pack, type HeldEntry, type OwnStoreAdapter, type StoreInspection } from './own-store.js';

/** What one tier did. Errors are failed or timed-out operations, never a caller's problem. */
export interface TierStats extends GuardStats {
  /** `memory`, `sqlite`, or `store` and its place. */
  name: string;
  /** Entries of the whole store, with other users of it; `null` where a store cannot tell, as below. */
  entries: number | null;
  /** Most entries kept. */
  maxEntries: number | null;
  /** Bytes of the whole store. */
  bytes: number | null;
  /** Most bytes kept. */
  maxBytes: number | null;
  /** Answers found here. */
  hits: number;
  /** Looked here, and found none that may be served. */
  misses: number;
  /** Operations that failed, or were left out because the store is down. */
  errors: number;
}

export type TierOperation = 'get' | 'set' | 'delete';

/** What one operation may cost. */
export interface TierLimits {
  readonly storeTimeoutMs: number;
  /** Of an answer. What is much longer is not read to its end. */
  readonly maxEntryBytes: number;
}

export interface TierListener {
  onTierError(tier: string, operation: TierOperation, error: LlmCacheStoreError): void;
  onTierNotice(tier: string, message: string): void;
}

/** As many are read within one `storeTimeout`. */
const KEYS_IN_TIME = 32;

/** Versions and usage are kept beside an answer. Tens of thousands of tags find room. */
const HEADER_ROOM_BYTES = 4 * 1024 * 1024;

/** Keyv's word for no expiry; `undefined` would mean the Keyv's own default ttl. */
const NEVER = 0;

/** An entry that lives longer than this is still there when it is read back. */
const LONG_MS = 10_000;

const CHANGED =
  'what was just written did not come back as the same text, so every call may be a miss. ' +
  "Look at the Keyv's serializer and compression, and at its storage adapter.";

/** One store behind its guard. What fails rejects with `LlmCacheStoreError`, once the listener knows. */
export class Tier {
  readonly name: string;
  hits = 0;
  misses = 0;
  private errors = 0;
  private readonly guard: StoreGuard;
  private readonly adapter: OwnStoreAdapter | undefined;
  /** Set where entries may be read and written without the Keyv. */
  private readonly open: OwnStoreAdapter | undefined;
  private readonly emitted: EmittedErrors;
  /** Of a longer text no more is read: it is no entry. */
  readonly maxReadBytes: number;
  /** Whether it has been looked once how a text comes back from the store. */
  private isProbed: boolean;
  private readonly onRecovery = (): void => this.guard.recover();

  constructor(
    private readonly keyv: KeyvLike,
    index: number,
    { storeTimeoutMs, maxEntryBytes }: TierLimits,
    private readonly listener: TierListener,
    monotonic?: () => number,
  ) {
    this.adapter = ownAdapterOf(keyv);
    this.open = openAdapterOf(keyv);
    this.isProbed = this.open !== undefined;
    // Memory cannot hang, so it goes without a deadline and its timer.
    this.guard = new StoreGuard(this.isSynchronous ? undefined : storeTimeoutMs, monotonic);
    this.adapter?.recoveryListeners?.add(this.onRecovery);
    this.emitted = errorsOf(keyv);
    // At most two bytes a character.
    this.maxReadBytes = 2 * maxEntryBytes + HEADER_ROOM_BYTES;
    this.name = this.adapter?.name ?? `store ${index}`;
    if (this.adapter) this.adapter.onNotice = (message) => listener.onTierNotice(this.name, message);
  }

  /** Whether an entry can be read without leaving the process. */
  get isSynchronous(): boolean {
    return this.open?.peek !== undefined;
  }

  /** Whether others than this app may read it, as far as can be told. */
  get isShared(): boolean {
    return isShared(this.keyv);
  }

  /** Whether the store counts, and tells every process of it. */
  get isCoordinated(): boolean {
    return this.open?.coordination !== undefined;
  }

  /** Whether what it holds outlives the process, as far as can be told. */
  get isPersistent(): boolean {
    return this.isShared || (this.adapter !== undefined && this.adapter.peek === undefined);
  }

  /** Grows when the store may have started anew, without what was in it. */
  get generation(): number {
    return this.adapter?.generation ?? 0;
  }

  get identity(): { store: object; namespace: string } {
    return placeOf(this.keyv);
  }

  peek(key: string): HeldEntry | undefined {
    return this.open?.peek?.(this.keyInAdapter(key));
  }

  /** `undefined` when the store says that there is none. */
  get(key: string): Promise<unknown> {
    const direct = this.open?.direct;
    if (direct !== undefined) return this.run('get', () => direct.get(this.keyInAdapter(key), this.maxReadBytes));
    return this.run('get', async () => (await this.keyv.get(key)) ?? undefined);
  }

  /** {@link get} for many keys in one operation, where the store has one. */
  getMany(keys: readonly string[]): Promise<unknown[]> {
    return this.run('get', async () => {
      const direct = this.open?.direct;
      if (direct !== undefined) return direct.getMany(keys.map((key) => this.keyInAdapter(key)), this.maxReadBytes);
      const found = await (this.keyv.getMany?.([...keys]) ?? Promise.all(keys.map((key) => this.keyv.get(key))));
      // Fewer answers than keys cannot be told apart, so none of them counts.
      if (!Array.isArray(found) || found.length !== keys.length) throw new Error('the store answered another number of keys');
      return found.map((text: unknown) => text ?? undefined);
    }, Math.ceil(keys.length / KEYS_IN_TIME));
  }

  /** @throws LlmCacheStoreError when the store failed, refused or took too long. */
  set(key: string, text: string, ttlMs: number | undefined): Promise<void> {
    return this.run('set', async () => {
      await this.write(key, text, ttlMs);
      if (!this.isProbed && (ttlMs ?? Infinity) >= LONG_MS) await this.probe(key, text);
    });
  }

  /** Writes an entry that never expires, unless there is one, as far as the store can tell; resolves to the one that is there. */
  async claim(key: string, text: string): Promise<unknown> {
    await this.run('set', async () => {
      if (this.open?.claim === undefined) await this.write(key, text, undefined);
      else await this.open.claim(this.keyInAdapter(key), pack(text, undefined));
    });
    return this.get(key).catch(() => text);
  }

  delete(key: string): Promise<void> {
    if (this.isCoordinated) return this.lease('delete', key, (leases, place) => leases.remove(place));
    return this.run('delete', async () => {
      const { count } = this.emitted;
      // Keyv says `false` for an entry that was not there, and for a failure alike.
      if ((await this.keyv.delete(key)) === true) return;
      const isThere = await isPresent(this.keyv, key);
      // Another operation's error counts here too: that may refuse to confirm a removal, but never confirms a failed one.
      if (this.emitted.count > count) throw this.emitted.last;
      if (isThere) throw new Error('the entry is still there');
    });
  }

  /** Of a coordinated store, as the three below; see `Coordination`. @throws LlmCacheStoreError like the other operations. */
  counts(names: readonly string[]): Promise<number[]> {
    return this.run('get', () => this.open!.coordination!.counts(names.map((name) => this.keyInAdapter(name))));
  }

  increase(name: string, lastSeen: number | undefined, note?: string): Promise<number> {
    return this.run('set', () => this.open!.coordination!.increase(this.keyInAdapter(name), lastSeen, note));
  }

  /** An operation on the lease of a key. */
  lease<T>(operation: TierOperation, key: string, run: (leases: Leases, key: string) => Promise<T>): Promise<T> {
    return this.run(operation, () => run(this.open!.coordination!.leases, this.keyInAdapter(key)));
  }

  /** {@link set}, where there is still a right to. @throws LlmCacheStoreError of kind `fenced` where it does not */
  async commit(key: string, text: string, ttlMs: number | undefined, right: CommitRight): Promise<void> {
    if (await this.lease('set', key, (leases, place) => leases.commit(place, right, text, ttlMs))) return;
    throw new LlmCacheStoreError('fenced', 'set refused: another process has taken the turn of this one, or has removed the entry');
  }

  /** Where the store has no messages, there are none. @returns a function that ends it */
  subscribe(listener: CoordinationListener): () => void {
    const prefix = this.keyInAdapter('');
    const stop = this.open?.coordination?.subscribe({
      onIncrease: (name, count, note) => {
        if (name.startsWith(prefix)) listener.onIncrease(name.slice(prefix.length), count, note);
      },
      onReleased: (key) => {
        if (key.startsWith(prefix)) listener.onReleased?.(key.slice(prefix.length));
      },
      onGap: () => listener.onGap(),
    });
    return stop ?? (() => undefined);
  }

  /** Empties memory of what begins so; what else the store holds is not touched. */
  forget(prefix: string): void {
    this.open?.forget?.(this.keyInAdapter(prefix));
  }

  /** Whether the store answers a read. One that is being left alone is not asked: it does not. */
  async check(key: string): Promise<boolean> {
    if (this.isSynchronous) return true;
    if (!this.guard.letsThrough) return false;
    const read = this.run('get', async () => {
      const { count } = this.emitted;
      await isPresent(this.keyv, key);
      if (this.emitted.count !== count) throw this.emitted.last;
    });
    return read.then(
      () => true,
      () => false, // the listener knows
    );
  }

  stats(): TierStats {
    const inspection: StoreInspection | undefined = this.adapter?.inspect();
    const { entries = null, maxEntries = null, bytes = null, maxBytes = null } = inspection ?? {};
    const { name, hits, misses, errors } = this;
    return { name, entries, maxEntries, bytes, maxBytes, hits, misses, errors, ...this.guard.stats() };
  }

  /** Closes a store made by this package; another's is left to its owner. */
  async close(): Promise<void> {
    this.adapter?.recoveryListeners?.delete(this.onRecovery);
    await this.adapter?.disconnect?.();
  }

  private async write(key: string, text: string, ttlMs: number | undefined): Promise<void> {
    if (this.open?.direct !== undefined) return this.open.direct.set(this.keyInAdapter(key), text, ttlMs);
    const { count } = this.emitted;
    if ((await this.keyv.set(key, text, ttlMs ?? NEVER)) !== false) return;
    // Keyv reports a failed write as `false`, and says why in an event.
    throw this.emitted.count > count ? this.emitted.last : new Error('the store refused the entry');
  }

  /** Reads the first entry back: where none comes back unchanged, every call is a miss, and nothing else would tell. */
  private async probe(key: string, text: string): Promise<void> {
    this.isProbed = true;
    try {
      const found = await this.keyv.get(key);
      const isAnothers = isEncrypted(found) || typeof openEnvelope(found, key) === 'object';
      if (found !== text && !isAnothers) this.listener.onTierNotice(this.name, CHANGED);
    } catch {
      // A store that fails is told of when it is read.
    }
  }

  /** A Keyv puts its namespace in front. */
  private keyInAdapter(key: string): string {
    const { namespace } = this.keyv as { namespace?: string };
    return namespace ? `${namespace}:${key}` : key;
  }

  private run<T>(operation: TierOperation, run: () => Promise<T>, share?: number): Promise<T> {
    return this.guard.run(operation, run, share).catch((error: LlmCacheStoreError) => {
      this.errors++;
      this.listener.onTierError(this.name, operation, error);
      throw error;
    });
  }
}
