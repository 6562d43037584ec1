import { ignoreRejection, isThenable } from '../core/thenable.js';
import { inspectAnswer, type AnswerShape, type Inspection } from '../policy/gate.js';
import { openAiChatShape } from '../policy/openai-chat-shape.js';
import type { Call } from './call.js';

/** The shapes of answer the gate understands; the first that matches decides. */
const ANSWER_SHAPES: readonly AnswerShape[] = [openAiChatShape];

/** The gate as one call sees it: the built-in rules, then every filter of the user's. A filter can only refuse. */
export function admits(call: Call, answer: unknown, stored: boolean): Inspection {
  const inspection = inspect(answer);
  if (inspection.refused !== undefined) return inspection;
  const { usage, model, finishReason } = inspection;
  const context = { name: call.name, stored, usage, model, finishReason };
  return call.filters.every((filter) => isYes(() => filter(answer, context)))
    ? inspection
    : { ...inspection, refused: 'not-cacheable' };
}

/** An answer that throws when it is looked at reaches its caller all the same. */
function inspect(answer: unknown): Inspection {
  try {
    return inspectAnswer(answer, ANSWER_SHAPES);
  } catch {
    return { refused: 'unstorable' };
  }
}

/** A filter that throws, or that answers with a promise, has not said yes. */
function isYes(filter: () => unknown): boolean {
  try {
    const verdict = filter();
    ignoreRejection(verdict);
    return !isThenable(verdict) && Boolean(verdict);
  } catch {
    return false;
  }
}
