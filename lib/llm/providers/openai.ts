/**
 * An LlmProvider over the `openai` SDK.
 *
 * @module nestjs-llm-cache/openai
 */
import { LlmCacheConfigError } from '../../core/errors.js';
import type { ChatChunk, ChatRequest, ChatResponse, LlmProvider } from '../chat.js';
import { endpointOf } from './endpoint.js';

/** Any client with the OpenAI SDK's `chat.completions.create`. */
export interface OpenAiLikeClient {
  /** Where it sends requests; part of the LlmProvider's `id` unless one is given. */
  readonly baseURL?: string;
  /** As in the SDK. */
  readonly chat: {
    /** As in the SDK. */
    readonly completions: {
      /** Sends one request. The SDK's own overloads are wider than any structural type can say. */
      create(body: never, options?: never): PromiseLike<unknown>;
    };
  };
}

/** Options of {@link openAiProvider}. */
export interface OpenAiProviderOptions {
  /** Joins every key. @default 'openai:' and the client's base URL */
  id?: string;
}

/**
 * An LlmProvider over the `openai` SDK. Retries, timeouts and abort are the SDK's; a request's `headers` and
 * `timeout` are handed to it as request options.
 * @throws LlmCacheConfigError when the client has no `chat.completions.create`.
 *
 * @example
 * LlmCacheModule.forRoot({ provider: openAiProvider(new OpenAI()) });
 */
export function openAiProvider(client: OpenAiLikeClient, options: OpenAiProviderOptions = {}): LlmProvider {
  if (typeof client?.chat?.completions?.create !== 'function') {
    throw new LlmCacheConfigError('openAiProvider: the client must have chat.completions.create, as `new OpenAI()` has.');
  }
  return {
    id: options.id ?? `openai:${endpointOf(client.baseURL)}`,
    async chat(request: ChatRequest, { signal }): Promise<ChatResponse> {
      const [body, given] = partsOf(request, signal);
      return (await client.chat.completions.create(body as never, given as never)) as ChatResponse;
    },
    async *stream(request: ChatRequest, { signal }): AsyncIterable<ChatChunk> {
      const [body, given] = partsOf(request, signal);
      const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
      yield* (await client.chat.completions.create(streamed as never, given as never)) as AsyncIterable<ChatChunk>;
    },
  };
}

/** The body of a request, and what the SDK takes beside it. */
function partsOf({ headers, timeout, ...body }: ChatRequest, signal: AbortSignal): [body: object, options: object] {
  const options = { signal, headers, timeout };
  return [body, Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))];
}
