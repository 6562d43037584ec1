import type { Clock } from '../core/clock.js';
import type { Tier } from './tier.js';
import { newVersion } from './version-source.js';

/** By both clocks: either alone may have been set back, or have stood still while the machine slept. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
  /** Grows when what is known may not be what the store holds: it may have started anew, or a message may be missing. */
  readonly era: number;
}

export interface KnownVersion {
  readonly version: string;
  /** When the store was asked: what it said may have changed before it was heard. */
  readonly readAt: Moment;
}

/** The era of a version that the store has not said. */
const UNASKED = -1;

/** Memory has no use for one. */
const NO_MOMENT: Moment = { wallMs: 0, monotonicMs: 0, era: 0 };

/** What is known here of the versions in a store, and for how long it is believed. The oldest is forgotten where there are too many. */
export class KnownVersions {
  /** Oldest first. */
  private readonly known = new Map<string, KnownVersion>();
  private trustedForMs = Infinity;
  /** How often the connection that messages come by was new. */
  private gaps = 0;
  /** In a memory store, the version of every group that was never bumped. */
  private unbumped = newVersion();

  constructor(
    private readonly tier: Tier,
    private readonly clock: Clock,
    private readonly maxGroups: number,
  ) {}

  /** How long a version is believed without asking the store; the shortest that anyone wants counts. */
  trustFor(ms: number): void {
    this.trustedForMs = Math.min(this.trustedForMs, ms);
  }

  /** Messages may be missing: the store is asked again about each version. */
  distrust(): void {
    this.gaps++;
  }

  now(): Moment {
    return this.tier.isSynchronous ? NO_MOMENT : { wallMs: this.clock.now(), monotonicMs: this.clock.monotonic(), era: this.tier.generation + this.gaps };
  }

  /** The version that needs no look into the store. A memory store has no other users, so there all are known here. */
  believed(group: string, now: Moment): string | undefined {
    const known = this.known.get(group);
    if (this.tier.isSynchronous) return known?.version ?? this.unbumped;
    if (known === undefined || known.readAt.era !== now.era) return undefined;
    const { wallMs, monotonicMs } = known.readAt;
    return this.isWithinTrust(now.wallMs - wallMs) && this.isWithinTrust(now.monotonicMs - monotonicMs) ? known.version : undefined;
  }

  /** What was known last, believed or not. */
  last(group: string): KnownVersion | undefined {
    return this.known.get(group);
  }

  remember(group: string, version: string, readAt = this.now()): KnownVersion {
    const known = { version, readAt };
    this.known.delete(group);
    this.known.set(group, known);
    if (this.known.size > this.maxGroups) this.forgetOldest();
    return known;
  }

  /** A version made up here is worth nothing to others: the store is asked again each time, to have its own at once. */
  makeUp(group: string, asked: Moment): KnownVersion {
    return this.remember(group, newVersion(), { ...asked, era: UNASKED });
  }

  /** As a message tells. No longer trusted than before: the next look into the store is also for messages that were missed. */
  correct(group: string, version: string): void {
    const known = this.known.get(group);
    if (known !== undefined) this.known.set(group, { ...known, version });
  }

  forget(group: string): void {
    this.known.delete(group);
  }

  private isWithinTrust(ageMs: number): boolean {
    return ageMs >= 0 && ageMs < this.trustedForMs;
  }

  /** A bump in a memory store that is forgotten must not bring old entries back: all are missed from here on. */
  private forgetOldest(): void {
    const [oldest] = this.known.keys();
    this.known.delete(oldest!);
    if (this.tier.isSynchronous) this.unbumped = newVersion();
  }
}
