import { LlmCacheStoreError } from '../core/errors.js';
import { Deadlines } from './deadlines.js';

/** How long a store that is down is left alone before one operation probes it. */
const PROBE_AFTER_MS = 5_000;
/** A store may fail now and then, on one damaged entry say; this often in a row it is down. */
const FAILURES_TO_OPEN = 5;
/** How much the newest operation counts for in the smoothed latency: what TCP takes for its round trips (RFC 6298). */
const NEWEST_WEIGHT = 1 / 8;

/** How a store has been doing, as seen from this process. */
export interface GuardStats {
  /**
   * `closed`: the store is used. `open`: it timed out, or failed five times in a row, and is left alone. `half-open`: five
   * seconds later; one operation probes it, and the others go on without it.
   */
  breaker: 'closed' | 'open' | 'half-open';
  /**
   * Milliseconds that an operation takes, smoothed over those that succeeded: the first one's time, and from then on 7/8 of
   * what it was + 1/8 of the newest. `null` before the first. Reads of the memory store are too short to be measured.
   */
  latencyMs: number | null;
  /** Milliseconds since start that the breaker was not closed. Grows while it is not. */
  degradedMs: number;
  /** What the last failure was, however long ago; `null` before the first. */
  lastError: 'failed' | 'timeout' | null;
}

/**
 * Keeps a store from costing a call more than `storeTimeout`. Every operation has a deadline of its own (clients'
 * timeouts do not cover a frozen server), and a circuit breaker leaves a store alone once it has timed out, or has
 * failed five times in a row: operations then fail at once, except one every five seconds that probes it.
 */
export class StoreGuard {
  private readonly deadlines: Deadlines | undefined;
  private failures = 0;
  /** When the store may be probed; `undefined` while the breaker is closed. */
  private probeAtMs: number | undefined;
  private isProbing = false;
  /** Of the breaker, which each of its changes ends. An operation that began in an earlier one says nothing about the store of now. */
  private era = 0;
  private openedAtMs = 0;
  private degradedBeforeMs = 0;
  private latencyMs: number | null = null;
  private lastError: GuardStats['lastError'] = null;

  /**
   * @param timeoutMs Deadline of one operation; `undefined` for a store that cannot hang.
   * @param monotonic Milliseconds that never run backwards. Deadlines follow a timer instead.
   */
  constructor(
    private readonly timeoutMs: number | undefined,
    private readonly monotonic: () => number = () => performance.now(),
  ) {
    this.deadlines = timeoutMs === undefined ? undefined : new Deadlines(timeoutMs);
  }

  /** Whether an operation would reach the store now, be it as its probe. */
  get letsThrough(): boolean {
    return this.probeAtMs === undefined || (!this.isProbing && this.monotonic() >= this.probeAtMs);
  }

  /**
   * The operation's result, or an `LlmCacheStoreError`; what the store threw is its `cause`.
   * @param share how many deadlines it may take, for one that does the work of several
   */
  run<T>(operation: string, run: () => Promise<T> | T, share = 1): Promise<T> {
    if (!this.letsThrough) return Promise.reject(new LlmCacheStoreError('skipped', `${operation} skipped: the store is down`));
    const era = this.probeAtMs === undefined ? this.era : this.startProbe();
    const startedAtMs = this.monotonic();
    // One promise for all of it: a read of Redis takes no longer than a few dozen of them.
    return new Promise<T>((resolve, reject) => {
      let isOver = false;
      const end = (): void => {
        isOver = true;
        callOff?.();
      };
      const fail = (error: unknown): void => {
        if (isOver) return;
        end();
        const failure = this.failure(operation, error);
        this.lastError = failure.kind as 'failed' | 'timeout';
        if (era === this.era) this.failed(failure);
        reject(failure);
      };
      const succeed = (result: T): void => {
        if (isOver) return;
        end();
        this.measure(this.monotonic() - startedAtMs);
        if (era === this.era) this.succeeded();
        resolve(result);
      };
      const callOff = this.deadlines?.start(() => fail(TIMED_OUT), share);
      try {
        Promise.resolve(run()).then(succeed, fail);
      } catch (error) {
        fail(error);
      }
    });
  }

  /** Whoever holds the connection knows that the store can be reached again: nobody waits for a probe. */
  recover(): void {
    this.close();
  }

  stats(): GuardStats {
    const { lastError } = this;
    const nowMs = this.monotonic();
    const degradedMs = this.degradedBeforeMs + (this.probeAtMs === undefined ? 0 : nowMs - this.openedAtMs);
    const latencyMs = this.latencyMs === null ? null : Math.round(this.latencyMs * 1_000) / 1_000;
    return { breaker: this.breakerAt(nowMs), latencyMs, degradedMs: Math.round(degradedMs), lastError };
  }

  private breakerAt(nowMs: number): GuardStats['breaker'] {
    if (this.probeAtMs === undefined) return 'closed';
    return this.isProbing || nowMs >= this.probeAtMs ? 'half-open' : 'open';
  }

  /** However long the probe takes, nobody else gets through before it has ended. */
  private startProbe(): number {
    this.isProbing = true;
    return ++this.era;
  }

  private succeeded(): void {
    this.failures = 0;
    if (this.probeAtMs !== undefined) this.close();
  }

  private failed({ kind }: LlmCacheStoreError): void {
    this.failures += kind === 'timeout' ? FAILURES_TO_OPEN : 1;
    if (this.failures >= FAILURES_TO_OPEN) this.open();
  }

  private open(): void {
    const nowMs = this.monotonic();
    if (this.probeAtMs === undefined) this.openedAtMs = nowMs;
    this.probeAtMs = nowMs + PROBE_AFTER_MS;
    this.isProbing = false;
    this.era++;
  }

  private close(): void {
    if (this.probeAtMs !== undefined) this.degradedBeforeMs += this.monotonic() - this.openedAtMs;
    this.probeAtMs = undefined;
    this.isProbing = false;
    this.failures = 0;
    this.era++;
  }

  private measure(tookMs: number): void {
    this.latencyMs = this.latencyMs === null ? tookMs : this.latencyMs + NEWEST_WEIGHT * (tookMs - this.latencyMs);
  }

  private failure(operation: string, error: unknown): LlmCacheStoreError {
    return error === TIMED_OUT
      ? new LlmCacheStoreError('timeout', `${operation} took longer than storeTimeout (${this.timeoutMs} ms)`)
      : new LlmCacheStoreError('failed', `${operation} failed`, { cause: error });
  }
}

const TIMED_OUT = Symbol('the store took too long');
