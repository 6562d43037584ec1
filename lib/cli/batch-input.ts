import { isUtf8 } from 'node:buffer';
import { isRecord } from '../core/check-options.js';
import { parseJson } from '../core/json.js';
import type { BatchLine } from '../llm/batch/batch-options.js';
import { linesOf, type Line } from './line-reader.js';

/** The longest line that is read. A file of OpenAI's may hold 200 MB in all. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024;

/** The one kind of request that is answered, as it is written with and without the version. */
const URLS: readonly unknown[] = ['/v1/chat/completions', '/chat/completions'];

/** A line of the input: a request, or what is wrong with it. */
export type InputLine = { readonly number: number } & ({ readonly request: BatchLine } | { readonly problem: string });

/** The requests of a file in the OpenAI Batch format. Blank lines are none; `\r\n` and a byte order mark do not matter. */
export async function* requestsIn(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<InputLine, void, undefined> {
  for await (const line of linesOf(chunks, MAX_LINE_BYTES)) {
    const read = requestOf(line);
    if (read !== undefined) yield typeof read === 'string' ? { number: line.number, problem: read } : { number: line.number, request: read };
  }
}

/** The problem as text; `undefined` for a blank line. */
function requestOf({ bytes }: Line): BatchLine | string | undefined {
  if (bytes === undefined) return `longer than ${MAX_LINE_BYTES / 1024 / 1024} MiB`;
  if (!isUtf8(bytes)) return 'not UTF-8';
  const json = bytes.toString().trim(); // of a byte order mark too
  return json === '' ? undefined : parse(json);
}

function parse(json: string): BatchLine | string {
  let line: unknown;
  try {
    line = parseJson(json);
  } catch {
    return 'not JSON';
  }
  if (!isRecord(line)) return 'not an object';
  const { custom_id: id, method = 'POST', url = URLS[0], body } = line;
  if (typeof id !== 'string' || id === '') return '"custom_id" must be a text that is not empty';
  if (method !== 'POST') return '"method" must be "POST"';
  if (!URLS.includes(url)) return `"url" must be "${URLS[0] as string}"`;
  if (!isRecord(body) || !Array.isArray(body['messages'])) return '"body" must be a chat request with a list of "messages"';
  return { custom_id: id, body: body as BatchLine['body'] };
}
