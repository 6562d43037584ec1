import { existsSync } from 'node:fs';
import { durationMs } from '../core/duration.js';
import { LlmCacheMissError } from '../core/errors.js';
import { LlmCache } from '../engine/llm-cache.js';
import type { LlmProvider } from '../llm/chat.js';
import { LlmService } from '../llm/llm.service.js';
import { memoryStore } from '../stores/memory/index.js';
import { sqliteStore } from '../stores/sqlite/index.js';
import type { StoreInput } from '../stores/store-input.js';
import type { BatchFlags } from './arguments.js';
import { CommandError } from './exit.js';
import { httpProvider } from './http-provider.js';

/** A batch would rather wait for a busy disk than ask again. */
const STORE_TIMEOUT = '10s';

/** This one answers nobody without a key; a local server may. */
const NEEDS_KEY = 'api.openai.com';

/** What an app would have from `LlmCacheModule`. `close` it in the end. */
export function openCache(flags: BatchFlags, environment: NodeJS.ProcessEnv): { llm: LlmService; llmCache: LlmCache } {
  const dryRun = flags['dry-run'];
  const provider = dryRun ? withoutCalls(providerOf(flags, environment)) : providerOf(flags, environment);
  const options = { stores: storeOf(flags), namespace: flags.namespace, ttl: flags.ttl, storeTimeout: STORE_TIMEOUT } as const;
  const llmCache = new LlmCache(options, undefined, provider.id);
  return { llmCache, llm: new LlmService(llmCache, provider, flags.model === undefined ? {} : { model: flags.model }) };
}

function providerOf(flags: BatchFlags, environment: NodeJS.ProcessEnv): LlmProvider {
  const baseUrl = flags['base-url'];
  const apiKey = environment[flags['api-key-env']] || undefined;
  if (apiKey === undefined && baseUrl.hostname === NEEDS_KEY && !flags['dry-run']) {
    throw new CommandError(`${baseUrl.hostname} wants an API key: set ${flags['api-key-env']}, or name another server with --base-url.`);
  }
  return httpProvider({ baseUrl, apiKey, retries: flags.retries, timeoutMs: durationMs(flags.timeout)! });
}

/** Not every request can be looked up: one that continues state on the server would be sent. */
function withoutCalls({ id }: LlmProvider): LlmProvider {
  return { id, chat: () => Promise.reject(new LlmCacheMissError(id)) };
}

/** A dry run makes no file: where there is none, nothing is stored. */
function storeOf({ store, 'dry-run': dryRun }: BatchFlags): StoreInput {
  if (store.kind === 'memory' || (dryRun && !existsSync(store.path))) return memoryStore();
  return sqliteStore({ path: store.path });
}
