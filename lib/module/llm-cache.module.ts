import { type DynamicModule, Module } from '@nestjs/common';
import { DiscoveryModule } from '@nestjs/core';
import { checkAsyncOptions, checkRootOptions, createOptionsWith, type LlmCacheAsyncOptions, type LlmCacheOptions } from './llm-cache-options.js';
import { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } from './llm-cache.module-definition.js';
import { createParts, EXPORTS, LLM_CACHE_STAND_IN, type LlmCacheParts, llmCacheProviders } from './llm-cache.providers.js';

/**
 * Caches LLM calls: provides `LlmCache` and `LlmService`, and makes `@CacheLlm()` work. Import it once, at the root.
 *
 * @publicApi
 */
@Module({})
export class LlmCacheModule {
  /**
   * @throws LlmCacheConfigError at start-up, naming the first wrong or unknown option.
   *
   * @example
   * LlmCacheModule.forRoot({ stores: [memoryStore(), sqliteStore({ path: './llm-cache.db' })], ttl: '7d' })
   */
  static forRoot(options: LlmCacheOptions & { isGlobal?: boolean } = {}): DynamicModule {
    checkRootOptions(options);
    const { isGlobal = true, ...rest } = options;
    return withProviders(ConfigurableModuleClass.forRoot({ ...rest, isGlobal }));
  }

  /**
   * Options from dependency injection.
   *
   * @example
   * LlmCacheModule.forRootAsync({
   *   inject: [CACHE_MANAGER, ConfigService],
   *   useFactory: (cache: Cache, config: ConfigService) => ({ stores: cache, ttl: config.get('LLM_CACHE_TTL') }),
   * })
   */
  static forRootAsync(options: LlmCacheAsyncOptions): DynamicModule {
    checkAsyncOptions(options);
    const { isGlobal = true, useExisting, ...rest } = options;
    const existing = useExisting && { inject: [useExisting], useFactory: createOptionsWith };
    return withProviders(ConfigurableModuleClass.forRootAsync({ ...rest, ...existing, isGlobal }));
  }
}

/** Not for tests: what they run with says nothing about production. */
function withAdvice(parts: LlmCacheParts): LlmCacheParts {
  return { ...parts, advice: parts.llmCache.advice() };
}

/** The bare class among the imports is the place where `overrideModule(LlmCacheModule)` puts a test's stand-in. */
function withProviders(definition: DynamicModule): DynamicModule {
  return {
    ...definition,
    module: LlmCacheModule,
    imports: [...(definition.imports ?? []), DiscoveryModule, LlmCacheModule],
    providers: [
      ...(definition.providers ?? []),
      ...llmCacheProviders({
        inject: [MODULE_OPTIONS_TOKEN, { token: LLM_CACHE_STAND_IN, optional: true }],
        useFactory: (options: LlmCacheOptions, standIn?: LlmCacheParts) => standIn ?? withAdvice(createParts(options)),
      }),
    ],
    exports: EXPORTS,
  };
}
