import { Module } from '@nestjs/common';
import { LlmCacheModule, memoryStore } from 'nestjs-llm-cache';
import { openAiProvider } from 'nestjs-llm-cache/openai';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import OpenAI from 'openai';
import { TicketsController } from './tickets.controller';
import { TicketsService } from './tickets.service';

@Module({
  imports: [
    LlmCacheModule.forRootAsync({
      useFactory: () => ({
        stores: [memoryStore(), sqliteStore({ path: './llm-cache.db' })],
        provider: openAiProvider(new OpenAI({ apiKey: 'none', baseURL: process.env['LLM_BASE_URL'] })),
      }),
    }),
  ],
  controllers: [TicketsController],
  providers: [TicketsService],
})
export class AppModule {}
