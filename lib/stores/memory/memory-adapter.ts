import { LRUCache } from 'lru-cache';
import { OWN_STORE, unpack, type HeldEntry, type OwnStoreAdapter, type StoreInspection } from '../own-store.js';

/** What an entry costs beside its text: the map slot, the list links and the objects around it. */
const OVERHEAD_BYTES = 160;

interface MemoryEntry extends HeldEntry {
  readonly packed: string;
  readonly expiresAtMs: number | undefined;
}

/** Keyv storage adapter over lru-cache: bounded in entries and bytes, least recently used out first. */
export class MemoryAdapter implements OwnStoreAdapter {
  readonly [OWN_STORE] = true;
  readonly name = 'memory';
  /** Keyv iterates over adapters whose dialect or address it knows. */
  readonly opts = { dialect: 'sqlite', url: 'memory' };
  namespace?: string;
  private readonly entries: LRUCache<string, MemoryEntry>;

  constructor(
    private readonly maxEntries: number,
    private readonly maxBytes: number,
  ) {
    this.entries = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      sizeCalculation: (entry, key) => OVERHEAD_BYTES + key.length + Buffer.byteLength(entry.packed),
    });
  }

  /** Expiry is read from the entry itself, so no timer and no second clock is needed. */
  readonly peek = (key: string): MemoryEntry | undefined => {
    const entry = this.entries.get(key);
    if (entry?.expiresAtMs === undefined || Date.now() <= entry.expiresAtMs) return entry;
    this.entries.delete(key);
    return undefined;
  };

  /** An entry too large for the whole store is not kept. */
  set(key: string, packed: string): Promise<boolean> {
    const { value, expiresAtMs } = unpack(packed) ?? { value: packed, expiresAtMs: undefined };
    this.entries.set(key, { packed, text: value, expiresAtMs });
    return Promise.resolve(this.entries.has(key));
  }

  get<Value>(key: string): Promise<Value | undefined> {
    return Promise.resolve(this.peek(key)?.packed as Value | undefined);
  }

  getMany<Value>(keys: string[]): Promise<Array<Value | undefined>> {
    return Promise.resolve(keys.map((key) => this.peek(key)?.packed as Value | undefined));
  }

  delete(key: string): Promise<boolean> {
    return Promise.resolve(this.entries.delete(key));
  }

  deleteMany(keys: string[]): Promise<boolean> {
    return Promise.resolve(keys.map((key) => this.entries.delete(key)).some(Boolean));
  }

  has(key: string): Promise<boolean> {
    return Promise.resolve(this.peek(key) !== undefined);
  }

  /** Removes the keys of the namespace, or everything where none is set. */
  clear(): Promise<void> {
    for (const [key] of this.within(this.namespace)) this.entries.delete(key);
    return Promise.resolve();
  }

  forget(prefix: string): void {
    for (const key of this.entries.keys()) if (key.startsWith(prefix)) this.entries.delete(key);
  }

  async *iterator<Value>(namespace?: string): AsyncGenerator<Array<string | Awaited<Value> | undefined>, void> {
    for (const [key, { packed }] of this.within(namespace)) yield [key, packed];
  }

  inspect(): StoreInspection {
    return {
      entries: this.entries.size,
      maxEntries: this.maxEntries,
      bytes: this.entries.calculatedSize,
      maxBytes: this.maxBytes,
    };
  }

  /** Keyv listens for errors here; memory has none. */
  on(): this {
    return this;
  }

  /** Memory has nothing to close; what it holds goes with the process. */
  disconnect(): Promise<void> {
    return Promise.resolve();
  }

  private within(namespace: string | undefined): Array<[string, MemoryEntry]> {
    const prefix = namespace ? `${namespace}:` : '';
    return [...this.entries.entries()].filter(([key]) => key.startsWith(prefix));
  }
}
