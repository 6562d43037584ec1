import type { Clock } from '../../core/clock.js';
import { ignoreRejection } from '../../core/thenable.js';
import type { BatchItem, BatchProgress } from './batch-options.js';

/** The rate is that of the last ten seconds: hits come much faster than what follows them. */
const SPAN_MS = 10_000;
const SAMPLE_EVERY_MS = 250;

/** Counts the items of a batch, and tells how far it is. */
export class ProgressMeter {
  private readonly counts = { done: 0, hits: 0, coalesced: 0, failures: 0 };
  private readonly samples: Array<{ atMs: number; done: number }>;

  constructor(
    private readonly clock: Clock,
    /** How many there will be, once it is known. */
    private total: number | undefined,
    private readonly tell: ((progress: BatchProgress) => void) | undefined,
  ) {
    this.samples = [{ atMs: clock.monotonic(), done: 0 }];
  }

  count({ error, outcome: { status } }: BatchItem): void {
    this.counts.done++;
    if (error !== undefined) this.counts.failures++;
    else if (status === 'hit' || status === 'stale') this.counts.hits++;
    else if (status === 'coalesced') this.counts.coalesced++;
    this.report();
  }

  /** All have been read. An empty batch, and one whose last item came before that was known, say so now. */
  end(total: number): void {
    const isNews = total === 0 || this.total !== total;
    this.total = total;
    if (isNews && this.counts.done === total) this.report();
  }

  private report(): void {
    if (this.tell === undefined) return;
    try {
      ignoreRejection(this.tell(this.progress()));
    } catch {
      // The answers are the caller's, whatever its observer does.
    }
  }

  private progress(): BatchProgress {
    const { done } = this.counts;
    const perSecond = this.rate(done);
    const progress: BatchProgress = { ...this.counts, perSecond };
    if (this.total === undefined) return progress;
    progress.total = this.total;
    if (done >= this.total) progress.remainingMs = 0;
    else if (perSecond > 0) progress.remainingMs = Math.round(((this.total - done) / perSecond) * 1_000);
    return progress;
  }

  private rate(done: number): number {
    const nowMs = this.clock.monotonic();
    while (this.samples.length > 1 && this.samples[1]!.atMs <= nowMs - SPAN_MS) this.samples.shift();
    const [oldest] = this.samples as [{ atMs: number; done: number }];
    if (nowMs - this.samples.at(-1)!.atMs >= SAMPLE_EVERY_MS) this.samples.push({ atMs: nowMs, done });
    return nowMs > oldest.atMs ? ((done - oldest.done) / (nowMs - oldest.atMs)) * 1_000 : 0;
  }
}
