import { duration, either, type OptionRules } from '../core/check-options.js';
import { durationMs, type Duration } from '../core/duration.js';
import type { StaleOptions } from '../core/types.js';

/** How long past its lifetime an answer may be served; 0 is not at all. */
export interface Staleness {
  /** At once, while it is computed anew. */
  readonly whileRevalidateMs: number;
  /** In the place of an error. */
  readonly ifErrorMs: number;
}

/** Why an answer past its lifetime was served. */
export type StaleReason = 'while-revalidate' | 'if-error';

export const NEVER_STALE: Staleness = Object.freeze({ whileRevalidateMs: 0, ifErrorMs: 0 });

const durationOrOff = either(duration, { accepts: 'false for not at all', test: (value) => value === false });

export const staleRules: OptionRules<StaleOptions> = {
  staleWhileRevalidate: durationOrOff,
  staleIfError: durationOrOff,
};

/** The windows given over those around. */
export function stalenessOf(outer: Staleness, given: StaleOptions | undefined): Staleness {
  if (given?.staleWhileRevalidate === undefined && given?.staleIfError === undefined) return outer;
  return {
    whileRevalidateMs: windowMs(given.staleWhileRevalidate) ?? outer.whileRevalidateMs,
    ifErrorMs: windowMs(given.staleIfError) ?? outer.ifErrorMs,
  };
}

function windowMs(given: Duration | false | undefined): number | undefined {
  return given === false ? 0 : durationMs(given);
}

/** How much longer than its lifetime a store has to keep an entry. */
export function keptForMs({ whileRevalidateMs, ifErrorMs }: Staleness): number {
  return Math.max(whileRevalidateMs, ifErrorMs);
}
