import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/** OpenAI chat completions, and the many servers that speak them. */
export const openAiChatShape: AnswerShape = {
  matches: (answer) => answer['object'] === 'chat.completion' || (Array.isArray(answer['choices']) && !('data' in answer)),
  inspect: (answer): Inspection => {
    const choices = Array.isArray(answer['choices']) ? (answer['choices'] as unknown[]) : [];
    const refused = choices.length === 0 ? 'empty' : choices.map(refuseChoice).find((reason) => reason !== undefined);
    const first = choices[0];
    return {
      refused,
      usage: readUsage(answer['usage']),
      model: typeof answer['model'] === 'string' ? answer['model'] : undefined,
      finishReason: isRecord(first) && typeof first['finish_reason'] === 'string' ? first['finish_reason'] : undefined,
    };
  },
};

/** Ends that mean the model said all it wanted. Some servers report the stop token itself. */
const FINISHED = new Set(['stop', 'tool_calls', 'function_call', 'eos', 'end_turn', 'stop_sequence']);

const REASONS: Readonly<Record<string, RefusalReason>> = {
  length: 'truncated',
  max_tokens: 'truncated',
  model_length: 'truncated',
  content_filter: 'content-filter',
  error: 'error',
};

function refuseChoice(choice: unknown): RefusalReason | undefined {
  if (!isRecord(choice)) return 'empty';
  const finish = choice['finish_reason'];
  if (typeof finish !== 'string' || !FINISHED.has(finish)) return REASONS[finish as string] ?? 'unfinished';
  const message = choice['message'];
  if (!isRecord(message)) return 'empty';
  if (typeof message['refusal'] === 'string' && message['refusal'] !== '') return 'refusal';
  return saysSomething(message) ? undefined : 'empty';
}

function saysSomething(message: Record<string, unknown>): boolean {
  const { content, tool_calls: toolCalls, function_call: functionCall, audio } = message;
  if (typeof content === 'string' ? content.trim() !== '' : Array.isArray(content) && content.length > 0) return true;
  return (Array.isArray(toolCalls) && toolCalls.length > 0) || isRecord(functionCall) || isRecord(audio);
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
