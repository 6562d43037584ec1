import type { Clock } from '../../core/clock.js';
import { CellRate } from './cell-rate.js';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

/** What one upstream request has taken of the limits. */
export interface Permit {
  /** What it came to: nothing when it was not sent after all. */
  settle(sent: { tokens: number | undefined } | undefined): void;
}

/** Lets upstream requests go one by one, in the order they ask: within the limits, and not while the provider asks to wait. */
export class Pace {
  private readonly requests: CellRate | undefined;
  private readonly tokens: CellRate | undefined;
  private heldUntilMs = -Infinity;
  private pauseMs = FIRST_PAUSE_MS;
  /** Settles when everybody who asked before has gone. */
  private turn: Promise<unknown> = Promise.resolve();
  /** Ends the pause of whoever's turn it is, to look again. */
  private wake: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    limits: { requestsPerMinute?: number | undefined; tokensPerMinute?: number | undefined },
  ) {
    if (limits.requestsPerMinute !== undefined) this.requests = new CellRate(limits.requestsPerMinute);
    if (limits.tokensPerMinute !== undefined) this.tokens = new CellRate(limits.tokensPerMinute);
  }

  /** Resolves when the request may be sent. Rejects with the signal's reason. */
  permit(tokens: () => number, signal: AbortSignal): Promise<Permit> {
    const mine = this.turn.then(() => this.wait(tokens(), signal));
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  /**
   * The provider asks to be left alone: nothing is sent for that time. Where it names none it is a second, and twice as
   * long each time it happens again, up to a minute.
   * @returns false, without a pause, when it would last beyond `giveUpAtMs`
   */
  hold(retryAfterMs: number | undefined, giveUpAtMs: number): boolean {
    const nowMs = this.clock.monotonic();
    // Refusals of requests that were under way together are one.
    const isAnother = retryAfterMs !== undefined || nowMs >= this.heldUntilMs;
    const untilMs = isAnother ? Math.max(this.heldUntilMs, nowMs + (retryAfterMs ?? this.pauseMs)) : this.heldUntilMs;
    if (untilMs > giveUpAtMs) return false;
    this.heldUntilMs = untilMs;
    if (retryAfterMs === undefined && isAnother) this.pauseMs = Math.min(this.pauseMs * 2, LONGEST_PAUSE_MS);
    return true;
  }

  /** The provider has answered. */
  resume(): void {
    this.pauseMs = FIRST_PAUSE_MS;
  }

  private async wait(tokens: number, signal: AbortSignal): Promise<Permit> {
    for (;;) {
      signal.throwIfAborted();
      const nowMs = this.clock.monotonic();
      const waitMs = Math.max(this.heldUntilMs - nowMs, this.requests?.waitMs(1, nowMs) ?? 0, this.tokens?.waitMs(tokens, nowMs) ?? 0);
      if (waitMs <= 0) break;
      await this.sleep(waitMs, signal);
    }
    const nowMs = this.clock.monotonic();
    this.requests?.take(1, nowMs);
    this.tokens?.take(tokens, nowMs);
    return {
      settle: (sent) => {
        if (sent === undefined) this.requests?.correct(-1);
        this.tokens?.correct((sent === undefined ? 0 : (sent.tokens ?? tokens)) - tokens);
        this.wake?.(); // there may be room now
      },
    };
  }

  /** Whoever waits for a batch waits for its pauses too, so they keep the process alive. */
  private sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (settle: () => void): void => {
        this.wake = undefined;
        cancel();
        signal.removeEventListener('abort', onAbort);
        settle();
      };
      const onAbort = (): void => end(() => reject(signal.reason as Error));
      this.wake = () => end(resolve);
      const cancel = this.clock.after(ms, this.wake, { keepsProcessAlive: true });
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
