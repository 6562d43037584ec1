import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/** OpenAI chat completions, the older text completions, and the many servers that speak them. */
export const openAiChatShape: AnswerShape = {
  matches: (answer) => OBJECTS.has(answer['object']) || (Array.isArray(answer['choices']) && looksLikeCompletion(answer, answer['choices'])),
  inspect: (answer): Inspection => {
    const choices = Array.isArray(answer['choices']) ? (answer['choices'] as unknown[]) : [];
    const first = choices[0];
    return {
      refused: refuse(choices),
      usage: readUsage(answer['usage']),
      model: typeof answer['model'] === 'string' ? answer['model'] : undefined,
      finishReason: isRecord(first) && typeof first['finish_reason'] === 'string' ? first['finish_reason'] : undefined,
    };
  },
};

const OBJECTS: ReadonlySet<unknown> = new Set(['chat.completion', 'text_completion']);
const FIELDS: ReadonlySet<string> = new Set(['id', 'object', 'created', 'model', 'choices', 'usage', 'system_fingerprint', 'service_tier']);

/** A quiz or a poll has `choices` too; a server's completion may lack `object`. */
function looksLikeCompletion(answer: Record<string, unknown>, choices: readonly unknown[]): boolean {
  const [first] = choices;
  if (first === undefined) return Object.keys(answer).every((field) => FIELDS.has(field));
  return isRecord(first) && ('message' in first || 'finish_reason' in first);
}

/** Ends that mean the model said all it wanted. Some servers report the stop token itself. */
const FINISHED: ReadonlySet<unknown> = new Set(['stop', 'tool_calls', 'function_call', 'eos', 'end_turn', 'stop_sequence']);

const REASONS: ReadonlyMap<unknown, RefusalReason> = new Map([
  ['length', 'truncated'],
  ['max_tokens', 'truncated'],
  ['model_length', 'truncated'],
  ['content_filter', 'content-filter'],
  ['error', 'error'],
]);

function refuse(choices: readonly unknown[]): RefusalReason | undefined {
  if (choices.length === 0) return 'empty';
  for (const choice of choices) {
    const reason = refuseChoice(choice);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function refuseChoice(choice: unknown): RefusalReason | undefined {
  if (!isRecord(choice)) return 'empty';
  const finish = choice['finish_reason'];
  // Absent, some servers leave it out; null, the answer is still being written.
  if (finish !== undefined && !FINISHED.has(finish)) return REASONS.get(finish) ?? 'unfinished';
  const message = choice['message'] ?? { content: choice['text'] };
  if (!isRecord(message)) return 'empty';
  if (typeof message['refusal'] === 'string' && message['refusal'] !== '') return 'refusal';
  return saysSomething(message) ? undefined : 'empty';
}

function saysSomething(message: Record<string, unknown>): boolean {
  const { content, tool_calls: toolCalls, function_call: functionCall, audio } = message;
  if (Array.isArray(content) ? content.some(isSubstance) : isText(content)) return true;
  return (Array.isArray(toolCalls) && toolCalls.length > 0) || isRecord(functionCall) || isRecord(audio);
}

/** A content part that answers: text that is not blank, or a medium; thinking and refusing is no answer. */
function isSubstance(part: unknown): boolean {
  if (!isRecord(part)) return isText(part);
  if ('text' in part) return isText(part['text']);
  return !['refusal', 'thinking', 'redacted_thinking', 'reasoning'].includes(part['type'] as string);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '';
}

function readUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  const inputTokens = count(usage['prompt_tokens']);
  const outputTokens = count(usage['completion_tokens']);
  return { inputTokens, outputTokens, totalTokens: count(usage['total_tokens']) || inputTokens + outputTokens };
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : 0;
}
