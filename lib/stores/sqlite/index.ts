/**
 * A store in one file, which outlives the process.
 *
 * @module nestjs-llm-cache/sqlite
 */
import { resolve } from 'node:path';
import type { Keyv } from 'keyv';
import { checkOptions, positiveInteger, type OptionRule } from '../../core/check-options.js';
import { LlmCacheConfigError } from '../../core/errors.js';
import { keyvOver } from '../own-store.js';
import { loadDriver, type OpenConnection } from './load-driver.cjs';
import { SqliteAdapter } from './sqlite-adapter.js';

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /** The database file. It and missing parent folders are created at the first use, not at start-up. */
  path: string;
  /**
   * Most bytes kept: UTF-8 text plus a fixed overhead per entry. The file itself may be larger by about half.
   * @default 1_073_741_824 (1 GiB)
   */
  maxBytes?: number;
  /** Most entries kept. @default 1_000_000 */
  maxEntries?: number;
}

const databaseFile: OptionRule = {
  accepts: "the path of a file, such as './cache/llm.sqlite' (for a cache without a file use memoryStore)",
  test: (value) => typeof value === 'string' && value.trim() !== '' && value !== ':memory:' && !value.includes('\0'),
};

/**
 * A store in one SQLite file that outlives the process and that several processes of one machine may share. Bounded in
 * entries and in bytes: the least recently used entry goes first. Needs `node:sqlite` (Node 22.13 or newer) or `npm i libsql`.
 * @throws LlmCacheConfigError on a wrong or unknown option, or when there is no driver.
 */
export function sqliteStore(options: SqliteStoreOptions): Keyv {
  checkOptions<SqliteStoreOptions>('sqliteStore', options, {
    path: databaseFile,
    maxBytes: positiveInteger,
    maxEntries: positiveInteger,
  });
  const { path, maxBytes = 1024 ** 3, maxEntries = 1_000_000 } = options;
  if (path === undefined) {
    throw new LlmCacheConfigError(`sqliteStore: option "path" must be ${databaseFile.accepts}, not undefined.`);
  }
  return keyvOver(new SqliteAdapter(resolve(path), { maxBytes, maxEntries }, driver()));
}

function driver(): OpenConnection {
  try {
    return loadDriver();
  } catch (cause) {
    throw new LlmCacheConfigError(
      'sqliteStore: this Node has no node:sqlite, and the package libsql could not be loaded. ' +
        'Run `npm i libsql`, or use Node 22.13 or newer.',
      { cause },
    );
  }
}
