import { Injectable } from '@nestjs/common';
import { LlmCache } from '../../engine/llm-cache.js';
import type { TierStats } from '../../stores/tier.js';

/** How one store is doing; what each field means is said at `TierStats`. */
export type TierHealth = Pick<TierStats, 'name' | 'breaker' | 'latencyMs' | 'degradedMs' | 'errors'>;

/** How the cache is doing. */
export interface LlmCacheHealth {
  /** Never `down`: without its stores the app goes on, and pays for every call. */
  status: 'up';
  /** Whether a store is not answering at the moment, so that calls go on without it. */
  degraded: boolean;
  /** One for each store, fastest first. */
  tiers: TierHealth[];
}

/**
 * A health indicator for `@nestjs/terminus` 11 and 12. Provided and exported by `LlmCacheModule`.
 *
 * @example
 * health.check([() => llmCacheHealth.isHealthy()])
 *
 * @publicApi
 */
@Injectable()
export class LlmCacheHealthIndicator {
  constructor(private readonly llmCache: LlmCache) {}

  /**
   * `up`, and `degraded` where a store does not answer. Each store but memory is asked with one cheap read, at most
   * `storeTimeout` long, so that a dead one is noticed before a call needs it; one whose breaker is open is not asked until
   * a probe is due. With `mode: 'off'` none is asked. Never rejects.
   *
   * @param key The field of the health check's answer. @default 'llmCache'
   */
  async isHealthy<const Key extends string = 'llmCache'>(key: Key = 'llmCache' as Key): Promise<Record<Key, LlmCacheHealth>> {
    const allAnswer = await this.llmCache.checkStores();
    const tiers = this.llmCache
      .stats()
      .tiers.map(({ name, breaker, latencyMs, degradedMs, errors }) => ({ name, breaker, latencyMs, degradedMs, errors }));
    const health: LlmCacheHealth = { status: 'up', degraded: !allAnswer || tiers.some(({ breaker }) => breaker !== 'closed'), tiers };
    return { [key]: health } as Record<Key, LlmCacheHealth>;
  }
}
