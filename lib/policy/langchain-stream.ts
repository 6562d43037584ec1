import { isRecord } from '../core/check-options.js';
import type { LlmUsage } from '../core/types.js';
import { count, listOf, recordOf } from './answer-parts.js';
import type { StreamShape } from './streamed-answer.js';

type Fields = Record<string, unknown>;

/** LangChain's AI message chunks in either written form. Without a finish reason in any of them, the message is unfinished. */
export const langChainStream: StreamShape = {
  matches: (chunk) => fieldsOf(chunk) !== undefined,
  assemble: (chunks) => {
    const content: unknown[] = [];
    const metadata: Fields = {};
    const kwargs: Fields = {};
    const calls: Call[] = [];
    const whole = { tool_calls: [] as unknown[], invalid_tool_calls: [] as unknown[] };
    let usage: LlmUsage | undefined;
    for (const chunk of chunks) {
      const message = fieldsOf(chunk);
      if (message === undefined) continue;
      content.push(...(Array.isArray(message['content']) ? (message['content'] as unknown[]) : [message['content'] ?? '']));
      Object.assign(metadata, present(message['response_metadata']));
      addTexts(kwargs, present(message['additional_kwargs']));
      usage = withUsage(usage, message['usage_metadata']);
      const pieces = listOf(message['tool_call_chunks']).filter(isRecord);
      for (const piece of pieces) addCall(calls, piece);
      if (pieces.length === 0) {
        whole.tool_calls.push(...listOf(message['tool_calls']));
        whole.invalid_tool_calls.push(...listOf(message['invalid_tool_calls']));
      }
    }
    return {
      type: 'ai',
      content: content.every((part) => typeof part === 'string') ? content.join('') : content,
      additional_kwargs: kwargs,
      response_metadata: metadata,
      tool_call_chunks: calls,
      tool_calls: [...whole.tool_calls, ...calls.filter(isReadable)],
      invalid_tool_calls: [...whole.invalid_tool_calls, ...calls.filter((call) => !isReadable(call))],
      ...(usage === undefined ? {} : { usage_metadata: { input_tokens: usage.inputTokens, output_tokens: usage.outputTokens, total_tokens: usage.totalTokens } }),
    };
  },
};

/** As the first chunk of a server that names no role, `ChatOpenAI` gives one that is of no role either. */
const TYPES: ReadonlySet<unknown> = new Set(['ai', 'generic']);
const CLASSES: ReadonlySet<unknown> = new Set(['AIMessageChunk', 'ChatMessageChunk']);

/** The fields of a chunk: of an instance, of what `toDict` makes of it, or of what `JSON.stringify` does. */
function fieldsOf({ type, id, lc, kwargs, ...rest }: Fields): Fields | undefined {
  if (type === 'constructor') return lc === 1 && CLASSES.has(listOf(id).at(-1)) && isRecord(kwargs) ? kwargs : undefined;
  return TYPES.has(type) ? [rest, rest['data']].find(isMessage) : undefined;
}

function isMessage(value: unknown): value is Fields {
  return isRecord(value) && 'content' in value && isRecord(value['response_metadata']);
}

/** One tool call, as far as it is there. */
interface Call {
  index: unknown;
  id: unknown;
  name: unknown;
  args: string;
}

function addCall(calls: Call[], { index, id, name, args }: Fields): void {
  const text = typeof args === 'string' ? args : '';
  const known = calls.findLast((call) => (index === undefined ? id === undefined : call.index === index));
  if (known === undefined || (id !== undefined && known.id !== undefined && known.id !== id)) {
    calls.push({ index, id, name, args: text });
  } else {
    known.args += text;
    known.id ??= id;
    known.name ??= name;
  }
}

function isReadable({ args }: Call): boolean {
  try {
    return args === '' || isRecord(JSON.parse(args));
  } catch {
    return false;
  }
}

/** A refusal comes in pieces; the rest of these fields is not looked into. */
function addTexts(kwargs: Fields, pieces: Fields): void {
  for (const [field, piece] of Object.entries(pieces)) {
    const known = kwargs[field];
    kwargs[field] = typeof known === 'string' && typeof piece === 'string' ? known + piece : piece;
  }
}

/** LangChain adds up what each chunk reports. */
function withUsage(sum: LlmUsage | undefined, usage: unknown): LlmUsage | undefined {
  if (!isRecord(usage)) return sum;
  const { inputTokens = 0, outputTokens = 0, totalTokens = 0 } = sum ?? {};
  return {
    inputTokens: inputTokens + count(usage['input_tokens']),
    outputTokens: outputTokens + count(usage['output_tokens']),
    totalTokens: totalTokens + count(usage['total_tokens']),
  };
}

/** What says nothing does not undo what was said. Never `__proto__`. */
function present(fields: unknown): Fields {
  return Object.fromEntries(Object.entries(recordOf(fields)).filter(([field, value]) => value !== null && value !== undefined && value !== '' && field !== '__proto__'));
}
