import { types } from 'node:util';
import { isRecord } from '../core/check-options.js';
import { OWN_STORE, type OwnStoreAdapter } from './own-store.js';

/** The part of Keyv 5 and 6 that is used. */
export interface KeyvLike {
  get(key: string): Promise<unknown>;
  set(key: string, value: unknown, ttl?: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
  getMany?(keys: string[]): Promise<unknown>;
  on?(event: 'error', listener: (error: unknown) => void): unknown;
}

/** What else is looked at, where it is there. The types of Keyv 5 and 6 have no more in common. */
interface KeyvFields {
  store?: unknown;
  namespace?: string;
  /** Of Keyv 5. */
  opts?: unknown;
  serialize?: object;
  compression?: unknown;
  useKeyPrefix?: boolean;
  getRaw?(key: string): Promise<unknown>;
}

export function isKeyv(store: object): store is KeyvLike {
  return 'hooks' in store && 'stats' in store;
}

/** Its `set` takes the moment of expiry, where one for Keyv 5 takes the lifetime. */
export function isAdapterOfKeyv6(store: unknown): store is Record<string, unknown> {
  return isRecord(store) && isRecord(store['capabilities']) && store['capabilities']['expires'] === true;
}

/** Whether every entry would have expired long ago. Only Keyv 5 has `opts`. */
export function isKeyv5OverAdapterOfKeyv6(store: object): boolean {
  const { opts, store: adapter } = store as KeyvFields;
  return isKeyv(store) && opts !== undefined && isAdapterOfKeyv6(adapter);
}

/** The object that holds the data, and the place this Keyv has in it: two that agree in both share entries. */
export function placeOf(keyv: KeyvLike): { store: object; namespace: string } {
  const { store, namespace = '' } = keyv as KeyvFields;
  if (!isRecord(store)) return { store: keyv, namespace };
  // Keyv 6 puts an adapter of its own before what it is given.
  return { store: isAdapterOfKeyv6(store) && isRecord(store['store']) ? store['store'] : store, namespace };
}

/** Our own adapter inside a Keyv, however the Keyv came here. What we made is ours to close. */
export function ownAdapterOf(keyv: KeyvLike): OwnStoreAdapter | undefined {
  const { store } = placeOf(keyv);
  return OWN_STORE in store ? (store as OwnStoreAdapter) : undefined;
}

/** The same, where the Keyv writes as we set it up: only then may its entries be read and written past it. */
export function openAdapterOf(keyv: KeyvLike): OwnStoreAdapter | undefined {
  const { serialize, compression, useKeyPrefix } = keyv as KeyvFields;
  const isOurs = serialize !== undefined && OWN_STORE in serialize && !compression && useKeyPrefix !== false;
  return isOurs ? ownAdapterOf(keyv) : undefined;
}

/** Whether a store may have readers on other machines: ours say so; of the others, all but a Map may. */
export function isShared(keyv: KeyvLike): boolean {
  const adapter = ownAdapterOf(keyv);
  return adapter === undefined ? !types.isMap(placeOf(keyv).store) : adapter.isShared === true;
}

/** Asks whether there is an entry. `get` of Keyv 5 takes a store that is down for an empty one, and tells nobody. */
export async function isPresent(keyv: KeyvLike, key: string): Promise<boolean> {
  const asked = keyv as KeyvLike & KeyvFields;
  const found = asked.getRaw === undefined ? await asked.get(key) : await asked.getRaw(key);
  return (found ?? undefined) !== undefined;
}

/** What a Keyv emitted instead of throwing it. */
export interface EmittedErrors {
  count: number;
  last: unknown;
}

const emitted = new WeakMap<KeyvLike, EmittedErrors>();

/** One listener for each Keyv, however many caches use it. */
export function errorsOf(keyv: KeyvLike): EmittedErrors {
  const present = emitted.get(keyv);
  if (present !== undefined) return present;
  const errors: EmittedErrors = { count: 0, last: undefined };
  emitted.set(keyv, errors);
  keyv.on?.('error', (error) => {
    errors.count++;
    errors.last = error;
  });
  return errors;
}
