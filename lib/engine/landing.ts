import type { LlmUsage } from '../core/types.js';
import type { RefusalReason } from '../policy/gate.js';
import type { Flight } from '../policy/single-flight.js';
import type { Versions } from '../stores/group-versions.js';
import type { Call } from './call.js';

/** What an upstream call brought, for all its callers. */
export interface Landing {
  /** The very value the call returned; only the leader gets it. */
  value: unknown;
  /** The value as text, from which every other caller gets a copy of its own; absent when it cannot be copied. */
  payload: string | undefined;
  stored: boolean;
  /** Set where another process computed it. */
  isShared?: true;
  /** Why it was not stored. */
  refused: RefusalReason | undefined;
  usage: LlmUsage | undefined;
  model: string | undefined;
  finishReason: string | undefined;
  latencyMs: number;
  ageMs: number;
  versions: Versions;
}

/** One caller of a flight. */
export interface Passenger {
  readonly call: Call;
  readonly groups: readonly string[];
  /** The versions of those groups when it came aboard; a promise while they are read. */
  versions: Versions | Promise<Versions>;
}

export type CacheFlight = Flight<Landing, Passenger>;

/** The versions that all callers of a flight came aboard with. */
export async function versionsOf(flight: CacheFlight): Promise<Versions> {
  const all: Array<readonly [string, string]> = [];
  for (const { versions } of flight.passengers) all.push(...(await versions));
  return all;
}

export function unique(versions: Versions): Versions {
  return [...new Map(versions.map((entry) => [entry.join(' '), entry])).values()];
}

/** Whether a call would wait, through any number of others, for the call it is made inside. */
export function wouldWaitForItself({ parent }: Call, running: CacheFlight): boolean {
  return parent?.flight !== undefined && running.dependsOn(parent.flight);
}

/** Why the answer of a flight has to be kept out of the stores, whatever it is. */
export function reasonNotToKeep(flight: CacheFlight, changed: boolean, isCurrent: boolean): RefusalReason | undefined {
  if (changed) return 'input-changed';
  return !isCurrent || flight.fenced || flight.isSuperseded ? 'invalidated' : undefined;
}
