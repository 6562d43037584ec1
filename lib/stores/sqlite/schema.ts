import type { SqliteConnection } from './load-driver.cjs';

/** The layout's version is in its name: in a database that is somebody else's, `user_version` is theirs. */
export const TABLE = 'llm_cache_v1';
export const TOTALS = `${TABLE}_totals`;

/**
 * Key and value are BLOBs: libsql aborts the process when it reads a TEXT that damage has made invalid UTF-8.
 * The value comes last, so that eviction reads the short columns without the pages of a long value.
 * Triggers keep the totals exact whichever process writes, so that nobody ever counts the rows.
 */
const CREATE = `
  CREATE TABLE ${TABLE} (
    key BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER,
    last_used INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    value BLOB NOT NULL
  );
  CREATE INDEX ${TABLE}_last_used ON ${TABLE} (last_used);
  CREATE INDEX ${TABLE}_expires_at ON ${TABLE} (expires_at) WHERE expires_at IS NOT NULL;
  CREATE TABLE ${TOTALS} (entries INTEGER NOT NULL, bytes INTEGER NOT NULL);
  INSERT INTO ${TOTALS} VALUES (0, 0);
  CREATE TRIGGER ${TABLE}_inserted AFTER INSERT ON ${TABLE} BEGIN
    UPDATE ${TOTALS} SET entries = entries + 1, bytes = bytes + new.bytes;
  END;
  CREATE TRIGGER ${TABLE}_deleted AFTER DELETE ON ${TABLE} BEGIN
    UPDATE ${TOTALS} SET entries = entries - 1, bytes = bytes - old.bytes;
  END;
  CREATE TRIGGER ${TABLE}_updated AFTER UPDATE OF bytes ON ${TABLE} BEGIN
    UPDATE ${TOTALS} SET bytes = bytes + new.bytes - old.bytes;
  END;
`;

/** Sets up the connection and, in a file without it, our table. Settings that stay in the file are for a file of our own. */
export function prepareSchema(connection: SqliteConnection): void {
  connection.exec('PRAGMA busy_timeout = 5');
  connection.exec('PRAGMA synchronous = NORMAL');
  connection.exec('PRAGMA wal_autocheckpoint = 0');
  if (countTables(connection, '1') === 0) {
    connection.exec('PRAGMA page_size = 8192');
    connection.exec('PRAGMA auto_vacuum = INCREMENTAL');
    connection.exec('PRAGMA journal_mode = WAL');
  }
  if (!hasTable(connection)) createTable(connection);
}

function createTable(connection: SqliteConnection): void {
  connection.exec('BEGIN IMMEDIATE');
  try {
    if (!hasTable(connection)) connection.exec(CREATE);
    connection.exec('COMMIT');
  } catch (error) {
    connection.exec('ROLLBACK');
    throw error;
  }
}

function hasTable(connection: SqliteConnection): boolean {
  return countTables(connection, `name = '${TABLE}'`) > 0;
}

function countTables(connection: SqliteConnection, condition: string): number {
  const row = connection.prepare(`SELECT count(*) AS tables FROM sqlite_schema WHERE ${condition}`).get();
  return (row as { tables: number }).tables;
}
