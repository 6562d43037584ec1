import { Keyv, type KeyvStoreAdapter } from 'keyv';
import type { Coordination, DirectAccess } from './coordination.js';

/**
 * Marks a storage adapter made by this package, and the serializer of a Keyv that is. A registered symbol, so that the ESM and the CJS copy
 * of the package recognise each other's stores.
 */
export const OWN_STORE = Symbol.for('nestjs-llm-cache:own-store');

/** How full a store is. `null` means no bound, or that the store cannot tell. Bytes are an estimate of what the entries occupy. */
export interface StoreInspection {
  entries: number | null;
  maxEntries: number | null;
  bytes: number | null;
  maxBytes: number | null;
}

/** What our own storage adapters offer beyond Keyv's contract. */
export interface OwnStoreAdapter extends KeyvStoreAdapter {
  readonly [OWN_STORE]: true;
  /** Short name for stats and events: `memory`, `sqlite`, `redis`. */
  readonly name: string;
  /** Set where others than this machine's processes may read the store. */
  readonly isShared?: true;
  inspect(): StoreInspection;
  /** Present where an entry can be read without leaving the process: the memory store. */
  readonly peek?: (key: string) => HeldEntry | undefined;
  /** Removes the entries whose key begins so; present where entries are held in memory. */
  forget?(prefix: string): void;
  /**
   * Writes a value that never expires, unless the key has one; present where several processes share the store.
   * @returns whether the key was free
   */
  claim?(key: string, value: string): Promise<boolean>;
  /** Grows when what was stored may be gone as a whole, such as with a deleted file: what is known of it no longer counts. */
  readonly generation?: number;
  /** Present where it is much faster than through the Keyv. Both ways read and write the same entries. */
  readonly direct?: DirectAccess;
  /** Present where many processes share the store. */
  readonly coordination?: Coordination;
  /** Told when the store can be reached again after it could not. */
  readonly recoveryListeners?: Set<() => void>;
  /** Set by the engine: told once about something an operator should know, such as a quarantined file. */
  onNotice?: (message: string) => void;
}

/** An entry held in memory. Opening it once is enough: what it holds cannot change. */
export interface HeldEntry {
  readonly text: string;
  /** Whatever a reader made of the text, kept for its next read. */
  opened?: unknown;
  /** Who opened it: another reader of the same store may not be able to. */
  openedBy?: unknown;
}

/**
 * A string at rest: `=<expiry in epoch ms, or nothing>\n<the string>`. It saves JSON-escaping an entry that
 * is already text.
 */
export function pack(value: string, expiresAtMs: number | undefined): string {
  return `=${expiresAtMs ?? ''}\n${value}`;
}

/** The string and expiry of a packed entry; `undefined` when it was not packed by {@link pack}. */
export function unpack(packed: string): { value: string; expiresAtMs: number | undefined } | undefined {
  if (packed.charCodeAt(0) !== 61 /* = */) return undefined;
  const end = packed.indexOf('\n');
  if (end < 0) return undefined;
  const expiry = packed.slice(1, end);
  return { value: packed.slice(end + 1), expiresAtMs: expiry === '' ? undefined : Number(expiry) };
}

/** A Keyv over one of our adapters: failures are thrown, strings are packed, everything else is JSON as ever. */
export function keyvOver(adapter: OwnStoreAdapter): Keyv {
  const keyv = new Keyv({ store: adapter, namespace: '', throwOnErrors: true });
  const { serialize, deserialize } = keyv;
  const packed: typeof serialize = (data) => (typeof data.value === 'string' ? pack(data.value, data.expires) : serialize!(data));
  keyv.serialize = Object.assign(packed, { [OWN_STORE]: true });
  keyv.deserialize = (text) => {
    const unpacked = typeof text === 'string' ? unpack(text) : undefined;
    if (unpacked === undefined) return deserialize!(text);
    return { value: unpacked.value as never, expires: unpacked.expiresAtMs };
  };
  if (adapter.iterator) keyv.iterator = () => entriesOf(keyv, adapter);
  return keyv;
}

/** What Keyv lists. It would cut each key at its first colon where there is no namespace to cut off. */
async function* entriesOf(keyv: Keyv, adapter: OwnStoreAdapter): AsyncGenerator<[key: string, value: unknown], void> {
  const { namespace } = keyv;
  for await (const [storedKey, text] of adapter.iterator!(namespace) as AsyncIterable<[string, string]>) {
    const key = namespace ? storedKey.slice(namespace.length + 1) : storedKey;
    const data = await keyv.deserializeData<unknown>(text);
    if (data === undefined) continue;
    if (data.expires != null && Date.now() > data.expires) await keyv.delete(key);
    else yield [key, data.value];
  }
}
