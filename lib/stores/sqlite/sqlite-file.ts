import { mkdirSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenConnection } from './load-driver.cjs';
import { identityOf, KEPT_DAMAGED_FILES, setAside } from './quarantine.js';
import { SqliteDatabase } from './sqlite-database.js';
import { isBusy, isCorrupt, isReadOnly, sqliteCode, withCode } from './sqlite-errors.js';

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
  private walIdentity: string | undefined;
  private opened = 0;

  constructor(
    private readonly path: string,
    private readonly open: OpenConnection,
  ) {}

  get isOpen(): boolean {
    return this.database !== undefined;
  }

  /** Grows with each open. Numbers of files are used again, so whether it is still the same file is not asked. */
  get generation(): number {
    return this.opened;
  }

  /** Runs `work`, perhaps several times: it has to be one read or one transaction. */
  async use<Result>(work: (database: SqliteDatabase) => Result): Promise<Result> {
    const givesUpAtMs = performance.now() + PATIENCE_MS;
    for (let renewed = false; ; ) {
      try {
        return work(this.current());
      } catch (error) {
        const code = sqliteCode(error);
        if (isBusy(code) && performance.now() < givesUpAtMs) await sleep(Math.random() * LONGEST_PAUSE_MS);
        else if (isCorrupt(code) && !renewed) renewed = this.quarantine();
        else if (isReadOnly(code) && !renewed) renewed = this.abandon();
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
    if (this.database && identityOf(this.path) !== this.identity) this.leaveReplacedFile();
    return (this.database ??= this.openNow());
  }

  private openNow(): SqliteDatabase {
    mkdirSync(dirname(this.path), { recursive: true });
    this.identity = identityOf(this.path);
    refuseShortFile(this.path);
    const database = new SqliteDatabase(this.open, this.path);
    this.identity = identityOf(this.path);
    this.walIdentity = identityOf(`${this.path}-wal`);
    this.opened += 1;
    this.onOpen(database);
    return database;
  }

  /** The WAL of the file that is gone: SQLite would write it over whatever has taken its place, be it another app's. */
  private leaveReplacedFile(): void {
    // Compared while it is open: after that its number may be another file's.
    const isOurs = this.walIdentity !== undefined && identityOf(`${this.path}-wal`) === this.walIdentity;
    this.abandon();
    if (isOurs) for (const suffix of ['-wal', '-shm']) rmSync(this.path + suffix, { force: true });
  }

  private quarantine(): true {
    this.abandon();
    // Another process may have been quicker: its new file is not the one that failed.
    if (identityOf(this.path) !== this.identity) return true;
    const aside = setAside(this.path, this.identity);
    if (aside === undefined) return true;
    this.onNotice(
      `sqliteStore: ${this.path} was damaged. It was renamed to ${aside}, and a new file was started. ` +
        `The newest ${KEPT_DAMAGED_FILES} damaged files are kept.`,
    );
    return true;
  }

  /** A full disk leaves the connection usable; after anything else the next operation opens the file anew. */
  private failed(error: unknown, code: string | undefined): unknown {
    if (code === undefined) return error;
    if (code !== 'SQLITE_FULL') this.abandon();
    return withCode(error, code);
  }

  /** The next operation opens the file anew. */
  private abandon(): true {
    this.database?.abandon();
    this.database = undefined;
    return true;
  }
}

/** SQLite takes a file below the size of its smallest page for an empty one and writes over it, whatever it holds. */
function refuseShortFile(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > 0 && size < 512) throw Object.assign(new Error('file is not a database'), { code: 'SQLITE_NOTADB' });
}
