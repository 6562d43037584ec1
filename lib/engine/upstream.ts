import type { Clock } from '../core/clock.js';
import type { UpstreamCall } from '../core/types.js';
import { isThenable } from '../core/thenable.js';
import { groupOf, groupsOf } from '../key/groups.js';
import { keyOf } from '../key/key.js';
import type { Ledger } from '../observability/ledger.js';
import type { RefusalReason } from '../policy/gate.js';
import { FOLLOWER_TIMEOUT, SingleFlight } from '../policy/single-flight.js';
import type { GroupVersions } from '../stores/group-versions.js';
import { Recording } from '../streaming/recording.js';
import { answerFor } from './answers.js';
import { ambient, runInFrame } from './ambient.js';
import { documentOf, type Call } from './call.js';
import { CallFrame } from './call-frame.js';
import type { Settings } from './engine-options.js';
import type { EntryWriter } from './entry-writer.js';
import { examine, inspect } from './inspection.js';
import { unique, versionsOf, type CacheFlight, type Landing, type Passenger } from './landing.js';
import { NOT_A_PROMISE, type Outcomes } from './outcomes.js';
import { untilAborted } from './until-aborted.js';

export type Produce = (call: UpstreamCall) => unknown;

/** Everything that happens when no stored answer will do. */
export class Upstream {
  private readonly flights = new SingleFlight<Landing, Passenger>();
  private readonly frames = new WeakMap<CacheFlight, CallFrame>();
  /** Streams under way are told who waits for all of them: nobody else may be reading. */
  readonly wholeCallers = new WeakMap<CacheFlight, (change: 1 | -1) => void>();

  constructor(
    private readonly settings: Settings,
    private readonly clock: Clock,
    private readonly ledger: Ledger,
    private readonly versions: GroupVersions,
    private readonly writer: EntryWriter,
    private readonly outcomes: Outcomes,
  ) {}

  /** Joins the flight under way, or starts one. */
  async share(call: Call, produce: Produce): Promise<unknown> {
    let leftBehind: CacheFlight | undefined;
    for (;;) {
      const running = this.joinable(call);
      if (running === undefined || running === leftBehind) return this.lead(call, produce);
      if (wouldWaitForItself(call, running)) return this.alone(call, produce, 'reentrant');
      const landing = await this.follow(running, call);
      if (landing === FOLLOWER_TIMEOUT) leftBehind = running;
      else {
        const copy = this.copyOf(call, landing);
        return copy === undefined ? this.alone(call, produce, 'unstorable') : copy.value;
      }
    }
  }

  /** The flight under way that a call may share. */
  joinable(call: Call): CacheFlight | undefined {
    const running = call.control.noCache ? undefined : this.flights.get(call.key!);
    return running !== undefined && this.mayJoin(running) ? running : undefined;
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
    const answer = call.key === undefined ? this.alone(call, start, call.bypassReason!) : this.lead(call, start, false);
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
    this.flights.retire(flight);
  }

  /** Nobody joins a matching flight any more, and its answer is not stored. */
  fence(groups: readonly string[], key: string | undefined): void {
    this.flights.fence(
      (flight) =>
        flight.key === key ||
        flight.passengers.some((passenger) => passenger.groups.some((group) => groups.includes(group))) ||
        this.frames.get(flight)?.versions.some(([group]) => groups.includes(group)) === true,
    );
  }

  /** Starts a flight, and waits for it as one of its callers. */
  async lead(call: Call, produce: Produce, waitForVersions = true, onStart?: (flight: CacheFlight) => void): Promise<unknown> {
    const flight = this.flights.start(call.key!, this.passenger(call), (own) => {
      onStart?.(own);
      return this.fly(own, call, produce, waitForVersions);
    });
    try {
      const landing = (await this.waitFor(flight, call)) as Landing;
      this.outcomes.miss(call, landing);
      return landing.value;
    } catch (error) {
      this.outcomes.failed(call, 'miss', error);
      throw error;
    }
  }

  /** Waits for a flight as one more of its callers. */
  async follow(flight: CacheFlight, call: Call): Promise<Landing | typeof FOLLOWER_TIMEOUT> {
    this.board(flight, call);
    const count = this.wholeCallers.get(flight);
    count?.(1);
    try {
      return await this.waitFor(flight, call, { ms: this.settings.followerTimeoutMs, clock: this.clock });
    } catch (error) {
      this.outcomes.failed(call, 'coalesced', error);
      throw error;
    } finally {
      count?.(-1);
    }
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

  /** The versions a flight started with must hold still: another app on the same store may have bumped them. */
  private mayJoin(flight: CacheFlight): boolean {
    const { versions } = flight.passengers[0]!;
    const current = versions instanceof Promise || this.versions.areCurrent(versions) !== false;
    return current && this.versions.areCurrent(this.frames.get(flight)?.versions ?? []) !== false;
  }

  /** A follower brings its own tags; all other groups are in the key, and so the leader's too. */
  passenger(call: Call, leader?: Passenger): Passenger {
    const groups = leader === undefined ? groupsOf(call.document!, this.settings.secret) : [];
    for (const tag of call.control.tags ?? []) groups.push(groupOf(this.settings.namespace, 'tag', tag, this.settings.secret));
    for (const group of call.parent?.groups ?? []) if (!groups.includes(group)) groups.push(group);
    return { call, groups, versions: this.versions.snapshot(groups) };
  }

  /** What a follower gets of its own; `undefined` where nothing can be made for it, and it must ask for itself. */
  copyOf(call: Call, landing: Landing): { value: unknown } | undefined {
    if (landing.payload === undefined) return undefined;
    try {
      const value = answerFor(call, landing.payload);
      this.outcomes.coalesced(call, landing);
      return { value };
    } catch {
      return undefined; // revive threw
    }
  }

  /** The upstream call of a flight, and what becomes of its answer. */
  private async fly(flight: CacheFlight, call: Call, produce: Produce, waitForVersions: boolean): Promise<Landing> {
    const [leader] = flight.passengers;
    // Taken before the call, so that an invalidation meanwhile shows. Where they are at hand the call starts at once.
    if (waitForVersions && leader!.versions instanceof Promise) await leader!.versions;
    const changed = this.keyNow(call) !== call.key;
    if (changed) this.flights.fence((running) => running === flight); // what comes answers another question
    const frame = this.frameOf(call, flight.signal, flight, leader!.groups);
    this.frames.set(flight, frame);
    try {
      const { value, latencyMs } = await this.call(call, frame, produce);
      return await this.land(flight, frame, value, latencyMs, changed);
    } finally {
      frame.ended = true;
    }
  }

  /** The key again, right before the call: the caller may have gone on writing to its arguments while a store was read. */
  private keyNow(call: Call): string | undefined {
    try {
      return keyOf(documentOf(this.settings, call.parts, call.control, call.privacy?.label), this.settings.secret);
    } catch {
      return undefined;
    }
  }

  private frameOf(call: Call, signal: AbortSignal, flight: CacheFlight | undefined, groups = call.parent?.groups ?? []): CallFrame {
    const frame = new CallFrame(call.key, call.model, call.scope, signal, groups, flight ?? call.parent?.flight, call.parent);
    frame.placeholders = call.redaction?.placeholders ?? call.parent?.placeholders;
    return frame;
  }

  /** Runs a call beside the cache. */
  async alone(call: Call, produce: Produce, reason: string): Promise<unknown> {
    const frame = this.frameOf(call, call.signal ?? new AbortController().signal, undefined);
    try {
      const { value } = await untilAborted(call.signal, this.call(call, frame, produce));
      const { refused, usage, model, finishReason } = inspect(call, value, frame.known);
      if (!frame.isAccountedFor) this.ledger.spend(usage);
      call.parent?.report({ usage, model, finishReason, refused, ageMs: frame.oldestMs, versions: frame.versions });
      this.outcomes.bypass(call, reason);
      return value;
    } catch (error) {
      this.outcomes.failed(call, 'bypass', error);
      throw error;
    } finally {
      frame.ended = true;
    }
  }

  private async call(call: Call, frame: CallFrame, produce: Produce): Promise<{ value: unknown; latencyMs: number }> {
    const startedAtMs = this.clock.monotonic();
    const elapsedMs = (): number => this.clock.monotonic() - startedAtMs;
    try {
      const value = await runInFrame(frame, controlInside(call), async () => produce({ signal: frame.signal }));
      if (!frame.isAccountedFor) this.ledger.countUpstream(false, elapsedMs());
      return { value, latencyMs: elapsedMs() };
    } catch (error) {
      if (!frame.isAccountedFor && error !== NOT_A_PROMISE) this.ledger.countUpstream(true, elapsedMs());
      await this.writer.disown(frame);
      throw error;
    }
  }

  private async land(flight: CacheFlight, frame: CallFrame, given: unknown, latencyMs: number, changed: boolean): Promise<Landing> {
    const { call } = flight.passengers[0]!;
    const keeper = flight.passengers.find((passenger) => !passenger.call.control.noStore)?.call;
    const { known } = frame;
    const inspection = inspect(keeper ?? call, given, known);
    if (!frame.isAccountedFor) this.ledger.spend(inspection.usage);
    if (inspection.refused !== undefined) await this.writer.disown(frame);
    const { value, refused: personal } = await examine(call, given);
    if (value instanceof Recording && !value.isWhole) this.writer.warnOfPartial(call, value);
    const answer = {
      usage: inspection.usage ?? known.usage,
      model: inspection.model ?? known.model,
      finishReason: inspection.finishReason ?? known.finishReason,
      latencyMs,
      ageMs: frame.oldestMs,
      versions: unique([...(await versionsOf(flight)), ...frame.versions]),
    };
    const isCurrent = await this.versions.areCurrent(answer.versions);
    // From here to the tiers nothing waits: no invalidation can come between.
    let refused = frame.refused ?? inspection.refused ?? personal ?? reasonNotToKeep(flight, changed, isCurrent);
    if (keeper === undefined) refused ??= 'no-store';
    const wanted = refused === undefined || (flight.callerCount > 1 && !changed);
    const payload = wanted ? this.writer.encode(call, value) : undefined;
    if (payload === undefined) refused ??= 'unstorable';
    if (payload !== undefined && refused === undefined) refused = await this.writer.store(keeper!, payload, answer);
    flight.stored = refused === undefined;
    this.ledger.countAnswer(flight.stored ? 'stored' : 'refused');
    const landing: Landing = { ...answer, value, payload, stored: flight.stored, refused };
    call.parent?.report(landing);
    return landing;
  }
}

/** Whether a call would wait, through any number of others, for the call it is made inside. */
export function wouldWaitForItself({ parent }: Call, running: CacheFlight): boolean {
  return parent?.flight !== undefined && running.dependsOn(parent.flight);
}

/**
 * Calls inside follow the same control; an answer with a ttl is not made from older ones. An observer of this one call
 * is not told of them, one of everything around it is.
 */
function controlInside({ control }: Call): Call['control'] {
  const { ttl, maxAge = ttl === false ? undefined : ttl } = control;
  return { ...control, maxAge, onOutcome: ambient().control?.onOutcome };
}

function reasonNotToKeep(flight: CacheFlight, changed: boolean, isCurrent: boolean): RefusalReason | undefined {
  if (changed) return 'input-changed';
  return !isCurrent || flight.fenced || flight.isSuperseded ? 'invalidated' : undefined;
}
