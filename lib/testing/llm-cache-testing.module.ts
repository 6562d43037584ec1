import { type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import type { LlmCacheOptions } from '../module/llm-cache-options.js';
import { createParts, EXPORTS, LLM_CACHE_PARTS, LLM_CACHE_STAND_IN, llmCacheProviders } from '../module/llm-cache.providers.js';
import type { FakeClock } from './fake-clock.js';

/** Options of `LlmCacheTestingModule`. */
export interface LlmCacheTestingOptions extends LlmCacheOptions {
  /** Time for entry ages, expiry and deadlines. @default the system clock, which Jest's fake timers replace */
  clock?: FakeClock;
}

/**
 * The module for unit tests: an in-memory store of its own, no timers, and lifetimes without jitter. Import it in place
 * of `LlmCacheModule`, or put it there with `overrideModule(LlmCacheModule).useModule(LlmCacheTestingModule.forRoot())`.
 */
@Module({})
export class LlmCacheTestingModule {
  /** @throws LlmCacheConfigError at start-up, naming the first wrong or unknown option. */
  static forRoot({ clock, ...options }: LlmCacheTestingOptions = {}): DynamicModule {
    return {
      module: LlmCacheTestingModule,
      global: true,
      imports: [DiscoveryModule],
      providers: [
        ...llmCacheProviders({ useFactory: () => createParts({ jitter: 0, ...options }, clock) }),
        { provide: LLM_CACHE_STAND_IN, useExisting: LLM_CACHE_PARTS },
      ],
      exports: [...EXPORTS, LLM_CACHE_STAND_IN],
    };
  }
}
