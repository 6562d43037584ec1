import type { Clock } from '../core/clock.js';
import type { GroupVersions } from '../stores/group-versions.js';
import type { Tiers } from '../stores/tiers.js';
import type { Asked, Asking } from './asking.js';
import type { Call, Caller } from './call.js';
import { isFresh, type EntryReader } from './entry-reader.js';
import type { Landing } from './landing.js';
import type { Outcomes } from './outcomes.js';
import type { Question } from './question.js';
import type { Produce } from './upstream-calls.js';
import type { Upstream } from './upstream.js';

/** What came of a call, for another that asks the same. */
export type EarlierAnswer = Pick<Landing, 'usage' | 'refused' | 'latencyMs'>;

/** A call taken step by step, for who looks many up at once and waits for a turn before calling upstream. */
export class CallSteps {
  constructor(
    readonly clock: Clock,
    private readonly asking: Asking,
    private readonly tiers: Tiers,
    private readonly reader: EntryReader,
    private readonly outcomes: Outcomes,
    private readonly upstream: Upstream,
    private readonly versions: GroupVersions,
    /** The whole life of a resolved call. Nothing is put back into its answer: that is each caller's own. */
    readonly answer: (call: Call, produce: Produce) => unknown,
    /** A store is not left open for work that goes on after `close`. */
    readonly tracked: <T>(work: Promise<T>) => Promise<T>,
  ) {}

  /** At once, unless a redactor takes its time. */
  ask<Given>(question: Question<Given>, caller: Caller): Asked | Promise<Asked> {
    return this.asking.ask(question, caller, this.clock.monotonic());
  }

  /** Reads the entries of many calls from each slow store at once; their look-ups share it. */
  prefetch(calls: readonly Call[]): void {
    this.tiers.readMany(calls.flatMap(({ key }) => key ?? []));
  }

  /** The fresh stored answer, which ends the call; `undefined` leaves it to be answered, and counts nothing. */
  async lookUp(call: Call): Promise<{ value: unknown } | undefined> {
    const found = await this.reader.find(call);
    if (found === undefined || !isFresh(found) || call.signal?.aborted) return undefined;
    this.outcomes.hit(call, found);
    return found;
  }

  /** Taken before a call is sent: tells who asks the same later whether the answer still counts, or was invalidated meanwhile. */
  watch(call: Call): () => Promise<boolean> {
    const { applied } = this.versions.removals;
    const { versions } = this.upstream.passenger(call);
    return async () => applied === this.versions.removals.applied && (await this.versions.check(await versions)) !== 'outdated';
  }

  /** Ends a call with the answer, or the error, that an equal one got. */
  share(call: Call, earlier: EarlierAnswer | { error: unknown }): void {
    if ('error' in earlier) this.outcomes.failed(call, 'coalesced', earlier.error);
    else this.outcomes.coalesced(call, { ...earlier, model: undefined, finishReason: undefined, ageMs: 0, versions: [] });
  }
}
