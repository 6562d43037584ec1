/** No chunk is there yet. */
export const WAIT = Symbol('no chunk yet');
/** The stream has ended. */
export const END = Symbol('the end of the stream');

/** What an upstream is cancelled with when its last reader has left. */
export function nobodyReads(): DOMException {
  return new DOMException('Nobody reads the stream any more.', 'AbortError');
}

/** One reader's view of a stream, live or stored. Each reader goes at its own pace. */
export interface ChunkReader {
  /** The next chunk, {@link WAIT} or {@link END}. @throws what the stream failed with, once its chunks are read. */
  take(): unknown;
  /** Calls back once, as soon as `take` has something else to say than {@link WAIT}. Asks the stream for more. */
  whenReady(callback: () => void): void;
  /** Stops reading, before the end or after it. */
  leave(): void;
}
