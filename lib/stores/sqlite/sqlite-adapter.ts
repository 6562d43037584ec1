import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { OWN_STORE, type OwnStoreAdapter, type StoreInspection } from '../own-store.js';
import { keysUnder, type Change, type ClearChange, type TouchChange } from './changes.js';
import { keepWithinBounds, type Bounds } from './keep-within-bounds.js';
import type { OpenConnection } from './load-driver.cjs';
import { Recency } from './recency.js';
import { entryBytes, type SqliteDatabase, type StoredEntry, type Totals } from './sqlite-database.js';
import { SqliteFile } from './sqlite-file.js';
import { WriteQueue } from './write-queue.js';

/** Rows read before other work gets its turn; each may hold a megabyte. */
const PAGE_ROWS = 8;
/** Rows marked as used before other work gets its turn. */
const TOUCHED_ROWS = 64;
/** However small the store, several busy writers need some room. */
const LEAST_WAL_BYTES = 64 * 1024 * 1024;
/** Before the next batch, while another process keeps the WAL from being emptied. */
const LONGEST_PAUSE_MS = 8;

/** Keyv storage adapter over one SQLite file. Writes resolve once committed; reads see what is still waiting to be. */
export class SqliteAdapter implements OwnStoreAdapter {
  readonly [OWN_STORE] = true;
  readonly name = 'sqlite';
  /** Keyv looks here to learn that it can iterate. */
  readonly opts: { readonly dialect: 'sqlite'; readonly url: string };
  namespace?: string;
  onNotice?: (message: string) => void;
  /** Entries whose checksum did not fit. Each was a miss, and was removed. */
  damaged = 0;

  private readonly file: SqliteFile;
  private readonly queue = new WriteQueue((batch) => this.commit(batch));
  private readonly recency = new Recency();
  private totals: Totals = { entries: 0, bytes: 0 };
  private disconnecting: Promise<void> | undefined;

  constructor(
    path: string,
    private readonly bounds: Bounds,
    open: OpenConnection,
  ) {
    this.opts = { dialect: 'sqlite', url: `sqlite://${path}` };
    this.file = new SqliteFile(path, open);
    this.file.onNotice = (message) => this.onNotice?.(message);
    this.file.onOpen = (database) => {
      this.totals = database.totals();
      this.recency.startAfter(database.lastUse());
    };
  }

  async get<Value>(key: string): Promise<Value | undefined> {
    const [value] = await this.read([key]);
    return value as Value | undefined;
  }

  async getMany<Value>(keys: string[]): Promise<Array<Value | undefined>> {
    const values: Array<string | undefined> = [];
    for (let start = 0; start < keys.length; start += PAGE_ROWS) {
      if (start > 0) await nextTurn();
      values.push(...(await this.read(keys.slice(start, start + PAGE_ROWS))));
    }
    return values as Array<Value | undefined>;
  }

  async has(key: string): Promise<boolean> {
    return (await this.get(key)) !== undefined;
  }

  async hasMany(keys: string[]): Promise<boolean[]> {
    return (await this.getMany(keys)).map((value) => value !== undefined);
  }

  /** @returns false when the entry cannot be kept: it is larger than the store, or its text is not valid Unicode. */
  async set(key: string, value: string, ttlMs?: number): Promise<boolean> {
    if (typeof value !== 'string') throw new TypeError('sqliteStore keeps strings: do not replace the serializer of its Keyv.');
    if (!key.isWellFormed()) return false;
    if (!value.isWellFormed() || entryBytes(key, value) > this.bounds.maxBytes) {
      await this.queue.add({ kind: 'remove', key });
      return false;
    }
    return this.queue.add({ kind: 'set', key, value, expiresAtMs: ttlMs ? Date.now() + ttlMs : null });
  }

  claim(key: string, value: string): Promise<boolean> {
    return this.queue.add({ kind: 'claim', key, value });
  }

  /** Keyv hands on the results; its type of an adapter does not know of them. */
  async setMany(entries: Array<{ key: string; value: string; ttl?: number }>): Promise<void> {
    const results = await Promise.all(entries.map(({ key, value, ttl }) => this.set(key, value, ttl)));
    return results as unknown as undefined;
  }

  async delete(key: string): Promise<boolean> {
    return key.isWellFormed() && this.queue.add({ kind: 'remove', key });
  }

  async deleteMany(keys: string[]): Promise<boolean> {
    const results = await Promise.all(keys.map((key) => this.delete(key)));
    return results.includes(true);
  }

  async clear(): Promise<void> {
    await this.queue.add({ kind: 'clear', prefix: prefixOf(this.namespace) });
  }

  async *iterator<Value>(namespace?: string): AsyncGenerator<Array<string | Awaited<Value> | undefined>, void> {
    await this.queue.drained();
    let range = keysUnder(prefixOf(namespace));
    for (;;) {
      const page = await this.file.use((database) => database.page(range, Date.now(), PAGE_ROWS));
      for (const entry of page) {
        const value = this.intact(entry);
        if (value !== undefined) yield [entry.key, value];
      }
      if (page.length < PAGE_ROWS) return;
      await nextTurn();
      // The key that follows directly on the last one in byte order.
      range = { from: `${page.at(-1)!.key}\0`, to: range.to };
    }
  }

  /** Keyv's type asks for it. There is nothing to listen to: what fails rejects. */
  on(): this {
    return this;
  }

  get generation(): number {
    return this.file.generation;
  }

  /** As of this process's last write or opening; what other processes did since then is not in it. */
  inspect(): StoreInspection {
    return { ...this.totals, ...this.bounds };
  }

  /** Writes what is waiting, empties the WAL into the file and closes it. The next operation opens it again. */
  disconnect(): Promise<void> {
    this.disconnecting ??= this.close().finally(() => (this.disconnecting = undefined));
    return this.disconnecting;
  }

  private async close(): Promise<void> {
    // Keyv hands a set on some microtasks after it was called; those called before this are still to be written.
    await nextTurn();
    await this.queue.drained();
    if (this.file.isOpen) await this.writeReads();
    this.file.close();
  }

  private async read(keys: readonly string[]): Promise<Array<string | undefined>> {
    const nowMs = Date.now();
    const values = keys.map((key) => (key.isWellFormed() ? this.queue.uncommitted(key, nowMs) : null));
    if (values.every((value) => value !== undefined)) return values.map((value) => value ?? undefined);
    const stored = await this.file.use((database) =>
      keys.map((key, index) => (values[index] === undefined ? database.read(key, nowMs) : undefined)),
    );
    return values.map((value, index) => value ?? this.intact(stored[index]));
  }

  /** The value of an entry, which counts as a use of it. A damaged one is no value, and goes. */
  private intact(entry: StoredEntry | undefined): string | undefined {
    if (entry === undefined) return undefined;
    if (entry.value !== undefined) {
      if (this.recency.remember(entry.key)) void this.writeReads();
      return entry.value;
    }
    this.damaged += 1;
    this.queue.add({ kind: 'damaged', key: entry.key, checksum: entry.checksum }).catch(() => {
      // It is found damaged again at the next read.
    });
    return undefined;
  }

  /** Nobody waits for these, and losing them costs no more than a poorer choice at eviction. */
  private async writeReads(): Promise<void> {
    const reads = this.recency.take();
    if (reads.size === 0) return;
    await this.queue.add({ kind: 'touch', reads }).catch(() => false);
  }

  private async commit(batch: readonly Change[]): Promise<readonly boolean[]> {
    const [first] = batch;
    if (first?.kind === 'clear') return [await this.removeAll(first)];
    if (first?.kind === 'touch') return [await this.touchAll(first)];
    return this.writeBatch((database) => batch.map((change) => this.apply(change, database)));
  }

  private apply(change: Change, database: SqliteDatabase): boolean {
    if (change.kind === 'remove') return database.remove(change.key);
    if (change.kind === 'claim') return database.claim(change.key, change.value, this.recency.stamp());
    if (change.kind === 'set') database.write(change.key, change.value, change.expiresAtMs, this.recency.stamp());
    else if (change.kind === 'damaged') database.removeDamaged(change.key, change.checksum);
    return true;
  }

  /** In slices: SQLite compares the whole of a row, however long its value, before it changes one column. */
  private async touchAll({ reads }: TouchChange): Promise<true> {
    const all = [...reads];
    for (let start = 0; start < all.length; start += TOUCHED_ROWS) {
      if (start > 0) await nextTurn();
      const slice = all.slice(start, start + TOUCHED_ROWS);
      await this.writeBatch((database) => slice.forEach(([key, stamp]) => database.touch(key, stamp)));
    }
    return true;
  }

  private async removeAll({ prefix }: ClearChange): Promise<true> {
    const range = keysUnder(prefix);
    const lastRow = await this.file.use((database) => database.lastRow());
    while ((await this.writeBatch((database) => database.removeSlice(range, lastRow))) > 0) await nextTurn();
    return true;
  }

  private async writeBatch<Result>(write: (database: SqliteDatabase) => Result): Promise<Result> {
    const wal = await this.file.use((database) => database.checkpoint(Math.max(this.bounds.maxBytes, LEAST_WAL_BYTES)));
    if (wal === 'emptied') await nextTurn();
    // Where several write all the time, each stands back at times, or none would ever find the file free to empty the WAL.
    if (wal === 'busy') await sleep(Math.random() * LONGEST_PAUSE_MS);
    return this.file.use((database) => {
      const result = database.transaction(() => {
        const written = write(database);
        this.totals = keepWithinBounds(database, this.bounds, this.recency, Date.now());
        return written;
      });
      database.shrink();
      return result;
    });
  }
}

function prefixOf(namespace: string | undefined): string {
  return namespace ? `${namespace}:` : '';
}
