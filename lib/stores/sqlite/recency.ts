/** Reads remembered before they are written in one go. */
const MOST_REMEMBERED = 256;
/** The year 2200; beyond it the number is damage. */
const LAST_SENSIBLE_STAMP = 7_258_118_400_000_000;

/**
 * When keys were last used. A read writes nothing: it is remembered here, where eviction looks before it trusts the
 * file, and reaches the file when many have come together or the store is closed.
 */
export class Recency {
  private reads = new Map<string, number>();
  private lastStamp = 0;

  /** Microseconds since the epoch, and never the same twice, so that the order within a millisecond is kept. */
  stamp(): number {
    this.lastStamp = Math.max(Date.now() * 1000, this.lastStamp + 1);
    return this.lastStamp;
  }

  /** Goes on after what is in the file: under a clock that was set back, new entries would look the oldest. */
  startAfter(stamp: number): void {
    if (stamp <= LAST_SENSIBLE_STAMP) this.lastStamp = Math.max(this.lastStamp, stamp);
  }

  /** @returns whether enough have come together to be written */
  remember(key: string): boolean {
    this.reads.set(key, this.stamp());
    return this.reads.size >= MOST_REMEMBERED;
  }

  /** The remembered reads, which are then forgotten here. */
  take(): ReadonlyMap<string, number> {
    const reads = this.reads;
    this.reads = new Map();
    return reads;
  }

  /** The remembered read of one key, which is then forgotten here. */
  takeOne(key: string): number | undefined {
    const stamp = this.reads.get(key);
    this.reads.delete(key);
    return stamp;
  }
}
