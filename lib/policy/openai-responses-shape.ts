import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { count, isText, listOf, recordOf, textOf, usageOf } from './answer-parts.js';
import { RESPONSES_REASONS, refusalOf } from './finish-reasons.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/** OpenAI Responses. */
export const openAiResponsesShape: AnswerShape = {
  matches: (answer) => {
    const { object, output, status } = answer;
    if (object === 'response') return Array.isArray(output) || STATUSES.has(status);
    return object === undefined && Array.isArray(output) && output.some(isItem);
  },
  inspect: (answer): Inspection => {
    const finishReason = textOf(recordOf(answer['incomplete_details'])['reason']) ?? answer['status'];
    return {
      refused: refuse(answer, finishReason),
      usage: readUsage(answer['usage']),
      model: textOf(answer['model']),
      finishReason: textOf(finishReason),
    };
  },
};

const STATUSES: ReadonlySet<unknown> = new Set(['completed', 'failed', 'in_progress', 'cancelled', 'queued', 'incomplete']);

/** What only a response has among its output, for a server that names no `object`. */
function isItem(item: unknown): boolean {
  if (!isRecord(item)) return false;
  if (item['type'] === 'function_call') return typeof item['call_id'] === 'string';
  return item['type'] === 'message' && listOf(item['content']).some(isPart);
}

function isPart(part: unknown): boolean {
  const { type } = recordOf(part);
  return type === 'output_text' || type === 'refusal';
}

/** Items that ask the caller for something, or that are what was asked for. The rest is how the model got there. */
const ANSWERS: ReadonlySet<unknown> = new Set([
  'function_call', 'custom_tool_call', 'computer_call', 'local_shell_call', 'shell_call', 'apply_patch_call', 'mcp_approval_request',
]);

function refuse(answer: Record<string, unknown>, finishReason: unknown): RefusalReason | undefined {
  const refused = finishReason === undefined ? undefined : refusalOf(RESPONSES_REASONS, finishReason);
  if (refused !== undefined) return refused;
  const output = listOf(answer['output']).filter(isRecord);
  if (output.some(isUnfinished)) return 'unfinished';
  const parts = output.filter(({ type }) => type === 'message').flatMap(({ content }) => listOf(content)).filter(isRecord);
  if (parts.some(({ refusal }) => isText(refusal))) return 'refusal';
  const says = isText(answer['output_text']) || parts.some(({ text }) => isText(text)) || output.some(isAnswer);
  return says ? undefined : 'empty';
}

/** A message or a call that was cut off. Finished images are known to say `generating`. */
function isUnfinished({ type, status }: Record<string, unknown>): boolean {
  return (type === 'message' || ANSWERS.has(type)) && (status === 'incomplete' || status === 'in_progress');
}

function isAnswer({ type, result }: Record<string, unknown>): boolean {
  return ANSWERS.has(type) || (type === 'image_generation_call' && isText(result));
}

function readUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  return usageOf(count(usage['input_tokens']), count(usage['output_tokens']), usage['total_tokens']);
}
