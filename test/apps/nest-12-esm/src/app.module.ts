import { CACHE_MANAGER, CacheModule } from '@nestjs/cache-manager';
import { Module } from '@nestjs/common';
import type { Cache } from 'cache-manager';
import { LlmCacheModule, memoryStore } from 'nestjs-llm-cache';
import { openAiProvider } from 'nestjs-llm-cache/openai';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import OpenAI from 'openai';
import { TicketsController } from './tickets.controller.js';
import { TicketsService } from './tickets.service.js';

@Module({
  imports: [
    CacheModule.registerAsync({
      isGlobal: true,
      useFactory: () => ({ stores: [memoryStore(), sqliteStore({ path: './llm-cache.db' })] }),
    }),
    LlmCacheModule.forRootAsync({
      inject: [CACHE_MANAGER],
      useFactory: (cache: Cache) => ({
        stores: cache,
        provider: openAiProvider(new OpenAI({ apiKey: 'none', baseURL: process.env['LLM_BASE_URL'] })),
      }),
    }),
  ],
  controllers: [TicketsController],
  providers: [TicketsService],
})
export class AppModule {}
