import { CACHE_MANAGER, CacheModule } from '@nestjs/cache-manager';
import { Module } from '@nestjs/common';
import { ConfigModule, ConfigService } from '@nestjs/config';
import { APP_FILTER } from '@nestjs/core';
import type { Cache } from 'cache-manager';
import type { Keyv } from 'keyv';
import { LlmCacheModule, memoryStore, type PiiOptions } from 'nestjs-llm-cache';
import { redisStore } from 'nestjs-llm-cache/redis';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { AssistantModule } from './assistant/assistant.module.js';
import { HealthModule } from './health/health.module.js';
import { LlmErrorFilter } from './http/llm-error.filter.js';
import { type ChosenLlm, CHOSEN_LLM } from './llm/choose-llm.js';
import { LlmModule } from './llm/llm.module.js';
import { LlmCacheHttpModule } from './llm-cache/llm-cache-http.module.js';
import { OpenAiModule } from './openai/openai.module.js';
import { TicketsModule } from './tickets/tickets.module.js';

/** `LLM_CACHE_PII=pseudonymize`, or another mode; without it nothing personal is looked for. */
function privacyOf(config: ConfigService): PiiOptions | undefined {
  const mode = config.get<PiiOptions['mode']>('LLM_CACHE_PII');
  return mode ? { mode } : undefined;
}

/** One server for many processes with `REDIS_URL=redis://localhost:6379`, else a file of this machine. */
function lastStore(config: ConfigService): Keyv {
  const url = config.get<string>('REDIS_URL');
  return url ? redisStore(url) : sqliteStore({ path: config.get('LLM_CACHE_PATH', 'llm-cache.db') });
}

@Module({
  imports: [
    ConfigModule.forRoot({ isGlobal: true }),
    CacheModule.registerAsync({
      isGlobal: true,
      inject: [ConfigService],
      useFactory: (config: ConfigService) => ({ stores: [memoryStore(), lastStore(config)] }),
    }),
    LlmCacheModule.forRootAsync({
      imports: [LlmModule],
      inject: [CACHE_MANAGER, ConfigService, CHOSEN_LLM],
      useFactory: (cache: Cache, config: ConfigService, llm: ChosenLlm) => ({
        stores: cache,
        ttl: '7d',
        version: config.get('LLM_CACHE_VERSION', '1'),
        provider: llm.provider,
        pii: privacyOf(config),
        // Joins every key, so canned answers are never served once there is a real LLM.
        model: { model: llm.model },
      }),
    }),
    LlmCacheHttpModule,
    HealthModule,
    TicketsModule,
    AssistantModule,
    OpenAiModule,
  ],
  providers: [{ provide: APP_FILTER, useClass: LlmErrorFilter }],
})
export class AppModule {}
