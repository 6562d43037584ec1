import { statSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import type { KeyRange } from './changes.js';
import type { OpenConnection, SqliteConnection, SqliteStatement } from './load-driver.cjs';
import { prepareSchema, TABLE, TOTALS } from './schema.js';

/** Beside its text an entry costs a row header and its places in three indexes. The key is in the table and in its index. */
const ROW_OVERHEAD_BYTES = 64;
const COARSE_MICROSECONDS = 60_000_000;
const LIVE = '(expires_at IS NULL OR expires_at >= ?)';
/** No byte of UTF-8 is FF, so every key is below it. */
const IN_RANGE = `key >= CAST(? AS BLOB) AND key < coalesce(CAST(? AS BLOB), x'FF')`;

/** How much a batch may remove or move, so that none holds the event loop for long. */
export const SLICE_ROWS = 256;
const VACUUM_PAGES = 256;
/** Asking how much of the file is unused costs a tenth of a small write. */
const WRITES_PER_LOOK = 8;
/** Emptying 4 MiB takes two syncs of about 10 ms together; a shorter WAL would need them more often. */
const LONG_WAL_BYTES = 4 * 1024 * 1024;
/** `PRAGMA auto_vacuum` of a file made by us. */
const INCREMENTAL = 2;

export interface StoredEntry {
  readonly key: string;
  /** `undefined` when the checksum does not fit: the entry is damaged. */
  readonly value: string | undefined;
  readonly checksum: number;
}

export interface Totals {
  readonly entries: number;
  readonly bytes: number;
}

/** `node:sqlite` gives a `Uint8Array`, libsql a `Buffer` from `get` and an `ArrayBuffer` from `all`. */
type Blob = Uint8Array | ArrayBuffer;

/** Columns come back through casts: after damage a column may hold any type, and some make a driver throw or abort. */
interface Row {
  readonly id: number;
  readonly key: Blob;
  readonly value: Blob | null;
  readonly checksum: number;
  readonly bytes: number;
}

export function entryBytes(key: string, value: string): number {
  return 2 * Buffer.byteLength(key) + Buffer.byteLength(value) + ROW_OVERHEAD_BYTES;
}

/** Our table in one open SQLite file. Everything here is synchronous and may throw what the driver throws. */
export class SqliteDatabase {
  private readonly connection: SqliteConnection;
  private readonly statements: Record<keyof typeof STATEMENTS, SqliteStatement>;
  private readonly canShrink: boolean;
  private readonly walPath: string;
  private writes = 0;

  constructor(open: OpenConnection, path: string) {
    this.connection = open(path);
    try {
      prepareSchema(this.connection);
      const entries = Object.entries(STATEMENTS).map(([name, sql]) => [name, this.connection.prepare(sql)]);
      this.statements = Object.fromEntries(entries) as typeof this.statements;
      const { auto_vacuum: mode } = this.connection.prepare('PRAGMA auto_vacuum').get() as { auto_vacuum: number };
      this.canShrink = mode === INCREMENTAL;
      const { file } = this.connection.prepare('PRAGMA database_list').get() as { file: string };
      this.walPath = `${file}-wal`;
    } catch (error) {
      this.connection.close();
      throw error;
    }
  }

  read(key: string, nowMs: number): StoredEntry | undefined {
    const row = this.statements.read.get(key, nowMs) as Row | undefined;
    return row && opened(key, row);
  }

  /** Live entries of a range in key order. Pages instead of a cursor: an open cursor would keep the WAL from being reused. */
  page({ from, to }: KeyRange, nowMs: number, size: number): StoredEntry[] {
    const rows = this.statements.page.all(from, to, nowMs, size) as Row[];
    return rows.map((row) => opened(bufferOf(row.key).toString(), row));
  }

  /** The stamp of the entry used last. */
  lastUse(): number {
    return (this.statements.lastUse.get() as { stamp: number }).stamp;
  }

  totals(): Totals {
    const { entries, bytes } = this.statements.totals.get() as Totals;
    return { entries, bytes };
  }

  transaction<Result>(work: () => Result): Result {
    this.statements.begin.run();
    try {
      const result = work();
      this.statements.commit.run();
      return result;
    } catch (error) {
      this.rollBack();
      throw error;
    }
  }

  write(key: string, value: string, expiresAtMs: number | null, stamp: number): void {
    this.statements.write.run(key, expiresAtMs, stamp, entryBytes(key, value), checksumOf(key, value), value);
  }

  /** @returns whether the key was free */
  claim(key: string, value: string, stamp: number): boolean {
    return this.statements.claim.run(key, null, stamp, entryBytes(key, value), checksumOf(key, value), value).changes > 0;
  }

  /** @returns whether there was anything to remove */
  remove(key: string): boolean {
    return this.statements.remove.run(key).changes > 0;
  }

  /** Removes the row that was found damaged, not one that has taken its place. */
  removeDamaged(key: string, checksum: number): void {
    this.statements.removeDamaged.run(key, checksum);
  }

  /** Marks a key as used, where its row's own mark is older than a minute. */
  touch(key: string, stamp: number): void {
    this.statements.touch.run(stamp, key, stamp - COARSE_MICROSECONDS);
  }

  /** Rows are numbered in the order they come; what is written after a clear began has a higher number. */
  lastRow(): number {
    return (this.statements.lastRow.get() as { id: number }).id;
  }

  /** @returns how many rows were removed; 0 when nothing is left */
  removeSlice({ from, to }: KeyRange, lastRow: number): number {
    return Number(this.statements.removeSlice.run(from, to, lastRow, SLICE_ROWS).changes);
  }

  removeExpired(nowMs: number): number {
    return Number(this.statements.removeExpired.run(nowMs, SLICE_ROWS).changes);
  }

  leastRecentlyUsed(count: number): Array<{ id: number; key: string; bytes: number }> {
    const rows = this.statements.leastRecentlyUsed.all(count) as Row[];
    return rows.map(({ id, key, bytes }) => ({ id, key: bufferOf(key).toString(), bytes }));
  }

  removeRow(id: number): void {
    this.statements.removeRow.run(id);
  }

  touchRow(id: number, stamp: number): void {
    this.statements.touchRow.run(stamp, id);
  }

  resetTotals(): void {
    this.connection.exec(`UPDATE ${TOTALS} SET entries = 0, bytes = 0`);
  }

  /** Called after each write: gives a slice of the file back to the disk while a quarter of it is unused. Less is soon used again. */
  shrink(): void {
    this.writes += 1;
    if (!this.canShrink || this.writes % WRITES_PER_LOOK !== 0) return;
    try {
      const { freelist_count: free } = this.statements.freePages.get() as { freelist_count: number };
      if (free * 4 <= (this.statements.pages.get() as { page_count: number }).page_count) return;
      this.connection.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    } catch {
      // What was written before stays written; a later batch tries again.
    }
  }

  /**
   * Empties the WAL into the file once it is long. SQLite's own checkpoint, at the end of a COMMIT, lets others write
   * meanwhile: with several busy writers it never gets to the end, the WAL grows without bound and each sync lasts longer.
   * @returns `busy` when another process was writing or reading, so that the WAL stays as long as it is
   * @throws an error of code `SQLITE_FULL` when it stays longer than `mostBytes`: somebody reads an old state all the time
   */
  checkpoint(mostBytes: number): 'short' | 'emptied' | 'busy' {
    const { size } = statSync(this.walPath, { throwIfNoEntry: false }) ?? { size: 0 };
    if (size < LONG_WAL_BYTES) return 'short';
    if (this.emptyLog()) return 'emptied';
    if (size < mostBytes) return 'busy';
    throw Object.assign(new Error('the write-ahead log is full: a read transaction is kept open'), { code: 'SQLITE_FULL' });
  }

  /** libsql leaves statements open, and with them the WAL at its full length; only an explicit checkpoint empties it. */
  close(): void {
    this.emptyLog();
    this.connection.close();
  }

  /** Closes a file that is damaged or no longer ours, without writing to it. */
  abandon(): void {
    try {
      this.connection.close();
    } catch {
      // There is nothing left to save in it.
    }
  }

  /** Where it fails, the WAL stays beside the file and is read at the next open. */
  private emptyLog(): boolean {
    try {
      return (this.statements.checkpoint.get() as { busy: number }).busy === 0;
    } catch {
      return false;
    }
  }

  private rollBack(): void {
    try {
      this.connection.exec('ROLLBACK');
    } catch {
      // SQLite has already rolled back: it does so by itself on a full disk.
    }
  }
}

const INSERT = `
  INSERT INTO ${TABLE} (key, expires_at, last_used, bytes, checksum, value)
  VALUES (CAST(? AS BLOB), ?, ?, ?, ?, CAST(? AS BLOB))`;

const STATEMENTS = {
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  read: `
    SELECT CAST(value AS BLOB) AS value, CAST(checksum AS REAL) AS checksum
    FROM ${TABLE} WHERE key = CAST(? AS BLOB) AND ${LIVE}`,
  page: `
    SELECT CAST(key AS BLOB) AS key, CAST(value AS BLOB) AS value, CAST(checksum AS REAL) AS checksum
    FROM ${TABLE} WHERE ${IN_RANGE} AND ${LIVE} ORDER BY key LIMIT ?`,
  lastUse: `SELECT CAST(coalesce(max(last_used), 0) AS REAL) AS stamp FROM ${TABLE}`,
  totals: `SELECT CAST(entries AS REAL) AS entries, CAST(bytes AS REAL) AS bytes FROM ${TOTALS}`,
  claim: `${INSERT} ON CONFLICT (key) DO NOTHING`,
  write: `${INSERT}
    ON CONFLICT (key) DO UPDATE SET expires_at = excluded.expires_at, last_used = excluded.last_used,
      bytes = excluded.bytes, checksum = excluded.checksum, value = excluded.value`,
  remove: `DELETE FROM ${TABLE} WHERE key = CAST(? AS BLOB)`,
  removeDamaged: `DELETE FROM ${TABLE} WHERE key = CAST(? AS BLOB) AND CAST(checksum AS REAL) = ?`,
  touch: `UPDATE ${TABLE} SET last_used = ? WHERE key = CAST(? AS BLOB) AND last_used < ?`,
  lastRow: `SELECT CAST(coalesce(max(rowid), 0) AS REAL) AS id FROM ${TABLE}`,
  removeSlice: `
    DELETE FROM ${TABLE}
    WHERE rowid IN (SELECT rowid FROM ${TABLE} WHERE ${IN_RANGE} AND rowid <= ? LIMIT ?)`,
  removeExpired: `
    DELETE FROM ${TABLE}
    WHERE rowid IN (SELECT rowid FROM ${TABLE} WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`,
  leastRecentlyUsed: `
    SELECT CAST(rowid AS REAL) AS id, CAST(key AS BLOB) AS key, CAST(bytes AS REAL) AS bytes
    FROM ${TABLE} ORDER BY last_used LIMIT ?`,
  removeRow: `DELETE FROM ${TABLE} WHERE rowid = ?`,
  checkpoint: 'PRAGMA wal_checkpoint(TRUNCATE)',
  freePages: 'PRAGMA freelist_count',
  pages: 'PRAGMA page_count',
  touchRow: `UPDATE ${TABLE} SET last_used = ? WHERE rowid = ?`,
};

function checksumOf(key: string, value: string | Uint8Array): number {
  return crc32(value, crc32(key));
}

function opened(key: string, { value, checksum }: Row): StoredEntry {
  if (value === null) return { key, value: undefined, checksum };
  const bytes = bufferOf(value);
  return { key, value: checksumOf(key, bytes) === checksum ? bytes.toString() : undefined, checksum };
}

/** A view of a BLOB, without a copy. */
function bufferOf(blob: Blob): Buffer {
  return ArrayBuffer.isView(blob) ? Buffer.from(blob.buffer, blob.byteOffset, blob.byteLength) : Buffer.from(blob);
}
