/** Where the module gets its time from. Tests replace it with `FakeClock`. */
export interface Clock {
  /** Wall clock, epoch milliseconds: entry ages and expiry. */
  now(): number;
  /** Milliseconds that never run backwards: durations. */
  monotonic(): number;
  /** Runs `callback` once after `ms`; the returned function cancels it. Keeps the process alive only when it is told to. */
  after(ms: number, callback: () => void, options?: { keepsProcessAlive?: boolean }): () => void;
}

/** The longest delay a Node timer can hold; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The real time. Globals are read at each call, so that Jest's fake timers apply. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback, options) {
    const timer = setTimeout(callback, Math.min(ms, MAX_TIMER_MS));
    if (!options?.keepsProcessAlive) timer.unref?.();
    return () => clearTimeout(timer);
  },
};
