import type { Clock } from '../core/clock.js';
import type { UpstreamCall } from '../core/types.js';
import { keyOf } from '../key/key.js';
import type { Ledger } from '../observability/ledger.js';
import type { RetryThrottle } from '../policy/retry-throttle.js';
import type { SingleFlight } from '../policy/single-flight.js';
import type { GroupVersions, Versions } from '../stores/group-versions.js';
import { Recording } from '../streaming/recording.js';
import { runInFrame } from './ambient.js';
import { controlInside, type Call } from './call.js';
import { documentOf } from './document.js';
import { CallFrame } from './call-frame.js';
import type { Settings } from './engine-options.js';
import type { Found } from './entry-reader.js';
import type { EntryWriter } from './entry-writer.js';
import { examine, inspect } from './inspection.js';
import { reasonNotToKeep, unique, versionsOf, type CacheFlight, type Landing, type Passenger } from './landing.js';
import { NOT_AWAITED, type Lease } from './lease.js';
import { NOT_A_PROMISE } from './outcomes.js';
import type { Permit } from './permit.js';
import type { Turns, TurnTaking } from './turns.js';
import { untilAborted } from './until-aborted.js';

/** Computes an answer. `elsewhere`: another process has; what is made of the answer is made of that one. */
export type Produce = (call: UpstreamCall & { elsewhere?: Found }) => unknown;

/** One call of upstream: what is around it while it runs, and what becomes of its answer. */
export class UpstreamCalls {
  private readonly frames = new WeakMap<CacheFlight, CallFrame>();
  private readonly leases = new WeakMap<CacheFlight, Lease | Permit>();
  private readonly failedElsewhere = new WeakSet<CacheFlight>();

  constructor(
    private readonly flights: SingleFlight<Landing, Passenger>,
    private readonly settings: Settings,
    private readonly clock: Clock,
    private readonly ledger: Ledger,
    private readonly versions: GroupVersions,
    private readonly writer: EntryWriter,
    private readonly throttle: RetryThrottle,
    private readonly turns: Turns,
  ) {}

  /** Of the answers that the call of a flight has got so far. */
  versionsInside(flight: CacheFlight): Versions {
    return this.frames.get(flight)?.versions ?? [];
  }

  /** Nobody joins a matching flight any more, here or elsewhere, and its answer is not stored. */
  fence(matches: (flight: CacheFlight) => boolean): void {
    for (const flight of this.flights.fence(matches)) this.leases.get(flight)?.end(NOT_AWAITED);
  }

  /** Nobody joins a flight any more: its answer is not for others. */
  retire(flight: CacheFlight): void {
    this.flights.retire(flight);
    this.leases.get(flight)?.end();
  }

  /** The upstream call of a flight, and what becomes of its answer. */
  async fly(flight: CacheFlight, call: Call, produce: Produce, taking: TurnTaking): Promise<Landing> {
    const [leader] = flight.passengers;
    // Taken before the call, so that an invalidation meanwhile shows. Where they are at hand the call starts at once.
    if (taking !== 'none' && leader!.versions instanceof Promise) await leader!.versions;
    const taken = this.turns.areTaken(call, taking) ? this.turns.take(call, flight.signal, taking) : this.turns.untaken(call, taking);
    const turn = taken instanceof Promise ? await taken : taken; // without a wait where it has to start at once
    if (turn.kind === 'failed') {
      this.failedElsewhere.add(flight);
      throw turn.error;
    }
    if (turn.kind === 'answered') return landElsewhere(flight, call, produce, turn.found);
    if (turn.lease !== undefined) this.leases.set(flight, turn.lease);
    if (flight.fenced) turn.lease?.end(NOT_AWAITED);
    const changed = this.keyNow(call) !== call.key;
    if (changed) this.fence((running) => running === flight); // what comes answers another question
    const frame = this.frameOf(call, flight.signal, flight, leader!.groups);
    this.frames.set(flight, frame);
    try {
      const { value, latencyMs } = await this.call(call, frame, produce);
      this.throttle.succeeded(flight.key);
      return await this.land(flight, frame, value, latencyMs, changed || this.mayHaveChangedMeanwhile(call), turn.lease);
    } catch (error) {
      turn.lease?.fail(error);
      throw error;
    } finally {
      frame.ended = true;
      turn.lease?.end(); // nothing, if it was stored
    }
  }

  /** Whether a flight has failed with the error of another process's, and called nobody itself. */
  hasFailedElsewhere(flight: CacheFlight): boolean {
    return this.failedElsewhere.has(flight);
  }

  /** A call beside the cache. */
  async alone(call: Call, produce: Produce): Promise<unknown> {
    const frame = this.frameOf(call, call.signal ?? new AbortController().signal, undefined);
    try {
      const { value } = await untilAborted(call.signal, this.call(call, frame, produce));
      const { refused, usage, model, finishReason } = inspect(call, value, frame.known);
      if (!frame.isAccountedFor) this.ledger.spend(usage);
      call.parent?.report({ usage, model, finishReason, refused, ageMs: frame.oldestMs, versions: frame.versions });
      return value;
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

  /** Who asks for a refresh has its answer, and goes on with its arguments while they are read here. */
  private mayHaveChangedMeanwhile(call: Call): boolean {
    return call.isRefresh === true && !call.isCopiedAtOnce && this.keyNow(call) !== call.key;
  }

  private frameOf(call: Call, signal: AbortSignal, flight: CacheFlight | undefined, groups = call.parent?.groups ?? []): CallFrame {
    const frame = new CallFrame(call.key, call.model, call.scope, signal, groups, flight ?? call.parent?.flight, call.parent);
    frame.placeholders = call.redaction?.placeholders ?? call.parent?.placeholders;
    if (call.isRefresh) frame.isRefresh = true;
    return frame;
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

  private async land(flight: CacheFlight, frame: CallFrame, given: unknown, latencyMs: number, changed: boolean, lease?: Lease | Permit): Promise<Landing> {
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
    const isCurrent = (await this.versions.check(answer.versions)) !== 'outdated';
    // From here to the tiers nothing waits: no invalidation can come between.
    let refused = frame.refused ?? inspection.refused ?? personal ?? reasonNotToKeep(flight, changed, isCurrent);
    if (keeper === undefined) refused ??= 'no-store';
    const wanted = refused === undefined || (flight.callerCount > 1 && !changed);
    const payload = wanted ? this.writer.encode(call, value) : undefined;
    if (payload === undefined) refused ??= 'unstorable';
    if (payload !== undefined && refused === undefined) refused = await this.writer.store(keeper!, payload, answer, lease);
    flight.stored = refused === undefined;
    this.ledger.countAnswer(flight.stored ? 'stored' : 'refused');
    const landing: Landing = { ...answer, value, payload, stored: flight.stored, refused };
    call.parent?.report(landing);
    return landing;
  }
}

/** Lands with the answer that another process has stored meanwhile. Nothing is spent, and there is nothing to store. */
async function landElsewhere(flight: CacheFlight, call: Call, produce: Produce, found: Found): Promise<Landing> {
  const { payload, usage, model, finishReason, latencyMs, versions } = found.envelope;
  const value = call.chunks === undefined ? found.value : await produce({ signal: flight.signal, elsewhere: found });
  return { value, payload, stored: true, refused: undefined, isShared: true, usage, model, finishReason, latencyMs, ageMs: found.ageMs, versions };
}
