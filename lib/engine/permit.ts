import type { Clock } from '../core/clock.js';
import { permitOf, REMOVAL_REMEMBERED_MS } from '../stores/coordination.js';

/**
 * What stands for a lease where a call takes no turn: its answer is stored unless the entry was removed since, by whichever
 * process. Nobody waits for it, so there is nothing to give up.
 */
export class Permit {
  private readonly endsAtMs: number;

  /** @param removal The last one of the entry, from before the call. */
  constructor(
    private readonly clock: Clock,
    private readonly removal: string,
  ) {
    this.endsAtMs = clock.monotonic() + REMOVAL_REMEMBERED_MS;
  }

  /** Shown when the answer is stored. After a call that took longer than removals are remembered it is none. */
  get token(): string {
    return this.clock.monotonic() < this.endsAtMs ? permitOf(this.removal) : permitOf(undefined);
  }

  committed(): void {}

  fail(): void {}

  end(): void {}
}
