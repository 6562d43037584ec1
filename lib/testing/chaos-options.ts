import { aFunction, checkOptions, fraction, type OptionRule, type OptionRules } from '../core/check-options.js';
import { DURATION_FORM, durationMs, type Duration } from '../core/duration.js';
import { LlmCacheConfigError } from '../core/errors.js';
import type { StorageAdapterLike } from '../stores/store-input.js';

/** What a cache asks of a store. */
export type ChaosOperation = 'get' | 'set' | 'delete';

/** Options of `ChaosStore`. */
export interface ChaosStoreOptions {
  /** The store around which trouble is made; it stays yours to close. @default a Map of its own */
  store?: StorageAdapterLike;
  /** Decides which operations a `rate` strikes: the same seed and operations, the same trouble. @default 1 */
  seed?: number;
}

/** Which operations are in trouble. */
export interface ChaosTroubleOptions {
  /** @default all of them; for `corrupt` `['get']`, so that what is stored stays whole */
  operations?: ChaosOperation[];
  /** The share of these operations that is struck, from 0 to 1. @default 1 */
  rate?: number;
}

/** Options of `ChaosStore.recover`. */
export interface ChaosRecoverOptions {
  /**
   * Whether the cache is told, as by a client that has connected again, and uses the store at once. Without, it finds out
   * by the probe of its breaker, as with a server that was frozen. @default true
   */
  announce?: boolean;
}

/** One operation that reached a `ChaosStore`. */
export interface ChaosRecord {
  /** What was asked. */
  operation: ChaosOperation;
  /** The key, as the store has it. */
  key: string;
  /** What was done to it; absent where nothing was. */
  trouble?: 'fail' | 'hang' | 'slow' | 'corrupt';
}

export const OPERATIONS: readonly ChaosOperation[] = ['get', 'set', 'delete'];

const someOperations: OptionRule = {
  accepts: `an array of ${OPERATIONS.map((operation) => `'${operation}'`).join(', ')}`,
  test: (value) => Array.isArray(value) && value.every((operation) => OPERATIONS.includes(operation as ChaosOperation)),
};

const aStore: OptionRule = {
  accepts: 'a Keyv or a Keyv storage adapter',
  test: (value) => ['get', 'set', 'delete', 'clear'].every((method) => aFunction.test((value as Record<string, unknown> | null)?.[method])),
};

const storeRules: OptionRules<ChaosStoreOptions> = {
  store: aStore,
  seed: { accepts: 'a finite number', test: Number.isFinite },
};

/** @throws LlmCacheConfigError naming the first wrong or unknown option. */
export function checkStoreOptions(options: ChaosStoreOptions): void {
  checkOptions<ChaosStoreOptions>('ChaosStore', options, storeRules);
}

/** @throws LlmCacheConfigError naming the first wrong or unknown option. */
export function checkTrouble(method: string, options: ChaosTroubleOptions): void {
  checkOptions<ChaosTroubleOptions>(`ChaosStore.${method}`, options, { operations: someOperations, rate: fraction });
}

/** @throws LlmCacheConfigError when it is no duration. */
export function delayOf(value: Duration): number {
  const ms = durationMs(value);
  if (ms === undefined) throw new LlmCacheConfigError(`ChaosStore.slow: give ${DURATION_FORM}.`);
  return ms;
}

/** Numbers from 0 to 1 that only look random: mulberry32, by Tommy Ettinger. */
export function randomNumbers(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
