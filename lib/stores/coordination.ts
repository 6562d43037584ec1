/**
 * What a store that many processes share does for them beside keeping entries. Names are keys of the store. What fails
 * rejects; nothing here waits longer than the client's own timeouts.
 */
export interface Coordination {
  /**
   * The present count of each counter, in the order of the names. A counter that is not there begins at a random count, so
   * that one which the store has lost never comes back to a count it had.
   */
  counts(names: readonly string[]): Promise<number[]>;
  /**
   * Adds one and tells every process, in one step on the server. Resolves to the new count, once the server has it.
   * @param lastSeen The count this process saw last. A store that went back behind it (a replica that took over) goes on after it.
   * @param note Travels with the message.
   */
  increase(name: string, lastSeen: number | undefined, note?: string): Promise<number>;
  /** Who computes an answer, so that others wait for it. */
  readonly leases: Leases;
  /**
   * Told of what happens from the first use of the store on; nothing is opened for it before.
   * @returns a function that ends it
   */
  subscribe(listener: CoordinationListener): () => void;
}

/** Must not throw. */
export interface CoordinationListener {
  /** A counter was increased, by any process, this one included. */
  onIncrease(name: string, count: number, note: string | undefined): void;
  /** A lease that somebody waits for was given up: its answer is stored, or nobody's turn. */
  onReleased?(key: string): void;
  /** Messages may have been lost: the connection they come by is new. */
  onGap(): void;
}

/** Entries as texts, without the Keyv in between. */
export interface DirectAccess {
  /** @param maxBytes Of a longer value, about so much is read and handed over: it is no entry, and shall not cost like one. */
  get(key: string, maxBytes?: number): Promise<string | undefined>;
  /** As many as there are keys, in their order. */
  getMany(keys: readonly string[], maxBytes?: number): Promise<Array<string | undefined>>;
  set(key: string, text: string, ttlMs: number | undefined): Promise<void>;
}

/** Asks for a lease. */
export interface LeaseRequest {
  /** Names the one who asks. Never used twice. */
  readonly token: string;
  /** The lease ends by itself after this long, unless it is extended. */
  readonly leaseMs: number;
  /** Take it from whoever has it: what they compute is older. */
  readonly takesOver: boolean;
  /** Of a longer value no more is handed over: it is no entry. */
  readonly maxBytes: number;
  /** Who had it when it was last asked for: whoever waited for them hears of their failure. */
  readonly waitedFor: string | undefined;
}

export type LeaseReply =
  /** Granted; with what is stored at this moment: it may have come since it was looked for. */
  | { readonly kind: 'granted'; readonly text: string | undefined }
  /** Somebody else has it, for so long if it is not extended. They tell when they give it up. */
  | { readonly kind: 'held'; readonly holder: string; readonly leftMs: number }
  /** Whoever had it has failed, and left this note. */
  | { readonly kind: 'failed'; readonly note: string };

/** What lets an answer be stored: the token of a lease; or, without one, the last removal, as {@link Leases.removal} gave it. */
export type CommitRight =
  | { readonly token: string }
  /** `undefined` where it is not known any more, which lets nothing be stored. */
  | { readonly removal: string | undefined };

/**
 * One lease for each entry (Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013): who has it computes the entry, and
 * nobody stores it who has lost it. Made for efficiency: two may compute the same after a lease was lost, and none but the
 * last to have it stores.
 */
export interface Leases {
  take(key: string, request: LeaseRequest): Promise<LeaseReply>;
  /** Whether it is still this one's. */
  extend(key: string, token: string, leaseMs: number): Promise<boolean>;
  /** The last removal of the entry, '' where none is remembered. Whoever has no lease asks before it computes. */
  removal(key: string): Promise<string>;
  /**
   * Stores the entry and gives the lease up, in one step; false, and nothing stored, when it was lost, or when there was
   * another removal than the one that is known.
   */
  commit(key: string, right: CommitRight, text: string, ttlMs: number | undefined): Promise<boolean>;
  /** Gives it up without an entry. A note stays for a moment, for those who waited. */
  release(key: string, token: string, note?: string): Promise<void>;
  /** Removes the entry and the lease: what is being computed is not stored. */
  remove(key: string): Promise<void>;
}

/** How long a store remembers that an entry was removed. */
export const REMOVAL_REMEMBERED_MS = 3_600_000;
