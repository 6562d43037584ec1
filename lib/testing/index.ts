export { FakeClock } from './fake-clock.js';
export { FakeLlmProvider, type ScriptedAnswer } from './fake-llm-provider.js';
export { LlmCacheTestingModule, type LlmCacheTestingOptions } from './llm-cache-testing.module.js';
