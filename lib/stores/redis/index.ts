/**
 * A store in Redis or Valkey, which many processes share.
 *
 * @module nestjs-llm-cache/redis
 */
import type { Keyv } from 'keyv';
import { LlmCacheConfigError } from '../../core/errors.js';
import { keyvOver } from '../own-store.js';
import { loadClient, type RedisDriver } from './load-client.cjs';
import { RedisAdapter } from './redis-adapter.js';
import { redisPlace, type RedisStoreOptions } from './redis-options.js';

export type { RedisAddress, RedisSentinelOptions, RedisStoreOptions } from './redis-options.js';

/**
 * A store in Redis or Valkey that many processes share: one server, a Cluster, or one behind Sentinel. It connects at the
 * first use, not here; without a server its operations fail at once, and it goes on by itself when there is one again.
 * Needs `npm i @keyv/redis`.
 * @param urlOrOptions `'redis://localhost:6379'`, or options
 * @throws LlmCacheConfigError on a wrong or unknown option, or when `@keyv/redis` is not installed.
 */
export function redisStore(urlOrOptions: string | RedisStoreOptions): Keyv {
  const place = redisPlace(urlOrOptions);
  return keyvOver(new RedisAdapter(driver(), place));
}

function driver(): RedisDriver {
  try {
    return loadClient();
  } catch (cause) {
    throw new LlmCacheConfigError('redisStore: the package @keyv/redis could not be loaded. Run `npm i @keyv/redis@5`.', { cause });
  }
}
