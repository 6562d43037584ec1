import { StreamLagError } from '../core/errors.js';
import { Refusal } from '../key/canonical-form.js';
import type { ChunkCodec } from './chunk-codec.js';
import { END, WAIT, type ChunkReader } from './chunk-reader.js';

/** A chunk that cannot be written as text. Who has read what came before it gets the very same. */
class Unwritten {
  constructor(readonly chunk: unknown) {}
}

/** What an unwritten chunk counts for; nobody can tell what it holds. */
const UNWRITTEN_BYTES = 1_024;

type Kept = string | Unwritten;

/**
 * A stream while it runs, held once for any number of readers: each chunk is written down as it comes, so nobody who
 * changes it later, its producer or a reader, changes what the others get. It is pulled as fast as its fastest reader
 * reads. Above `maxBytes`, or with a chunk that cannot be written, it is no longer kept whole: only what some reader
 * has still to read, and a reader who is further behind than that fails.
 */
export class Recording {
  private kept: Kept[] = [];
  /** How many chunks are gone from the front of `kept`. */
  private dropped = 0;
  private bytes = 0;
  private outcome: { error: unknown } | 'ended' | undefined;
  private readonly readers = new Set<RecordingReader>();
  private askedForMore: (() => void) | undefined;
  /** What was wrong with the first chunk that could not be written down. */
  unwritable: string | undefined;
  private wholeCallers = 0;
  /** Whether to go on without readers. */
  goesOnAlone = false;
  /** Called once, when it is no longer kept whole. */
  onPartial: () => void = () => {};

  constructor(
    private readonly maxBytes: number,
    private readonly codec: ChunkCodec,
    /** How far a reader may fall behind. */
    private readonly maxLagBytes = maxBytes,
  ) {}

  /** Whether every chunk is still here. */
  get isWhole(): boolean {
    return this.bytes <= this.maxBytes && this.unwritable === undefined;
  }

  /** Whether any chunk has come. */
  get hasChunks(): boolean {
    return this.dropped + this.kept.length > 0;
  }

  get hasEnded(): boolean {
    return this.outcome !== undefined;
  }

  get isAlone(): boolean {
    return this.readers.size === 0;
  }

  /** @param first whether it is the one for whom the stream is made: it gets the chunks themselves while it keeps up. */
  read(first = false): RecordingReader {
    const reader = new RecordingReader(this, first);
    this.readers.add(reader);
    return reader;
  }

  /** One more, or one less, who waits for all of it: it is pulled whatever the pace of its readers. */
  countWholeCallers(change: 1 | -1): void {
    this.wholeCallers += change;
    if (change > 0) this.askForMore();
  }

  /** Resolves when somebody wants more than there is. */
  wanted(): Promise<void> | undefined {
    if ((this.isAlone && this.goesOnAlone) || this.someoneWaits || (this.wholeCallers > 0 && this.isWhole)) return undefined;
    return new Promise((resolve) => (this.askedForMore = resolve));
  }

  push(chunk: unknown): void {
    const wasWhole = this.isWhole;
    const bytesBefore = this.bytes;
    const kept = this.write(chunk);
    this.kept.push(kept);
    this.bytes += sizeOf(kept);
    if (wasWhole && !this.isWhole) this.onPartial();
    for (const reader of this.readers) reader.offer(chunk, bytesBefore - reader.bytesTaken > this.maxLagBytes);
    if (!this.isWhole) this.dropRead();
  }

  /** The stream's own normal end. */
  end(): void {
    this.settle('ended');
  }

  /** Readers get it once they have read what came before it. */
  fail(error: unknown): void {
    this.settle({ error });
  }

  /** The chunks as text; `undefined` when they are not all here. */
  get texts(): readonly string[] | undefined {
    return this.isWhole ? (this.kept as string[]) : undefined;
  }

  /** @internal */
  at(position: number): unknown {
    const index = position - this.dropped;
    if (index < this.kept.length) return this.open(this.kept[index]!);
    if (this.outcome === undefined) return WAIT;
    if (this.outcome === 'ended') return END;
    throw this.outcome.error;
  }

  /** @internal */
  sizeAt(position: number): number {
    return sizeOf(this.kept[position - this.dropped]!);
  }

  /** @internal Whether a reader at this position has to wait. */
  isEdge(position: number): boolean {
    return this.outcome === undefined && this.isPast(position);
  }

  /** @internal Whether nothing comes after this position. */
  isOver(position: number): boolean {
    return this.outcome !== undefined && this.isPast(position);
  }

  /** @internal */
  askForMore(): void {
    this.askedForMore?.();
    this.askedForMore = undefined;
  }

  /** @internal */
  remove(reader: RecordingReader): void {
    this.readers.delete(reader);
    if (this.isAlone && this.goesOnAlone) this.askForMore();
    if (!this.isWhole) this.dropRead();
  }

  /** Whether everything that has come is before this position. */
  private isPast(position: number): boolean {
    return position - this.dropped >= this.kept.length;
  }

  private get someoneWaits(): boolean {
    for (const reader of this.readers) if (reader.isWaiting) return true;
    return false;
  }

  private settle(outcome: { error: unknown } | 'ended'): void {
    this.outcome ??= outcome;
    for (const reader of this.readers) reader.wake();
  }

  private write(chunk: unknown): Kept {
    try {
      return this.codec.encode(chunk);
    } catch (error) {
      this.unwritable ??= error instanceof Refusal ? error.problem : 'something that throws when it is read';
      return new Unwritten(chunk);
    }
  }

  private open(kept: Kept): unknown {
    return typeof kept === 'string' ? this.codec.decode(kept) : kept.chunk;
  }

  /** Forgets what every reader has read. */
  private dropRead(): void {
    let slowest = this.dropped + this.kept.length;
    for (const reader of this.readers) slowest = Math.min(slowest, reader.position);
    this.kept.splice(0, slowest - this.dropped);
    this.dropped = slowest;
  }
}

/** One reader of a {@link Recording}. */
export class RecordingReader implements ChunkReader {
  position = 0;
  bytesTaken = 0;
  private callback: (() => void) | undefined;
  private handed: { chunk: unknown } | undefined;
  private failure: { error: unknown } | undefined;
  /** Called when it fell too far behind, or could not make its copy, and is no reader any more. */
  onLost: () => void = () => {};

  /** @internal Made by {@link Recording.read}. */
  constructor(
    private readonly recording: Recording,
    private readonly first: boolean,
  ) {}

  get isWaiting(): boolean {
    return this.callback !== undefined;
  }

  take(): unknown {
    if (this.failure !== undefined) throw this.failure.error;
    if (this.handed === undefined && this.recording.isEdge(this.position)) return WAIT;
    const chunk = this.handed === undefined ? this.copy() : this.handed.chunk;
    if (chunk === END) return END;
    this.handed = undefined;
    this.bytesTaken += this.recording.sizeAt(this.position);
    this.position += 1;
    return chunk;
  }

  /** Whether it failed by itself, and not with the stream. */
  get isLost(): boolean {
    return this.failure !== undefined;
  }

  /** `revive` may throw: that is this reader's own failure, and the others go on. */
  private copy(): unknown {
    try {
      return this.recording.at(this.position);
    } catch (error) {
      if (!this.recording.isOver(this.position)) this.lose(error);
      throw error;
    }
  }

  whenReady(callback: () => void): void {
    if (this.failure !== undefined || !this.recording.isEdge(this.position)) return callback();
    this.callback = callback;
    this.recording.askForMore();
  }

  leave(): void {
    this.callback = undefined;
    this.recording.remove(this);
  }

  /** @internal A chunk has come. The first reader, if it waits for just this one, gets the chunk itself. */
  offer(chunk: unknown, tooFarBehind: boolean): void {
    if (this.callback !== undefined && this.first) this.handed = { chunk };
    if (tooFarBehind) this.lose(new StreamLagError());
    this.wake();
  }

  /** @internal */
  wake(): void {
    const { callback } = this;
    this.callback = undefined;
    callback?.();
  }

  private lose(error: unknown): void {
    this.failure = { error };
    this.handed = undefined;
    this.recording.remove(this);
    this.onLost();
  }
}

function sizeOf(kept: Kept): number {
  return typeof kept === 'string' ? Buffer.byteLength(kept) : UNWRITTEN_BYTES;
}
