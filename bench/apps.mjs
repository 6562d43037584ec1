import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheLlm, LlmCacheModule } from 'nestjs-llm-cache';

/** A Nest application context with one decorated method, `ask(request)`; a plain JavaScript stand-in for a user's service. */
export async function decoratedApp(options, produce, logger = ['error', 'warn']) {
  class BenchService {
    ask(request) {
      return produce(request);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(BenchService.prototype, 'ask');
  CacheLlm({ returns: 'promise' })(BenchService.prototype, 'ask', descriptor);
  Object.defineProperty(BenchService.prototype, 'ask', descriptor);
  const root = { module: BenchService, imports: [LlmCacheModule.forRoot(options)], providers: [BenchService] };
  const app = await NestFactory.createApplicationContext(root, { logger });
  return { service: app.get(BenchService), close: () => app.close() };
}
