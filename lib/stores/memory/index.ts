import type { Keyv } from 'keyv';
import { checkOptions, positiveInteger, type OptionRule } from '../../core/check-options.js';
import { keyvOver } from '../own-store.js';
import { MemoryAdapter } from './memory-adapter.js';

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** Most entries kept. @default 10_000 */
  maxEntries?: number;
  /** Most bytes kept, estimated as UTF-8 plus a fixed overhead per entry. @default 67_108_864 (64 MiB) */
  maxBytes?: number;
}

/** The places of all entries are reserved when the store is made. */
const entryCount: OptionRule = {
  accepts: 'a positive whole number up to 10 million',
  test: (value) => positiveInteger.test(value) && (value as number) <= 10_000_000,
};

/**
 * An in-process store, bounded in entries and in bytes; the least recently used entry goes first. It is gone with the process.
 * @throws LlmCacheConfigError on an unknown option or a bound that is no positive whole number.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Keyv {
  checkOptions<MemoryStoreOptions>('memoryStore', options, { maxEntries: entryCount, maxBytes: positiveInteger });
  const { maxEntries = 10_000, maxBytes = 64 * 1024 * 1024 } = options;
  return keyvOver(new MemoryAdapter(maxEntries, maxBytes));
}
