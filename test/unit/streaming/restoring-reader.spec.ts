import { describe, expect, it } from '@jest/globals';
import { builtInDetector } from '../../../lib/redaction/detectors/built-in-detectors.js';
import { DetectingRedactor } from '../../../lib/redaction/detecting-redactor.js';
import { END, WAIT, type ChunkReader } from '../../../lib/streaming/chunk-reader.js';
import { RestoringReader } from '../../../lib/streaming/restoring-reader.js';
import type { PiiSpan, Redaction } from '../../../lib/core/pii.js';

/** Chunks of many shapes. */
type Loose = ReturnType<typeof JSON.parse>;

/** A value that JSON must escape, beside one that it need not. */
const QUOTED = 'a "quoted"\\ value\nof two lines';
const MAIL = 'jane@example.com';
const quoting = {
  id: 'quoting',
  version: '1',
  detect: (text: string): PiiSpan[] => (text.includes(QUOTED) ? [{ start: text.indexOf(QUOTED), end: text.indexOf(QUOTED) + QUOTED.length, type: 'NOTE' }] : []),
};
const redaction = new DetectingRedactor([builtInDetector(), quoting]).redact(`${MAIL} and ${QUOTED}`, { path: [], direction: 'request', reversible: true }) as Redaction<unknown>;

class Chunks implements ChunkReader {
  hasLeft = false;
  callbacks: Array<() => void> = [];
  constructor(readonly chunks: unknown[]) {}
  take(): unknown {
    return this.chunks.length > 0 ? this.chunks.shift() : END;
  }
  whenReady(callback: () => void): void {
    this.callbacks.push(callback);
  }
  leave(): void {
    this.hasLeft = true;
  }
}

function read(chunks: readonly unknown[]): Loose[] {
  const before = JSON.stringify(chunks);
  const reader = new RestoringReader(new Chunks([...chunks]), redaction);
  const taken: unknown[] = [];
  for (let chunk = reader.take(); chunk !== END; chunk = reader.take()) taken.push(chunk);
  expect(JSON.stringify(chunks)).toBe(before);
  return taken;
}

const splits = (text: string): Array<[string, string]> => Array.from({ length: text.length + 1 }, (_, at) => [text.slice(0, at), text.slice(at)]);

const SAID = 'Write to [[EMAIL_1]], [email_1] or [[EMAIL\\_1]] [1] and [[PHONE_7]] 🙂 [';
const SAID_RESTORED = `Write to ${MAIL}, ${MAIL} or ${MAIL} [1] and [[PHONE_7]] 🙂 [`;
const ARGUMENTS = '{"to":"[[EMAIL_1]]","list":["[[NOTE_1]]"]}';
const WANTED = { to: MAIL, list: [QUOTED] };
const [LIST, WANTED_LIST] = ['["[[NOTE_1]]"]', [QUOTED]];

const choice = (delta: object, { index = 0, finish = null as string | null } = {}) => ({
  id: 'chatcmpl-1', object: 'chat.completion.chunk', model: 'gpt', choices: [{ index, delta, finish_reason: finish }],
});
const tool = (index: number, text: string, start: object = {}) => choice({ tool_calls: [{ index, ...start, function: { ...('id' in start ? { name: 'send' } : {}), arguments: text } }] });
const contentOf = (chunks: Loose[], index = 0): string => chunks.flatMap(({ choices }) => choices).filter((one: Loose) => one.index === index).map(({ delta }: Loose) => delta.content ?? '').join('');
const callsOf = (chunks: Loose[]): Loose[] => chunks.flatMap(({ choices }) => choices).flatMap(({ delta }: Loose) => delta.tool_calls ?? []);
const argumentsOf = (chunks: Loose[], index: number): string => callsOf(chunks).filter((call) => call.index === index).map((call) => call.function?.arguments ?? '').join('');

describe('a stream with the own values of its caller', () => {
  /** Each makes chunks of two pieces of what is said, and joins what was read. */
  const shapes: Record<string, [make: (a: string, b: string) => unknown[], join: (chunks: Loose[]) => string]> = {
    'plain strings': [(a, b) => [a, b], (chunks) => chunks.join('')],
    'chat chunks, the end apart': [(a, b) => [choice({ role: 'assistant', content: '' }), choice({ content: a }), choice({ content: b }), choice({}, { finish: 'stop' })], contentOf],
    'chat chunks, the end with the last piece': [(a, b) => [choice({ content: a }), choice({ content: b }, { finish: 'stop' })], contentOf],
    'chat chunks, no end': [(a, b) => [choice({ content: a }), choice({ content: b })], contentOf],
    'chat chunks, then usage': [
      (a, b) => [choice({ content: a }), choice({ content: b }), choice({}, { finish: 'stop' }), { choices: [], usage: { total_tokens: 1 } }],
      contentOf,
    ],
    'Anthropic events': [
      (a, b) => [
        { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: a } },
        { type: 'ping' },
        { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: b } },
        { type: 'content_block_stop', index: 0 },
        { type: 'message_delta', delta: { stop_reason: 'end_turn' } },
      ],
      (chunks) => chunks.map(({ delta }) => delta?.text ?? '').join(''),
    ],
    'Responses events': [
      (a, b) => [a, b].map((delta) => ({ type: 'response.output_text.delta', item_id: 'm', output_index: 0, content_index: 0, delta })).concat([{ type: 'response.output_text.done', output_index: 0, content_index: 0 } as never]),
      (chunks) => chunks.map(({ delta }) => delta ?? '').join(''),
    ],
    'AI SDK parts': [
      (a, b) => [{ type: 'text-start', id: '0' }, { type: 'text-delta', id: '0', text: a }, { type: 'tool-input-delta', id: 'call', delta: '{' }, { type: 'text-delta', id: '0', text: b }, { type: 'text-end', id: '0' }],
      (chunks) => chunks.map(({ text }) => text ?? '').join(''),
    ],
    'UI chunks': [
      (a, b) => [{ type: 'text-delta', id: '0', delta: a }, { type: 'tool-input-delta', toolCallId: 'c', inputTextDelta: '{' }, { type: 'text-delta', id: '0', delta: b }, { type: 'finish' }],
      (chunks) => chunks.map(({ delta }) => delta ?? '').join(''),
    ],
    'Gemini chunks': [
      (a, b) => [a, b].map((text) => ({ candidates: [{ content: { role: 'model', parts: [{ text }] } }] })),
      (chunks) => chunks.map(({ candidates }) => candidates[0].content.parts[0].text).join(''),
    ],
  };

  it.each(Object.entries(shapes))('is whole, split at every position: %s', (_name, [make, join]) => {
    for (const [a, b] of splits(SAID)) expect([a, join(read(make(a, b)))]).toEqual([a, SAID_RESTORED]);
  });

  /** The same for arguments of tools, which are JSON. */
  const tools: Record<string, [make: (a: string, b: string) => unknown[], join: (chunks: Loose[]) => string]> = {
    'chat chunks': [(a, b) => [tool(0, '', { id: 'call_1', type: 'function' }), tool(0, a), tool(0, b), choice({}, { finish: 'tool_calls' })], (chunks) => argumentsOf(chunks, 0)],
    'Anthropic events': [
      (a, b) => [a, b].map((partial_json) => ({ type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json } })),
      (chunks) => chunks.map(({ delta }) => delta.partial_json).join(''),
    ],
    'Responses events, after a text': [
      (a, b) => [
        { type: 'response.output_text.delta', output_index: 0, content_index: 0, delta: 'See [' },
        ...[a, b].map((delta) => ({ type: 'response.function_call_arguments.delta', output_index: 1, delta })),
      ],
      (chunks) => chunks.filter(({ output_index: index }) => index === 1).map(({ delta }) => delta).join(''),
    ],
    'AI SDK parts': [(a, b) => [a, b].map((delta) => ({ type: 'tool-input-delta', id: 'call', delta })), (chunks) => chunks.map(({ delta }) => delta).join('')],
    'UI chunks': [(a, b) => [a, b].map((inputTextDelta) => ({ type: 'tool-input-delta', toolCallId: 'call', inputTextDelta })), (chunks) => chunks.map((chunk) => chunk.inputTextDelta).join('')],
    'plain strings of JSON': [(a, b) => [a, b], (chunks) => chunks.join('')],
  };

  it.each(Object.entries(tools))('stays valid JSON, split at every position: %s', (_name, [make, join]) => {
    for (const [a, b] of splits(ARGUMENTS)) expect(JSON.parse(join(read(make(a, b))))).toEqual(WANTED);
    for (const [a, b] of splits(LIST)) expect(JSON.parse(join(read(make(a, b))))).toEqual(WANTED_LIST);
  });

  it('keeps choices apart that take turns, and calls of tools', () => {
    const choices = [choice({ content: 'to [[EMA' }), choice({ content: '[[NOTE' }, { index: 1 }), choice({ content: 'IL_1]]' }), choice({ content: '_1]] [' }, { index: 1 }), choice({}, { finish: 'stop' }), choice({}, { index: 1, finish: 'stop' })];
    expect(contentOf(read(choices))).toBe(`to ${MAIL}`);
    expect(contentOf(read(choices), 1)).toBe(`${QUOTED} [`);
    const calls = [tool(0, '{"a":"[[EM'), tool(1, '["[[NO'), tool(0, 'AIL_1]]"}'), tool(1, 'TE_1]]"]'), choice({}, { finish: 'tool_calls' })];
    expect(argumentsOf(read(calls), 0)).toBe(JSON.stringify({ a: MAIL }));
    expect(argumentsOf(read(calls), 1)).toBe(JSON.stringify([QUOTED]));
  });

  it('says what it held back before the end, once, and nothing else twice', () => {
    const start = { id: 'chatcmpl-1', model: 'gpt', usage: { total_tokens: 3 }, choices: [
      { index: 0, delta: { role: 'assistant', content: 'x [[EM', tool_calls: [{ index: 0, id: 'call_1', function: { name: 'send', arguments: '{"a":"[[' } }] }, finish_reason: null },
      { index: 1, delta: { content: 'other' }, finish_reason: 'stop' },
    ] };
    const taken = read([start, choice({}, { finish: 'length' })]);
    expect(contentOf(taken)).toBe('x [[EM');
    expect(argumentsOf(taken, 0)).toBe('{"a":"[[');
    expect(contentOf(taken, 1)).toBe('other');
    expect(callsOf(taken).filter((call) => call.function.name === 'send')).toHaveLength(1);
    expect(taken.filter(({ usage }) => usage !== undefined)).toHaveLength(1);
    expect(taken.flatMap(({ choices }) => choices).filter((one: Loose) => one.finish_reason !== null)).toHaveLength(2);
    expect(taken.at(-1).choices[0].finish_reason).toBe('length');
  });

  it('restores events that hold a whole text as they are, without another of their kind', () => {
    const done = (text: string) => [
      { type: 'response.output_text.done', output_index: 0, content_index: 0, text },
      { type: 'response.completed', response: { output: [{ type: 'function_call', arguments: ARGUMENTS }] } },
    ];
    const taken = read(done('to [[EMAIL_1]] ['));
    expect(taken).toHaveLength(2);
    expect(taken[0].text).toBe(`to ${MAIL} [`);
    expect(JSON.parse(taken[1].response.output[0].arguments)).toEqual(WANTED);
  });

  it('gives chunks without placeholders as they are', () => {
    const chunks = [choice({ content: 'a' }), { type: 'ping' }, 5, undefined, null, Buffer.from('[[EMAIL_1]]')];
    expect(read(chunks).every((chunk, index) => chunk === chunks[index])).toBe(true);
  });

  it('waits as the stream does, and gives first what it has', () => {
    const inner = new Chunks(['a [[EM', WAIT, 'AIL_1]] [', WAIT]);
    const reader = new RestoringReader(inner, redaction);
    let called = 0;
    const call = (): void => void called++;
    expect([reader.take(), reader.take()]).toEqual(['a ', WAIT]);
    reader.whenReady(call);
    expect([called, inner.callbacks.length]).toEqual([0, 1]);
    inner.callbacks[0]!();
    expect(called).toBe(1);
    expect([reader.take(), reader.take(), reader.take(), reader.take(), reader.take()]).toEqual([`${MAIL} `, WAIT, '[', END, END]);
    reader.leave();
    expect(inner.hasLeft).toBe(true);
  });

  it('calls back at once while a chunk is left, and asks for no more', () => {
    const inner = new Chunks([choice({ content: '[' }), choice({}, { finish: 'stop' })]);
    const reader = new RestoringReader(inner, redaction);
    const taken = [reader.take(), reader.take()];
    let called = 0;
    reader.whenReady(() => called++);
    expect([contentOf(taken), called, inner.callbacks.length]).toEqual(['[', 1, 0]);
  });

  it('fails as the stream does, after what came before', () => {
    const failing = { take: (): unknown => { throw new Error('cut'); }, whenReady: () => undefined, leave: () => undefined };
    expect(() => new RestoringReader(failing, redaction).take()).toThrow('cut');
  });
});
