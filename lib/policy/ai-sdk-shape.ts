import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { count, listOf, recordOf, saysSomething, sumOfUsage, textOf, usageOf } from './answer-parts.js';
import { AI_SDK_REASONS, ALL_REASONS, refusalOf } from './finish-reasons.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/**
 * Results of the AI SDK: of `generateText` and `generateObject` as they are, flattened by `revive`, or picked from;
 * and of a language model's `doGenerate`.
 */
export const aiSdkShape: AnswerShape = {
  matches: (answer) => {
    const { finishReason } = answer;
    if (finishReason === undefined) return isFlattened(answer);
    const isReason = isRecord(finishReason)
      ? typeof finishReason['unified'] === 'string'
      : AI_SDK_REASONS.has(finishReason) || (typeof finishReason === 'string' && hasUsage(answer['usage']));
    return isReason && FIELDS.some((field) => field in answer);
  },
  inspect: (answer): Inspection => {
    const steps = listOf(answer['steps']).filter(isRecord);
    const final = 'finishReason' in answer ? answer : steps.at(-1)!;
    const { unified } = reasonOf(final);
    return {
      refused: refuse(final, steps.length),
      usage: usageOfAll(answer, steps),
      model: modelOf(answer) ?? modelOf(final),
      finishReason: textOf(unified),
    };
  },
};

const FIELDS = ['text', 'content', 'object', 'output', 'toolCalls', 'steps'];

/** A result of `generateText` keeps its steps only; the rest is getters of its class, which are lost when it is written. */
function isFlattened({ steps }: Record<string, unknown>): boolean {
  const last: unknown = Array.isArray(steps) ? steps.at(-1) : undefined;
  return isRecord(last) && AI_SDK_REASONS.has(last['finishReason']) && Array.isArray(last['content']);
}

function hasUsage(usage: unknown): boolean {
  return isRecord(usage) && 'inputTokens' in usage && 'outputTokens' in usage;
}

/** The SDK's word, and the vendor's own. */
function reasonOf({ finishReason, rawFinishReason }: Record<string, unknown>): { unified: unknown; raw: unknown } {
  return isRecord(finishReason) ? { unified: finishReason['unified'], raw: finishReason['raw'] } : { unified: finishReason, raw: rawFinishReason };
}

function refuse(final: Record<string, unknown>, stepCount: number): RefusalReason | undefined {
  const refused = refuseReason(reasonOf(final));
  if (refused !== undefined) return refused;
  const toolCalls = listOf(final['toolCalls']);
  if ([...toolCalls, ...listOf(final['content'])].some((call) => recordOf(call)['invalid'] === true)) return 'error';
  // A model that asks for a tool is answered by the caller; in a loop the SDK was to answer it, and ran out of steps.
  if (reasonOf(final).unified === 'tool-calls' && (stepCount > 1 || hasToolResults(final))) return 'unfinished';
  return answers(final, toolCalls) ? undefined : 'empty';
}

/** The vendor's word decides where the SDK's is vague, and where it is kinder: Anthropic's `pause_turn` is a `stop`. */
function refuseReason({ unified, raw }: { unified: unknown; raw: unknown }): RefusalReason | undefined {
  const refused = refusalOf(AI_SDK_REASONS, unified);
  const isVague = refused === 'unfinished';
  return (refused === undefined || isVague) && ALL_REASONS.has(raw) ? ALL_REASONS.get(raw) : refused;
}

/** Results of tools that the SDK ran; those of a provider's own tools are on the way to its answer. */
function hasToolResults({ toolResults, content }: Record<string, unknown>): boolean {
  return listOf(toolResults).some(isOfSdk) || listOf(content).some((part) => isResult(part) && isOfSdk(part));
}

/** The SDK's results have an `output`, those a provider sends a `result`. */
function isResult(part: unknown): part is Record<string, unknown> {
  return isRecord(part) && (part['type'] === 'tool-error' || (part['type'] === 'tool-result' && 'output' in part));
}

function isOfSdk(result: unknown): boolean {
  return recordOf(result)['providerExecuted'] !== true;
}

function answers(final: Record<string, unknown>, toolCalls: readonly unknown[]): boolean {
  const { text, content, files, object, output } = final;
  return (
    saysSomething(text) || saysSomething(content) || saysSomething(toolCalls) || listOf(files).length > 0 || isThere(object) || isThere(output)
  );
}

function isThere(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

/** `usage` is that of the last step. */
function usageOfAll({ totalUsage, usage }: Record<string, unknown>, steps: ReadonlyArray<Record<string, unknown>>): LlmUsage | undefined {
  return readUsage(totalUsage) ?? (steps.length > 1 ? sumOfUsage(steps.map((step) => readUsage(step['usage']))) : undefined) ?? readUsage(usage);
}

/** Numbers, or since version 3 of the provider's interface `{ total, ... }`. */
function readUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  return usageOf(countOf(usage['inputTokens']), countOf(usage['outputTokens']), usage['totalTokens']);
}

function countOf(tokens: unknown): number {
  return count(isRecord(tokens) ? tokens['total'] : tokens);
}

function modelOf({ response, model }: Record<string, unknown>): string | undefined {
  return textOf(recordOf(response)['modelId']) ?? textOf(recordOf(model)['modelId']) ?? textOf(model);
}
