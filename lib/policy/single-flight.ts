import { setMaxListeners } from 'node:events';
import type { Clock } from '../core/clock.js';
import { WaitNode } from './wait-graph.js';

/** What a follower gets when it has waited long enough. */
export const FOLLOWER_TIMEOUT = Symbol('the follower waited long enough');

/**
 * One upstream call under way, shared by everyone who asks the same in the meantime, and its error too.
 * Its signal aborts when the last caller has left.
 */
export class Flight<Landing, Passenger> extends WaitNode {
  private readonly controller = new AbortController();
  private readonly callers = new Set<object>();
  /** The answer. Whoever only watches it is no caller. */
  readonly landing: Promise<Landing>;
  private land!: (answer: Promise<Landing>) => void;
  /** Everyone who ever asked, the leader first. */
  readonly passengers: Passenger[] = [];
  /** Set by an invalidation: the answer reaches its callers and nobody else. */
  fenced = false;
  /** Whether the answer was stored. */
  stored = false;
  /** The flight that took this one's place in the table. */
  private successor: Flight<Landing, Passenger> | undefined;

  constructor(
    readonly key: string,
    private readonly leave: (flight: Flight<Landing, Passenger>) => void,
  ) {
    super();
    setMaxListeners(0, this.signal); // every call made inside listens to it
    this.landing = new Promise((resolve) => (this.land = resolve));
    this.landing.catch(() => undefined); // every caller may have left
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Whether a newer answer to the same question is stored already. */
  get isSuperseded(): boolean {
    return this.successor !== undefined && (this.successor.stored || this.successor.isSuperseded);
  }

  /** Callers that wait at this moment. */
  get callerCount(): number {
    return this.callers.size;
  }

  /** Waits for the answer as one of its callers; `signal` is that caller's own. Rejects with `signal.reason`. */
  wait(signal: AbortSignal | undefined, deadline?: { ms: number; clock: Clock }): Promise<Landing | typeof FOLLOWER_TIMEOUT> {
    return new Promise((resolve, reject) => {
      const caller = {};
      const stop = (): void => {
        cancelDeadline?.();
        signal?.removeEventListener('abort', onAbort);
      };
      const onAbort = (): void => {
        stop();
        this.goAway(caller, signal?.reason);
        reject(signal?.reason as Error);
      };
      const cancelDeadline = deadline?.clock.after(deadline.ms, () => {
        stop();
        this.goAway(caller, FOLLOWER_TIMEOUT);
        resolve(FOLLOWER_TIMEOUT);
      });
      this.callers.add(caller);
      if (signal !== undefined) setMaxListeners(0, signal); // one request may make many calls
      signal?.addEventListener('abort', onAbort, { once: true });
      this.landing.finally(stop).then(resolve, reject);
      if (signal?.aborted) onAbort(); // while the caller was on its way here
    });
  }

  /** @internal */
  replacedBy(successor: Flight<Landing, Passenger>): void {
    this.successor = successor;
  }

  /** @internal Called once, by {@link SingleFlight.start}. */
  takeOff(produce: (flight: Flight<Landing, Passenger>) => Promise<Landing>): void {
    const answer = new Promise<Landing>((resolve) => resolve(produce(this)));
    this.land(answer.finally(() => this.leave(this)));
  }

  private goAway(caller: object, reason: unknown): void {
    this.callers.delete(caller);
    if (this.callers.size > 0) return;
    this.leave(this);
    this.controller.abort(reason);
  }
}

/** The flights of one cache. */
export class SingleFlight<Landing, Passenger> {
  /** The flight of each key that can be joined. */
  private readonly flights = new Map<string, Flight<Landing, Passenger>>();
  /** Every flight that has not landed, also one that lost its place to a newer one. */
  private readonly airborne = new Set<Flight<Landing, Passenger>>();

  get(key: string): Flight<Landing, Passenger> | undefined {
    return this.flights.get(key);
  }

  /**
   * Starts a flight and takes the key's place. The flight is in the table before it runs, and leaves it only if the
   * place is still its own: a synchronous throw cannot poison the key.
   */
  start(
    key: string,
    leader: Passenger,
    produce: (flight: Flight<Landing, Passenger>) => Promise<Landing>,
  ): Flight<Landing, Passenger> {
    const flight = new Flight<Landing, Passenger>(key, (own) => {
      this.retire(own);
    });
    flight.passengers.push(leader);
    this.airborne.add(flight);
    this.flights.get(key)?.replacedBy(flight);
    this.flights.set(key, flight);
    flight.takeOff((own) => produce(own).finally(() => this.airborne.delete(own)));
    return flight;
  }

  /** Nobody joins this flight any more. */
  retire(flight: Flight<Landing, Passenger>): void {
    if (this.flights.get(flight.key) === flight) this.flights.delete(flight.key);
  }

  /** Fences what matches, and what waits for it: nobody joins it any more, and its answer is not stored. @returns what was fenced */
  fence(matches: (flight: Flight<Landing, Passenger>) => boolean): Array<Flight<Landing, Passenger>> {
    const flights = [...this.airborne];
    const matching = flights.filter(matches);
    const fenced = flights.filter((waiting) => matching.some((match) => waiting.dependsOn(match)));
    for (const flight of fenced) {
      flight.fenced = true;
      this.retire(flight);
    }
    return fenced;
  }
}
