import type { Clock } from '../core/clock.js';
import { failureOf, writeFailure } from '../policy/failure-note.js';
import type { Tier } from '../stores/tier.js';

/** Left behind by an answer that is not for others: they do not take turns for it. */
export const UNSHARED = 'unshared';

/** Left behind, which is nothing, where nobody is to wait any longer: whoever comes first has the turn. */
export const NOT_AWAITED = '';

/**
 * The turn of this process to compute an entry, until it has stored it or given the turn up. It is extended at a third of
 * its time; a process that is frozen, or cut off, loses it, and with it the right to store.
 */
export class Lease {
  private isOver = false;
  private stopBeating: () => void = () => undefined;

  constructor(
    private readonly tier: Tier,
    private readonly clock: Clock,
    private readonly key: string,
    readonly token: string,
    private readonly leaseMs: number,
    private readonly onOver: (lease: Lease) => void,
    /** Of the call: when its callers have all left, others have not. */
    private readonly signal: AbortSignal,
  ) {
    signal.addEventListener('abort', this.leave, { once: true });
    this.beat();
  }

  /** Nothing is to be given up any more: the store has the entry, or has refused it. */
  committed(): void {
    this.over();
  }

  /** Gives the turn up after a failure. Those who waited for the answer hear of it, if it is one that they would get too. */
  fail(error: unknown): void {
    const failure = failureOf(error);
    this.end(failure === undefined ? UNSHARED : writeFailure(failure));
  }

  /** Gives the turn up, if it has not ended: the answer was not stored. */
  end(note = UNSHARED): void {
    if (this.isOver) return;
    this.over();
    // One that cannot be given up ends by itself.
    this.tier.lease('set', this.key, (leases, key) => leases.release(key, this.token, note)).catch(() => undefined);
  }

  private readonly leave = (): void => this.end(NOT_AWAITED);

  private over(): void {
    this.isOver = true;
    this.stopBeating();
    this.signal.removeEventListener('abort', this.leave);
    this.onOver(this);
  }

  private beat(): void {
    this.stopBeating = this.clock.after(this.leaseMs / 3, () => void this.extend());
  }

  private async extend(): Promise<void> {
    const isHeld = await this.tier
      .lease('set', this.key, (leases, key) => leases.extend(key, this.token, this.leaseMs))
      .catch(() => true); // the store says when the entry is stored
    if (isHeld && !this.isOver) this.beat();
  }
}
