import type { OnApplicationShutdown } from '@nestjs/common';
import type { LlmCache } from '../engine/llm-cache.js';

/** Closes the module's own cache last, after every module has had its own shutdown hooks. */
export class LlmCacheLifecycle implements OnApplicationShutdown {
  constructor(private readonly llmCache: LlmCache) {}

  onApplicationShutdown(): Promise<void> {
    return this.llmCache.close();
  }
}
