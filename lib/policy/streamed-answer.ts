import { isRecord } from '../core/check-options.js';
import { isErrorBody } from './gate.js';
import { eventsIn, objectIn } from './sse-stream.js';

type Fields = Record<string, unknown>;

/** One vendor's stream, as far as the gate needs to know it. */
export interface StreamShape {
  /** Whether a chunk is of this kind. Looks at a few fields only, and throws on none. */
  readonly matches: (chunk: Record<string, unknown>) => boolean;
  /**
   * The whole answer that the chunks add up to, in a shape the gate knows; one without its end where that has not come.
   * Among the chunks may be some of no known kind, which are passed over.
   */
  readonly assemble: (chunks: ReadonlyArray<Record<string, unknown>>) => unknown;
}

/**
 * The whole answer behind a stream. Texts are joined; chunks of a known kind become what the same vendor answers
 * without a stream, also out of server-sent events, whatever else is among them; of others the first one with an error
 * counts, or else all of them together. Without any chunk there is no answer.
 */
export function assembleChunks(chunks: readonly unknown[], shapes: readonly StreamShape[]): unknown {
  if (chunks.length === 0) return undefined;
  const text = textOf(chunks);
  const records = text === undefined ? recordsIn(chunks, shapes) : eventsIn(text);
  const broken = records.find(isError);
  if (broken !== undefined) return { error: broken['error'] || broken };
  const shape = shapeOf(records, shapes);
  if (shape !== undefined) return shape.assemble(records);
  return text === undefined || typeof chunks[0] !== 'string' ? chunks : text;
}

/** The text of a stream of texts, or of bytes. */
function textOf(chunks: readonly unknown[]): string | undefined {
  if (chunks.every((chunk) => typeof chunk === 'string')) return chunks.join('');
  return chunks.every((chunk) => chunk instanceof Uint8Array) ? Buffer.concat(chunks).toString() : undefined;
}

function recordsIn(chunks: readonly unknown[], shapes: readonly StreamShape[]): Fields[] {
  return chunks.filter(isRecord).map((chunk) => ('data' in chunk && !shapes.some((shape) => shape.matches(chunk)) ? unwrapped(chunk) : chunk));
}

/** A server-sent event of Nest's `@Sse()` carries its chunk in `data`, as an object or as text. */
function unwrapped(event: Fields): Fields {
  const { data } = event;
  return (typeof data === 'string' ? objectIn(data) : isRecord(data) ? data : undefined) ?? event;
}

/** The tool of an AI SDK's loop that failed is on the way to the answer. */
function isError(chunk: Fields): boolean {
  const { type } = chunk;
  return type === 'error' || (type !== 'tool-error' && type !== 'tool-call' && isErrorBody(chunk));
}

function shapeOf(records: readonly Fields[], shapes: readonly StreamShape[]): StreamShape | undefined {
  for (const record of records) {
    const shape = shapes.find((candidate) => candidate.matches(record));
    if (shape !== undefined) return shape;
  }
  return undefined;
}
