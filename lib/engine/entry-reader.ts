import { durationMs } from '../core/duration.js';
import type { Clock } from '../core/clock.js';
import type { EventSource } from '../observability/events.js';
import type { Ledger } from '../observability/ledger.js';
import { ageMs, expiredForMs, remainingMs } from '../policy/lifetime.js';
import { keptForMs } from '../policy/staleness.js';
import type { EntryFormat } from '../stores/entry-format.js';
import type { Envelope } from '../stores/envelope.js';
import type { GroupVersions, Verdict } from '../stores/group-versions.js';
import type { HeldEntry } from '../stores/own-store.js';
import type { Tiers } from '../stores/tiers.js';
import type { Call } from './call.js';
import { admits } from './admission.js';
import { answerFor, wholeAnswer } from './answers.js';

/** A stored answer that may be served. */
export interface Found {
  readonly value: unknown;
  readonly held: HeldEntry;
  readonly envelope: Envelope;
  readonly tier: number;
  readonly ageMs: number;
  /** How long ago its lifetime ended, milliseconds; `undefined` while it is fresh. */
  readonly staleForMs: number | undefined;
}

export function isFresh({ staleForMs }: Found): boolean {
  return staleForMs === undefined;
}

function youngerOf(one: Found | undefined, other: Found | undefined): Found | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return other.ageMs < one.ageMs ? other : one;
}

/**
 * Finds an answer that may be served: whole, this key's, current, and good by the same gate that let it in. A fresh one, or
 * where there is none in any tier, the youngest stale one within the caller's windows.
 */
export class EntryReader {
  private readonly goodStreams = new WeakMap<Envelope, boolean>();

  constructor(
    private readonly format: EntryFormat,
    private readonly tiers: Tiers,
    private readonly versions: GroupVersions,
    private readonly clock: Clock,
    private readonly ledger: Ledger,
    private readonly events: EventSource,
    private readonly maxInvalidationDelayMs: number,
  ) {}

  /** Answers at once where memory has it; the path of a hit allocates no promise. */
  find(call: Call): Found | undefined | Promise<Found | undefined> {
    const held = this.tiers.held(call.key!);
    if (held === undefined && !this.tiers.startInMemory) return this.findInStores(call);
    const found = held === undefined ? undefined : this.examine(call, held, 0);
    if (found instanceof Promise) return found.then((late) => this.orBetter(call, this.ifStillHeld(call, held!, late)));
    return this.orBetter(call, found);
  }

  /** What was found a while ago, as it is now: it may have been invalidated meanwhile, or be too old by now. */
  again(call: Call, { held, tier }: Found): Found | undefined | Promise<Found | undefined> {
    return this.examine(call, held, tier);
  }

  /** Stands for this moment: what the stores are asked for now may be removed before it is here. */
  get removals(): number {
    return this.tiers.removals;
  }

  /** A fresh answer in a text that the slowest tier has had since it was looked at. What is no entry was most likely seen then. */
  async inText(call: Call, text: string, removals: number): Promise<Found | undefined> {
    if (typeof this.format.open(text, call.key!, call.scope) === 'string') return undefined;
    const found = await this.examine(call, { text }, this.tiers.all.length - 1);
    return found !== undefined && isFresh(found) ? this.promoted(call, found, removals) : undefined;
  }

  private orBetter(call: Call, found: Found | undefined): Found | undefined | Promise<Found | undefined> {
    this.count(found, 0);
    return (found !== undefined && isFresh(found)) || this.tiers.allInMemory ? found : this.findInStores(call, found);
  }

  private async findInStores(call: Call, stale?: Found): Promise<Found | undefined> {
    let best = stale;
    for (const index of this.tiers.all.keys()) {
      if (index === 0 && this.tiers.startInMemory) continue; // looked at already
      const { removals } = this;
      const text = await this.tiers.read(index, call.key!);
      const examined = text === undefined ? undefined : this.examine(call, { text: text as string }, index);
      const found = examined instanceof Promise ? await examined : examined;
      this.count(found, index);
      if (found === undefined) continue;
      if (isFresh(found)) return this.promoted(call, found, removals);
      // A stale one stays where it is: in a faster tier it might take the place of a fresh one that comes meanwhile.
      best = youngerOf(best, found);
    }
    return best && this.orNewInMemory(call, best);
  }

  /** While slower tiers were read, a fresh one may have come to memory. */
  private async orNewInMemory(call: Call, stale: Found): Promise<Found> {
    const held = this.tiers.held(call.key!);
    if (held === undefined || held.text === stale.held.text) return stale;
    return youngerOf(stale, await this.examine(call, held, 0))!;
  }

  private promoted(call: Call, found: Found, removals: number): Found {
    const leftMs = remainingMs(found.envelope.expiresAtMs, this.clock.now());
    this.tiers.promote(call.key!, found.held.text, leftMs === undefined ? undefined : leftMs + keptForMs(call.staleness), found.tier, removals);
    return found;
  }

  private open(call: Call, held: HeldEntry, tier: number): Envelope | undefined {
    if (this.tiers.isRemoved(call.key!, held.text)) return undefined;
    if (held.openedBy === this.format) return held.opened as Envelope;
    const opened = this.format.open(held.text, call.key!, call.scope);
    if (typeof opened === 'object') {
      held.opened = opened;
      held.openedBy = this.format;
      return opened;
    }
    this.ledger.countAnswer('rejected');
    this.events.emit({ type: 'rejected', name: call.name, tier: this.tiers.all[tier]!.name, problem: opened });
    return undefined;
  }

  private examine(call: Call, held: HeldEntry, tier: number): Found | undefined | Promise<Found | undefined> {
    const envelope = this.open(call, held, tier);
    if (envelope === undefined) return undefined;
    const nowMs = this.clock.now();
    const staleForMs = expiredForMs(envelope.expiresAtMs, nowMs);
    if (staleForMs !== undefined && staleForMs >= keptForMs(call.staleness)) return undefined;
    const age = ageMs(envelope.createdAtMs, nowMs);
    const { maxAge } = call.control;
    if (maxAge !== undefined && (maxAge === 0 || age > durationMs(maxAge)!)) return undefined;
    const verdict = this.versions.check(envelope.versions);
    const taken = { held, envelope, tier, ageMs: age, staleForMs };
    if (typeof verdict === 'string') return this.isVouchedFor(verdict, envelope) ? this.take(call, taken) : undefined;
    return verdict.then((late) => (this.isVouchedFor(late, envelope) ? this.take(call, taken) : undefined));
  }

  /** Where the store cannot be asked, others may have invalidated: only what is younger than their notice may take is served. */
  private isVouchedFor(verdict: Verdict, { createdAtMs, latencyMs }: Envelope): boolean {
    if (verdict !== 'unverified') return verdict === 'current';
    const sinceAskedMs = this.clock.now() - (createdAtMs - latencyMs);
    return sinceAskedMs >= 0 && sinceAskedMs < this.maxInvalidationDelayMs;
  }

  /** While the store was asked, it may have told that the entry was removed. */
  private ifStillHeld(call: Call, held: HeldEntry, found: Found | undefined): Found | undefined {
    return this.tiers.held(call.key!)?.text === held.text ? found : undefined;
  }

  private take(call: Call, taken: Omit<Found, 'value'>): Found | undefined {
    const { envelope } = taken;
    try {
      const value = answerFor(call, envelope.payload);
      const good = call.chunks === undefined ? isGood(call, value, envelope) : this.isGoodStream(call, envelope);
      return good ? { value, ...taken } : undefined;
    } catch {
      if (call.revive) this.events.warnOnce(`${call.name}: revive threw on a stored answer; the method was called again.`);
      return undefined;
    }
  }

  /** The built-in gate puts a stream together once for as long as its entry is held, a filter each time. */
  private isGoodStream(call: Call, envelope: Envelope): boolean {
    if (call.filters.length > 0) return isGood(call, wholeAnswer(envelope.payload), envelope);
    let good = this.goodStreams.get(envelope);
    if (good === undefined) this.goodStreams.set(envelope, (good = isGood(call, wholeAnswer(envelope.payload), envelope)));
    return good;
  }

  private count(found: Found | undefined, tier: number): void {
    if (found === undefined) this.tiers.all[tier]!.misses++;
    else this.tiers.all[tier]!.hits++;
  }
}

function isGood(call: Call, answer: unknown, envelope: Envelope): boolean {
  return admits(call, answer, true, envelope).refused === undefined;
}
