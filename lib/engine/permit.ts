import type { Clock } from '../core/clock.js';
import { REMOVAL_REMEMBERED_MS } from '../stores/coordination.js';

/**
 * What stands for a lease where a call takes no turn: its answer is stored unless the entry was removed since, by whichever
 * process. Nobody waits for it, so there is nothing to give up.
 */
export class Permit {
  private readonly endsAtMs: number;

  /** @param lastRemoval The last one of the entry, from before the call. */
  constructor(
    private readonly clock: Clock,
    private readonly lastRemoval: string,
  ) {
    this.endsAtMs = clock.monotonic() + REMOVAL_REMEMBERED_MS;
  }

  /** Shown when the answer is stored; `undefined` after a call that took longer than removals are remembered. */
  get removal(): string | undefined {
    return this.clock.monotonic() < this.endsAtMs ? this.lastRemoval : undefined;
  }

  committed(): void {}

  fail(): void {}

  end(): void {}
}
