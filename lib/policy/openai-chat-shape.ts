import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { count, isText, listOf, saysSomething, textOf, usageOf } from './answer-parts.js';
import { CHAT_REASONS, refusalOf } from './finish-reasons.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/** OpenAI chat completions, the older text completions, and the many servers that speak them. */
export const openAiChatShape: AnswerShape = {
  matches: (answer) => OBJECTS.has(answer['object']) || (Array.isArray(answer['choices']) && looksLikeCompletion(answer, answer['choices'])),
  inspect: (answer): Inspection => {
    const choices = listOf(answer['choices']);
    const first = choices[0];
    return {
      refused: refuse(choices),
      usage: readUsage(answer['usage']),
      model: textOf(answer['model']),
      finishReason: isRecord(first) ? textOf(first['finish_reason']) : undefined,
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
  const refused = finish === undefined ? undefined : refusalOf(CHAT_REASONS, finish);
  if (refused !== undefined) return refused;
  const message = choice['message'] ?? { content: choice['text'] };
  if (!isRecord(message)) return 'empty';
  if (isText(message['refusal'])) return 'refusal';
  return answers(message) ? undefined : 'empty';
}

function answers({ content, tool_calls: toolCalls, function_call: functionCall, audio }: Record<string, unknown>): boolean {
  return saysSomething(content) || listOf(toolCalls).length > 0 || isRecord(functionCall) || isRecord(audio);
}

function readUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  return usageOf(count(usage['prompt_tokens']), count(usage['completion_tokens']), usage['total_tokens']);
}
