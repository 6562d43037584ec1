import { Keyv } from 'keyv';
import { isRecord } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import { keyvOver, OWN_STORE, type OwnStoreAdapter } from './own-store.js';

/** The part of Keyv 5 and 6 that is used. */
export interface KeyvLike {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown, ttl?: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  on?(event: 'error', listener: (error: unknown) => void): unknown;
}

/** The part of a cache-manager 6 or 7 `Cache` that is used. */
export interface CacheLike {
  readonly stores: readonly unknown[];
  wrap: unknown;
}

/** A Keyv storage adapter, such as `new KeyvRedis(...)` or a `Map`. */
export interface StorageAdapterLike {
  get(key: string): unknown;
  set(key: string, value: unknown, ttl?: number): unknown;
  delete(key: string): unknown;
  clear(): unknown;
}

export type StoreInput = KeyvLike | StorageAdapterLike | CacheLike;

const ACCEPTED = 'a Keyv, a Keyv storage adapter or a cache-manager Cache (or an array of them, fastest first)';

/** A store as it was given. */
export interface GivenStore {
  keyv: KeyvLike;
  /** Whether it was made by one of our factories, and so is ours to close. */
  owned: boolean;
}

/**
 * The stores behind the tiers, fastest first. They are recognised by shape, so that any copy and major version works.
 * @throws LlmCacheConfigError that names the entry that is no store.
 */
export function givenStores(stores: StoreInput | readonly StoreInput[]): GivenStore[] {
  const list: readonly unknown[] = Array.isArray(stores) ? stores : [stores];
  const given = list.flatMap((store, index) => {
    const found = storesIn(store);
    if (found !== undefined) return found;
    const hint = store instanceof Promise ? ' It is a promise: await it in the useFactory of forRootAsync.' : '';
    throw new LlmCacheConfigError(
      `LlmCacheModule: option "${Array.isArray(stores) ? `stores[${index}]` : 'stores'}" must be ${ACCEPTED}.${hint}`,
    );
  });
  if (given.length > 0) return given;
  throw new LlmCacheConfigError(`LlmCacheModule: option "stores" must be ${ACCEPTED}, not an empty list.`);
}

function storesIn(store: unknown): GivenStore[] | undefined {
  if (!isRecord(store)) return undefined;
  if (Array.isArray(store['stores']) && typeof store['wrap'] === 'function') {
    return givenStores(store['stores'] as StoreInput[]);
  }
  if (!['get', 'set', 'delete', 'clear'].every((method) => typeof store[method] === 'function')) return undefined;
  const keyv = keyvFrom(store);
  return [{ keyv, owned: ownAdapterOf(keyv) !== undefined }];
}

function keyvFrom(store: Record<string, unknown>): KeyvLike {
  if ('hooks' in store && 'stats' in store) return store as unknown as KeyvLike;
  return OWN_STORE in store ? keyvOver(store as unknown as OwnStoreAdapter) : new Keyv({ store, throwOnErrors: true });
}

/** Our own adapter inside a Keyv, however the Keyv came here. */
export function ownAdapterOf(keyv: KeyvLike): OwnStoreAdapter | undefined {
  const { store } = keyv as { store?: unknown };
  return isRecord(store) && OWN_STORE in store ? (store as unknown as OwnStoreAdapter) : undefined;
}
