import type { Clock } from '../core/clock.js';
import { ignoreRejection } from '../core/thenable.js';
import type { CacheOutcome } from '../core/types.js';
import type { EventSource } from '../observability/events.js';
import type { Ledger } from '../observability/ledger.js';
import type { StaleReason } from '../policy/staleness.js';
import type { Call } from './call.js';
import type { Found } from './entry-reader.js';
import type { Landing } from './landing.js';

/** A method that was tried has returned something else than a promise, or thrown at once. */
export const NOT_A_PROMISE = Symbol('not a promise');

/** Reasons to bypass that nobody has to act on. */
const EXPECTED: ReadonlySet<string> = new Set([
  'off', 'requested', 'reentrant', 'stateful request', 'not a promise', 'unstorable', 'pii',
]);

/** Two digests that are known and differ. */
function isAnother(written: string | undefined, present: string | undefined): boolean {
  return written !== undefined && present !== undefined && written !== present;
}

/** Ends every call: counts it once, tells listeners and the caller what happened, and the call it was made inside. */
export class Outcomes {
  constructor(
    private readonly ledger: Ledger,
    private readonly events: EventSource,
    private readonly clock: Clock,
    private readonly warnOnChangedBody: boolean,
  ) {}

  hit(call: Call, found: Found): Found {
    this.stored(call, found, 'hit', undefined, found.envelope.latencyMs);
    return found;
  }

  /** Who waited for upstream to fail saved that much less. */
  stale(call: Call, found: Found, reason: StaleReason, waitedMs = 0): void {
    this.stored(call, found, 'stale', reason, Math.max(0, found.envelope.latencyMs - waitedMs));
  }

  /** Field by field: on Node 20 a spread in a literal takes 3 us, as long as parsing 2 KB. */
  private stored(call: Call, { envelope, tier, ageMs }: Found, status: 'hit' | 'stale', reason: StaleReason | undefined, savedMs: number): void {
    const { usage, model, finishReason, versions } = envelope;
    if (this.warnOnChangedBody && isAnother(envelope.body, call.body)) {
      this.events.warnOnce(`the body of ${call.name} changed since these entries were written; bump \`version\``);
    }
    this.ledger.save(savedMs, usage);
    call.parent?.report({ usage, model, finishReason, ageMs, versions, storedKey: call.key });
    this.end(call, { status, reason, savedMs, stored: false, tier, ageMs, usage });
  }

  /** The caller led the upstream call. */
  miss(call: Call, { usage, stored, refused }: Landing): void {
    this.end(call, { status: 'miss', stored, usage, reason: refused });
  }

  /** The caller shared another's upstream call. What it saved is the time it did not have to wait itself. */
  coalesced(call: Call, landing: Omit<Landing, 'value' | 'payload' | 'stored'>): void {
    const { usage, model, finishReason, refused, ageMs, versions, latencyMs } = landing;
    const savedMs = Math.max(0, latencyMs - (this.clock.monotonic() - call.startedAtMs));
    this.ledger.save(savedMs, usage);
    call.parent?.report({ usage, model, finishReason, refused, ageMs, versions });
    this.end(call, { status: 'coalesced', stored: false, savedMs, usage, reason: refused });
  }

  /** The call failed upstream, alone or with others. */
  failed(call: Call, status: 'miss' | 'coalesced' | 'bypass', error: unknown): void {
    if (error === NOT_A_PROMISE) return; // whoever tried it says what it is
    call.parent?.report({ refused: 'error', ageMs: 0, versions: [] });
    this.end(call, { status, stored: false, reason: call.signal?.aborted ? 'aborted' : 'error' });
  }

  bypass(call: Call, reason: string): void {
    if (!EXPECTED.has(reason)) this.events.warnOnce(`${call.name} runs uncached: ${reason}`);
    this.end(call, { status: 'bypass', stored: false, reason });
  }

  /** A call that was not made: its question could not be redacted. */
  refused(call: Call): void {
    this.end(call, { status: 'bypass', stored: false, reason: call.bypassReason });
  }

  refuseMiss(call: Call, error: Error): Promise<never> {
    this.end(call, { status: 'miss', stored: false, reason: 'only-if-cached' });
    return Promise.reject(error);
  }

  aborted(call: Call): Promise<never> {
    this.end(call, { status: 'bypass', stored: false, reason: 'aborted' });
    return Promise.reject(call.signal!.reason as Error);
  }

  private end(call: Call, what: Omit<CacheOutcome, 'name' | 'key'>): void {
    this.ledger.count(what.status);
    const { onOutcome } = call.control;
    const someoneWantsCalls = this.events.someoneWantsCalls;
    if (onOutcome === undefined && !someoneWantsCalls) return;
    const outcome: CacheOutcome = { ...what, name: call.name, key: call.key };
    if (someoneWantsCalls) {
      const durationMs = this.clock.monotonic() - call.startedAtMs;
      this.events.emit({ type: outcome.status, name: call.name, durationMs, outcome });
    }
    try {
      ignoreRejection(onOutcome?.(outcome));
    } catch {
      // The answer is the caller's, whatever its observer does.
    }
  }
}
