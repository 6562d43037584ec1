import { mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenConnection } from './load-driver.cjs';
import { SqliteDatabase } from './sqlite-database.js';
import { isBusy, isCorrupt, sqliteCode, withCode } from './sqlite-errors.js';

/** How long an operation keeps trying while another process holds the lock. */
const PATIENCE_MS = 5_000;
const LONGEST_PAUSE_MS = 20;

/**
 * The file behind a store: opened at the first use, opened anew when it was deleted or replaced, set aside and
 * replaced when it is damaged. Waiting for another process's lock never blocks the event loop for more than 5 ms.
 */
export class SqliteFile {
  onNotice: (message: string) => void = () => {};
  onOpen: (database: SqliteDatabase) => void = () => {};
  private database: SqliteDatabase | undefined;
  /** Which file was opened, or was about to be. */
  private identity: string | undefined;

  constructor(
    private readonly path: string,
    private readonly open: OpenConnection,
  ) {}

  get isOpen(): boolean {
    return this.database !== undefined;
  }

  /** Runs `work`, perhaps several times: it has to be one read or one transaction. */
  async use<Result>(work: (database: SqliteDatabase) => Result): Promise<Result> {
    const givesUpAtMs = performance.now() + PATIENCE_MS;
    for (let replaced = false; ; ) {
      try {
        return work(this.current());
      } catch (error) {
        const code = sqliteCode(error);
        if (isBusy(code) && performance.now() < givesUpAtMs) await sleep(Math.random() * LONGEST_PAUSE_MS);
        else if (isCorrupt(code) && !replaced) replaced = this.quarantine();
        else throw this.failed(error, code);
      }
    }
  }

  close(): void {
    this.database?.close();
    this.database = undefined;
  }

  private current(): SqliteDatabase {
    // A system call of 3 us; without it, writes to a deleted file would be acknowledged and lost.
    if (this.database && identityOf(this.path) !== this.identity) this.abandon();
    return (this.database ??= this.openNow());
  }

  private openNow(): SqliteDatabase {
    mkdirSync(dirname(this.path), { recursive: true });
    this.identity = identityOf(this.path);
    refuseShortFile(this.path);
    const database = new SqliteDatabase(this.open, this.path);
    this.identity = identityOf(this.path);
    this.onOpen(database);
    return database;
  }

  private quarantine(): true {
    this.abandon();
    // Another process may have been quicker: its new file is not the one that failed.
    if (identityOf(this.path) !== this.identity) return true;
    const aside = `${this.path}.corrupt-${new Date().toISOString().replaceAll(':', '-')}`;
    for (const suffix of ['', '-wal', '-shm']) {
      if (identityOf(this.path + suffix) !== undefined) renameSync(this.path + suffix, aside + suffix);
    }
    this.onNotice(`sqliteStore: ${this.path} was damaged. It was renamed to ${aside}, and a new file was started.`);
    return true;
  }

  /** A full disk leaves the connection usable; after anything else the next operation opens the file anew. */
  private failed(error: unknown, code: string | undefined): unknown {
    if (code === undefined) return error;
    if (code !== 'SQLITE_FULL') this.abandon();
    return withCode(error, code);
  }

  private abandon(): void {
    this.database?.abandon();
    this.database = undefined;
  }
}

/** SQLite takes a file below the size of its smallest page for an empty one and writes over it, whatever it holds. */
function refuseShortFile(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > 0 && size < 512) throw Object.assign(new Error('file is not a database'), { code: 'SQLITE_NOTADB' });
}

function identityOf(path: string): string | undefined {
  const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stats && `${stats.dev}:${stats.ino}`;
}
