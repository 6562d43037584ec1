import type { Clock } from '../core/clock.js';
import type { UpstreamCall } from '../core/types.js';
import { isThenable } from '../core/thenable.js';
import { groupOf, groupsOf } from '../key/groups.js';
import { FOLLOWER_TIMEOUT, type SingleFlight } from '../policy/single-flight.js';
import type { GroupVersions, Verdict } from '../stores/group-versions.js';
import { answerFor } from './answers.js';
import type { Call } from './call.js';
import type { Settings } from './engine-options.js';
import { wouldWaitForItself, type CacheFlight, type Landing, type Passenger } from './landing.js';
import { NOT_A_PROMISE, type Outcomes } from './outcomes.js';
import type { TurnTaking } from './turns.js';
import type { Produce, UpstreamCalls } from './upstream-calls.js';

/** How a flight is led. */
interface Lead {
  taking?: TurnTaking;
  onStart?: (flight: CacheFlight) => void;
}

/** What a follower comes to; `undefined` where nothing can be made of the flight for this one. */
export type Followed = { value: unknown } | typeof FOLLOWER_TIMEOUT | undefined;

/** The ways to an answer, which differ for whole answers and for streams. */
export interface Ways {
  lead(call: Call, produce: Produce, lead?: Pick<Lead, 'taking'>): unknown;
  follow(running: CacheFlight, call: Call): Promise<Followed>;
  alone(call: Call, produce: Produce, reason: string): unknown;
}

function stayAboard(flight: CacheFlight): void {
  flight.wait(undefined).catch(() => undefined); // whoever looks at its landing hears of it
}

/** Who asks upstream when no stored answer will do, and who joins whom. */
export class Upstream implements Ways {
  /** Streams under way are told who waits for all of them: nobody else may be reading. */
  readonly wholeCallers = new WeakMap<CacheFlight, (change: 1 | -1) => void>();

  constructor(
    private readonly flights: SingleFlight<Landing, Passenger>,
    private readonly settings: Settings,
    private readonly clock: Clock,
    private readonly versions: GroupVersions,
    private readonly calls: UpstreamCalls,
    private readonly outcomes: Outcomes,
    /** An upstream call needs the stores to its end, though its callers may have left, or read its stream meanwhile. */
    private readonly track: <T>(work: Promise<T>) => Promise<T>,
  ) {}

  /** Joins the flight under way, or starts one. */
  async share(call: Call, produce: Produce, ways: Ways = this): Promise<unknown> {
    let leftBehind: CacheFlight | undefined;
    let current: CacheFlight | undefined;
    for (;;) {
      const running = this.joinable(call, current);
      if (running instanceof Promise) {
        current = await running;
        continue; // meanwhile another may have started one
      }
      if (running === undefined) return ways.lead(call, produce);
      if (running === leftBehind) return ways.lead(call, produce, { taking: 'overtake' });
      if (wouldWaitForItself(call, running)) return ways.alone(call, produce, 'reentrant');
      const followed = await ways.follow(running, call);
      if (followed === undefined) return ways.alone(call, produce, 'unstorable');
      if (followed !== FOLLOWER_TIMEOUT) return followed.value;
      leftBehind = running;
    }
  }

  /**
   * The flight under way that a call may share. Where the store has to be asked whether it still counts, a promise of it;
   * once that is settled, ask again.
   * @param current counted a moment ago
   */
  joinable(call: Call, current?: CacheFlight): CacheFlight | undefined | Promise<CacheFlight | undefined> {
    const running = call.control.noCache ? undefined : this.flights.get(call.key!);
    if (running === undefined || running === current) return running;
    const { versions } = running.passengers[0]!;
    if (versions instanceof Promise) return running; // it has hardly begun
    const verdict = this.versions.check([...versions, ...this.calls.versionsInside(running)]);
    if (typeof verdict === 'string') return this.counts(running, verdict) ? running : undefined;
    return verdict.then((late) => {
      if (this.counts(running, late)) return running;
      this.retire(running);
      return undefined;
    });
  }

  /**
   * Runs a call at once, without a look at the stores, to see what it returns. A promise goes on as the upstream call
   * of a flight; anything else is handed back as it is.
   */
  probe(call: Call, produce: Produce): { result: unknown } | { answer: Promise<unknown> } {
    let returned: { result: unknown } | { error: unknown } | undefined;
    const start = (upstream: UpstreamCall): unknown => {
      try {
        const result = produce(upstream);
        if (isThenable(result)) return result;
        returned = { result };
      } catch (error) {
        returned = { error };
      }
      throw NOT_A_PROMISE;
    };
    const answer = call.key === undefined ? this.alone(call, start, call.bypassReason!) : this.lead(call, start, { taking: 'none' });
    if (returned === undefined) return { answer };
    answer.catch(() => undefined);
    if ('error' in returned) {
      this.outcomes.bypass(call, 'not a promise');
      throw returned.error;
    }
    return returned;
  }

  /** Nobody joins a flight any more. */
  retire(flight: CacheFlight): void {
    this.calls.retire(flight);
  }

  /** Nobody joins a matching flight any more, and its answer is not stored. */
  fence(groups: readonly string[], key: string | undefined): void {
    this.calls.fence(
      (flight) =>
        flight.key === key ||
        flight.passengers.some((passenger) => passenger.groups.some((group) => groups.includes(group))) ||
        this.calls.versionsInside(flight).some(([group]) => groups.includes(group)),
    );
  }

  /** {@link fence}, where nobody knows which call was meant. */
  fenceAll(): void {
    this.calls.fence(() => true);
  }

  /** Starts a flight, and waits for it as one of its callers. */
  async lead(call: Call, produce: Produce, lead?: Lead): Promise<unknown> {
    const flight = this.start(call, produce, lead);
    try {
      const landing = (await this.waitFor(flight, call)) as Landing;
      if (landing.isShared) this.outcomes.coalesced(call, landing);
      else this.outcomes.miss(call, landing);
      return landing.value;
    } catch (error) {
      return (await this.failed(call, this.calls.hasFailedElsewhere(flight) ? 'coalesced' : 'miss', error)).value;
    }
  }

  /**
   * Starts a flight that no caller asked for, unless one is under way. Whoever asks meanwhile may join it.
   * @param aboard keeps it flying: nobody else may be waiting for it
   */
  refresh(call: Call, produce: Produce, aboard: (flight: CacheFlight) => void = stayAboard): Promise<Landing> | undefined {
    if (this.flights.get(call.key!) !== undefined) return undefined;
    return this.start(call, produce, { onStart: aboard }).landing;
  }

  private start(call: Call, produce: Produce, { taking = 'wait', onStart }: Lead = {}): CacheFlight {
    return this.flights.start(call.key!, this.passenger(call), (flight) => {
      onStart?.(flight);
      return this.track(this.calls.fly(flight, call, produce, taking));
    });
  }

  /** Waits for a flight as one more of its callers. */
  async follow(flight: CacheFlight, call: Call): Promise<Followed> {
    this.board(flight, call);
    const count = this.wholeCallers.get(flight);
    count?.(1);
    let landing: Landing | typeof FOLLOWER_TIMEOUT;
    try {
      landing = await this.waitFor(flight, call, { ms: this.settings.followerTimeoutMs, clock: this.clock });
    } catch (error) {
      return await this.failed(call, 'coalesced', error);
    } finally {
      count?.(-1);
    }
    return landing === FOLLOWER_TIMEOUT ? landing : this.copyOf(call, landing);
  }

  /** Ends a call that failed: with the stale answer that it gets instead, or with the error. @throws the error */
  async failed(call: Call, status: 'miss' | 'coalesced' | 'bypass', error: unknown): Promise<{ value: unknown }> {
    const instead = await call.insteadOf?.(error);
    if (instead !== undefined) return instead;
    this.outcomes.failed(call, status, error);
    throw error;
  }

  /** What one more caller wants counts for the flight: its tags, its wish to store. */
  board(flight: CacheFlight, call: Call): void {
    flight.passengers.push(this.passenger(call, flight.passengers[0]));
  }

  waitFor(flight: CacheFlight, call: Call, deadline?: { ms: number; clock: Clock }): Promise<Landing | typeof FOLLOWER_TIMEOUT> {
    const wait = (): Promise<Landing | typeof FOLLOWER_TIMEOUT> => flight.wait(call.signal, deadline);
    const waiting = call.parent?.flight;
    return waiting === undefined ? wait() : waiting.whileWaitingFor(flight, wait);
  }

  /**
   * The versions a flight started with must hold still: another process may have bumped them. Where the store cannot be
   * asked, it may be joined for no longer than a notice of that would take.
   */
  private counts({ passengers: [leader] }: CacheFlight, verdict: Verdict): boolean {
    if (verdict !== 'unverified') return verdict === 'current';
    return this.clock.monotonic() - leader!.call.startedAtMs < this.settings.maxInvalidationDelayMs;
  }

  /** A follower brings its own tags; all other groups are in the key, and so the leader's too. */
  passenger(call: Call, leader?: Passenger): Passenger {
    const groups = leader === undefined ? groupsOf(call.document!, this.settings.secret) : [];
    for (const tag of call.control.tags ?? []) groups.push(groupOf(this.settings.namespace, 'tag', tag, this.settings.secret));
    for (const group of call.parent?.groups ?? []) if (!groups.includes(group)) groups.push(group);
    const versions = this.versions.snapshot(groups);
    const passenger: Passenger = { call, groups, versions };
    if (versions instanceof Promise) void versions.then((late) => (passenger.versions = late));
    return passenger;
  }

  /** What a follower gets of its own; `undefined` where nothing can be made for it, and it must ask for itself. */
  private copyOf(call: Call, landing: Landing): { value: unknown } | undefined {
    if (landing.payload === undefined) return undefined;
    try {
      const value = answerFor(call, landing.payload);
      this.outcomes.coalesced(call, landing);
      return { value };
    } catch {
      return undefined; // revive threw
    }
  }

  /** Runs a call beside the cache. */
  async alone(call: Call, produce: Produce, reason: string): Promise<unknown> {
    try {
      const value = await this.track(this.calls.alone(call, produce));
      this.outcomes.bypass(call, reason);
      return value;
    } catch (error) {
      return (await this.failed(call, 'bypass', error)).value;
    }
  }
}
