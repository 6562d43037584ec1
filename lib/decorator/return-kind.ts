import { LlmCacheConfigError } from '../core/errors.js';
import type { StreamKind } from '../streaming/results.js';
import type { ReturnKind } from './cache-llm-options.js';

/** `unknown` until the first call: the declaration did not say. `other` runs uncached. */
export type KnownReturn = ReturnKind | 'unknown' | 'other';

/**
 * What a method returns, from its options, its kind of function and its declared type.
 * @throws LlmCacheConfigError for a declared synchronous type: a cached method has to be waited for.
 */
export function returnKindOf(method: (...args: never[]) => unknown, declared: unknown, given: ReturnKind | undefined, owner: string): KnownReturn {
  if (given !== undefined) return given;
  if (method.constructor.name === 'AsyncGeneratorFunction') return 'asyncIterable';
  if (method.constructor.name === 'GeneratorFunction') return 'other';
  if (method.constructor.name === 'AsyncFunction') return 'promise';
  if (typeof declared !== 'function' || declared === Object) return 'unknown';
  const prototype = declared.prototype as Record<PropertyKey, unknown> | undefined;
  if (typeof prototype?.['then'] === 'function') return 'promise';
  const kind = streamKindOf(prototype);
  if (kind !== undefined) return kind;
  throw new LlmCacheConfigError(
    `${owner}: the method is declared to return ${declared.name || 'a value'}, synchronously. ` +
      'Make it async: a cached answer may come from a store that has to be waited for.',
  );
}

/** Which kind of stream something is; `other` for a Node stream, whose callers expect more of it than chunks. */
export function streamKindOf(value: unknown): StreamKind | 'other' | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const has = (method: PropertyKey): boolean => typeof (value as Record<PropertyKey, unknown>)[method] === 'function';
  if (has('subscribe')) return 'observable';
  if (has('getReader')) return 'readableStream';
  if (!has(Symbol.asyncIterator)) return undefined;
  return has('pipe') ? 'other' : 'asyncIterable';
}

export function isStreamKind(kind: KnownReturn): kind is StreamKind {
  return kind === 'asyncIterable' || kind === 'observable' || kind === 'readableStream';
}
