import type { Duration } from '../core/duration.js';
import { OWN_STORE, pack, unpack, type OwnStoreAdapter, type StoreInspection } from '../stores/own-store.js';
import {
  checkStoreOptions,
  checkTrouble,
  delayOf,
  OPERATIONS,
  randomNumbers,
  type ChaosOperation,
  type ChaosRecord,
  type ChaosRecoverOptions,
  type ChaosStoreOptions,
  type ChaosTroubleOptions,
} from './chaos-options.js';

interface Trouble {
  readonly kind: NonNullable<ChaosRecord['trouble']>;
  readonly rate: number;
  /** What an operation waits for, or fails with, before it is carried out. */
  readonly before?: () => void | Promise<void>;
  readonly change?: (text: string) => string;
}

/**
 * A store that gets into trouble when a test says so: put it among `stores`, and see how your app does. Each operation is
 * in one kind of trouble at a time, the one it was told last.
 *
 * @example
 * const chaos = new ChaosStore();
 * const moduleRef = await Test.createTestingModule({
 *   imports: [LlmCacheTestingModule.forRoot({ provider, stores: [memoryStore(), chaos], storeTimeout: '20ms' })],
 * }).compile();
 * chaos.hang();
 * // ... the app answers, `llmCache.stats().tiers[1].breaker` is 'open'
 * chaos.recover();
 */
export class ChaosStore implements OwnStoreAdapter {
  /** @internal */
  readonly [OWN_STORE] = true;
  /** In `stats()` and events. */
  readonly name = 'chaos';
  /** @internal Read by Keyv. */
  readonly opts = { dialect: 'chaos', url: 'chaos' };
  /** @internal Set by Keyv. */
  namespace?: string;
  /** @internal */
  readonly recoveryListeners = new Set<() => void>();
  /** Every operation that reached the store, in order; `journal.length = 0` starts a new one. */
  readonly journal: ChaosRecord[] = [];
  private readonly store: NonNullable<ChaosStoreOptions['store']>;
  private readonly random: () => number;
  private readonly troubles = new Map<ChaosOperation, Trouble>();
  /** Lets operations that hang, or are slow, go on; in the order they came. */
  private readonly waiting = new Set<() => void>();

  /** @throws LlmCacheConfigError naming the first wrong or unknown option. */
  constructor(options: ChaosStoreOptions = {}) {
    checkStoreOptions(options);
    this.store = options.store ?? new Map<string, unknown>();
    this.random = randomNumbers(options.seed ?? 1);
  }

  /** Operations fail with this error, as with a server that refuses connections. @throws LlmCacheConfigError on a wrong option. */
  fail(error: Error = new Error('ChaosStore.fail'), options: ChaosTroubleOptions = {}): void {
    const before = (): never => {
      throw error;
    };
    this.make('fail', { before }, options);
  }

  /**
   * Operations are not answered, as by a frozen server. Those that hang when {@link recover} is called are carried out then,
   * however late, as such a server does; until then they hang, whatever else is told.
   * @throws LlmCacheConfigError on a wrong option.
   */
  hang(options: ChaosTroubleOptions = {}): void {
    this.make('hang', { before: () => this.wait(undefined) }, options);
  }

  /** Operations take that much longer, in real time, or until {@link recover}. @throws LlmCacheConfigError on a wrong option. */
  slow(by: Duration, options: ChaosTroubleOptions = {}): void {
    const ms = delayOf(by);
    this.make('slow', { before: () => this.wait(ms) }, options);
  }

  /**
   * Changes the text of entries as they are read, or, with `operations: ['set']`, as they are stored.
   * @throws LlmCacheConfigError on a wrong option.
   *
   * @example
   * chaos.corrupt((text) => text.slice(0, 40)); // a write that was cut off
   */
  corrupt(change: (text: string) => string, options: ChaosTroubleOptions = {}): void {
    this.make('corrupt', { change }, { operations: ['get'], ...options });
  }

  /** Forgets every entry, as a server that started anew; calls `clear()` of the `store` it was given. What hangs goes on hanging. */
  async loseEverything(): Promise<void> {
    await this.store.clear();
  }

  /** Ends all trouble: what hangs or is slow is carried out now. */
  recover({ announce = true }: ChaosRecoverOptions = {}): void {
    this.troubles.clear();
    this.letGo();
    if (announce) for (const listener of this.recoveryListeners) listener();
  }

  /** @internal */
  get<Value>(key: string): Promise<Value | undefined> {
    return this.operate('get', key, async (change) => {
      const found = (await this.store.get(key)) ?? undefined;
      return changed(found, change) as Value | undefined;
    });
  }

  /** @internal */
  set(key: string, value: unknown, ttl?: number): Promise<unknown> {
    return this.operate('set', key, async (change) => this.store.set(key, changed(value, change), ttl));
  }

  /** @internal */
  delete(key: string): Promise<boolean> {
    return this.operate('delete', key, async () => Boolean(await this.store.delete(key)));
  }

  /** @internal For Keyv; no cache of this package clears a store. */
  async clear(): Promise<void> {
    await this.store.clear();
  }

  /** @internal */
  inspect(): StoreInspection {
    return { entries: this.store instanceof Map ? this.store.size : null, maxEntries: null, bytes: null, maxBytes: null };
  }

  /** @internal Keyv listens for errors here; they are thrown instead. */
  on(): this {
    return this;
  }

  /** @internal Leaves no timer behind. */
  disconnect(): Promise<void> {
    this.letGo();
    return Promise.resolve();
  }

  private make(kind: Trouble['kind'], how: Pick<Trouble, 'before' | 'change'>, options: ChaosTroubleOptions): void {
    checkTrouble(kind, options);
    const { operations = OPERATIONS, rate = 1 } = options;
    for (const operation of operations) this.troubles.set(operation, { kind, rate, ...how });
  }

  private async operate<T>(operation: ChaosOperation, key: string, run: (change: (text: string) => string) => Promise<T>): Promise<T> {
    const planned = this.troubles.get(operation);
    const trouble = planned === undefined || this.random() >= planned.rate ? undefined : planned;
    this.journal.push(trouble === undefined ? { operation, key } : { operation, key, trouble: trouble.kind });
    if (trouble?.before) await trouble.before();
    return run(trouble?.change ?? unchanged);
  }

  private wait(ms: number | undefined): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === undefined ? undefined : setTimeout(() => goOn(), ms);
      timer?.unref();
      const goOn = (): void => {
        clearTimeout(timer);
        this.waiting.delete(goOn);
        resolve();
      };
      this.waiting.add(goOn);
    });
  }

  private letGo(): void {
    for (const goOn of this.waiting) goOn();
  }
}

const unchanged = (text: string): string => text;

/** The text of an entry stands behind its moment of expiry, where the cache of this package has put it. */
function changed(stored: unknown, change: (text: string) => string): unknown {
  if (typeof stored !== 'string') return stored;
  const unpacked = unpack(stored);
  return unpacked === undefined ? change(stored) : pack(change(unpacked.value), unpacked.expiresAtMs);
}
