import { setImmediate as nextTurn } from 'node:timers/promises';
import { Observable, takeWhile } from 'rxjs';
import { isThenable } from '../core/thenable.js';
import type { Recording } from './recording.js';

/** Enough of an rxjs Observable, whichever copy of rxjs it is from. */
interface ObservableLike {
  subscribe(observer: { next(chunk: unknown): void; error(error: unknown): void; complete(): void }): { unsubscribe(): void };
}

/**
 * Moves a stream into its recording. Resolves at the stream's own normal end; rejects with what it failed with, or with
 * the signal's reason once that aborts, and then closes the stream.
 * @throws TypeError for what is no stream, and for a ReadableStream that somebody else reads
 */
export async function pump(produced: unknown, recording: Recording, signal: AbortSignal): Promise<void> {
  const source: unknown = isThenable(produced) ? await produced : produced;
  return isObservable(source) ? observe(source, recording, signal) : pull(iteratorOf(source), recording, signal);
}

/** Chunks pulled in one turn of the event loop where nobody's pace counts. */
const PULLS_A_TURN = 64;

async function pull(iterator: AsyncIterator<unknown> | Iterator<unknown>, recording: Recording, signal: AbortSignal): Promise<void> {
  let stopWaiting: ((reason: unknown) => void) | undefined;
  const onAbort = (): void => stopWaiting?.(signal.reason);
  const untilAborted = <T>(work: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      stopWaiting = reject;
      work.then(resolve, reject);
    });
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    for (let pulled = 1; ; pulled++) {
      signal.throwIfAborted();
      const wanted = recording.wanted();
      if (wanted !== undefined) await untilAborted(wanted);
      else if (pulled % PULLS_A_TURN === 0) await nextTurn();
      signal.throwIfAborted();
      const next = await untilAborted((async () => iterator.next())());
      if (next.done) return;
      recording.push(next.value);
    }
  } catch (error) {
    if (signal.aborted) close(iterator);
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Not waited for: a producer that is stuck would not answer. What it throws now is nobody's any more. */
function close(iterator: AsyncIterator<unknown> | Iterator<unknown>): void {
  (async () => iterator.return?.())().catch(() => undefined);
}

/** An Observable sets the pace itself. */
function observe(source: ObservableLike, recording: Recording, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let settled = false;
    let subscription: { unsubscribe(): void } | undefined;
    const settle = (finish: () => void): void => {
      settled = true;
      signal.removeEventListener('abort', onAbort);
      subscription?.unsubscribe();
      finish();
    };
    const onAbort = (): void => settle(() => reject(signal.reason as Error));
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) return onAbort();
    // One that never leaves `subscribe`, because all its chunks come at once, can only be stopped from within.
    const stoppable = source instanceof Observable ? source.pipe(takeWhile(() => !settled)) : source;
    subscription = stoppable.subscribe({
      next: (chunk) => (settled ? undefined : recording.push(chunk)),
      error: (error) => settle(() => reject(error)),
      complete: () => settle(resolve),
    });
    if (settled) subscription.unsubscribe();
  });
}

function isObservable(value: unknown): value is ObservableLike {
  return typeof (value as ObservableLike | undefined)?.subscribe === 'function';
}

function isReadableStream(value: unknown): value is ReadableStream {
  return typeof (value as ReadableStream | undefined)?.getReader === 'function';
}

/** A reader of its own can cancel while a read is under way; the stream's iterator would wait for it. */
function chunksOf(reader: ReadableStreamDefaultReader): AsyncIterator<unknown> {
  return {
    next: () => reader.read() as Promise<IteratorResult<unknown>>,
    return: async () => {
      await reader.cancel();
      return { done: true, value: undefined };
    },
  };
}

function iteratorOf(source: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  if (isReadableStream(source)) return chunksOf(source.getReader());
  const iterable = source as Partial<AsyncIterable<unknown> & Iterable<unknown>> | undefined;
  if (typeof iterable?.[Symbol.asyncIterator] === 'function') return iterable[Symbol.asyncIterator]!();
  if (typeof source === 'object' && typeof iterable?.[Symbol.iterator] === 'function') return iterable[Symbol.iterator]!();
  throw new TypeError('there is no stream: an AsyncIterable, an Observable or a ReadableStream was expected');
}
