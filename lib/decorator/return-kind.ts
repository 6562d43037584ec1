import { LlmCacheConfigError } from '../core/errors.js';
import type { ReturnKind } from './cache-llm-options.js';

/** `unknown` until the first call: the declaration did not say. */
export type KnownReturn = 'promise' | 'other' | 'unknown';

/**
 * What a method returns, from its options, its kind of function and its declared type.
 * @throws LlmCacheConfigError for a declared synchronous type: a cached method has to be waited for.
 */
export function returnKindOf(method: (...args: never[]) => unknown, declared: unknown, given: ReturnKind | undefined, owner: string): KnownReturn {
  if (given !== undefined) return given === 'promise' ? 'promise' : 'other';
  if (['AsyncGeneratorFunction', 'GeneratorFunction'].includes(method.constructor.name)) return 'other';
  if (method.constructor.name === 'AsyncFunction') return 'promise';
  if (typeof declared !== 'function' || declared === Object) return 'unknown';
  const prototype = declared.prototype as Record<PropertyKey, unknown> | undefined;
  if (typeof prototype?.['then'] === 'function') return 'promise';
  if (isStream(prototype)) return 'other';
  throw new LlmCacheConfigError(
    `${owner}: the method is declared to return ${declared.name || 'a value'}, synchronously. ` +
      'Make it async: a cached answer may come from a store that has to be waited for.',
  );
}

/** An AsyncIterable, an Observable or a ReadableStream. */
export function isStream(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return [Symbol.asyncIterator, 'subscribe', 'getReader'].some(
    (method) => typeof (value as Record<PropertyKey, unknown>)[method] === 'function',
  );
}
