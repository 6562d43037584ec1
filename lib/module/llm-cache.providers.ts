import type { FactoryProvider, Provider } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import { CACHE_LLM_INTERCEPTOR } from '../decorator/host.js';
import { CacheLlmExplorer } from '../decorator/cache-llm.explorer.js';
import { CacheLlmInterceptor } from '../decorator/cache-llm.interceptor.js';
import { LlmCache } from '../engine/llm-cache.js';
import { LlmService } from '../llm/llm.service.js';
import { checkLlmCacheOptions, type LlmCacheOptions } from './llm-cache-options.js';
import { LlmCacheLifecycle } from './llm-cache.lifecycle.js';
import { LlmCacheLogger } from './llm-cache.logger.js';

/** The two services of one module. */
export interface LlmCacheServices {
  llmCache: LlmCache;
  llmService: LlmService;
}

/** @internal The services of one module, from its options. */
export const LLM_CACHE_SERVICES = Symbol('LlmCacheServices');

/** @internal The services of a testing module that stands in; provided only where `overrideModule` put one. */
export const LLM_CACHE_STAND_IN = Symbol.for('nestjs-llm-cache:stand-in');

/** @throws LlmCacheConfigError naming the first wrong or unknown option. */
export function createServices(options: LlmCacheOptions, clock?: Clock): LlmCacheServices {
  checkLlmCacheOptions(options);
  const { provider, ...engineOptions } = options;
  const llmCache = new LlmCache(engineOptions, clock);
  return { llmCache, llmService: new LlmService(llmCache, provider, options.model) };
}

/** Everything the module provides, once there is a way to make its services. */
export function llmCacheProviders(services: Omit<FactoryProvider<LlmCacheServices>, 'provide'>): Provider[] {
  return [
    { provide: LLM_CACHE_SERVICES, ...services },
    fromServices(LlmCache, ({ llmCache }) => llmCache),
    fromServices(LlmService, ({ llmService }) => llmService),
    fromServices(CACHE_LLM_INTERCEPTOR, ({ llmCache }) => CacheLlmInterceptor.of(llmCache)),
    CacheLlmExplorer,
    LlmCacheLifecycle,
    LlmCacheLogger,
  ];
}

export const EXPORTS = [LlmCache, LlmService, CACHE_LLM_INTERCEPTOR];

function fromServices(provide: FactoryProvider['provide'], pick: (services: LlmCacheServices) => object): Provider {
  return { provide, inject: [LLM_CACHE_SERVICES], useFactory: pick };
}
