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
  | 'input-changed'
  | 'no-store'
  | 'store-failed';

/** What the gate read from an answer. */
export interface Inspection {
  /** Set when the answer must not be stored. */
  refused?: RefusalReason;
  usage?: LlmUsage;
  model?: string;
  finishReason?: string;
}

/** One shape of answer the gate understands. */
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
  if (isErrorBody(answer)) return { refused: 'error' };
  return shapes.find((shape) => shape.matches(answer))?.inspect(answer) ?? {};
}

/** An own `error` field that says something. `null`, an empty list and a number, such as an error rate, do not. `{}` is what an Error becomes in JSON. */
function isErrorBody(answer: Record<string, unknown>): boolean {
  if (!Object.hasOwn(answer, 'error')) return false;
  const { error } = answer;
  if (Array.isArray(error)) return error.length > 0;
  return error === true || (typeof error === 'string' && error !== '') || (typeof error === 'object' && error !== null);
}
