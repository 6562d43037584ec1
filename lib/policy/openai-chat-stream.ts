import { isRecord } from '../core/check-options.js';
import type { StreamShape } from './streamed-answer.js';

type Fields = Record<string, unknown>;

/** Streamed OpenAI chat completions and the older text completions, and the way from one shape to the other. */
export const openAiChatStream: StreamShape = {
  matches: (chunk) => OBJECTS.has(chunk['object']) || recordsIn(chunk['choices']).some((choice) => isRecord(choice['delta'])),
  assemble: (chunks) => {
    const answer: Fields = {};
    const choices = new Map<number, Fields>();
    for (const chunk of chunks) {
      if (!Array.isArray(chunk['choices']) && !OBJECTS.has(chunk['object'])) continue;
      addHead(answer, chunk);
      for (const choice of recordsIn(chunk['choices'])) addChoice(choices, choice);
    }
    answer['object'] = answer['object'] === 'text_completion' ? 'text_completion' : 'chat.completion';
    answer['choices'] = [...choices.entries()].sort(([a], [b]) => a - b).map(([, choice]) => whole(choice));
    return answer;
  },
};

const OBJECTS: ReadonlySet<unknown> = new Set(['chat.completion.chunk', 'text_completion']);

/** What identifies a completion is in its first chunk that has it; Azure sends one before, with blanks. */
const IDENTITY: ReadonlySet<string> = new Set(['id', 'object', 'created', 'model']);

/** Of everything else, such as the usage so far or the sources found so far, the last one counts. */
function addHead(answer: Fields, chunk: Fields): void {
  for (const field of Object.keys(chunk)) {
    const value = chunk[field];
    if (field === 'choices' || (value !== undefined && value === answer[field])) continue;
    const isWorse = IDENTITY.has(field) ? Boolean(own(answer, field)) : value === null;
    if (!isWorse || !Object.hasOwn(answer, field)) set(answer, field, value);
  }
}

function addChoice(choices: Map<number, Fields>, piece: Fields): void {
  const index = typeof piece['index'] === 'number' ? piece['index'] : 0;
  const choice: Fields = choices.get(index) ?? { index, finish_reason: null };
  choices.set(index, choice);
  for (const field of Object.keys(piece)) {
    const value = piece[field];
    if (field === 'delta' || (value === null && Object.hasOwn(choice, field))) continue;
    const present = own(choice, field);
    if (field === 'logprobs' && isRecord(value) && isRecord(present)) addDelta(present, value);
    else if (field === 'text' && typeof value === 'string' && typeof present === 'string') choice[field] = present + value;
    else set(choice, field, copied(value));
  }
  const { delta } = piece;
  if (!isRecord(delta)) return;
  const message = (choice['message'] ??= { role: 'assistant', content: null }) as Fields;
  addDelta(message, delta);
}

/** Fields that name something; every other text is a piece of a longer one. */
const NAMES: ReadonlySet<string> = new Set(['role', 'id', 'type', 'name', 'index', 'format']);

/** Texts are appended, objects are merged, lists are joined; items with an `index` in what is streamed are merged by it. */
function addDelta(target: Fields, delta: Fields): void {
  for (const field of Object.keys(delta)) {
    const piece = delta[field];
    const present = own(target, field);
    if (piece === undefined || (Object.hasOwn(target, field) && (piece === null || (piece === '' && NAMES.has(field))))) continue;
    if (field === 'tool_calls' && Array.isArray(piece)) set(target, field, withCalls(Array.isArray(present) ? (present as unknown[]) : [], piece));
    else if (typeof piece === 'string' && typeof present === 'string' && !NAMES.has(field)) set(target, field, present + piece);
    else if (Array.isArray(piece) && Array.isArray(present)) addItems(present as unknown[], piece);
    else if (isRecord(piece) && isRecord(present)) addDelta(present, piece);
    else set(target, field, copied(piece));
  }
}

function addItems(list: unknown[], pieces: readonly unknown[]): void {
  for (const piece of pieces) {
    const index = isRecord(piece) ? piece['index'] : undefined;
    const item = typeof index === 'number' ? list.find((candidate) => isRecord(candidate) && candidate['index'] === index) : undefined;
    if (item === undefined) list.push(copied(piece));
    else addDelta(item as Fields, piece as Fields);
  }
}

/**
 * A piece belongs to the last call of its index, or to the last one of all where a server counts none. One with another
 * id is a call of its own: some servers send whole calls and number each of them 0.
 */
function withCalls(calls: unknown[], pieces: readonly unknown[]): unknown[] {
  for (const piece of pieces) {
    const { index, id } = isRecord(piece) ? piece : {};
    const call = calls.findLast((candidate) => isRecord(candidate) && (index === undefined || index === null || candidate['index'] === index)) as Fields | undefined;
    const isOther = call === undefined || !isRecord(piece) || (isFilled(id) && isFilled(call['id']) && id !== call['id']);
    if (isOther) calls.push(copied(piece));
    else addDelta(call, piece);
  }
  return calls;
}

function isFilled(id: unknown): boolean {
  return id !== undefined && id !== null && id !== '';
}

/** A whole chat completion as the chunks of a stream: per choice its message and its end, then the usage. */
export function chunksOfCompletion(completion: Fields): Fields[] {
  const { choices, usage, ...rest } = completion;
  const head = { ...rest, object: 'chat.completion.chunk' };
  const chunks: Fields[] = [];
  for (const [place, { message, index: given, finish_reason: finishReason = ENDED, ...extra }] of recordsIn(choices).entries()) {
    const index = typeof given === 'number' ? given : place;
    chunks.push(
      { ...head, choices: [{ index, delta: withIndices(message), finish_reason: null, ...extra }] },
      { ...head, choices: [{ index, delta: {}, finish_reason: finishReason }] },
    );
  }
  if (usage === undefined && chunks.length > 0) return chunks;
  return [...chunks, { ...head, choices: [], ...(usage === undefined ? {} : { usage }) }];
}

/** A whole answer has ended, also one of a server that does not say how. */
const ENDED = 'stop';

/** Tool calls are told apart by an index in a stream, by their place in a message. */
function withIndices(message: unknown): Fields {
  if (!isRecord(message)) return {};
  const { tool_calls: toolCalls } = message;
  if (!Array.isArray(toolCalls)) return message;
  return { ...message, tool_calls: toolCalls.map((call, index) => (isRecord(call) ? Object.assign({}, call, { index }) : (call as unknown))) };
}

function whole(choice: Fields): Fields {
  const { message } = choice;
  if (!isRecord(message) || !Array.isArray(message['tool_calls'])) return choice;
  const calls = message['tool_calls'].map((call) => {
    if (!isRecord(call)) return call as unknown;
    const { index: _index, ...rest } = call;
    return rest;
  });
  return { ...choice, message: { ...message, tool_calls: calls } };
}

function recordsIn(list: unknown): Fields[] {
  return Array.isArray(list) ? list.filter(isRecord) : [];
}

/** Chunks are somebody else's, and what is assembled is changed with each of them. */
function copied(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? structuredClone(value) : value;
}

/** A server names the fields: `__proto__` must be one like any other. */
function own(record: Fields, field: string): unknown {
  return Object.hasOwn(record, field) ? record[field] : undefined;
}

function set(record: Fields, field: string, value: unknown): void {
  if (field === '__proto__') Object.defineProperty(record, field, { value, writable: true, enumerable: true, configurable: true });
  else record[field] = value;
}
