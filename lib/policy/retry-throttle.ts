import type { Clock } from '../core/clock.js';

/** How long a question is left alone upstream after it failed there, as far as a stale answer will do. */
export const RETRY_AFTER_MS = 10_000;
const MAX_KEYS = 10_000;

/** The questions that failed a moment ago. */
export class RetryThrottle {
  /** When each may be asked again. All rest equally long, so that the first is the one to go. */
  private readonly until = new Map<string, number>();

  constructor(private readonly clock: Clock) {}

  failed(key: string): void {
    this.until.delete(key);
    this.until.set(key, this.clock.monotonic() + RETRY_AFTER_MS);
    if (this.until.size > MAX_KEYS) this.until.delete(this.until.keys().next().value!);
  }

  /** Upstream has answered it. */
  succeeded(key: string): void {
    this.until.delete(key);
  }

  isResting(key: string): boolean {
    return this.clock.monotonic() < (this.until.get(key) ?? -Infinity);
  }
}
