import type { Placeholders } from './placeholders.js';
import { TextLeaves, type TextLeaf } from './text-leaves.js';

/** Fields that hold JSON as text, whole or in pieces. */
const JSON_FIELDS: ReadonlySet<unknown> = new Set(['arguments', 'partial_json', 'input_json', 'argsTextDelta', 'inputTextDelta']);

/**
 * Whether what is put into a text must be escaped as in JSON; `undefined` where too little of it is known. `begins` is the
 * text, or as much of it as is known.
 */
export function isJsonText(field: string | number | undefined, begins: string): boolean | undefined {
  if (JSON_FIELDS.has(field)) return true;
  return /^\s*\[?\s*$/.test(begins) ? undefined : /^\s*(?:\{|\[\s*[{"\]])/.test(begins);
}

/** A copy of an answer with all placeholders replaced; the answer itself where it holds none. */
export function rehydrated<T>(answer: T, placeholders: Placeholders): T {
  const leaves = new TextLeaves(answer, 'all');
  return leaves.replace((index) => restoredText(leaves.leaves[index]!, placeholders)) as T;
}

export function resolvesAll(answer: unknown, placeholders: Placeholders): boolean {
  return new TextLeaves(answer, 'all').leaves.every(({ text }) => placeholders.resolves(text));
}

function restoredText({ text, field }: TextLeaf, placeholders: Placeholders): string {
  if (!text.includes('[')) return text;
  return placeholders.restore(text, isJsonText(field, text) === true && (JSON_FIELDS.has(field) || isJson(text)));
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
