import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';

/** What each entry point exports at run time. Adding a name is a feature, removing one breaks users. */
const SURFACE: Record<string, string[]> = {
  'nestjs-llm-cache': [
    'CacheLlm',
    'CacheLlmInterceptor',
    'LlmCache',
    'LlmCacheConfigError',
    'LlmCacheError',
    'LlmCacheHealthIndicator',
    'LlmCacheInvalidationError',
    'LlmCacheMissError',
    'LlmCacheModule',
    'LlmCacheStoreError',
    'LlmProviderError',
    'LlmService',
    'LlmUpstreamError',
    'PiiRedactionError',
    'ScopeRequiredError',
    'StreamLagError',
    'UncacheableInputError',
    'attachLlmCache',
    'memoryStore',
    'withCacheControl',
  ],
  'nestjs-llm-cache/openai': ['openAiProvider'],
  'nestjs-llm-cache/redis': ['redisStore'],
  'nestjs-llm-cache/sqlite': ['sqliteStore'],
  'nestjs-llm-cache/testing': ['ChaosStore', 'FakeClock', 'FakeLlmProvider', 'LlmCacheTestingModule'],
};

describe('the public surface', () => {
  it.each(Object.entries(SURFACE))('of %s', async (entry, names) => {
    const exported = Object.keys((await import(entry)) as object);
    expect(exported.toSorted()).toEqual(names);
  });

  it('has these entry points and no others', () => {
    const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { exports: object };
    const entries = Object.keys(manifest.exports).filter((path) => path !== './package.json');
    expect(entries.map((path) => `nestjs-llm-cache${path.slice(1)}`).toSorted()).toEqual(Object.keys(SURFACE));
  });

  it('of the classes holds what the contract names', async () => {
    const { LlmCache, LlmCacheModule, LlmService } = await import('nestjs-llm-cache');
    for (const method of ['wrap', 'keyFor', 'partsOf', 'explain', 'invalidate', 'clear', 'stats', 'on'] as const) {
      expect(typeof LlmCache.prototype[method]).toBe('function');
    }
    for (const method of ['chat', 'text'] as const) expect(typeof LlmService.prototype[method]).toBe('function');
    for (const method of ['forRoot', 'forRootAsync'] as const) expect(typeof LlmCacheModule[method]).toBe('function');
  });
});
