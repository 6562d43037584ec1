import { setImmediate as nextTurn } from 'node:timers/promises';
import { isRecord } from '../../core/check-options.js';
import { LlmCacheConfigError } from '../../core/errors.js';
import { isThenable } from '../../core/thenable.js';
import type { ChatRequest } from '../chat.js';
import { requestCopy } from '../request-copy.js';
import type { BatchLine, BatchRequest } from './batch-options.js';

/** One request as it was read. What it is `not` is set when it is none. */
export interface ReadRequest {
  readonly index: number;
  readonly id: string | undefined;
  readonly request: ChatRequest;
  readonly problem: LlmCacheConfigError | undefined;
}

type Source = Iterator<BatchRequest> | AsyncIterator<BatchRequest>;

/** Most requests looked up at once. */
const MAX_PAGE = 256;
/** Others get their turn of the event loop after this, however long the prompts. */
const LONGEST_TURN_MS = 20;

/** Reads requests from an iterable in pages: as many as there is room for, and what is there when the source takes its time. */
export class RequestSource {
  /** Requests read. */
  count = 0;
  private readonly source: Source;
  private page: ReadRequest[] = [];
  private isOver = false;

  /** @throws LlmCacheConfigError when it is no iterable. */
  constructor(requests: Iterable<BatchRequest> | AsyncIterable<BatchRequest>) {
    const iterable = requests as unknown as Partial<Record<symbol, () => Source>> | null | undefined;
    const iterate = iterable?.[Symbol.asyncIterator] ?? iterable?.[Symbol.iterator];
    if (typeof iterate !== 'function' || typeof requests === 'string') {
      throw new LlmCacheConfigError('LlmService.batch: the requests must be an iterable or an async iterable of chat requests, such as an array or a generator.');
    }
    this.source = iterate.call(iterable!);
  }

  /**
   * Reads up to `room` requests, handing them on page by page.
   * @returns whether there may be more. Rejects with what the source throws, after handing on what came before.
   */
  async read(room: number, handOn: (page: readonly ReadRequest[]) => void): Promise<boolean> {
    const flush = (): void => {
      if (this.page.length > 0) handOn(this.page.splice(0));
    };
    let startedAtMs = performance.now();
    try {
      for (let free = room; free > 0 && !this.isOver; free--) {
        const next = this.source.next();
        const { done, value: given } = isThenable(next) ? await orFlush(next, flush) : next;
        if (done) {
          this.isOver = true;
          return false;
        }
        // As `for await` does: an array may hold promises.
        const value: unknown = isThenable(given) ? await orFlush(given, flush) : given;
        this.page.push(readRequest(value, this.count++));
        const isLong = performance.now() - startedAtMs > LONGEST_TURN_MS;
        if (isLong || this.page.length >= MAX_PAGE) flush();
        if (!isLong) continue;
        await nextTurn();
        startedAtMs = performance.now();
      }
      return !this.isOver; // it may have been closed meanwhile
    } catch (error) {
      this.isOver = true;
      throw error;
    } finally {
      flush();
    }
  }

  /** Tells the source that nobody reads on; it may still be busy with the request asked for last. */
  close(): void {
    if (this.isOver) return;
    this.isOver = true;
    try {
      Promise.resolve(this.source.return?.()).catch(() => undefined);
    } catch {
      // It was left, whatever it says to that.
    }
  }
}

/** What was read before does not wait for a source that takes longer than this turn of the event loop. */
async function orFlush<T>(next: PromiseLike<T>, flush: () => void): Promise<T> {
  const timer = setImmediate(flush);
  try {
    return await next;
  } finally {
    clearImmediate(timer);
  }
}

/** The request as it is now: a source may go on using the same object. */
function readRequest(given: unknown, index: number): ReadRequest {
  const isLine = isRecord(given) && !('messages' in given) && isRecord(given['body']);
  const request = isLine ? (given as unknown as BatchLine).body : (given as ChatRequest);
  const id = isLine && typeof given['custom_id'] === 'string' ? given['custom_id'] : undefined;
  if (isRecord(request) && Array.isArray(request.messages)) return { index, id, request: requestCopy(request), problem: undefined };
  const problem = new LlmCacheConfigError(
    `LlmService.batch: request ${index} must be a chat request with a list of "messages", or a batch line with one as its "body".`,
  );
  return { index, id, request: { messages: [] }, problem };
}
