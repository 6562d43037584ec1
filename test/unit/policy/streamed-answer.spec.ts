import { AIMessageChunk } from '@langchain/core/messages';
import { describe, expect, it } from '@jest/globals';
import { ANSWER_SHAPES, STREAM_SHAPES } from '../../../lib/engine/admission.js';
import { wholeAnswer } from '../../../lib/engine/answers.js';
import { inspectAnswer } from '../../../lib/policy/gate.js';
import { assembleChunks } from '../../../lib/policy/streamed-answer.js';
import { chunkCodec, joinChunks } from '../../../lib/streaming/chunk-codec.js';

const assemble = (...chunks: unknown[]): unknown => assembleChunks(chunks, STREAM_SHAPES);
const judge = (...chunks: unknown[]): string => inspectAnswer(assemble(...chunks), ANSWER_SHAPES).refused ?? 'stored';

const chat = (content: string, finish: string | null = null): object => ({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { content }, finish_reason: finish }] });
const sse = (...data: unknown[]): string => data.map((one) => `data: ${typeof one === 'string' ? one : JSON.stringify(one)}\n\n`).join('');
const DONE = '[DONE]';

describe('what a stream is judged by', () => {
  it.each<[what: string, chunks: unknown[], verdict: string]>([
    ['no chunk', [], 'empty'],
    ['blank texts', ['', ''], 'empty'],
    ['texts', ['a', ''], 'stored'],
    ['bytes', [new Uint8Array([1, 2])], 'stored'],
    ['objects of nobody', [{ step: 1 }, { step: 2 }], 'stored'],
    ['an error among them', [{ step: 1 }, { error: 'down' }], 'error'],
    ['an error that says nothing', [{ step: 1, error: null }, { step: 2, error: '' }], 'stored'],
    ['an event of type error', [{ step: 1 }, { type: 'error', message: 'down' }], 'error'],
    ['an error of a vendor', [{ object: 'error', message: 'down' }], 'error'],
    ['objects of nobody around a complete answer', [{ status: 'searching' }, chat('Tokyo.', 'stop'), { status: 'done' }], 'stored'],
    ['objects of nobody around one that was cut off', [{ status: 'searching' }, chat('Tok', 'length'), { status: 'done' }], 'truncated'],
    ['texts around one that was cut off', ['searching', chat('Tok', 'length'), 'done'], 'truncated'],
    ['a list of numbers', [1, 2], 'stored'],
  ])('%s', (_what, chunks, verdict) => expect(judge(...chunks)).toBe(verdict));

  it.each<[what: string, chunks: unknown[], verdict: string]>([
    ['objects', [{ data: chat('Tokyo.', 'stop') }], 'stored'],
    ['texts, and the end of OpenAI', [{ data: JSON.stringify(chat('Tok', 'length')) }, { data: DONE }], 'truncated'],
    ['plain texts', [{ data: 'Tok' }, { data: 'yo' }], 'stored'],
    ['JSON that was cut off', [{ data: '{"object":' }], 'stored'],
    ['an error', [{ data: JSON.stringify(chat('Tok')) }, { type: 'failed', data: { error: { message: 'down' } } }], 'error'],
  ])('events of Nest with %s', (_what, chunks, verdict) => expect(judge(...chunks)).toBe(verdict));

  it.each<[what: string, text: string, verdict: string]>([
    ['complete', sse(chat('Tokyo.', 'stop'), DONE), 'stored'],
    ['cut off', sse(chat('Tok', 'length'), DONE), 'truncated'],
    ['without its end', sse(chat('Tok')), 'unfinished'],
    ['in the middle of an event', sse(chat('Tok'), chat('yo.', 'stop')).slice(0, -20), 'unfinished'],
    ['with an error', sse(chat('Tok'), { error: { message: 'down' } }), 'error'],
    ['with Windows line ends', sse(chat('Tok', 'length'), DONE).replaceAll('\n', '\r\n'), 'truncated'],
    ['with comments, names and data in several lines', `: ping\n\nevent: chunk\nid: 1\n${JSON.stringify(chat('Tok', 'length'), null, 1).replaceAll(/^/gm, 'data: ')}\n\n`, 'truncated'],
    ['of nobody', sse({ step: 1 }, 'text'), 'stored'],
  ])('a text of server-sent events %s, as one chunk, cut anywhere, or as bytes', (_what, text, verdict) => {
    expect([judge(text), judge(...text.match(/[^]{1,3}/g)!), judge(...Array.from(Buffer.from(text), (byte) => new Uint8Array([byte])))]).toEqual([verdict, verdict, verdict]);
  });

  it('texts come whole, whatever they look like', () => {
    expect(assemble('data: ', 'a\n\n')).toBe('data: a\n\n');
    expect(assemble('a', '{"error":"b"}')).toBe('a{"error":"b"}');
  });
});

describe('what a stream adds up to', () => {
  it('calls of one number and different ids are different calls', () => {
    const call = (id: string) => ({ object: 'chat.completion.chunk', choices: [{ index: 0, delta: { tool_calls: [{ index: 0, id, type: 'function', function: { name: 'weather', arguments: '{}' } }] }, finish_reason: 'tool_calls' }] });
    expect(assemble(call('a'), call('b'))).toMatchObject({ choices: [{ message: { tool_calls: [{ id: 'a', function: { arguments: '{}' } }, { id: 'b', function: { arguments: '{}' } }] } }] });
  });

  it('older text completions', () => {
    const piece = (text: string, finish: string | null = null): object => ({ object: 'text_completion', model: 'm', choices: [{ index: 0, text, finish_reason: finish }] });
    expect(assemble(piece('Tok'), piece('yo.', 'stop'))).toEqual({ object: 'text_completion', model: 'm', choices: [{ index: 0, text: 'Tokyo.', finish_reason: 'stop' }] });
    expect(judge(piece('Tok'), piece('', 'length'))).toBe('truncated');
  });

  it('an Anthropic message with its thinking, its signature and the input of its tool', () => {
    const start = (index: number, block: object): object => ({ type: 'content_block_start', index, content_block: block });
    const delta = (index: number, piece: object): object => ({ type: 'content_block_delta', index, delta: piece });
    const events = [
      { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', content: [], stop_reason: null, usage: { input_tokens: 3, output_tokens: 1 } } },
      start(0, { type: 'thinking', thinking: '', signature: '' }), delta(0, { type: 'thinking_delta', thinking: 'H' }), delta(0, { type: 'thinking_delta', thinking: 'm.' }), delta(0, { type: 'signature_delta', signature: 's' }),
      start(1, { type: 'text', text: '' }), delta(1, { type: 'text_delta', text: 'To' }), delta(1, { type: 'text_delta', text: 'kyo.' }), delta(1, { type: 'citations_delta', citation: { url: 'u' } }),
      start(2, { type: 'tool_use', id: 't', name: 'weather', input: {} }), delta(2, { type: 'input_json_delta', partial_json: '' }), delta(2, { type: 'input_json_delta', partial_json: '{"a":' }), delta(2, { type: 'input_json_delta', partial_json: '1}' }),
      { type: 'message_delta', delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: { input_tokens: null, output_tokens: 9 } },
      { type: 'message_stop' },
    ];
    expect(assemble(...events)).toEqual({
      id: 'msg_1', type: 'message', role: 'assistant', stop_reason: 'tool_use', usage: { input_tokens: 3, output_tokens: 9 },
      content: [{ type: 'thinking', thinking: 'Hm.', signature: 's' }, { type: 'text', text: 'Tokyo.', citations: [{ url: 'u' }] }, { type: 'tool_use', id: 't', name: 'weather', input: { a: 1 } }],
    });
  });

  it('the parts of several Gemini candidates', () => {
    const chunk = (index: number, text: string, finishReason?: string): object => ({ candidates: [{ index, content: { role: 'model', parts: [{ text }] }, finishReason }] });
    expect(judge(chunk(0, 'a'), chunk(1, 'b'), chunk(0, '', 'STOP'), chunk(1, '', 'STOP'))).toBe('stored');
    expect(judge(chunk(0, 'a'), chunk(1, 'b'), chunk(0, '', 'STOP'), chunk(1, '', 'SAFETY'))).toBe('content-filter');
  });
});

describe('LangChain chunks', () => {
  const said = (content: string, finish?: string) => new AIMessageChunk({ content, ...(finish === undefined ? {} : { response_metadata: { finish_reason: finish } }) });
  const revive = (plain: unknown): unknown => new AIMessageChunk((plain as { kwargs: { content: string } }).kwargs);

  it.each([['stop', 'stored'], ['length', 'truncated'], [undefined, 'unfinished']])('that end with %s are judged as they are written down, and come back as instances', (finish, verdict) => {
    const codec = chunkCodec(revive);
    const texts = [said('Tok'), said('yo.'), said('', finish)].map((chunk) => codec.encode(chunk));
    expect(inspectAnswer(wholeAnswer(joinChunks(texts)), ANSWER_SHAPES).refused ?? 'stored').toBe(verdict);
    expect(texts.map((text) => codec.decode(text))).toMatchObject([{ content: 'Tok' }, { content: 'yo.' }, { content: '' }]);
    expect(texts.every((text) => codec.decode(text) instanceof AIMessageChunk)).toBe(true);
  });
});
