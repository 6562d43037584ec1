import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { FORWARDED } from '../llm-cache/cache-status.js';

export interface EventStream<T> {
  /** What the client gets of a chunk, as JSON; nothing for `undefined`. */
  data: (chunk: T) => unknown;
  /** What the client gets of an error after the first chunk. */
  error: (error: unknown) => unknown;
}

const HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  // nginx would collect the events otherwise.
  'X-Accel-Buffering': 'no',
};

/**
 * Sends a stream as server-sent events, `[DONE]` being the last. Nothing is sent before the first chunk: what fails
 * until then is thrown, and gets a status of its own, and a hit is known by then.
 */
export async function sendEvents<T>(response: ServerResponse, stream: AsyncIterable<T>, { data, error }: EventStream<T>): Promise<void> {
  const chunks = stream[Symbol.asyncIterator]();
  // A client that hangs up leaves the stream. The last one to leave ends it.
  response.once('close', () => void chunks.return?.().catch(() => undefined));
  let next = await chunks.next();
  if (!response.hasHeader('Cache-Status')) response.setHeader('Cache-Status', FORWARDED);
  response.writeHead(200, HEADERS);
  try {
    for (; !next.done; next = await chunks.next()) {
      const value = data(next.value);
      if (value !== undefined && !response.write(eventOf(value))) await roomIn(response);
    }
    response.end('data: [DONE]\n\n');
  } catch (failure) {
    response.end(eventOf({ error: error(failure) }));
  }
}

/** JSON has no line break, so that one line holds it. */
function eventOf(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** Waits for a slow client, or for its end. */
async function roomIn(response: ServerResponse): Promise<void> {
  if (response.destroyed) return;
  const waiting = new AbortController();
  const events = ['drain', 'close'].map((event) => once(response, event, { signal: waiting.signal }));
  await Promise.race(events).finally(() => waiting.abort());
}
