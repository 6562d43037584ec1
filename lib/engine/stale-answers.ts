import type { Clock } from '../core/clock.js';
import type { RetryThrottle } from '../policy/retry-throttle.js';
import type { StaleReason } from '../policy/staleness.js';
import { isUpstreamFailure } from '../policy/upstream-failure.js';
import { runApart } from './ambient.js';
import type { Call } from './call.js';
import type { EntryReader, Found } from './entry-reader.js';
import type { Outcomes } from './outcomes.js';
import type { Streams } from './streams.js';
import type { Produce } from './upstream-calls.js';
import type { Upstream } from './upstream.js';

/** What becomes of answers past their lifetime, as RFC 5861 has it: served while they are computed anew, or in the place of an error. */
export class StaleAnswers {
  constructor(
    private readonly clock: Clock,
    private readonly reader: EntryReader,
    private readonly outcomes: Outcomes,
    private readonly throttle: RetryThrottle,
    private readonly upstream: Upstream,
    private readonly streams: Streams,
    private readonly track: (work: Promise<unknown>) => Promise<unknown>,
  ) {}

  /** Ends the call with the stale answer, and has it computed anew; `undefined` where upstream has to be asked first. */
  serve(call: Call, found: Found, produce: Produce): { value: unknown } | undefined {
    const reason = this.reasonToServe(call, found);
    if (reason === undefined) return undefined;
    this.outcomes.stale(call, found, reason);
    const { noStore, onlyIfCached } = call.control;
    if (!noStore && !onlyIfCached && !this.throttle.isResting(call.key!)) this.refresh(call, produce);
    return found;
  }

  /** The call, with the stale answer it gets where upstream fails. */
  withFallback(call: Call, found: Found | undefined): Call {
    if (found === undefined || !isWithin(found, call.staleness.ifErrorMs)) return call;
    const insteadOf = async (error: unknown): Promise<{ value: unknown } | undefined> => {
      if (call.signal?.aborted || !isUpstreamFailure(error)) return undefined;
      this.throttle.failed(call.key!);
      const still = await this.reader.again(call, found);
      if (still === undefined) return undefined;
      this.outcomes.stale(call, still, 'if-error', this.clock.monotonic() - call.startedAtMs);
      return still;
    };
    return { ...call, insteadOf };
  }

  private reasonToServe({ key, staleness }: Call, found: Found): StaleReason | undefined {
    if (isWithin(found, staleness.whileRevalidateMs)) return 'while-revalidate';
    return this.throttle.isResting(key!) && isWithin(found, staleness.ifErrorMs) ? 'if-error' : undefined;
  }

  /** Starts at once: the caller may write to its arguments as soon as it has its answer. */
  private refresh(call: Call, produce: Produce): void {
    const own = refreshOf(call);
    const landing = runApart(own.parent, () => (own.chunks ? this.streams : this.upstream).refresh(own, produce));
    if (landing === undefined) return;
    const noted = landing.then(
      // An answer that cannot be stored would be paid for again by each caller.
      ({ stored }) => stored || this.throttle.failed(call.key!),
      () => this.throttle.failed(call.key!),
    );
    void this.track(noted);
  }
}

function isWithin({ staleForMs }: Found, windowMs: number): boolean {
  return staleForMs !== undefined && staleForMs < windowMs;
}

/** The same question, asked by nobody: it ends with no caller, tells none, and is no part of the call around it. */
function refreshOf({ left: _left, insteadOf: _insteadOf, ...call }: Call): Call {
  const { onOutcome: _onOutcome, ...control } = call.control;
  return { ...call, control, signal: undefined, parent: call.parent?.detached(), isRefresh: true };
}
