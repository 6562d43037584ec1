import { Keyv } from 'keyv';
import { isRecord } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import { isThenable } from '../core/thenable.js';
import { keyvOver, OWN_STORE, type OwnStoreAdapter } from './own-store.js';

/** The part of Keyv 5 and 6 that is used. */
export interface KeyvLike {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown, ttl?: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  getMany?(keys: string[]): Promise<unknown>;
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

/** What the option `stores` takes; recognised by shape, so that any copy and major version works. */
export type StoreInput = KeyvLike | StorageAdapterLike | CacheLike;

const ACCEPTED = 'a Keyv, a Keyv storage adapter or a cache-manager Cache (or an array of them, fastest first)';

/**
 * The stores behind the tiers, fastest first. They are recognised by shape, so that any copy and major version works.
 * @throws LlmCacheConfigError that names the entry that is no store, and what to pass instead.
 */
export function givenStores(stores: StoreInput | readonly StoreInput[]): KeyvLike[] {
  const list: readonly unknown[] = Array.isArray(stores) ? stores : [stores];
  const given = list.flatMap((store, index) => {
    const found = storesIn(store);
    if (found !== undefined) return found;
    throw new LlmCacheConfigError(
      `LlmCacheModule: option "${Array.isArray(stores) ? `stores[${index}]` : 'stores'}" must be ${ACCEPTED}.${hintFor(store)}`,
    );
  });
  if (given.length > 0) return given;
  throw new LlmCacheConfigError(`LlmCacheModule: option "stores" must be ${ACCEPTED}, not an empty list.`);
}

function storesIn(store: unknown): KeyvLike[] | undefined {
  if (!isRecord(store)) return undefined;
  if (Array.isArray(store['stores']) && typeof store['wrap'] === 'function') {
    return givenStores(store['stores'] as StoreInput[]);
  }
  return ['get', 'set', 'delete', 'clear'].every((method) => isMethod(store, method)) ? [keyvFrom(store)] : undefined;
}

function keyvFrom(store: Record<string, unknown>): KeyvLike {
  if ('hooks' in store && 'stats' in store) return store as unknown as KeyvLike;
  return OWN_STORE in store ? keyvOver(store as unknown as OwnStoreAdapter) : new Keyv({ store, throwOnErrors: true });
}

/** What to pass instead of what is often given by mistake. */
function hintFor(store: unknown): string {
  if (isThenable(store)) return ' It is a promise: await it in the useFactory of forRootAsync.';
  if (typeof store === 'function') return ' It is a function or a class: pass what it returns, or an instance.';
  if (typeof store === 'string') return ' It is a text: pass a store that was made with it.';
  if (!isRecord(store) || !isMethod(store, 'get')) return '';
  if (isMethod(store, 'sendCommand')) return ' It is a Redis client: pass a Keyv storage adapter over it, such as KeyvRedis of @keyv/redis.';
  if (isRecord(store['store']) && isMethod(store, 'wrap')) return ' It is a Cache of cache-manager 5 or older: pass one of cache-manager 6 or 7.';
  if (isMethod(store, 'del') && isMethod(store, 'reset')) return ' It is a store of cache-manager 5 or older: pass new KeyvAdapter(store), with KeyvAdapter from cache-manager 6 or 7.';
  return '';
}

function isMethod(store: Record<string, unknown>, name: string): boolean {
  return typeof store[name] === 'function';
}

/** Our own adapter inside a Keyv, however the Keyv came here. What we made is ours to close. */
export function ownAdapterOf(keyv: KeyvLike): OwnStoreAdapter | undefined {
  const { store } = keyv as { store?: unknown };
  return isRecord(store) && OWN_STORE in store ? (store as unknown as OwnStoreAdapter) : undefined;
}
