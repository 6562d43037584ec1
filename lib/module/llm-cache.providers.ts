import type { FactoryProvider, Provider } from '@nestjs/common';
import type { Clock } from '../core/clock.js';
import { CACHE_LLM_INTERCEPTOR } from '../decorator/host.js';
import { CacheLlmExplorer } from '../decorator/cache-llm.explorer.js';
import { CacheLlmInterceptor } from '../decorator/cache-llm.interceptor.js';
import { LlmCache } from '../engine/llm-cache.js';
import { LlmService } from '../llm/llm.service.js';
import { LlmCacheHealthIndicator } from './health/llm-cache.health-indicator.js';
import { checkLlmCacheOptions, type LlmCacheOptions } from './llm-cache-options.js';
import { LlmCacheLifecycle } from './llm-cache.lifecycle.js';
import { LlmCacheLogger } from './llm-cache.logger.js';

/** What a module makes of its options; everything it provides comes from this. */
export interface LlmCacheParts {
  llmCache: LlmCache;
  options: LlmCacheOptions;
  /** Told when the app starts. */
  advice?: readonly string[];
}

/** @internal */
export const LLM_CACHE_PARTS = Symbol('LlmCacheParts');

/** @internal The parts of a testing module that stands in; provided only where `overrideModule` put one. */
export const LLM_CACHE_STAND_IN = Symbol.for('nestjs-llm-cache:stand-in');

/** @throws LlmCacheConfigError naming the first wrong or unknown option. */
export function createParts(options: LlmCacheOptions, clock?: Clock): LlmCacheParts {
  checkLlmCacheOptions(options);
  const { provider, ...engineOptions } = options;
  return { llmCache: new LlmCache(engineOptions, clock, provider?.id), options };
}

/** Everything the module provides, once there is a way to make its parts. An overridden LlmCache reaches all of it. */
export function llmCacheProviders(parts: Omit<FactoryProvider<LlmCacheParts>, 'provide'>): Provider[] {
  return [
    { provide: LLM_CACHE_PARTS, ...parts },
    { provide: LlmCache, inject: [LLM_CACHE_PARTS], useFactory: ({ llmCache }: LlmCacheParts) => llmCache },
    {
      provide: LlmService,
      inject: [LlmCache, LLM_CACHE_PARTS],
      useFactory: (llmCache: LlmCache, { options }: LlmCacheParts) => new LlmService(llmCache, options.provider, options.model),
    },
    { provide: CACHE_LLM_INTERCEPTOR, inject: [LlmCache], useFactory: (llmCache: LlmCache) => CacheLlmInterceptor.of(llmCache) },
    {
      provide: LlmCacheLifecycle,
      inject: [LLM_CACHE_PARTS],
      useFactory: ({ llmCache, advice }: LlmCacheParts) => new LlmCacheLifecycle(llmCache, advice),
    },
    CacheLlmExplorer,
    LlmCacheHealthIndicator,
    LlmCacheLogger,
  ];
}

export const EXPORTS = [LlmCache, LlmService, LlmCacheHealthIndicator, CACHE_LLM_INTERCEPTOR];
