/**
 * What users' tests need: the module in memory, a scripted LlmProvider, a clock that stands still, and a
 * store that gets into trouble.
 *
 * @module nestjs-llm-cache/testing
 */
export type { ChaosOperation, ChaosRecord, ChaosRecoverOptions, ChaosStoreOptions, ChaosTroubleOptions } from './chaos-options.js';
export { ChaosStore } from './chaos-store.js';
export { FakeClock } from './fake-clock.js';
export { FakeLlmProvider, type ScriptedAnswer } from './fake-llm-provider.js';
export { LlmCacheTestingModule, type LlmCacheTestingOptions } from './llm-cache-testing.module.js';
