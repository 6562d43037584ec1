import { type MiddlewareConsumer, Module, type NestModule } from '@nestjs/common';
import { CacheControlMiddleware } from './cache-control.middleware.js';
import { LlmCacheController } from './llm-cache.controller.js';

const ROUTES = ['tickets/summary', 'tickets/reply', 'tickets/triage', 'ask', 'v1/chat/completions'];

/** What HTTP clients see of the cache: its statistics, and `Cache-Control` on every route that asks the LLM. */
@Module({ controllers: [LlmCacheController] })
export class LlmCacheHttpModule implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    consumer.apply(CacheControlMiddleware).forRoutes(...ROUTES);
  }
}
