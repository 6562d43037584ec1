import { LlmCacheConfigError } from '../../core/errors.js';
import type { ChatRequest, ChatResponse, LlmProvider } from '../chat.js';

/** Any client with the OpenAI SDK's `chat.completions.create`. */
export interface OpenAiLikeClient {
  readonly baseURL?: string;
  readonly chat: {
    readonly completions: {
      // The SDK's own overloads are wider than any structural type can say.
      create(body: never, options?: never): PromiseLike<unknown>;
    };
  };
}

export interface OpenAiProviderOptions {
  /** @default 'openai:' and the client's base URL */
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
      const { headers, timeout, ...body } = request;
      const requestOptions = { signal, headers, timeout };
      const given = Object.fromEntries(Object.entries(requestOptions).filter(([, value]) => value !== undefined));
      return (await client.chat.completions.create(body as never, given as never)) as ChatResponse;
    },
  };
}

/** The endpoint without user, password and query: it is part of keys and log lines. */
function endpointOf(baseUrl: string | undefined): string {
  if (!baseUrl || !URL.canParse(baseUrl)) return 'default';
  const { origin, pathname } = new URL(baseUrl);
  return (origin + pathname).replace(/\/+$/, '');
}
