import type { LlmCache } from '../engine/llm-cache.js';
import { CacheLlmInterceptor } from './cache-llm.interceptor.js';
import { setHost } from './host.js';

/**
 * Gives an instance that Nest did not inject into a cache: one made with `new`, or by a request-scoped factory.
 *
 * @example
 * const tickets = attachLlmCache(new TicketsService(), llmCache);
 * @publicApi
 */
export function attachLlmCache<T extends object>(instance: T, llmCache: LlmCache): T {
  setHost(instance, CacheLlmInterceptor.of(llmCache));
  return instance;
}
