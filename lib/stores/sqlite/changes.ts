/** What a store is asked to write. */
export type Change = SetChange | ClaimChange | RemoveChange | DamagedChange | TouchChange | ClearChange;

export interface SetChange {
  readonly kind: 'set';
  readonly key: string;
  readonly value: string;
  readonly expiresAtMs: number | null;
}

/** Writes a value that never expires, unless the key has one. Of several processes that do it at once, one succeeds. */
export interface ClaimChange {
  readonly kind: 'claim';
  readonly key: string;
  readonly value: string;
}

export interface RemoveChange {
  readonly kind: 'remove';
  readonly key: string;
}

/** Removes a row found damaged; its checksum tells it from one that has taken its place since. */
export interface DamagedChange {
  readonly kind: 'damaged';
  readonly key: string;
  readonly checksum: number;
}

/** Reads, as key and time: see `Recency`. */
export interface TouchChange {
  readonly kind: 'touch';
  readonly reads: ReadonlyMap<string, number>;
}

/** Removes the keys that start with `prefix`; all keys when it is empty. */
export interface ClearChange {
  readonly kind: 'clear';
  readonly prefix: string;
}

/** Keys from `from` up to, not including, `to`; `null` means no end. */
export interface KeyRange {
  readonly from: string;
  readonly to: string | null;
}

/** Exactly the keys that start with `prefix`, in SQLite's byte order. A prefix ends in `:`, whose successor is `;`. */
export function keysUnder(prefix: string): KeyRange {
  return { from: prefix, to: prefix === '' ? null : `${prefix.slice(0, -1)};` };
}
