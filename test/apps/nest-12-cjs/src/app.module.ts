import { isBuiltin } from 'node:module';
import { Module } from '@nestjs/common';
import { type ChatRequest, type ChatResponse, LlmCacheModule, type LlmProvider, memoryStore } from 'nestjs-llm-cache';
import { sqliteStore } from 'nestjs-llm-cache/sqlite';
import { TicketsController } from './tickets.controller';
import { TicketsService } from './tickets.service';

const provider: LlmProvider = {
  id: 'plain-fetch',
  async chat(request: ChatRequest, { signal }): Promise<ChatResponse> {
    const response = await fetch(`${process.env['LLM_BASE_URL']}/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(request),
      signal,
    });
    return (await response.json()) as ChatResponse;
  },
};

@Module({
  imports: [
    // This app has no libsql, so there is a file only where Node brings SQLite.
    LlmCacheModule.forRoot({
      stores: isBuiltin('node:sqlite') ? [memoryStore(), sqliteStore({ path: './llm-cache.db' })] : memoryStore(),
      provider,
    }),
  ],
  controllers: [TicketsController],
  providers: [TicketsService],
})
export class AppModule {}
