import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';

/** Why an answer is served but not stored. */
export type RefusalReason =
  | 'empty'
  | 'error'
  | 'refusal'
  | 'content-filter'
  | 'truncated'
  | 'unfinished'
  | 'not-cacheable'
  | 'unstorable'
  | 'too-large'
  | 'too-old'
  | 'invalidated'
  | 'lease-lost'
  | 'input-changed'
  | 'no-store'
  | 'store-failed'
  | 'pii'
  | 'pii-error';

/** What the gate read from an answer. */
export interface Inspection {
  /** Set when the answer must not be stored. */
  refused?: RefusalReason;
  usage?: LlmUsage;
  model?: string;
  finishReason?: string;
}

/** One shape of answer the gate understands. Runs on every hit, so `matches` looks at a few fields only, and throws on none. */
export interface AnswerShape {
  readonly matches: (answer: Record<string, unknown>) => boolean;
  readonly inspect: (answer: Record<string, unknown>) => Inspection;
}

/**
 * Looks at an answer before it is stored, and again when it is read back. Only good answers pass: the first shape
 * that matches decides, and a value of no known shape passes unless it is empty or an error body.
 */
export function inspectAnswer(answer: unknown, shapes: readonly AnswerShape[]): Inspection {
  if (answer === undefined || answer === null || answer === '') return { refused: 'empty' };
  if (!isRecord(answer)) return {};
  if (ArrayBuffer.isView(answer)) return {}; // as many fields as bytes
  const fields = isPlain(answer) ? answer : { ...answer };
  const inspection = shapes.find((shape) => shape.matches(fields))?.inspect(fields) ?? {};
  return isErrorBody(fields) ? { ...inspection, refused: 'error' } : inspection;
}

/** Of an instance the gate sees its own fields only: a getter of its class may start a stream, print a warning or throw. */
function isPlain(answer: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(answer);
  return prototype === Object.prototype || prototype === null;
}

/**
 * An own `error` field that says something. `null`, an empty list and a number, such as an error rate, do not. `{}` is
 * what an Error becomes in JSON. vLLM and Mistral have `object: 'error'` instead.
 */
export function isErrorBody(answer: Record<string, unknown>): boolean {
  if (answer['object'] === 'error' && typeof answer['message'] === 'string') return true;
  if (!Object.hasOwn(answer, 'error')) return false;
  const { error } = answer;
  if (Array.isArray(error)) return error.length > 0;
  return error === true || (typeof error === 'string' && error !== '') || (typeof error === 'object' && error !== null);
}
