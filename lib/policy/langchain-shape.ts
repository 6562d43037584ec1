import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { count, isText, listOf, recordOf, saysSomething, sumOfUsage, textOf, usageOf } from './answer-parts.js';
import { ALL_REASONS, refusalOf } from './finish-reasons.js';
import type { AnswerShape, Inspection, RefusalReason } from './gate.js';

/**
 * LangChain's AI messages, as instances or in either written form, and the results of `generate`. Messages of people
 * and of tools are no answers of a model, and pass.
 */
export const langChainShape: AnswerShape = {
  matches: (answer) => fieldsOf(answer) !== undefined || isResult(answer),
  inspect: (answer): Inspection => {
    const message = fieldsOf(answer);
    return message === undefined ? inspectResult(answer) : inspectMessage(message);
  },
};

/** The fields of an AI message: of an instance, of what `toDict` makes of it, or of what `JSON.stringify` does. */
function fieldsOf(value: unknown): Record<string, unknown> | undefined {
  if (!isRecord(value)) return undefined;
  const { type } = value;
  if (type === 'ai') return [value, value['data']].find(isMessage);
  if (type !== 'constructor' || value['lc'] !== 1) return undefined;
  const { id, kwargs } = value;
  const name: unknown = Array.isArray(id) ? id.at(-1) : undefined;
  return (name === 'AIMessage' || name === 'AIMessageChunk') && isRecord(kwargs) ? kwargs : undefined;
}

/** A message of a chat app may be of type `ai` as well. */
function isMessage(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && 'content' in value && (isRecord(value['response_metadata']) || isRecord(value['additional_kwargs']));
}

/** ChatResult, or LLMResult with a list for each prompt. */
function isResult(answer: Record<string, unknown>): boolean {
  const { generations } = answer;
  if (!Array.isArray(generations)) return false;
  const [first] = generations.flat(1) as unknown[];
  if (first === undefined) return 'llmOutput' in answer;
  return isRecord(first) && typeof first['text'] === 'string' && ('message' in first || 'generationInfo' in first);
}

function inspectResult({ generations, llmOutput }: Record<string, unknown>): Inspection {
  const lists = listOf(generations);
  const inspections = lists.flat(1).map(inspectGeneration);
  const isEmpty = inspections.length === 0 || lists.some((list) => Array.isArray(list) && list.length === 0);
  return {
    refused: inspections.find(({ refused }) => refused !== undefined)?.refused ?? (isEmpty ? 'empty' : undefined),
    usage: readTokenUsage(recordOf(llmOutput)['tokenUsage']) ?? sumOfUsage(inspections.map(({ usage }) => usage)),
    model: inspections[0]?.model ?? textOf(recordOf(llmOutput)['model_name']),
    finishReason: inspections[0]?.finishReason,
  };
}

function inspectGeneration(generation: unknown): Inspection {
  const { message, text, generationInfo } = recordOf(generation);
  return inspectMessage(fieldsOf(message) ?? { content: text }, recordOf(generationInfo));
}

function inspectMessage(message: Record<string, unknown>, generationInfo: Record<string, unknown> = {}): Inspection {
  const metadata = { ...generationInfo, ...recordOf(message['response_metadata']) };
  const finishReason = finishReasonOf(message, metadata);
  return {
    refused: refuse(message, finishReason),
    usage: readUsage(message['usage_metadata']) ?? readTokenUsage(metadata['tokenUsage']),
    model: textOf(metadata['model_name']) ?? textOf(metadata['model']),
    finishReason: textOf(finishReason),
  };
}

/** Where the integrations keep the vendor's word: OpenAI and others, Anthropic, Google, Bedrock, Ollama. */
const REASON_FIELDS = ['finish_reason', 'stop_reason', 'finishReason', 'stopReason', 'done_reason'];

function finishReasonOf({ additional_kwargs: kwargs }: Record<string, unknown>, metadata: Record<string, unknown>): unknown {
  const incomplete = textOf(recordOf(metadata['incomplete_details'])['reason']);
  if (incomplete !== undefined) return incomplete;
  for (const field of REASON_FIELDS) if (metadata[field] !== undefined) return metadata[field];
  return recordOf(kwargs)['stop_reason'] ?? (metadata['object'] === 'response' ? metadata['status'] : undefined);
}

function refuse(message: Record<string, unknown>, finishReason: unknown): RefusalReason | undefined {
  // Absent, the integration does not pass it on; a chunk without one is a part of a stream.
  const isWhole = finishReason === undefined && !('tool_call_chunks' in message);
  const refused = isWhole ? undefined : refusalOf(ALL_REASONS, finishReason);
  if (refused !== undefined) return refused;
  const { content, tool_calls: toolCalls, invalid_tool_calls: invalidToolCalls } = message;
  const kwargs = recordOf(message['additional_kwargs']);
  if (listOf(invalidToolCalls).length > 0) return 'error';
  if (isText(kwargs['refusal']) || listOf(content).some((part) => recordOf(part)['type'] === 'refusal')) return 'refusal';
  const says = saysSomething(content) || listOf(toolCalls).length > 0 || isRecord(kwargs['function_call']) || isRecord(kwargs['audio']);
  return says ? undefined : 'empty';
}

function readUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  return usageOf(count(usage['input_tokens']), count(usage['output_tokens']), usage['total_tokens']);
}

function readTokenUsage(usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return undefined;
  const read = usageOf(count(usage['promptTokens']), count(usage['completionTokens']), usage['totalTokens']);
  return read.totalTokens === 0 ? undefined : read; // `{}` where a stream did not tell
}
