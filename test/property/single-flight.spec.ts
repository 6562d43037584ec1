import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import type { Clock } from '../../lib/core/clock.js';
import { type Flight, FOLLOWER_TIMEOUT, SingleFlight } from '../../lib/policy/single-flight.js';
import { FakeClock } from '../../lib/testing/fake-clock.js';

type TestFlight = Flight<string, string>;

const DEADLINE_MS = 100;

/** How an upstream call ends. */
type Ending = 'answers' | 'rejects' | 'throws' | 'throws undefined';

type Command =
  | { do: 'ask'; key: string; ending: Ending; abortable: boolean; deadline: boolean }
  | { do: 'abort'; who: number }
  | { do: 'fence'; key: string }
  | { do: 'land' }
  | { do: 'pass time' };

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('ask' as const),
      key: fc.constantFrom('k', 'l'),
      ending: fc.constantFrom<Ending>('answers', 'answers', 'rejects', 'throws', 'throws undefined'),
      abortable: fc.boolean(),
      deadline: fc.boolean(),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('abort' as const), who: fc.nat(20) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fence' as const), key: fc.constantFrom('k', 'l') }) },
  { weight: 3, arbitrary: fc.constant({ do: 'land' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'pass time' as const }) },
);

/** What should be true of one upstream call. */
interface ModelFlight {
  readonly key: string;
  readonly flight: TestFlight;
  readonly result: PromiseSettledResult<unknown>;
  readonly upstream: { done: boolean };
  readonly waiting: Set<ModelCaller>;
  ended: boolean;
  fenced: boolean;
  abandoned: boolean;
}

/** What should have become of one caller. */
interface ModelCaller {
  readonly flight: ModelFlight;
  readonly abort: AbortController | undefined;
  readonly deadlineMs: number | undefined;
  expected: PromiseSettledResult<unknown> | undefined;
  seen: PromiseSettledResult<unknown> | undefined;
}

/** The real thing and a model of it, side by side. */
class Run {
  private readonly real = new SingleFlight<string, string>();
  private readonly clock = new FakeClock(0);
  private readonly flights: ModelFlight[] = [];
  private readonly callers: ModelCaller[] = [];
  /** The flight that the next caller of a key joins. */
  private readonly current = new Map<string, ModelFlight>();
  private started = 0;

  constructor(private readonly scheduler: fc.Scheduler) {}

  async execute(given: Command): Promise<void> {
    switch (given.do) {
      case 'ask':
        this.ask(given);
        break;
      case 'abort':
        this.abort(this.callers[given.who % Math.max(1, this.callers.length)]);
        break;
      case 'fence':
        this.fence(given.key);
        break;
      case 'land':
        if (this.scheduler.count() > 0) await this.scheduler.waitOne();
        break;
      case 'pass time':
        this.passTime();
    }
    await settle();
    this.noteLandings();
  }

  async finish(): Promise<void> {
    while (this.scheduler.count() > 0) await this.scheduler.waitOne();
    await settle();
    this.noteLandings();
  }

  /** What holds at every moment. */
  check(): void {
    expect(this.started).toBe(this.flights.length);
    for (const key of ['k', 'l']) {
      expect(this.real.get(key)).toBe(this.current.get(key)?.flight);
      const open = this.flights.filter((each) => each.key === key && !each.ended && !each.fenced && !each.abandoned);
      expect(open.length).toBeLessThanOrEqual(1);
    }
    for (const each of this.flights) {
      expect(each.flight.signal.aborted).toBe(each.abandoned);
      expect(each.flight.fenced).toBe(each.fenced);
      if (!each.ended) expect(each.flight.callerCount).toBe(each.waiting.size);
    }
    for (const caller of this.callers) expect(caller.seen).toEqual(caller.expected);
  }

  checkEnd(): void {
    for (const caller of this.callers) expect(caller.seen).toBeDefined();
    expect([this.real.get('k'), this.real.get('l')]).toEqual([undefined, undefined]);
  }

  private ask({ key, ending, abortable, deadline }: Extract<Command, { do: 'ask' }>): void {
    const running = this.current.get(key);
    expect(this.real.get(key)).toBe(running?.flight);
    const flight = running ?? this.start(key, ending);
    const abort = abortable ? new AbortController() : undefined;
    const isFollower = running !== undefined;
    const deadlineMs = deadline && isFollower ? this.clock.now() + DEADLINE_MS : undefined;
    const caller: ModelCaller = { flight, abort, deadlineMs, expected: undefined, seen: undefined };
    flight.waiting.add(caller);
    this.callers.push(caller);
    flight.flight.wait(abort?.signal, deadlineMs === undefined ? undefined : { ms: DEADLINE_MS, clock: this.clock }).then(
      (value) => (caller.seen = { status: 'fulfilled', value }),
      (reason: unknown) => (caller.seen = { status: 'rejected', reason }),
    );
  }

  private start(key: string, ending: Ending): ModelFlight {
    const id = `${key} ${this.flights.length}`;
    const error = ending === 'throws undefined' ? undefined : new Error(id);
    const result: PromiseSettledResult<unknown> =
      ending === 'answers' ? { status: 'fulfilled', value: id } : { status: 'rejected', reason: error };
    const upstream = { done: false };
    // As the engine does it: an async function, so that what a method throws at once is a rejection too.
    const produce = async (): Promise<string> => {
      this.started++;
      try {
        if (ending.startsWith('throws')) throw error;
        await this.scheduler.schedule(Promise.resolve(), id);
        if (ending === 'rejects') throw error;
        return id;
      } finally {
        upstream.done = true;
      }
    };
    const flight = this.real.start(key, id, produce);
    const model: ModelFlight = { key, flight, result, upstream, waiting: new Set(), ended: false, fenced: false, abandoned: false };
    this.flights.push(model);
    this.current.set(key, model);
    return model;
  }

  private abort(caller: ModelCaller | undefined): void {
    if (caller?.abort === undefined || caller.abort.signal.aborted) return;
    const reason = new Error('aborted');
    caller.abort.abort(reason);
    if (caller.expected === undefined) this.leave(caller, { status: 'rejected', reason });
  }

  private passTime(): void {
    this.clock.advance(DEADLINE_MS);
    for (const caller of this.callers) {
      if (caller.expected !== undefined || caller.deadlineMs === undefined || caller.deadlineMs > this.clock.now()) continue;
      this.leave(caller, { status: 'fulfilled', value: FOLLOWER_TIMEOUT });
    }
  }

  private leave(caller: ModelCaller, expected: PromiseSettledResult<unknown>): void {
    const { flight } = caller;
    caller.expected = expected;
    flight.waiting.delete(caller);
    if (flight.waiting.size > 0) return;
    flight.abandoned = true;
    if (this.current.get(flight.key) === flight) this.current.delete(flight.key);
  }

  private fence(key: string): void {
    this.real.fence((flight) => flight.key === key);
    // Also one that nobody waits for any more: its answer may come yet, and must not be stored.
    for (const flight of this.flights) if (flight.key === key && !flight.ended) flight.fenced = true;
    this.current.delete(key);
  }

  private noteLandings(): void {
    for (const flight of this.flights) {
      if (flight.ended || !flight.upstream.done) continue;
      flight.ended = true;
      if (this.current.get(flight.key) === flight) this.current.delete(flight.key);
      for (const caller of flight.waiting) caller.expected = flight.result;
    }
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

describe('single-flight, under any interleaving', () => {
  it('keeps its promises', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(command, { maxLength: 40 }), async (scheduler, commands) => {
        const run = new Run(scheduler);
        for (const each of commands) {
          await run.execute(each);
          run.check();
        }
        await run.finish();
        run.check();
        run.checkEnd();
      }),
      { numRuns: 400 },
    );
  });
});

describe('single-flight', () => {
  it('frees the key before its callers hear of the end, so that the first of them may ask again', async () => {
    const flights = new SingleFlight<string, string>();
    const flight = flights.start('k', 'leader', async () => 'x');
    await flight.wait(undefined);
    expect(flights.get('k')).toBeUndefined();
  });

  it('gives everybody the same error, and nobody an unhandled one', async () => {
    const error = new Error('429');
    const flight = new SingleFlight<string, string>().start('k', 'leader', () => Promise.reject(error));
    const seen = await Promise.allSettled([flight.wait(undefined), flight.wait(undefined)]);
    expect(seen).toEqual([{ status: 'rejected', reason: error }, { status: 'rejected', reason: error }]);
    expect((seen[0] as PromiseRejectedResult).reason).toBe(error);
  });

  it('cancels the upstream call with the reason of the last caller that leaves', () => {
    const flight = new SingleFlight<string, string>().start('k', 'leader', () => new Promise(() => {}));
    const aborts = [new AbortController(), new AbortController()];
    const waiting = aborts.map(({ signal }) => flight.wait(signal).catch((reason: unknown) => reason));
    aborts[0]!.abort('first');
    expect(flight.signal.aborted).toBe(false);
    aborts[1]!.abort('last');
    expect(flight.signal.reason).toBe('last');
    return expect(Promise.all(waiting)).resolves.toEqual(['first', 'last']);
  });

  it('leaves no listener and no timer behind', async () => {
    const clock = new FakeClock(0);
    const { signal } = new AbortController();
    let listeners = 0;
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (...args: Parameters<typeof add>) => (listeners++, add(...args));
    signal.removeEventListener = (...args: Parameters<typeof remove>) => (listeners--, remove(...args));
    let cancelled = 0;
    const counting: Clock = {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (ms, callback) => {
        const cancel = clock.after(ms, callback);
        return () => (cancelled++, cancel());
      },
    };
    const flight = new SingleFlight<string, string>().start('k', 'leader', async () => 'x');
    await flight.wait(signal, { ms: 100, clock: counting });
    await settle();
    expect({ listeners, cancelled }).toEqual({ listeners: 0, cancelled: 1 });
  });

  it('does not let a flight that was left behind take the place of the one that replaced it', async () => {
    const flights = new SingleFlight<string, string>();
    let land!: (value: string) => void;
    const old = flights.start('k', 'a', () => new Promise((resolve) => (land = resolve)));
    const next = flights.start('k', 'b', () => new Promise(() => {}));
    expect(flights.get('k')).toBe(next);
    land('late');
    await old.wait(undefined);
    expect(flights.get('k')).toBe(next);
  });

  it('knows when a newer answer is stored already, over any number of flights', () => {
    const flights = new SingleFlight<string, string>();
    const [first, second, third] = ['a', 'b', 'c'].map((who) => flights.start('k', who, () => new Promise(() => {}))) as [TestFlight, TestFlight, TestFlight];
    expect(first.isSuperseded).toBe(false);
    third.stored = true;
    expect([first.isSuperseded, second.isSuperseded, third.isSuperseded]).toEqual([true, true, false]);
  });

  it('fences what matches, and only that', () => {
    const flights = new SingleFlight<string, string>();
    const [a, b] = ['a', 'b'].map((key) => flights.start(key, `who asks ${key}`, () => new Promise(() => {}))) as [TestFlight, TestFlight];
    flights.fence((flight) => flight.passengers.includes('who asks a'));
    expect([a.fenced, b.fenced]).toEqual([true, false]);
    expect([flights.get('a'), flights.get('b')]).toEqual([undefined, b]);
  });

  it('knows which flights wait for each other, in a ring too, while they do', async () => {
    const flights = new SingleFlight<string, string>();
    const [a, b, c] = ['a', 'b', 'c'].map((key) => flights.start(key, key, () => new Promise(() => {}))) as [TestFlight, TestFlight, TestFlight];
    let end!: () => void;
    const waiting = Promise.all([
      a.whileWaitingFor(b, () => new Promise<void>((resolve) => (end = resolve))),
      b.whileWaitingFor(c, () => settle()),
      c.whileWaitingFor(b, () => settle()),
    ]);
    expect([a.dependsOn(c), c.dependsOn(a), b.dependsOn(b), a.dependsOn(a)]).toEqual([true, false, true, true]);
    end();
    await waiting;
    expect([a.dependsOn(b), b.dependsOn(c)]).toEqual([false, false]);
  });
});
