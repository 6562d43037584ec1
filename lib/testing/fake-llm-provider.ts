import type { ChatChunk, ChatRequest, ChatResponse, LlmProvider } from '../llm/chat.js';
import { chunksOfCompletion } from '../policy/openai-chat-stream.js';

/** What a scripted provider says: a text, a whole response, an error to throw, or a function that says one of these. */
export type ScriptedAnswer =
  | string
  | ChatResponse
  | Error
  | ((request: ChatRequest) => string | ChatResponse | Error | Promise<string | ChatResponse | Error>);

/**
 * An LlmProvider for tests: answers from a script, without a network, and keeps a journal of what it was asked.
 * After the script's last answer it goes on repeating it.
 *
 * @example
 * const provider = new FakeLlmProvider('Tokyo.');
 * // ...
 * expect(provider.calls).toHaveLength(1);
 */
export class FakeLlmProvider implements LlmProvider {
  readonly id: string;
  /** Every request that reached the provider, in order. */
  readonly calls: ChatRequest[] = [];
  private readonly script: ScriptedAnswer[];

  constructor(...script: ScriptedAnswer[]) {
    this.id = 'fake';
    this.script = script.length > 0 ? script : [(request) => `Answer to: ${lastText(request)}`];
  }

  /** The same script, word by word. */
  async *stream(request: ChatRequest, call: { signal: AbortSignal }): AsyncGenerator<ChatChunk> {
    for (const chunk of chunksOfCompletion(await this.chat(request, call)) as ChatChunk[]) {
      call.signal.throwIfAborted();
      yield* inWords(chunk);
    }
  }

  async chat(request: ChatRequest, { signal }: { signal: AbortSignal }): Promise<ChatResponse> {
    this.calls.push(copyOf(request));
    const scripted = this.script[Math.min(this.calls.length, this.script.length) - 1]!;
    const answer = typeof scripted === 'function' ? await untilAborted(signal, scripted(request)) : scripted;
    signal.throwIfAborted();
    if (answer instanceof Error) throw answer;
    return typeof answer === 'string' ? completion(request, answer) : structuredClone(answer);
  }
}

function* inWords(chunk: ChatChunk): Generator<ChatChunk> {
  const [choice] = chunk.choices ?? [];
  const words = choice?.delta?.content?.match(/\s*\S+\s*$|\s*\S+/g);
  if (!choice || !words) {
    yield chunk;
    return;
  }
  const { content: _content, ...rest } = choice.delta;
  for (const [index, content] of words.entries()) {
    yield { ...chunk, choices: [{ ...choice, delta: index === 0 ? { ...rest, content } : { content } }] };
  }
}

/** The request as it is now; as it is where it holds what cannot be copied, such as a function. */
function copyOf(request: ChatRequest): ChatRequest {
  try {
    return structuredClone(request);
  } catch {
    return { ...request };
  }
}

/** A provider's slow answer, or the abort that comes first. */
function untilAborted<T>(signal: AbortSignal, answer: T | Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    Promise.resolve(answer).then(resolve, reject);
  });
}

function completion(request: ChatRequest, content: string): ChatResponse {
  const promptTokens = Math.ceil(JSON.stringify(request.messages).length / 4);
  const completionTokens = Math.ceil(content.length / 4);
  return {
    id: 'chatcmpl-fake',
    object: 'chat.completion',
    created: 0,
    model: request.model ?? 'fake',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content, refusal: null } }],
    usage: { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: promptTokens + completionTokens },
  };
}

function lastText({ messages }: ChatRequest): string {
  const content = messages.at(-1)?.content;
  return typeof content === 'string' ? content : JSON.stringify(content);
}
