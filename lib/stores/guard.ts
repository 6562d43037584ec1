import { LlmCacheStoreError } from '../core/errors.js';

/** How long a store that is down is left alone before one operation probes it. */
const PROBE_AFTER_MS = 5_000;
/** A store may fail now and then, on one damaged entry say; this often in a row it is down. */
const FAILURES_TO_OPEN = 5;

/**
 * Keeps a store from costing a call more than `storeTimeout`. Every operation has a deadline of its own (clients'
 * timeouts do not cover a frozen server), and a circuit breaker leaves a store alone once it has timed out, or has
 * failed five times in a row: operations then fail at once, except one every five seconds that probes it.
 */
export class StoreGuard {
  private failures = 0;
  private openUntilMs = 0;

  /** @param timeoutMs Deadline of one operation; `undefined` for a store that cannot hang. */
  constructor(private readonly timeoutMs: number | undefined) {}

  /**
   * The operation's result, or an `LlmCacheStoreError`; what the store threw is its `cause`.
   * @param share how many deadlines it may take, for one that does the work of several
   */
  async run<T>(operation: string, run: () => Promise<T> | T, share = 1): Promise<T> {
    const nowMs = performance.now();
    if (nowMs < this.openUntilMs) throw new LlmCacheStoreError('skipped', `${operation} skipped: the store is down`);
    if (this.failures >= FAILURES_TO_OPEN) this.openUntilMs = nowMs + PROBE_AFTER_MS; // this one probes, the others wait
    try {
      const result = await this.withDeadline(run, share);
      this.failures = 0;
      this.openUntilMs = 0;
      return result;
    } catch (error) {
      const failure = this.failure(operation, error);
      this.failures += failure.kind === 'timeout' ? FAILURES_TO_OPEN : 1;
      if (this.failures >= FAILURES_TO_OPEN) this.openUntilMs = performance.now() + PROBE_AFTER_MS;
      throw failure;
    }
  }

  private withDeadline<T>(run: () => Promise<T> | T, share: number): Promise<T> | T {
    if (this.timeoutMs === undefined) return run();
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => reject(TIMED_OUT), this.timeoutMs! * share);
      new Promise<T>((done) => done(run())).finally(() => clearTimeout(timer)).then(resolve, reject);
    });
  }

  private failure(operation: string, error: unknown): LlmCacheStoreError {
    return error === TIMED_OUT
      ? new LlmCacheStoreError('timeout', `${operation} took longer than storeTimeout (${this.timeoutMs} ms)`)
      : new LlmCacheStoreError('failed', `${operation} failed`, { cause: error });
  }
}

const TIMED_OUT = Symbol('the store took too long');
