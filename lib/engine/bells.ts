import type { Clock } from '../core/clock.js';

/** Wakes who waits for news of a key. */
export class Bells {
  private readonly hanging = new Map<string, Set<Bell>>();

  hang(key: string): Bell {
    const bells = this.hanging.get(key) ?? new Set();
    const bell = new Bell(() => {
      bells.delete(bell);
      if (bells.size === 0 && this.hanging.get(key) === bells) this.hanging.delete(key);
    });
    bells.add(bell);
    this.hanging.set(key, bells);
    return bell;
  }

  ring(key: string): void {
    for (const bell of this.hanging.get(key) ?? []) bell.ring();
  }

  ringAll(): void {
    for (const key of this.hanging.keys()) this.ring(key);
  }
}

/** Rings for one who waits, now or later: a ring before the wait is not lost. */
export class Bell {
  private hasRung = false;
  private wake: () => void = () => undefined;

  constructor(readonly remove: () => void) {}

  ring(): void {
    this.hasRung = true;
    this.wake();
  }

  /** Whether it rang, before the time was over or the signal aborted. */
  wait(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const stop = (): void => {
        cancel();
        signal.removeEventListener('abort', stop);
        resolve(this.hasRung);
      };
      const cancel = clock.after(Math.max(0, ms), stop);
      this.wake = stop;
      signal.addEventListener('abort', stop, { once: true });
      if (this.hasRung || signal.aborted) stop();
    });
  }
}
