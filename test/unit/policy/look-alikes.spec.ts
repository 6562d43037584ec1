import { describe, expect, it, jest } from '@jest/globals';
import { ANSWER_SHAPES } from '../../../lib/engine/admission.js';
import { type Inspection, inspectAnswer, type RefusalReason } from '../../../lib/policy/gate.js';

const inspect = (answer: unknown): Inspection => inspectAnswer(answer, ANSWER_SHAPES);

describe('a value of the user\'s own that only resembles an answer is not judged', () => {
  it.each<[what: string, answer: unknown]>([
    ['a job that failed', { id: 'job-1', status: 'failed', output: ['exit code 1'] }],
    ['a job without output', { id: 'job-1', status: 'queued', output: [] }],
    ['a job with messages', { status: 'incomplete', output: [{ type: 'message', text: 'half' }, { type: 'function_call', name: 'f' }] }],
    ['a record about a response', { object: 'response', status: 504, of: 'GET /' }],
    ['a shell', { output: '', status: 1 }],
    ['a page of answers', { object: 'list', output: [], status: 'in_progress' }],
    ['a chat app\'s message', { type: 'message', content: '' }],
    ['a chat app\'s message with an author', { type: 'message', role: 'assistant', content: [] }],
    ['a chat app\'s message with a usage that is a text', { type: 'message', role: 'assistant', content: '', usage: 'internal' }],
    ['a forum\'s post', { role: 'user', content: '', stop_reason: null }],
    ['an item of a response', { id: 'msg_1', type: 'message', role: 'assistant', status: 'incomplete', content: [{ type: 'output_text', text: '' }] }],
    ['a machine that stopped', { stop_reason: 'pause_turn', machine: 7 }],
    ['an article', { type: 'article', content: [], stop_reason: null }],
    ['text and usage', { text: '', usage: { inputTokens: 1, outputTokens: 0 } }],
    ['a race', { text: 'A fine race.', finishReason: 'dnf', usage: { fuel: 3 } }],
    ['a finish alone', { finishReason: 'length', runner: 12 }],
    ['a finish of another kind', { finishReason: 7, text: '' }],
    ['a finish with its kind', { finishReason: { kind: 'length' }, content: [] }],
    ['steps of a recipe', { steps: [{ text: 'Boil water.', finishReason: 'length' }] }],
    ['no steps', { steps: [], totalUsage: {} }],
    ['a walk', { steps: 10_000, text: '' }],
    ['an election', { candidates: [{ name: 'A', votes: 3 }, { name: 'B', votes: 2 }] }],
    ['an election without candidates', { candidates: [] }],
    ['an application', { candidates: [{ content: { title: 'CV' }, finishReason: 'hired' }] }],
    ['candidates that are no list', { candidates: { a: 1 } }],
    ['an embedding by Gemini', { embedding: { values: [0.1] }, usageMetadata: { promptTokenCount: 3 } }],
    ['usage by Gemini alone', { usageMetadata: { promptTokenCount: 3, totalTokenCount: 3 } }],
    ['feedback without a block', { promptFeedback: { rating: 5 } }],
    ['generations of people', { generations: [{ name: 'Boomers', text: 'born 1946' }] }],
    ['no generations', { generations: [] }],
    ['generations in groups', { generations: [['X', 'Y']] }],
    ['generations of an algorithm', { generations: 40, best: [] }],
    ['a message of type ai', { type: 'ai', content: '' }],
    ['a player of type ai', { type: 'ai', data: { content: '', level: 3 } }],
    ['a constructor', { type: 'constructor', id: ['Schumacher'], kwargs: {} }],
    ['a constructor by LangChain of something else', { lc: 1, type: 'constructor', id: ['langchain', 'prompts', 'PromptTemplate'], kwargs: { content: '' } }],
    ['a person\'s message', { type: 'human', data: { content: '', additional_kwargs: {}, response_metadata: {} } }],
    ['a tool\'s message', { lc: 1, type: 'constructor', id: ['langchain_core', 'messages', 'ToolMessage'], kwargs: { content: '', status: 'error', additional_kwargs: {} } }],
    ['an answer in a wrapper', { data: { object: 'chat.completion', choices: [] }, request_id: 'req_1' }],
    ['a list of answers', [{ type: 'message', role: 'assistant', content: [], stop_reason: 'max_tokens' }]],
    ['an embedding', { object: 'list', data: [{ object: 'embedding', embedding: [0.1], index: 0 }], model: 'e', usage: { prompt_tokens: 3, total_tokens: 3 } }],
    ['an embedding as bytes', new Float32Array(3)],
  ])('%s', (_what, answer) => {
    expect(inspect(answer)).toEqual({});
  });
});

describe('an answer that lacks what others have is judged all the same', () => {
  it.each<[reason: RefusalReason | undefined, what: string, answer: unknown]>([
    ['truncated', 'a response without status', { object: 'response', output: [{ type: 'message', content: [{ type: 'output_text', text: 'x' }] }], incomplete_details: { reason: 'max_output_tokens' } }],
    ['unfinished', 'a response without output', { object: 'response', status: 'in_progress' }],
    ['unfinished', 'a response whose status is null', { object: 'response', status: null, output: [{ type: 'function_call' }] }],
    [undefined, 'a complete response whose search is not', { object: 'response', status: 'completed', output: [{ type: 'web_search_call', status: 'in_progress' }], output_text: 'x' }],
    ['empty', 'a response whose output is empty', { object: 'response', output: [null, 'x', { type: 'message' }, { type: 'message', content: [null] }] }],
    [undefined, 'a response with its text only', { object: 'response', status: 'completed', output_text: 'Tokyo.' }],
    [undefined, 'a response that names no object', { output: [{ type: 'reasoning' }, { type: 'function_call', call_id: 'c', name: 'f' }] }],
    ['refusal', 'a refusing response that names no object', { output: [{ type: 'message', content: [{ type: 'refusal', refusal: 'No.' }] }] }],
    ['truncated', 'a message that names no type', { role: 'assistant', content: [{ type: 'text', text: 'x' }], stop_reason: 'max_tokens' }],
    [undefined, 'a message whose content is a text', { type: 'message', content: 'x', stop_reason: 'end_turn' }],
    ['empty', 'a message without stop_reason', { type: 'message', role: 'assistant', content: [], usage: {} }],
    ['truncated', 'a pick of text and finishReason', { text: 'x', finishReason: 'length' }],
    ['truncated', 'a pick of output and finishReason', { output: { city: 'To' }, finishReason: 'length' }],
    ['unfinished', 'a finishReason of next year', { text: 'x', finishReason: 'tired', usage: { inputTokens: 1, outputTokens: 1 } }],
    ['unfinished', 'a unified finishReason of next year', { content: [{ type: 'text', text: 'x' }], finishReason: { unified: 'tired', raw: undefined } }],
    [undefined, 'tool calls alone', { text: '', finishReason: 'tool-calls', toolCalls: [{ toolName: 'f', input: {} }] }],
    ['empty', 'no tool calls', { text: '', finishReason: 'tool-calls', toolCalls: [] }],
    ['unfinished', 'tool calls that the SDK has answered', { text: '', finishReason: 'tool-calls', toolCalls: [{ toolName: 'f' }], toolResults: [{ toolName: 'f', output: 1 }] }],
    ['unfinished', 'a tool of the SDK that failed', {
      text: '', finishReason: 'tool-calls', content: [{ type: 'tool-call', toolName: 'f' }, { type: 'tool-error', toolName: 'f', error: 'x' }],
    }],
    ['unfinished', 'a loop that ends in a call without a result', {
      text: '', finishReason: 'tool-calls', toolCalls: [{ toolName: 'g' }], toolResults: [],
      steps: [{ text: '', finishReason: 'tool-calls', toolCalls: [{ toolName: 'f' }] }, { text: '', finishReason: 'tool-calls', toolCalls: [{ toolName: 'g' }] }],
    }],
    [undefined, 'a call beside what a provider\'s own tool found', {
      content: [{ type: 'tool-result', toolName: 'search', result: 'x' }, { type: 'tool-call', toolName: 'f' }], finishReason: { unified: 'tool-calls', raw: 'tool_use' },
    }],
    ['empty', 'a provider\'s own tool alone', {
      content: [{ type: 'tool-call', toolName: 'search', providerExecuted: true }, { type: 'tool-result', result: 'x' }], finishReason: { unified: 'stop', raw: 'end_turn' },
    }],
    [undefined, 'a file', { text: '', finishReason: 'stop', files: [{ mediaType: 'image/png', base64: 'AAAA' }], content: [] }],
    [undefined, 'an object', { object: { city: 'Tokyo' }, finishReason: 'stop' }],
    ['empty', 'no object', { object: null, finishReason: 'stop' }],
    [undefined, 'structured output', { text: '', finishReason: 'stop', output: { city: 'Tokyo' } }],
    ['truncated', 'candidates alone', { candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason: 'MAX_TOKENS' }] }],
    ['content-filter', 'a candidate without content', { candidates: [{ finishReason: 'SAFETY' }] }],
    ['empty', 'no candidates, and usage', { candidates: [], usageMetadata: { promptTokenCount: 3 } }],
    [undefined, 'a good candidate beside an unspecified block', {
      candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason: 'STOP' }], promptFeedback: { blockReason: 'BLOCKED_REASON_UNSPECIFIED' },
    }],
    ['unfinished', 'a Gemini finishReason of next year', { candidates: [{ content: { parts: [{ text: 'x' }] }, finishReason: 'TIRED' }] }],
    ['empty', 'generations without any', { generations: [[]], llmOutput: {} }],
    ['truncated', 'a generation without a message', { generations: [[{ text: 'x', generationInfo: { finish_reason: 'length' } }]] }],
    ['empty', 'a generation without text', { generations: [{ text: '', generationInfo: {} }] }],
    ['refusal', 'a refusal in LangChain\'s additional_kwargs', { type: 'ai', data: { content: '', additional_kwargs: { refusal: 'No.' } } }],
    ['refusal', 'a refusal among the parts of a LangChain message', { type: 'ai', data: { content: [{ type: 'refusal', refusal: 'No.' }], response_metadata: {} } }],
    ['unfinished', 'a LangChain finish_reason of null', { type: 'ai', data: { content: 'x', response_metadata: { finish_reason: null } } }],
    [undefined, 'a function call of the old kind', { type: 'ai', data: { content: '', additional_kwargs: { function_call: { name: 'f', arguments: '{}' } } } }],
    ['error', 'an error beside an answer', { object: 'response', status: 'completed', output_text: 'x', error: { code: 'x' } }],
  ])('%s: %s', (reason, _what, answer) => {
    expect(inspect(answer).refused).toBe(reason);
  });

  it('reads what an answer cost that came with an error', () => {
    const usage = { input_tokens: 5, output_tokens: 1, total_tokens: 6 };
    expect(inspect({ object: 'response', status: 'failed', error: { code: 'server_error' }, output: [], usage, model: 'm' })).toMatchObject({
      refused: 'error',
      usage: { inputTokens: 5, outputTokens: 1, totalTokens: 6 },
      model: 'm',
    });
  });

  it.each([[{}], [{ tokenUsage: {} }], [{ tokenUsage: { promptTokens: 3, completionTokens: 1, totalTokens: 4 } }]])('of several generations the tokens are counted once (%j)', (llmOutput) => {
    const message = { type: 'ai', data: { content: 'x', additional_kwargs: {}, usage_metadata: { input_tokens: 1, output_tokens: 1, total_tokens: 2 } } };
    const { usage } = inspect({ generations: [[{ text: 'x', message }], [{ text: 'x', message }]], llmOutput });
    expect(usage?.totalTokens).toBe(4);
  });

  it('of several steps without a total the tokens are summed', () => {
    const step = { text: 'x', finishReason: 'stop', usage: { inputTokens: 5, outputTokens: 1, totalTokens: 6 } };
    expect(inspect({ ...step, steps: [step, step] }).usage).toEqual({ inputTokens: 10, outputTokens: 2, totalTokens: 12 });
    expect(inspect({ ...step, steps: [step] }).usage).toEqual({ inputTokens: 5, outputTokens: 1, totalTokens: 6 });
  });
});

describe('an instance of a class', () => {
  it('is judged by its own fields', () => {
    class Message {
      type = 'message';
      role = 'assistant';
      content = [{ type: 'text', text: 'x' }];
      stop_reason = 'max_tokens';
    }
    expect(inspect(new Message()).refused).toBe('truncated');
    expect(inspect(Object.assign(Object.create(null) as object, new Message())).refused).toBe('truncated');
  });

  it('is not asked for the getters of its class: reading one may start a stream, print or throw', () => {
    const read = jest.fn();
    const names = [
      'object', 'output', 'status', 'choices', 'type', 'role', 'content', 'stop_reason', 'usage', 'candidates', 'promptFeedback', 'usageMetadata',
      'finishReason', 'steps', 'text', 'toolCalls', 'lc', 'generations', 'llmOutput', 'error',
    ];
    class Result {
      readonly id = 1;
    }
    for (const name of names) Object.defineProperty(Result.prototype, name, { get: read });
    expect(inspect(new Result())).toEqual({});
    expect(read).not.toHaveBeenCalled();
  });
});
