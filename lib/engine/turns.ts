import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.js';
import { LlmUpstreamError } from '../core/errors.js';
import { readFailure } from '../policy/failure-note.js';
import type { LeaseReply } from '../stores/coordination.js';
import type { Tier } from '../stores/tier.js';
import { Bells, type Bell } from './bells.js';
import type { Call } from './call.js';
import type { Settings } from './engine-options.js';
import { isFresh, type EntryReader, type Found } from './entry-reader.js';
import { Lease, NOT_AWAITED, UNSHARED } from './lease.js';
import { Permit } from './permit.js';

/**
 * What a flight does about flights of the same question in other processes: waits for them, overtakes them, since what
 * they compute is older than it may be, or nothing at all, where it has to start at once.
 */
export type TurnTaking = 'wait' | 'overtake' | 'none';

/** Whose turn it is to ask upstream. */
export type Turn =
  /** This process's; with a permit where nobody has to wait for it, with nothing where the store has neither to give. */
  | { readonly kind: 'own'; readonly lease?: Lease | Permit }
  /** Another process's, which has stored the answer. */
  | { readonly kind: 'answered'; readonly found: Found }
  /** Another process's, which has failed. */
  | { readonly kind: 'failed'; readonly error: LlmUpstreamError };

export type OwnTurn = Turn & { kind: 'own' };

const OWN_TURN: OwnTurn = { kind: 'own' };

/** A message may be lost: so often it is looked whether a lease has ended. */
const LOOK_AGAIN_MS = 500;

/**
 * Single-flight across processes: those who ask the same take turns, and whoever waits gets the answer of whose turn it
 * was. The leases are those of Nishtala et al., "Scaling Memcache at Facebook" (NSDI 2013).
 */
export class Turns {
  private readonly bells = new Bells();
  private readonly held = new Set<Lease>();
  private readonly stopListening: () => void;

  constructor(
    private readonly settings: Settings,
    private readonly clock: Clock,
    private readonly reader: EntryReader,
    /** The one that all processes share, if any: the last. */
    private readonly tier: Tier,
  ) {
    this.stopListening = this.areOn
      ? tier.subscribe({ onIncrease: () => undefined, onGap: () => undefined, onReleased: (key) => this.bells.ring(key) })
      : () => undefined;
  }

  /** The turn of a call for which processes take none. What is computed for it is stored unless the entry is removed meanwhile. */
  untaken({ key, control }: Call, taking: TurnTaking): OwnTurn | Promise<OwnTurn> {
    if (!this.tier.isCoordinated) return OWN_TURN;
    // One that has to start at once, or is hardly ever stored, does not ask: it is as if no removal was known.
    return taking === 'none' || control.noStore ? { kind: 'own', lease: new Permit(this.clock, '') } : this.permitted(key!);
  }

  /** Whether processes take turns for a call at all. An answer that will not be stored is nothing to wait for, nor is a stored one that will not do. */
  areTaken({ control }: Call, taking: TurnTaking): boolean {
    return this.areOn && taking !== 'none' && !control.noStore && control.maxAge !== 0;
  }

  /** Waits for the turn of this process, or for what came of another's. Rejects with `signal.reason`. */
  async take(call: Call, signal: AbortSignal, taking: TurnTaking): Promise<Turn> {
    const token = randomBytes(9).toString('base64url');
    const takesOver = taking === 'overtake' || call.control.noCache === true;
    const givesUpAtMs = this.clock.monotonic() + this.settings.followerTimeoutMs;
    let waitedFor: string | undefined;
    for (;;) {
      const bell = this.bells.hang(call.key!); // before it is asked, or the ring might come before the bell
      try {
        const { removals } = this.reader;
        const reply = await this.ask(call.key!, token, takesOver, waitedFor);
        if (reply === undefined) return await this.permitted(call.key!); // where the store is out of reach, each process computes on its own
        if (reply.kind === 'granted') return await this.granted(call, signal, token, takesOver ? undefined : reply.text, removals);
        if (reply.kind === 'failed') return failedTurn(reply.note) ?? (await this.permitted(call.key!));
        waitedFor = reply.holder;
        const found = await this.waited(call, signal, bell, Math.min(reply.leftMs + 1, givesUpAtMs - this.clock.monotonic()));
        if (found !== undefined) return { kind: 'answered', found };
        if (this.clock.monotonic() >= givesUpAtMs || !this.areOn) return await this.permitted(call.key!);
      } finally {
        bell.remove();
      }
    }
  }

  /** Gives every turn up, and has nobody wait. */
  close(): void {
    this.stopListening();
    for (const lease of this.held) lease.end(NOT_AWAITED);
    this.bells.ringAll();
  }

  private get areOn(): boolean {
    const { distributed, mode } = this.settings;
    return distributed && mode === 'on' && this.tier.isCoordinated;
  }

  private ask(key: string, token: string, takesOver: boolean, waitedFor: string | undefined): Promise<LeaseReply | undefined> {
    const request = { token, leaseMs: this.settings.leaseMs, takesOver, waitedFor, maxBytes: this.tier.maxReadBytes };
    return this.tier.lease('set', key, (leases, place) => leases.take(place, request)).catch(() => undefined); // the tier has told its listener
  }

  /** Asked before it is computed. Where the store cannot say, one that is remembered when the answer comes may be newer. */
  private async permitted(key: string): Promise<OwnTurn> {
    if (this.settings.mode === 'off') return OWN_TURN; // closed meanwhile: nothing is stored
    const removal = await this.tier.lease('get', key, (leases, place) => leases.removal(place)).catch(() => '');
    return { kind: 'own', lease: new Permit(this.clock, removal) };
  }

  /** What is stored may have come between the look into the store and the lease. */
  private async granted(call: Call, signal: AbortSignal, token: string, text: string | undefined, removals: number): Promise<Turn> {
    const lease = new Lease(this.tier, this.clock, call.key!, token, this.settings.leaseMs, (over) => this.held.delete(over), signal);
    this.held.add(lease);
    if (!this.areOn) lease.end(NOT_AWAITED); // closed meanwhile
    const found = text === undefined ? undefined : await this.reader.inText(call, text, removals);
    if (found !== undefined || signal.aborted) lease.end(NOT_AWAITED);
    signal.throwIfAborted();
    return found === undefined ? { kind: 'own', lease } : { kind: 'answered', found };
  }

  private async waited(call: Call, signal: AbortSignal, bell: Bell, ms: number): Promise<Found | undefined> {
    const rang = await bell.wait(this.clock, Math.min(ms, LOOK_AGAIN_MS * (0.75 + Math.random() / 4)), signal);
    signal.throwIfAborted();
    const found = rang && this.areOn ? await this.reader.find(call) : undefined;
    return found !== undefined && isFresh(found) ? found : undefined;
  }
}

/** `undefined` where the failure is not for others: each asks for itself, all at once. */
function failedTurn(note: string): Turn | undefined {
  const failure = note === UNSHARED ? undefined : readFailure(note);
  return failure && { kind: 'failed', error: new LlmUpstreamError(failure) };
}
