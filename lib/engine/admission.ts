import { ignoreRejection, isThenable } from '../core/thenable.js';
import { inspectAnswer, type AnswerShape, type Inspection } from '../policy/gate.js';
import { aiSdkShape } from '../policy/ai-sdk-shape.js';
import { aiSdkStream } from '../policy/ai-sdk-stream.js';
import { anthropicMessagesShape } from '../policy/anthropic-messages-shape.js';
import { anthropicMessagesStream } from '../policy/anthropic-messages-stream.js';
import { geminiShape } from '../policy/gemini-shape.js';
import { geminiStream } from '../policy/gemini-stream.js';
import { langChainShape } from '../policy/langchain-shape.js';
import { langChainStream } from '../policy/langchain-stream.js';
import { openAiChatShape } from '../policy/openai-chat-shape.js';
import { openAiChatStream } from '../policy/openai-chat-stream.js';
import { openAiResponsesShape } from '../policy/openai-responses-shape.js';
import { openAiResponsesStream } from '../policy/openai-responses-stream.js';
import type { StreamShape } from '../policy/streamed-answer.js';
import type { Call } from './call.js';

/**
 * The shapes of answer the gate understands; the first that matches decides. No answer has two of them, so the order
 * is one of speed: what servers send comes first, the commonest at the head, then what libraries make of it.
 */
export const ANSWER_SHAPES: readonly AnswerShape[] = [
  openAiChatShape,
  openAiResponsesShape,
  anthropicMessagesShape,
  geminiShape,
  aiSdkShape,
  langChainShape,
];

/** What is known of an answer that does not show it: its entry remembers, or the calls it was made from told. */
export type Known = Pick<Inspection, 'usage' | 'model' | 'finishReason'>;

/** The streams the gate can put together; no chunk is of two of them. */
export const STREAM_SHAPES: readonly StreamShape[] = [
  openAiChatStream,
  openAiResponsesStream,
  anthropicMessagesStream,
  geminiStream,
  aiSdkStream,
  langChainStream,
];

/** The gate as one call sees it: the built-in rules, then every filter of the user's. A filter can only refuse. */
export function admits(call: Call, answer: unknown, stored: boolean, known: Known = {}): Inspection {
  const inspection = inspect(answer);
  if (inspection.refused !== undefined) return inspection;
  const { usage = known.usage, model = known.model, finishReason = known.finishReason } = inspection;
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
