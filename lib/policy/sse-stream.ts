import { isRecord } from '../core/check-options.js';
import { parseJson } from '../core/json.js';

/** How a stream of server-sent events starts: a field, or a comment. */
const START = /^\uFEFF?\s*(?:(?:data|event|id|retry):|:)/;

/** The JSON objects in the `data` of a text of server-sent events, in order; of any other text, none. */
export function eventsIn(text: string): Array<Record<string, unknown>> {
  if (!START.test(text)) return [];
  return text.split(/(?:\r\n|\n|\r){2}/).map(dataOf).map(objectIn).filter((event) => event !== undefined);
}

function dataOf(event: string): string {
  const lines = event.split(/\r\n|\n|\r/).filter((line) => line.startsWith('data:'));
  return lines.map((line) => line.slice('data:'.length)).join('\n');
}

/** The object that a text of JSON is; `undefined` for `[DONE]`, and for whatever else is no object. */
export function objectIn(text: string): Record<string, unknown> | undefined {
  if (!text.trimStart().startsWith('{')) return undefined;
  try {
    const value: unknown = parseJson(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
