import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { LlmCache } from '../engine/llm-cache.js';

/** Closes the cache last, after every module has had its own shutdown hooks. */
@Injectable()
export class LlmCacheLifecycle implements OnApplicationShutdown {
  constructor(private readonly llmCache: LlmCache) {}

  onApplicationShutdown(): Promise<void> {
    return this.llmCache.close();
  }
}
