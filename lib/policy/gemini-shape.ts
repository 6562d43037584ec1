import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { count, isText, listOf, recordOf, textOf, usageOf } from './answer-parts.js';
import { GEMINI_REASONS, refusalOf } from './finish-reasons.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/** Gemini's `generateContent`, from the Developer API and from Vertex, in camelCase or in snake_case as its Python SDK writes it. */
export const geminiShape: AnswerShape = {
  matches: (answer) => {
    const { candidates } = answer;
    if (candidates === undefined || candidates === null) return isText(blockReasonOf(answer)) || (hasUsage(answer) && isText(modelOf(answer)));
    if (!Array.isArray(candidates)) return false;
    return hasUsage(answer) || isRecord(either(answer, 'promptFeedback', 'prompt_feedback')) || isCandidate(candidates[0]);
  },
  inspect: (answer): Inspection => {
    const candidates = listOf(answer['candidates']);
    return {
      refused: refuse(answer, candidates),
      usage: readUsage(either(answer, 'usageMetadata', 'usage_metadata')),
      model: textOf(modelOf(answer)),
      finishReason: textOf(finishReasonOf(recordOf(candidates[0]))) ?? textOf(blockReasonOf(answer)),
    };
  },
};

function refuse(answer: Record<string, unknown>, candidates: readonly unknown[]): RefusalReason | undefined {
  if (candidates.length === 0) return isText(blockReasonOf(answer)) ? 'content-filter' : 'empty';
  for (const candidate of candidates) {
    const reason = refuseCandidate(recordOf(candidate));
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function refuseCandidate(candidate: Record<string, unknown>): RefusalReason | undefined {
  // Absent, Gemini says, the model has not stopped yet: so are the chunks of a stream.
  const refused = refusalOf(GEMINI_REASONS, finishReasonOf(candidate));
  if (refused !== undefined) return refused;
  return partsOf(candidate).some(isAnswer) ? undefined : 'empty';
}

/** Thoughts, and code that ran at the provider with what it printed, are not what was asked for. */
function isAnswer(part: unknown): boolean {
  if (!isRecord(part) || part['thought'] === true) return false;
  return isText(part['text']) || ANSWERS.some((field) => isRecord(part[field]));
}

const ANSWERS = ['functionCall', 'function_call', 'inlineData', 'inline_data', 'fileData', 'file_data'];

/** An election has candidates too. */
function isCandidate(candidate: unknown): boolean {
  if (!isRecord(candidate)) return false;
  return Array.isArray(recordOf(candidate['content'])['parts']) || GEMINI_REASONS.has(finishReasonOf(candidate));
}

function partsOf({ content }: Record<string, unknown>): readonly unknown[] {
  return listOf(recordOf(content)['parts']);
}

function finishReasonOf(candidate: Record<string, unknown>): unknown {
  return either(candidate, 'finishReason', 'finish_reason');
}

function blockReasonOf(answer: Record<string, unknown>): unknown {
  return either(recordOf(either(answer, 'promptFeedback', 'prompt_feedback')), 'blockReason', 'block_reason');
}

function modelOf(answer: Record<string, unknown>): unknown {
  return either(answer, 'modelVersion', 'model_version');
}

function hasUsage(answer: Record<string, unknown>): boolean {
  const usage = either(answer, 'usageMetadata', 'usage_metadata');
  return isRecord(usage) && typeof either(usage, 'promptTokenCount', 'prompt_token_count') === 'number';
}

/** Thinking is paid for as output, and what a tool of Gemini's found as input; both are counted apart. */
function readUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  const tokens = (camel: string, snake: string): number => count(either(usage, camel, snake));
  const input = tokens('promptTokenCount', 'prompt_token_count') + tokens('toolUsePromptTokenCount', 'tool_use_prompt_token_count');
  const output = tokens('candidatesTokenCount', 'candidates_token_count') + tokens('thoughtsTokenCount', 'thoughts_token_count');
  return usageOf(input, output, either(usage, 'totalTokenCount', 'total_token_count'));
}

function either(record: Record<string, unknown>, camel: string, snake: string): unknown {
  return record[camel] ?? record[snake];
}
