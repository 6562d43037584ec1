/** SQLite's primary result codes that a store can meet, see https://sqlite.org/rescode.html */
const NAMES: Readonly<Record<number, string>> = {
  1: 'SQLITE_ERROR',
  3: 'SQLITE_PERM',
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  7: 'SQLITE_NOMEM',
  8: 'SQLITE_READONLY',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  15: 'SQLITE_PROTOCOL',
  18: 'SQLITE_TOOBIG',
  26: 'SQLITE_NOTADB',
};
const IOERR_SHORT_READ = 522;

/** `SQLITE_FULL` and the like; `undefined` for an error that is not SQLite's. */
export function sqliteCode(error: unknown): string | undefined {
  // node:sqlite says `errcode`, libsql `rawCode`; both numbers may be extended codes.
  const { errcode, rawCode, code, message } = error as { errcode?: number; rawCode?: number; code?: unknown; message?: string };
  const number = errcode ?? rawCode ?? codeOfFailedOpen(message);
  if (number === IOERR_SHORT_READ) return 'SQLITE_IOERR_SHORT_READ';
  if (number !== undefined) return NAMES[number & 0xff] ?? `SQLITE_${number}`;
  return typeof code === 'string' && code.startsWith('SQLITE_') ? code : undefined;
}

/** Where opening fails, libsql puts the number at the end of a message in Rust's debug format, and nowhere else. */
function codeOfFailedOpen(message = ''): number | undefined {
  const digits = /^ConnectionFailed\(.*: (\d+)"\)$/s.exec(message)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** Another process holds the lock: worth trying again. */
export function isBusy(code: string | undefined): boolean {
  return code !== undefined && /^SQLITE_(BUSY|LOCKED|PROTOCOL)/.test(code);
}

/** The file is no usable database: worth a new file. */
export function isCorrupt(code: string | undefined): boolean {
  return code !== undefined && /^SQLITE_(CORRUPT|NOTADB|IOERR_SHORT_READ)/.test(code);
}

/** The file could not be written when it was opened; it may be writable by now. */
export function isReadOnly(code: string | undefined): boolean {
  return code === 'SQLITE_READONLY';
}

/** The same failure from either driver looks the same: an `Error` whose `code` is SQLite's own name for it. */
export function withCode(error: unknown, code: string): Error {
  return Object.assign(new Error(`SQLite: ${(error as Error).message}`, { cause: error }), { code });
}
