import { LlmCacheStoreError } from '../core/errors.js';
import { StoreGuard } from './guard.js';
import type { HeldEntry, OwnStoreAdapter, StoreInspection } from './own-store.js';
import { ownAdapterOf, type KeyvLike } from './store-input.js';

/** What one tier did. Errors are failed or timed-out operations, never a caller's problem. */
export interface TierStats {
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

export interface TierListener {
  onTierError(tier: string, operation: TierOperation, error: LlmCacheStoreError): void;
  onTierNotice(tier: string, message: string): void;
}

/** Keyv's word for no expiry; `undefined` would mean the Keyv's own default ttl. */
const NEVER = 0;

/** One store behind its guard. What fails rejects with `LlmCacheStoreError`, once the listener knows. */
export class Tier {
  readonly name: string;
  hits = 0;
  misses = 0;
  private errors = 0;
  private readonly guard: StoreGuard;
  private readonly adapter: OwnStoreAdapter | undefined;
  private readonly emitted: { error: unknown };

  constructor(
    private readonly keyv: KeyvLike,
    index: number,
    timeoutMs: number,
    private readonly listener: TierListener,
  ) {
    this.adapter = ownAdapterOf(keyv);
    // Memory cannot hang, so it goes without a deadline and its timer.
    this.guard = new StoreGuard(this.isSynchronous ? undefined : timeoutMs);
    this.emitted = emittedBy(keyv);
    this.name = this.adapter?.name ?? `store ${index}`;
    if (this.adapter) this.adapter.onNotice = (message) => listener.onTierNotice(this.name, message);
  }

  /** Whether an entry can be read without leaving the process. */
  get isSynchronous(): boolean {
    return this.adapter?.peek !== undefined;
  }

  /** Grows when the store may have started anew, without what was in it. */
  get generation(): number {
    return this.adapter?.generation ?? 0;
  }

  /** The object that holds the data, however many Keyvs stand before it, and the place this one has in it. */
  get identity(): { store: object; namespace: string } {
    const { store = this.keyv, namespace = '' } = this.keyv as { store?: object; namespace?: string };
    return { store: this.adapter ?? store, namespace };
  }

  peek(key: string): HeldEntry | undefined {
    return this.adapter?.peek?.(this.keyInAdapter(key));
  }

  /** `undefined` when the store says that there is none. */
  async get(key: string): Promise<unknown> {
    return (await this.run('get', () => this.keyv.get(key))) ?? undefined;
  }

  /** {@link get} for many keys in one operation, where the store has one. */
  getMany(keys: readonly string[]): Promise<unknown[]> {
    return this.run('get', async () => {
      const found = await (this.keyv.getMany?.([...keys]) ?? Promise.all(keys.map((key) => this.keyv.get(key))));
      // Fewer answers than keys cannot be told apart, so none of them counts.
      if (!Array.isArray(found) || found.length !== keys.length) throw new Error('the store answered another number of keys');
      return found.map((text: unknown) => text ?? undefined);
    });
  }

  /** @throws LlmCacheStoreError when the store failed, refused or took too long. */
  set(key: string, text: string, ttlMs: number | undefined): Promise<void> {
    return this.run('set', async () => {
      this.emitted.error = undefined;
      // Keyv reports a failed write as `false`, and says why in an event.
      if ((await this.keyv.set(key, text, ttlMs ?? NEVER)) === false) throw this.emitted.error ?? new Error('the store refused the entry');
    });
  }

  /** Writes an entry that never expires, unless there is one, as far as the store can tell; resolves to the one that is there. */
  async claim(key: string, text: string): Promise<unknown> {
    const { serialize } = this.keyv as { serialize?: (data: { value: string }) => string | Promise<string> };
    if (this.adapter?.claim === undefined || serialize === undefined) await this.set(key, text, undefined);
    else await this.run('set', async () => this.adapter!.claim!(this.keyInAdapter(key), await serialize({ value: text })));
    return this.get(key).catch(() => text);
  }

  delete(key: string): Promise<void> {
    return this.run('delete', async () => {
      // Keyv says `false` for an entry that was not there, and for a failure alike.
      if ((await this.keyv.delete(key)) !== true && (await this.keyv.get(key)) !== undefined) throw new Error('the entry is still there');
    });
  }

  stats(): TierStats {
    const inspection: StoreInspection | undefined = this.adapter?.inspect();
    const { entries = null, maxEntries = null, bytes = null, maxBytes = null } = inspection ?? {};
    const { name, hits, misses, errors } = this;
    return { name, entries, maxEntries, bytes, maxBytes, hits, misses, errors };
  }

  /** Closes a store made by this package; another's is left to its owner. */
  async close(): Promise<void> {
    await this.adapter?.disconnect?.();
  }

  /** A Keyv puts its namespace in front. */
  private keyInAdapter(key: string): string {
    const { namespace } = this.keyv as { namespace?: string };
    return namespace ? `${namespace}:${key}` : key;
  }

  private async run<T>(operation: TierOperation, run: () => Promise<T>): Promise<T> {
    try {
      return await this.guard.run(operation, run);
    } catch (error) {
      this.errors++;
      this.listener.onTierError(this.name, operation, error as LlmCacheStoreError);
      throw error;
    }
  }
}

const emitted = new WeakMap<KeyvLike, { error: unknown }>();

/** The last error that a Keyv emitted instead of throwing it. One listener for each Keyv, however many caches use it. */
function emittedBy(keyv: KeyvLike): { error: unknown } {
  const present = emitted.get(keyv);
  if (present !== undefined) return present;
  const last: { error: unknown } = { error: undefined };
  emitted.set(keyv, last);
  keyv.on?.('error', (error) => (last.error = error));
  return last;
}
