/**
 * What users' tests need: the module in memory, a scripted LlmProvider, and a clock that stands still.
 *
 * @module nestjs-llm-cache/testing
 */
export { FakeClock } from './fake-clock.js';
export { FakeLlmProvider, type ScriptedAnswer } from './fake-llm-provider.js';
export { LlmCacheTestingModule, type LlmCacheTestingOptions } from './llm-cache-testing.module.js';
