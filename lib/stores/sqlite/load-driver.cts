/** What `node:sqlite` and `libsql` have in common; no more of a driver is used. */
export interface SqliteConnection {
  exec(sql: string): unknown;
  prepare(sql: string): SqliteStatement;
  close(): unknown;
}

export interface SqliteStatement {
  get(...parameters: SqliteParameter[]): unknown;
  all(...parameters: SqliteParameter[]): unknown[];
  run(...parameters: SqliteParameter[]): { changes: number | bigint };
}

/** `null` never comes alone: libsql takes a single object for a set of named parameters. */
export type SqliteParameter = string | number | null;

export type OpenConnection = (path: string) => SqliteConnection;

type DatabaseClass = new (path: string) => SqliteConnection;

/**
 * CommonJS, because only `require` loads an optional package synchronously in both builds.
 * @throws what `require` throws where there is neither `node:sqlite` nor `libsql`
 */
export function loadDriver(): OpenConnection {
  const Database = builtinDatabase() ?? (require('libsql') as DatabaseClass);
  return (path) => new Database(path);
}

function builtinDatabase(): DatabaseClass | undefined {
  const builtin = process.getBuiltinModule?.('node:sqlite') as { DatabaseSync: DatabaseClass } | undefined;
  return builtin?.DatabaseSync;
}
