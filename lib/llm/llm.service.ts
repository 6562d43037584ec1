import { AsyncLocalStorage } from 'node:async_hooks';
import { isRecord } from '../core/check-options.js';
import { LlmCacheConfigError, LlmProviderError } from '../core/errors.js';
import type { CallOptions, KeyParts, ModelConfig, UpstreamCall } from '../core/types.js';
import { ambient } from '../engine/ambient.js';
import { callerOf } from '../engine/call.js';
import { mergeConfig } from '../engine/document.js';
import type { LlmCache } from '../engine/llm-cache.js';
import { partsOfQuestion } from '../engine/question.js';
import { withoutVolatile } from '../policy/chat-request.js';
import { chunksOfCompletion } from '../policy/openai-chat-stream.js';
import { checkBatchOptions, type BatchItem, type BatchOptions, type BatchRequest } from './batch/batch-options.js';
import { BatchRun, type ChatQuestion, type Prepare } from './batch/batch-run.js';
import type { ChatChunk, ChatMessage, ChatRequest, ChatResponse, LlmProvider } from './chat.js';
import { requestCopy } from './request-copy.js';

/**
 * Cached chat completions over an LlmProvider. Inside a `@CacheLlm` method it takes the method's model configuration,
 * signal and cache control, so that the key and the call agree.
 *
 * @publicApi
 */
export class LlmService {
  constructor(
    private readonly llmCache: LlmCache,
    private readonly provider: LlmProvider | undefined,
    private readonly model: ModelConfig = {},
  ) {}

  /**
   * Answers a chat request, from the cache where it can. `stream` in the request is ignored: the answer is whole.
   * @throws LlmCacheConfigError without a provider; LlmProviderError for an answer in no known shape; whatever the provider throws, unchanged.
   *
   * @example
   * const answer = await llm.chat({ messages: [{ role: 'user', content: 'What is the capital of Japan?' }], temperature: 0 });
   */
  async chat(request: ChatRequest, options: CallOptions = {}): Promise<ChatResponse> {
    return this.llmCache.run(...this.prepare(request, options)) as Promise<ChatResponse>;
  }

  /**
   * The same answer in chunks, in OpenAI's chunk shape, with the usage in the last one. One entry serves {@link chat} and
   * this; a stream under way is joined from its first chunk on. Nothing starts before it is read.
   * @throws on reading: what `chat` throws; StreamLagError for a reader that falls more than `maxEntryBytes` behind.
   *
   * @example
   * for await (const { choices } of llm.stream({ messages })) response.write(choices[0]?.delta.content ?? '');
   */
  stream(request: ChatRequest, options: CallOptions = {}): AsyncIterable<ChatChunk> {
    const provider = this.requireProvider();
    if (provider.stream === undefined) return this.chunksOfChat(request, options);
    return this.llmCache.streamOf(...this.prepare(request, options, askInChunks)) as AsyncIterable<ChatChunk>;
  }

  /** @param run as it was when the stream was asked for: what surrounded that call surrounds this one */
  private async *chunksOfChat(request: ChatRequest, options: CallOptions, run = AsyncLocalStorage.snapshot()): AsyncGenerator<ChatChunk> {
    yield* chunksOfCompletion(await run(() => this.chat(request, options))) as ChatChunk[];
  }

  /**
   * Answers many requests, each once: an equal one further on gets the same answer. Requests are read from any iterable
   * as there is room for them, so a file of a million lines needs no more memory than one of a thousand. A request that
   * fails is an item with its error; the others go on.
   * @param requests chat requests, or lines of an OpenAI Batch file
   * @throws LlmCacheConfigError for a wrong option, or without a provider; on reading: `signal.reason` at once when the
   * caller aborted, with all that was answered stored; what the source throws, after the items before it.
   *
   * @example
   * for await (const { index, response, error } of llm.batch(questions, { requestsPerMinute: 500 })) save(index, response ?? error);
   */
  batch(requests: Iterable<BatchRequest> | AsyncIterable<BatchRequest>, options: BatchOptions = {}): AsyncIterable<BatchItem> {
    const { id } = this.requireProvider();
    checkBatchOptions(options);
    return new BatchRun(this.llmCache.steps, (request, own) => this.prepare(request, own), id, requests, options).items();
  }

  /**
   * The text of the first choice of {@link chat}.
   * @throws LlmProviderError when the answer is no text, such as a tool call; use `chat` for those.
   */
  async text(prompt: string | ChatMessage[], config: ModelConfig = {}, options: CallOptions = {}): Promise<string> {
    const messages = typeof prompt === 'string' ? [{ role: 'user', content: prompt }] : prompt;
    const response = await this.chat({ ...config, messages }, options);
    const content = response.choices?.[0]?.message?.content;
    if (typeof content === 'string') return content;
    throw new LlmProviderError(this.requireProvider().id, 'without text; use LlmService.chat for tool calls and refusals');
  }

  /** The key parts of a request, for `LlmCache.keyFor`, `explain` and `invalidate({ key })`. */
  partsOf(request: ChatRequest): KeyParts {
    return partsOfQuestion(this.prepare(request, {})[0]);
  }

  /** What is asked of the cache for a request: the key parts are made from what is sent. */
  private prepare(request: ChatRequest, options: CallOptions, ask: Ask = askWhole): ReturnType<Prepare> {
    const provider = this.requireProvider();
    const { whole, beside, signal } = this.toSend(request, options);
    const question: ChatQuestion = {
      given: whole,
      about: (given) => ({ parts: partsOfRequest(provider, given), defaults: { isCopiedAtOnce: true } }),
      produce: (call, given) => ask(provider, requestCopy({ ...given, ...beside }), call),
    };
    return [question, callerOf({ ...options, signal })];
  }

  /** What reaches the model, what goes beside it, and the caller's own signal. */
  private toSend(request: ChatRequest, options: CallOptions): { whole: ChatRequest; beside: Partial<ChatRequest>; signal: AbortSignal | undefined } {
    const { stream: _stream, stream_options: _streamOptions, signal: own, headers, timeout, ...whole } = this.complete(request);
    const beside = { ...(headers === undefined ? {} : { headers }), ...(timeout === undefined ? {} : { timeout }) };
    return { whole, beside, signal: options.signal ?? (own instanceof AbortSignal ? own : undefined) };
  }

  /** The request over the method's model configuration over the module's. */
  private complete(request: ChatRequest): ChatRequest {
    return mergeConfig(mergeConfig(this.model, ambient().frame?.model), request) as ChatRequest;
  }

  private requireProvider(): LlmProvider {
    if (this.provider !== undefined) return this.provider;
    throw new LlmCacheConfigError(
      'LlmService has no LlmProvider. Give LlmCacheModule the option "provider", such as openAiProvider(new OpenAI()).',
    );
  }
}

function partsOfRequest(provider: LlmProvider, request: ChatRequest): KeyParts {
  const { messages, ...model } = withoutVolatile(request);
  return { name: provider.id, input: { messages }, model };
}

type Ask = (provider: LlmProvider, request: ChatRequest, call: UpstreamCall) => unknown;

const askWhole: Ask = async (provider, request, call) => checked(provider, await provider.chat(request, call));

const askInChunks: Ask = (provider, request, call) => checkedChunks(provider, provider.stream!(request, call));

/** An error body counts as an answer: it is the provider's, it is served, and the gate keeps it out of the cache. */
function checked(provider: LlmProvider, answer: unknown): ChatResponse {
  if (isRecord(answer) && (Array.isArray(answer['choices']) || Object.hasOwn(answer, 'error'))) return answer as ChatResponse;
  throw new LlmProviderError(provider.id, 'without a `choices` array; LlmService speaks the chat-completions shape');
}

async function* checkedChunks(provider: LlmProvider, chunks: AsyncIterable<ChatChunk>): AsyncGenerator<ChatChunk> {
  for await (const chunk of chunks) {
    const isChunk = isRecord(chunk) && (Array.isArray(chunk.choices) || Object.hasOwn(chunk, 'error'));
    if (!isChunk) throw new LlmProviderError(provider.id, 'with a chunk without a `choices` array; LlmService speaks the chat-completions shape');
    yield chunk;
  }
}
