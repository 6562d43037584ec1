import { Keyv } from 'keyv';
import { isRecord } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import { isThenable } from '../core/thenable.js';
import { isAdapterOfKeyv6, isKeyv, isKeyv5OverAdapterOfKeyv6, type KeyvLike } from './keyv-shape.js';
import { keyvOver, OWN_STORE, type OwnStoreAdapter } from './own-store.js';

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
  return Array.isArray(stores) ? storesInList('stores', stores) : storesIn('stores', stores);
}

function storesInList(place: string, list: readonly unknown[]): KeyvLike[] {
  if (list.length === 0) throw new LlmCacheConfigError(`LlmCacheModule: option "${place}" must be ${ACCEPTED}, not an empty list.`);
  return list.flatMap((store, index) => storesIn(`${place}[${index}]`, store));
}

function storesIn(place: string, store: unknown): KeyvLike[] {
  if (isRecord(store)) {
    if (Array.isArray(store['stores']) && isMethod(store, 'wrap')) return storesInList(`${place}.stores`, store['stores']);
    if (isUsable(store)) return [keyvFrom(store)];
  }
  throw new LlmCacheConfigError(`LlmCacheModule: option "${place}" must be ${ACCEPTED}.${hintFor(store)}`);
}

/** An LRUCache and an adapter of Keyv 6 have the methods, but take something else than a lifetime. */
function isUsable(store: Record<string, unknown>): boolean {
  const hasMethods = ['get', 'set', 'delete', 'clear'].every((method) => isMethod(store, method));
  return hasMethods && !isLruCache(store) && !isAdapterOfKeyv6(store) && !isKeyv5OverAdapterOfKeyv6(store);
}

function isLruCache(store: Record<string, unknown>): boolean {
  return isMethod(store, 'purgeStale');
}

function keyvFrom(store: Record<string, unknown>): KeyvLike {
  if (isKeyv(store)) return store;
  return OWN_STORE in store ? keyvOver(store as unknown as OwnStoreAdapter) : new Keyv({ store, throwOnErrors: true });
}

/** What to pass instead of what is often given by mistake. */
function hintFor(store: unknown): string {
  if (isThenable(store)) return ' It is a promise: await it in the useFactory of forRootAsync.';
  if (typeof store === 'function') return ' It is a function or a class: pass what it returns, or an instance.';
  if (typeof store === 'string') return ' It is a text: pass a store that was made with it.';
  if (!isRecord(store) || !isMethod(store, 'get')) return '';
  if (isLruCache(store)) return ' It is an LRUCache: pass memoryStore({ maxEntries, maxBytes }).';
  if (isAdapterOfKeyv6(store)) return ' It is a storage adapter of Keyv 6: pass new Keyv({ store: adapter }), with Keyv from keyv 6.';
  if (isKeyv5OverAdapterOfKeyv6(store)) {
    return ' It is a Keyv 5 over a storage adapter of Keyv 6: pass new Keyv({ store: adapter }), with Keyv from keyv 6.';
  }
  if (isMethod(store, 'sendCommand')) return ' It is a Redis client: pass a Keyv storage adapter over it, such as KeyvRedis of @keyv/redis.';
  if (isRecord(store['store']) && isMethod(store, 'wrap')) return ' It is a Cache of cache-manager 5 or older: pass one of cache-manager 6 or 7.';
  if (isMethod(store, 'del') && isMethod(store, 'reset')) return ' It is a store of cache-manager 5 or older: pass new KeyvAdapter(store), with KeyvAdapter from cache-manager 6 or 7.';
  return '';
}

function isMethod(store: Record<string, unknown>, name: string): boolean {
  return typeof store[name] === 'function';
}
