/**
 * The module, the decorator, the cache behind them, and the service over an LlmProvider.
 *
 * @module nestjs-llm-cache
 */
// Named exports only, grouped by concept.

export { LlmCacheModule } from './module/llm-cache.module.js';
export type { LlmCacheAsyncOptions, LlmCacheOptions, LlmCacheOptionsFactory } from './module/llm-cache-options.js';
export { LlmCacheHealthIndicator, type LlmCacheHealth, type TierHealth } from './module/health/llm-cache.health-indicator.js';

export { CacheLlm } from './decorator/cache-llm.decorator.js';
export type { CacheLlmOptions, ReturnKind } from './decorator/cache-llm-options.js';
export { CacheLlmInterceptor } from './decorator/cache-llm.interceptor.js';
export { attachLlmCache } from './decorator/attach-llm-cache.js';

export { LlmCache, type LlmCacheStats } from './engine/llm-cache.js';
export { withCacheControl } from './engine/ambient.js';
export type {
  CacheableContext,
  CacheableFilter,
  CacheControl,
  CacheOutcome,
  CacheStatus,
  CallOptions,
  InvalidationTarget,
  KeyParts,
  LlmUsage,
  ModelConfig,
  StaleOptions,
  UpstreamCall,
  WrapCall,
} from './core/types.js';
export type {
  PiiContext, PiiDetector, PiiMode, PiiOptions, PiiRedactor, PiiSpan, PiiType, RedactText, Redaction, TextRestorer,
} from './core/pii.js';
export type { Duration } from './core/duration.js';
export type { KeyDifference } from './key/explain.js';
export type { LlmCacheEvent, LlmCacheListener } from './observability/events.js';

export { LlmService } from './llm/llm.service.js';
export type { BatchItem, BatchLine, BatchOptions, BatchProgress, BatchRequest } from './llm/batch/batch-options.js';
export type { ChatChunk, ChatMessage, ChatRequest, ChatResponse, LlmProvider } from './llm/chat.js';

export { memoryStore, type MemoryStoreOptions } from './stores/memory/index.js';
export type { EncryptionOptions } from './stores/key-ring.js';
export type { StoreInput } from './stores/store-input.js';
export type { TierStats } from './stores/tier.js';

export {
  LlmCacheConfigError,
  LlmCacheError,
  type LlmCacheErrorCode,
  LlmCacheInvalidationError,
  LlmCacheMissError,
  LlmCacheStoreError,
  LlmProviderError,
  LlmUpstreamError,
  PiiRedactionError,
  ScopeRequiredError,
  StreamLagError,
  UncacheableInputError,
  type UpstreamFailure,
} from './core/errors.js';
