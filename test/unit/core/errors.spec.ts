import { describe, expect, it } from '@jest/globals';
import * as errors from '../../../lib/core/errors.js';

const CLASSES: Readonly<Record<string, { isInstance(error: unknown): boolean }>> = { ...errors };

const MADE = [
  new errors.LlmCacheConfigError('x'),
  new errors.LlmCacheMissError('A.m'),
  new errors.UncacheableInputError('input[0]', 'a function'),
  new errors.ScopeRequiredError(),
  new errors.LlmProviderError('fake', 'nothing'),
  new errors.LlmCacheInvalidationError(['sqlite']),
  new errors.LlmCacheStoreError('timeout', 'x'),
] as const;

describe('errors', () => {
  it.each(MADE.map((error) => [error.name, error] as const))('%s is told from every other by isInstance and by its code', (name, error) => {
    const own = CLASSES[name]!;
    expect(error).toBeInstanceOf(errors.LlmCacheError);
    expect(errors.LlmCacheError.isInstance(error)).toBe(true);
    expect(MADE.filter((other) => own.isInstance(other))).toEqual([error]);
    expect(MADE.filter((other) => other.code === error.code)).toEqual([error]);
  });

  it('of another copy of the package are recognised', () => {
    const foreign = Object.defineProperty(new Error('x'), Symbol.for('nestjs-llm-cache:error'), { value: 'LLM_CACHE_MISS' });
    expect(errors.LlmCacheError.isInstance(foreign)).toBe(true);
    expect(errors.LlmCacheMissError.isInstance(foreign)).toBe(true);
    expect(errors.LlmCacheConfigError.isInstance(foreign)).toBe(false);
  });

  it.each([undefined, null, 'LLM_CACHE_MISS', 1, {}, new Error('x'), { code: 'LLM_CACHE_MISS' }])('%p is none of them', (value) => {
    expect(errors.LlmCacheError.isInstance(value)).toBe(false);
    expect(errors.LlmCacheMissError.isInstance(value)).toBe(false);
  });

  it('keep their cause', () => {
    const cause = new Error('disk full');
    expect(new errors.LlmCacheInvalidationError(['sqlite'], { cause }).cause).toBe(cause);
    expect(new errors.LlmCacheStoreError('failed', 'x', { cause }).cause).toBe(cause);
  });
});
