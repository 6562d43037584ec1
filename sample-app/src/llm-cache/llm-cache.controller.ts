import { Controller, Delete, Get, HttpCode } from '@nestjs/common';
import { LlmCache, type LlmCacheStats } from 'nestjs-llm-cache';

@Controller('llm-cache')
export class LlmCacheController {
  constructor(private readonly llmCache: LlmCache) {}

  @Get()
  stats(): LlmCacheStats {
    return this.llmCache.stats();
  }

  @Delete()
  @HttpCode(204)
  async clear(): Promise<void> {
    await this.llmCache.clear();
  }
}
