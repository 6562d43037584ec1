import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { count, saysSomething, textOf, usageOf } from './answer-parts.js';
import { ANTHROPIC_REASONS, refusalOf } from './finish-reasons.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/** Anthropic Messages. Its error body, `{ type: 'error', error }`, is caught before any shape. */
export const anthropicMessagesShape: AnswerShape = {
  matches: (answer) => {
    const { type, role, content } = answer;
    if ((type !== 'message' && type !== undefined) || (!Array.isArray(content) && typeof content !== 'string')) return false;
    const isAssistant = role === 'assistant';
    // A message of a chat app, and an item of an OpenAI response, has neither of the two.
    if ('stop_reason' in answer) return type === 'message' || isAssistant;
    return type === 'message' && isAssistant && isRecord(answer['usage']);
  },
  inspect: (answer): Inspection => ({
    refused: refuse(answer),
    usage: readUsage(answer['usage']),
    model: textOf(answer['model']),
    finishReason: textOf(answer['stop_reason']),
  }),
};

function refuse({ stop_reason: stopReason, content }: Record<string, unknown>): RefusalReason | undefined {
  // Absent, a server leaves it out; null, the answer is still being written.
  const refused = stopReason === undefined ? undefined : refusalOf(ANTHROPIC_REASONS, stopReason);
  return refused ?? (saysSomething(content) ? undefined : 'empty');
}

/** Tokens written to and read from the provider's prompt cache are input too; Anthropic counts them apart, everybody else does not. */
function readUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  const { input_tokens: input, cache_creation_input_tokens: written, cache_read_input_tokens: read, output_tokens: output } = usage;
  return usageOf(count(input) + count(written) + count(read), count(output), undefined);
}
