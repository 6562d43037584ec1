/** A deadline is so many ticks: it is met to a tick. */
const TICKS = 5;

interface Waiting {
  dueTick: number;
  readonly expire: () => void;
}

/**
 * The deadlines of operations on one store. Time is counted in ticks of one timer for all of them, which a process that is
 * busy misses: while it does not get to read replies, no store is called slow.
 */
export class Deadlines {
  private tick = 0;
  private timer: NodeJS.Timeout | undefined;
  private readonly waiting = new Set<Waiting>();

  constructor(private readonly ms: number) {}

  /**
   * Calls `expire` when the deadline has passed.
   * @param share how many deadlines it may take
   * @returns a function that calls it off
   */
  start(expire: () => void, share: number): () => void {
    const waiting = { dueTick: this.tick + TICKS * share, expire };
    this.waiting.add(waiting);
    this.timer ??= setInterval(() => this.onTick(), Math.ceil(this.ms / TICKS));
    return () => this.end(waiting);
  }

  private onTick(): void {
    this.tick++;
    for (const waiting of this.waiting) {
      if (waiting.dueTick > this.tick) continue;
      this.end(waiting);
      waiting.expire();
    }
  }

  private end(waiting: Waiting): void {
    this.waiting.delete(waiting);
    if (this.waiting.size > 0) return;
    clearInterval(this.timer);
    this.timer = undefined;
  }
}
