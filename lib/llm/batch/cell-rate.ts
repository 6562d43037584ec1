const MINUTE_MS = 60_000;
/** The part of a minute's amount that may go at once. */
const BURST = 1 / 20;
const ROUNDING_ERROR_MS = 1e-6;

/**
 * Keeps amounts within a limit per minute by the generic cell rate algorithm (ITU-T I.371, "virtual scheduling"): a
 * twentieth of the minute's amount may go at once, the rest is spread evenly, and no minute holds more than the limit.
 * An amount larger than the burst goes when nothing before it is owed any more.
 */
export class CellRate {
  private readonly burst: number;
  private readonly msPerUnit: number;
  /** When everything let through so far has been paid for. */
  private paidAtMs = -Infinity;

  constructor(perMinute: number) {
    this.burst = Math.max(1, perMinute * BURST);
    this.msPerUnit = MINUTE_MS / (perMinute - this.burst + 1);
  }

  /** How long an amount has to wait, in whole milliseconds, as timers count. */
  waitMs(amount: number, nowMs: number): number {
    const ahead = Math.max(0, this.burst - amount) * this.msPerUnit;
    return Math.max(0, Math.ceil(this.paidAtMs - ahead - nowMs - ROUNDING_ERROR_MS));
  }

  take(amount: number, nowMs: number): void {
    this.paidAtMs = Math.max(this.paidAtMs, nowMs) + amount * this.msPerUnit;
  }

  /** What was taken turned out to be more, or less. */
  correct(difference: number): void {
    this.paidAtMs += difference * this.msPerUnit;
  }
}
