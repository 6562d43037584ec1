import { setImmediate as nextTurn } from 'node:timers/promises';
import { Observable } from 'rxjs';
import { END, nobodyReads, WAIT, type ChunkReader } from './chunk-reader.js';

/**
 * Starts reading, at the first chunk that is asked for.
 * @param left Asked for a signal where there is something to wait for; it aborts when the reader leaves meanwhile.
 */
export type OpenReader = (left: () => AbortSignal) => ChunkReader | Promise<ChunkReader>;

/** Lets a reader leave that is not open yet. */
class Leaving {
  private controller: AbortController | undefined;

  readonly signal = (): AbortSignal => (this.controller ??= new AbortController()).signal;

  leave(): void {
    this.controller?.abort(nobodyReads());
  }
}

/** What a stream is handed out as. */
export type StreamKind = 'asyncIterable' | 'observable' | 'readableStream';

/** The stream in the form that its caller expects. Nothing starts before it is read. */
export function resultOf(kind: StreamKind, open: OpenReader): AsyncIterable<unknown> | Observable<unknown> | ReadableStream<unknown> {
  if (kind === 'asyncIterable') return new ChunkStream(open);
  return kind === 'observable' ? observableOf(open) : readableStreamOf(open);
}

/** Every so many chunks it is looked how long a reader has kept the event loop. */
const CHUNKS_PER_LOOK = 64;
const LONGEST_TURN_MS = 5;

/** What one reader has had of the event loop since others last got their turn. */
class Turn {
  private chunks = 0;
  private startedAtMs = performance.now();

  /** Counts a chunk; says whether it is time to let others run. */
  isOver(): boolean {
    return ++this.chunks % CHUNKS_PER_LOOK === 0 && performance.now() - this.startedAtMs > LONGEST_TURN_MS;
  }

  async end(): Promise<void> {
    await nextTurn();
    this.startedAtMs = performance.now();
  }
}

/**
 * Chunks as an async generator gives them, with two differences: `return` takes effect at once even while a chunk is
 * awaited, and a second iteration asks again where an async generator would be empty.
 */
export class ChunkStream implements AsyncGenerator<unknown, undefined, undefined> {
  private reader: ChunkReader | undefined;
  private finished = false;
  /** The end of the queue of `next` calls under way. */
  private queue: Promise<unknown> | undefined;
  private stopWaiting: (() => void) | undefined;
  private iterated = false;
  private isLong = false;
  private readonly turn = new Turn();
  private readonly leaving = new Leaving();

  constructor(private readonly open: OpenReader) {}

  [Symbol.asyncIterator](): AsyncGenerator<unknown, undefined, undefined> {
    if (this.iterated && this.finished) return new ChunkStream(this.open)[Symbol.asyncIterator]();
    this.iterated = true;
    return this;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    const ready = this.queue === undefined ? this.readyNow() : undefined;
    if (ready !== undefined) return Promise.resolve(ready);
    const next = this.queue === undefined ? this.later() : this.queue.then(() => this.later());
    const settled = next.then(
      () => undefined,
      () => undefined,
    );
    this.queue = settled;
    void settled.then(() => (this.queue === settled ? (this.queue = undefined) : undefined));
    return next;
  }

  return(value?: unknown): Promise<IteratorResult<unknown, undefined>> {
    this.stop();
    return Promise.resolve({ done: true, value: value as undefined });
  }

  throw(error: unknown): Promise<IteratorResult<unknown, undefined>> {
    this.stop();
    return Promise.reject(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop();
  }

  /** The next chunk, where it is at hand and it is not time to let others run. */
  private readyNow(): IteratorResult<unknown, undefined> | undefined {
    if (this.finished) return { done: true, value: undefined };
    if (this.reader === undefined || (this.isLong = this.turn.isOver())) return undefined;
    try {
      const chunk = this.reader.take();
      if (chunk === WAIT) return undefined;
      if (chunk !== END) return { done: false, value: chunk };
      this.stop();
      return { done: true, value: undefined };
    } catch {
      return undefined; // the slow path meets the error again
    }
  }

  private async later(): Promise<IteratorResult<unknown, undefined>> {
    if (this.isLong) await this.turn.end();
    this.isLong = false;
    try {
      while (!this.finished) {
        this.reader ??= await this.opened();
        if (this.finished) break; // stopped while it was opened
        const chunk = this.reader.take();
        if (chunk === END) this.stop();
        else if (chunk !== WAIT) return { done: false, value: chunk };
        else await this.ready(this.reader);
      }
      return { done: true, value: undefined };
    } catch (error) {
      if (this.finished) return { done: true, value: undefined }; // it left while it was opened
      this.stop();
      throw error;
    }
  }

  /** Once: calls of `next` wait for each other. */
  private async opened(): Promise<ChunkReader> {
    const reader = await this.open(this.leaving.signal);
    if (this.finished) reader.leave();
    return reader;
  }

  private ready(reader: ChunkReader): Promise<void> {
    return new Promise((resolve) => {
      this.stopWaiting = resolve;
      reader.whenReady(resolve);
    });
  }

  private stop(): void {
    if (this.finished) return;
    this.finished = true;
    this.reader?.leave();
    this.leaving.leave();
    this.stopWaiting?.();
  }
}

/** Every subscription asks for itself; equal ones at the same time share one upstream call. */
function observableOf(open: OpenReader): Observable<unknown> {
  return new Observable((subscriber) => {
    let reader: ChunkReader | undefined;
    const emit = (): void => {
      while (!subscriber.closed) {
        let chunk: unknown;
        try {
          chunk = reader!.take();
        } catch (error) {
          return subscriber.error(error);
        }
        if (chunk === END) return subscriber.complete();
        if (chunk === WAIT) return reader!.whenReady(emit);
        subscriber.next(chunk);
      }
    };
    const start = (opened: ChunkReader): void => {
      reader = opened;
      if (subscriber.closed) opened.leave();
      else emit();
    };
    const leaving = new Leaving();
    const opening = open(leaving.signal);
    if (opening instanceof Promise) opening.then(start, (error: unknown) => subscriber.error(error));
    else start(opening);
    return () => {
      reader?.leave();
      leaving.leave();
    };
  });
}

function readableStreamOf(open: OpenReader): ReadableStream<unknown> {
  const chunks = new ChunkStream(open);
  return new ReadableStream<unknown>(
    {
      async pull(controller) {
        const next = await chunks.next();
        if (next.done) controller.close();
        else controller.enqueue(next.value);
      },
      async cancel() {
        await chunks.return();
      },
    },
    { highWaterMark: 0 },
  );
}
