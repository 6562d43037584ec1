import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Change, ClearChange, RemoveChange, SetChange } from './changes.js';

const MOST_CHANGES = 128;
/** In UTF-16 units. One large value may exceed it: a batch has at least one change. */
const MOST_TEXT = 1024 * 1024;

/** Writes a batch and says what each change came to. What is many writes in itself, a clear or a touch, comes alone. */
export type Commit = (batch: readonly Change[]) => Promise<readonly boolean[]>;

interface Waiting {
  readonly change: Change;
  readonly resolve: (result: boolean) => void;
  readonly reject: (reason: unknown) => void;
}

/** Gathers what is written in one turn of the event loop into batches, committed in order, each before its callers hear of it. */
export class WriteQueue {
  private waiting: Waiting[] = [];
  private running: Promise<void> | undefined;
  /** The last uncommitted change of each key, and uncommitted clears: what a read has to see before the file. */
  private readonly latest = new Map<string, SetChange | RemoveChange>();
  private readonly clears = new Set<ClearChange>();

  constructor(private readonly commit: Commit) {}

  add(change: Change): Promise<boolean> {
    this.remember(change);
    return new Promise((resolve, reject) => {
      this.waiting.push({ change, resolve, reject });
      this.running ??= this.run();
    });
  }

  /** The uncommitted state of a key: its value, `null` when it is to be removed, `undefined` when the file decides. */
  uncommitted(key: string, nowMs: number): string | null | undefined {
    const change = this.latest.get(key);
    if (change?.kind === 'set') return change.expiresAtMs === null || change.expiresAtMs >= nowMs ? change.value : null;
    if (change !== undefined) return null;
    for (const { prefix } of this.clears) if (key.startsWith(prefix)) return null;
    return undefined;
  }

  /** Resolves when everything added so far, and while waiting, has been committed or refused. */
  async drained(): Promise<void> {
    while (this.running) await this.running;
  }

  private async run(): Promise<void> {
    while (this.waiting.length > 0) {
      await nextTurn();
      await this.write(this.nextBatch());
    }
    this.running = undefined;
  }

  private async write(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await this.commit(batch.map(({ change }) => change));
      for (const { change } of batch) this.forget(change);
      batch.forEach(({ resolve }, index) => resolve(results[index]!));
    } catch (error) {
      for (const { change } of batch) this.forget(change);
      for (const { reject } of batch) reject(error);
    }
  }

  private nextBatch(): Waiting[] {
    if (isLarge(this.waiting[0]!.change)) return this.waiting.splice(0, 1);
    let text = 0;
    let size = 0;
    for (const { change } of this.waiting) {
      if (change.kind === 'set') text += change.value.length;
      if (isLarge(change) || size === MOST_CHANGES || (text > MOST_TEXT && size > 0)) break;
      size += 1;
    }
    return this.waiting.splice(0, size);
  }

  private remember(change: Change): void {
    if (change.kind === 'set' || change.kind === 'remove') {
      this.latest.set(change.key, change);
    } else if (change.kind === 'clear') {
      for (const key of this.latest.keys()) if (key.startsWith(change.prefix)) this.latest.delete(key);
      this.clears.add(change);
    }
  }

  private forget(change: Change): void {
    if (change.kind === 'clear') this.clears.delete(change);
    else if (change.kind !== 'touch' && this.latest.get(change.key) === change) this.latest.delete(change.key);
  }
}

function isLarge({ kind }: Change): boolean {
  return kind === 'clear' || kind === 'touch';
}
