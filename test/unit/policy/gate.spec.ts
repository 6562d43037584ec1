import { describe, expect, it } from '@jest/globals';
import { type AnswerShape, inspectAnswer, type RefusalReason } from '../../../lib/policy/gate.js';
import { openAiChatShape } from '../../../lib/policy/openai-chat-shape.js';

const inspect = (answer: unknown): ReturnType<typeof inspectAnswer> => inspectAnswer(answer, [openAiChatShape]);

const TOOL_CALL = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } };

function choice(message: unknown, finishReason: unknown = 'stop'): unknown {
  return { index: 0, finish_reason: finishReason, message };
}

function completion(...choices: unknown[]): Record<string, unknown> {
  return { id: 'chatcmpl-1', object: 'chat.completion', model: 'gpt-4o-2024-08-06', choices };
}

const text = (content: unknown, finishReason?: unknown): unknown => choice({ role: 'assistant', content, refusal: null }, finishReason);

describe('gate, for plain values', () => {
  it.each<[answer: unknown]>([
    [0], [-0], [1], [Number.NaN], [false], [true], [1n], ['x'], [' '], [[]], [{}], [[null]], [new Date(0)], [new Map()], [{ a: null }],
    [{ error: null }], [{ error: [] }], [{ error: undefined }], [{ error: '' }], [{ error: false }], [{ error: 0 }], [{ error: 0.1 }], [{ errors: ['x'] }],
    [{ result: { error: 'inside' } }], [[{ error: 'x' }]], [Object.create({ error: 'inherited' })], [{ object: 'error' }], [{ object: 'error', message: null }], [{ choice: 'a' }], [{ choices: 'none' }],
  ])('%p may be stored (%#)', (answer) => {
    expect(inspect(answer)).toEqual({});
  });

  it.each<[reason: RefusalReason, answer: unknown]>([
    ['empty', undefined],
    ['empty', null],
    ['empty', ''],
    ['error', { error: 'rate limited' }],
    ['error', { error: true }],
    ['error', { error: { code: 429, message: 'slow down' } }],
    ['error', { error: {} }],
    ['error', { error: new Error('x') }],
    ['error', { status: 500, error: { type: 'server_error' } }],
    ['error', { object: 'error', message: 'The model `x` does not exist.', type: 'NotFoundError', param: null, code: 404 }],
    ['error', { ...completion(text('x')), error: { message: 'moderated' } }],
  ])('%s: %p is not stored (%#)', (reason, answer) => {
    expect(inspect(answer).refused).toBe(reason);
  });
});

describe('gate, for chat completions', () => {
  it.each<[finishReason: unknown, reason: RefusalReason | undefined]>([
    ['stop', undefined],
    ['eos', undefined],
    ['end_turn', undefined],
    ['stop_sequence', undefined],
    ['length', 'truncated'],
    ['max_tokens', 'truncated'],
    ['model_length', 'truncated'],
    ['content_filter', 'content-filter'],
    ['error', 'error'],
    ['abort', 'unfinished'],
    ['STOP', 'unfinished'],
    ['', 'unfinished'],
    [null, 'unfinished'],
    [undefined, undefined],
    [1, 'unfinished'],
    ['a reason of next year', 'unfinished'],
  ])('finish_reason %p: %p', (finishReason, reason) => {
    const choiceOf = { index: 0, finish_reason: finishReason, message: { role: 'assistant', content: 'x' } };
    expect(inspect(completion(choiceOf)).refused).toBe(reason);
  });

  it.each<[title: string, reason: RefusalReason | undefined, answer: unknown]>([
    ['text', undefined, completion(text('Tokyo.'))],
    ['content parts', undefined, completion(text([{ type: 'text', text: 'Tokyo.' }]))],
    ['no content at all', 'empty', completion(choice({ role: 'assistant' }))],
    ['null content', 'empty', completion(text(null))],
    ['empty content', 'empty', completion(text(''))],
    ['blank content', 'empty', completion(text(' \n\t'))],
    ['no content parts', 'empty', completion(text([]))],
    ['reasoning without text', 'empty', completion(choice({ content: '', reasoning_content: 'Let me think' }))],
    ['reasoning without text, cut off', 'truncated', completion(choice({ content: '', reasoning_content: 'Let me' }, 'length'))],
    ['a refusal', 'refusal', completion(choice({ content: null, refusal: 'I cannot help with that.' }))],
    ['a refusal beside text', 'refusal', completion(choice({ content: 'x', refusal: 'I cannot help with that.' }))],
    ['an empty refusal', undefined, completion(choice({ content: 'x', refusal: '' }))],
    ['tool calls without text', undefined, completion(choice({ content: null, tool_calls: [TOOL_CALL] }, 'tool_calls'))],
    ['tool calls that end with stop', undefined, completion(choice({ content: '', tool_calls: [TOOL_CALL] }))],
    ['no tool calls in the list', 'empty', completion(choice({ content: null, tool_calls: [] }, 'tool_calls'))],
    ['tool calls cut off', 'truncated', completion(choice({ content: null, tool_calls: [TOOL_CALL] }, 'length'))],
    ['a function call of the old kind', undefined, completion(choice({ content: null, function_call: { name: 'f', arguments: '{}' } }, 'function_call'))],
    ['audio', undefined, completion(choice({ content: null, audio: { id: 'a', data: 'AAAA' } }))],
    ['no choices', 'empty', completion()],
    ['no message', 'empty', completion({ index: 0, finish_reason: 'stop' })],
    ['a choice that is no object', 'empty', completion('x')],
    ['choices that are no list', 'empty', { object: 'chat.completion', choices: null }],
    ['two good choices', undefined, completion(text('a'), text('b'))],
    ['a second choice that is cut off', 'truncated', completion(text('a'), text('b', 'length'))],
    ['a first choice that is filtered, a second that is cut off', 'content-filter', completion(text('a', 'content_filter'), text('b', 'length'))],
    ['a second choice that is empty', 'empty', completion(text('a'), text(''))],
    ['a server that names no object', undefined, { choices: [text('x')] }],
    ['a server that names no object, cut off', 'truncated', { choices: [text('x', 'length')] }],
  ])('%s: %p', (_title, reason, answer) => {
    expect(inspect(answer).refused).toBe(reason);
  });

  it('reads what the books need, from answers it refuses too', () => {
    const usage = { prompt_tokens: 12, completion_tokens: 30, total_tokens: 42 };
    expect(inspect({ ...completion(text('x', 'length')), usage })).toEqual({
      refused: 'truncated',
      usage: { inputTokens: 12, outputTokens: 30, totalTokens: 42 },
      model: 'gpt-4o-2024-08-06',
      finishReason: 'length',
    });
  });

  it.each([
    [{ prompt_tokens: 1, completion_tokens: 2 }, { inputTokens: 1, outputTokens: 2, totalTokens: 3 }],
    [{ prompt_tokens: 1 }, { inputTokens: 1, outputTokens: 0, totalTokens: 1 }],
    [{ total_tokens: 9 }, { inputTokens: 0, outputTokens: 0, totalTokens: 9 }],
    [{}, { inputTokens: 0, outputTokens: 0, totalTokens: 0 }],
    [{ prompt_tokens: '1', completion_tokens: Number.NaN, total_tokens: -5 }, { inputTokens: 0, outputTokens: 0, totalTokens: 0 }],
    [null, undefined],
    [undefined, undefined],
    ['many', undefined],
  ])('usage %j counts as %j', (usage, read) => {
    expect(inspect({ ...completion(text('x')), usage }).usage).toEqual(read);
  });
});

describe('gate, as a table of shapes', () => {
  it('lets the first shape that matches decide', () => {
    const always = (refused: RefusalReason): AnswerShape => ({ matches: () => true, inspect: () => ({ refused }) });
    const never: AnswerShape = { matches: () => false, inspect: () => ({ refused: 'error' }) };
    expect(inspectAnswer({}, [never, always('truncated'), always('refusal')]).refused).toBe('truncated');
    expect(inspectAnswer({}, [never]).refused).toBeUndefined();
    expect(inspectAnswer({}, []).refused).toBeUndefined();
  });
});
