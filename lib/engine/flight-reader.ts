import { setMaxListeners } from 'node:events';
import { END, nobodyReads, WAIT, type ChunkReader } from '../streaming/chunk-reader.js';
import type { RecordingReader } from '../streaming/recording.js';

/** A caller of a flight that reads its stream. Leaving the one is leaving the other. */
export class FlightReader implements ChunkReader {
  private readonly leaving = new AbortController();
  private done: Promise<unknown> = Promise.resolve();
  private isDone = false;
  private atEnd = false;
  private callback: (() => void) | undefined;

  constructor(
    private readonly inner: RecordingReader,
    private readonly callerSignal: AbortSignal | undefined,
  ) {
    inner.onLost = () => this.leave();
    if (callerSignal !== undefined) setMaxListeners(0, callerSignal); // one request may read many streams
    callerSignal?.addEventListener('abort', this.onAbort, { once: true });
  }

  /** Aborts when the caller has aborted, or reads no further. */
  get signal(): AbortSignal {
    return this.callerSignal === undefined ? this.leaving.signal : AbortSignal.any([this.callerSignal, this.leaving.signal]);
  }

  /** The reader's end, a failure too, waits for the flight's: whoever has read a stream finds it stored and counted. */
  endingWith(done: Promise<unknown>): this {
    const settle = (): void => {
      this.isDone = true;
      this.callerSignal?.removeEventListener('abort', this.onAbort);
    };
    this.done = done.then(settle, settle);
    return this;
  }

  take(): unknown {
    this.callerSignal?.throwIfAborted();
    try {
      const chunk = this.inner.take();
      this.atEnd = chunk === END;
      return this.atEnd && !this.isDone ? WAIT : chunk;
    } catch (error) {
      this.atEnd = true;
      if (this.isDone || this.inner.isLost) throw error;
      return WAIT;
    }
  }

  whenReady(callback: () => void): void {
    this.callback = callback;
    if (this.callerSignal?.aborted) return this.ready();
    if (this.atEnd && !this.isDone) void this.done.then(() => this.ready());
    else this.inner.whenReady(() => this.ready());
  }

  leave(): void {
    this.inner.leave();
    if (!this.isDone) this.leaving.abort(nobodyReads());
  }

  private ready(): void {
    const { callback } = this;
    this.callback = undefined;
    callback?.();
  }

  private readonly onAbort = (): void => {
    this.inner.leave();
    this.ready();
  };
}
