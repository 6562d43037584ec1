import { durationMs } from '../core/duration.js';
import type { Clock } from '../core/clock.js';
import type { EventSource } from '../observability/events.js';
import type { Ledger } from '../observability/ledger.js';
import { ageMs, remainingMs } from '../policy/lifetime.js';
import type { EntryFormat } from '../stores/entry-format.js';
import type { Envelope } from '../stores/envelope.js';
import type { GroupVersions } from '../stores/group-versions.js';
import type { HeldEntry } from '../stores/own-store.js';
import type { Tiers } from '../stores/tiers.js';
import type { Call } from './call.js';
import { admits } from './admission.js';
import { answerFor, wholeAnswer } from './answers.js';

/** A stored answer that may be served. */
export interface Found {
  readonly value: unknown;
  readonly envelope: Envelope;
  readonly tier: number;
  readonly ageMs: number;
}

/** Finds an answer that may be served: whole, this key's, fresh, current, and good by the same gate that let it in. */
export class EntryReader {
  private readonly goodStreams = new WeakMap<Envelope, boolean>();

  constructor(
    private readonly format: EntryFormat,
    private readonly tiers: Tiers,
    private readonly versions: GroupVersions,
    private readonly clock: Clock,
    private readonly ledger: Ledger,
    private readonly events: EventSource,
  ) {}

  /** Answers at once where memory has it; the path of a hit allocates no promise. */
  find(call: Call): Found | undefined | Promise<Found | undefined> {
    const held = this.tiers.held(call.key!);
    if (held === undefined && !this.tiers.startInMemory) return this.findInStores(call);
    const found = held === undefined ? undefined : this.examine(call, this.open(call, held, 0), 0);
    if (found instanceof Promise) return found.then((late) => this.counted(late, 0) ?? this.findInStores(call));
    if (this.counted(found, 0) !== undefined) return found;
    return this.tiers.allInMemory ? undefined : this.findInStores(call);
  }

  private async findInStores(call: Call): Promise<Found | undefined> {
    for (const index of this.tiers.all.keys()) {
      if (index === 0 && this.tiers.startInMemory) continue; // looked at already
      const text = await this.tiers.read(index, call.key!);
      const envelope = text === undefined ? undefined : this.open(call, { text: text as string }, index);
      const found = this.counted(await this.examine(call, envelope, index), index);
      if (found === undefined) continue;
      const ttlMs = remainingMs(found.envelope.expiresAtMs, this.clock.now());
      this.tiers.promote(call.key!, text as string, ttlMs, index);
      return found;
    }
    return undefined;
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

  private examine(call: Call, envelope: Envelope | undefined, tier: number): Found | undefined | Promise<Found | undefined> {
    if (envelope === undefined) return undefined;
    const nowMs = this.clock.now();
    if (remainingMs(envelope.expiresAtMs, nowMs) === 0) return undefined;
    const age = ageMs(envelope.createdAtMs, nowMs);
    const { maxAge } = call.control;
    if (maxAge !== undefined && (maxAge === 0 || age > durationMs(maxAge)!)) return undefined;
    const current = this.versions.areCurrent(envelope.versions);
    if (typeof current === 'boolean') return current ? this.take(call, envelope, tier, age) : undefined;
    return current.then((late) => (late ? this.take(call, envelope, tier, age) : undefined));
  }

  private take(call: Call, envelope: Envelope, tier: number, age: number): Found | undefined {
    try {
      const value = answerFor(call, envelope.payload);
      const good = call.chunks === undefined ? isGood(call, value, envelope) : this.isGoodStream(call, envelope);
      return good ? { value, envelope, tier, ageMs: age } : undefined;
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

  private counted(found: Found | undefined, tier: number): Found | undefined {
    if (found === undefined) this.tiers.all[tier]!.misses++;
    else this.tiers.all[tier]!.hits++;
    return found;
  }
}

function isGood(call: Call, answer: unknown, envelope: Envelope): boolean {
  return admits(call, answer, true, envelope).refused === undefined;
}
