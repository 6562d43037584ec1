/** How long an answer is fresh. */
export interface Lifetime {
  /** `false` never expires. */
  ttlMs: number | false;
  /** Fraction of the ttl by which a lifetime is shortened at random, so that entries stored together do not expire together. */
  jitter: number;
}

/** When an answer stored now expires, epoch milliseconds; `null` never. Never later than the ttl says. */
export function expiryOf({ ttlMs, jitter }: Lifetime, nowMs: number, random = Math.random): number | null {
  return ttlMs === false ? null : nowMs + Math.max(1, Math.round(ttlMs * (1 - jitter * random())));
}

/** What is left of a lifetime: `undefined` without end, 0 when it is over. */
export function remainingMs(expiresAtMs: number | null, nowMs: number): number | undefined {
  return expiresAtMs === null ? undefined : Math.max(0, expiresAtMs - nowMs);
}

/** How long ago a lifetime ended, milliseconds; `undefined` while it lasts. */
export function expiredForMs(expiresAtMs: number | null, nowMs: number): number | undefined {
  return expiresAtMs === null || nowMs < expiresAtMs ? undefined : nowMs - expiresAtMs;
}

/** Age of an answer. A clock that was set back makes an answer new, not negative. */
export function ageMs(createdAtMs: number, nowMs: number): number {
  return Math.max(0, nowMs - createdAtMs);
}
