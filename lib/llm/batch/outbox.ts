import type { BatchItem } from './batch-options.js';

/** Items on their way to the reader: in the order of their requests, or as they come. */
export class Outbox {
  private readonly ready: BatchItem[] = [];
  private readonly early = new Map<number, BatchItem>();
  private following = 0;
  private ending: { total: number; error?: unknown } | undefined;
  private failure: { error: unknown } | undefined;
  private wake: (() => void) | undefined;

  constructor(private readonly ordered: boolean) {}

  put(item: BatchItem): void {
    if (!this.ordered) this.ready.push(item);
    else {
      this.early.set(item.index, item);
      for (let next = this.early.get(this.following); next !== undefined; next = this.early.get(this.following)) {
        this.early.delete(this.following);
        this.following++;
        this.ready.push(next);
      }
    }
    this.wake?.();
  }

  /** No more than these come. With an error, taking fails with it once they have been taken. */
  end(total: number, failed?: { error: unknown }): void {
    this.ending = { total, ...failed };
    this.wake?.();
  }

  /** Taking fails from now on. */
  fail(error: unknown): void {
    this.failure = { error };
    this.wake?.();
  }

  /** All items that are there, at least one; none when the last has been taken. `taken` counts those of before. */
  async take(taken: number): Promise<BatchItem[]> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure.error;
      if (this.ready.length > 0) return this.ready.splice(0);
      if (this.ending !== undefined && taken >= this.ending.total) {
        if ('error' in this.ending) throw this.ending.error;
        return [];
      }
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}
