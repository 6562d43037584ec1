import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { LlmCache } from '../engine/llm-cache.js';

/** Closes the module's own cache last, after every module has had its own shutdown hooks. */
export class LlmCacheLifecycle implements OnApplicationBootstrap, OnApplicationShutdown {
  constructor(
    private readonly llmCache: LlmCache,
    private readonly advice: readonly string[] = [],
  ) {}

  onApplicationBootstrap(): void {
    for (const message of this.advice) this.llmCache.warnOnce(message);
  }

  onApplicationShutdown(): Promise<void> {
    return this.llmCache.close();
  }
}
