import type { Clock } from '../core/clock.js';
import { DURATION_FORM, durationMs, type Duration } from '../core/duration.js';
import { LlmCacheConfigError } from '../core/errors.js';

interface Timer {
  readonly dueMs: number;
  readonly callback: () => void;
}

/**
 * A clock that stands still until a test moves it. Timers run, in order, while it advances.
 *
 * @example
 * clock.advance('1d'); // everything stored before has expired
 */
export class FakeClock implements Clock {
  private nowMs: number;
  private elapsedMs = 0;
  private readonly timers = new Set<Timer>();

  /** @param startMs Epoch milliseconds. @default the time it is made */
  constructor(startMs = Date.now()) {
    this.nowMs = startMs;
  }

  now(): number {
    return this.nowMs;
  }

  monotonic(): number {
    return this.elapsedMs;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { dueMs: this.elapsedMs + ms, callback };
    this.timers.add(timer);
    return () => void this.timers.delete(timer);
  }

  /** @throws LlmCacheConfigError when it is no duration; time does not run backwards here, see {@link setNow}. */
  advance(by: Duration): void {
    const ms = durationMs(by);
    if (ms === undefined) throw new LlmCacheConfigError(`FakeClock.advance: give ${DURATION_FORM}.`);
    const endMs = this.elapsedMs + ms;
    for (let next = this.nextDue(endMs); next !== undefined; next = this.nextDue(endMs)) {
      this.timers.delete(next);
      this.moveTo(next.dueMs);
      next.callback();
    }
    this.moveTo(endMs);
  }

  private moveTo(elapsedMs: number): void {
    this.nowMs += elapsedMs - this.elapsedMs;
    this.elapsedMs = elapsedMs;
  }

  /** Sets the wall clock alone, as when an operator corrects a server's clock; no time passes. */
  setNow(epochMs: number): void {
    this.nowMs = epochMs;
  }

  private nextDue(endMs: number): Timer | undefined {
    return [...this.timers].filter(({ dueMs }) => dueMs <= endMs).sort((a, b) => a.dueMs - b.dueMs)[0];
  }
}
