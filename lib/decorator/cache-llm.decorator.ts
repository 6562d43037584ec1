import { Inject, Optional } from '@nestjs/common';
import { LlmCacheConfigError } from '../core/errors.js';
import { checkCacheLlmOptions, type CacheLlmOptions } from './cache-llm-options.js';
import { registerMethod, type AnyMethod, type CachedMethod } from './cached-method.js';
import { CACHE_LLM_INTERCEPTOR, defineHost, HOST, hostOf, OPTIONAL_HOST } from './host.js';
import { bodyDigest } from './method-body.js';
import { returnKindOf } from './return-kind.js';

/** Applies to methods whose result is waited for, or read as a stream, and whose arguments each function of the options takes. */
export type CacheLlmDecorator<Args extends unknown[] = []> = <
  T extends (...args: never[]) => PromiseLike<unknown> | AsyncIterable<unknown> | ObservableLike | ReadableStream,
>(
  target: object,
  propertyKey: string | symbol,
  descriptor: TypedPropertyDescriptor<T> & Takes<Args, Parameters<T>>,
) => void;

/** Says in the compiler's error what is wrong when a function of the options cannot be called with the method's arguments. */
type Takes<Args extends unknown[], Given extends unknown[]> = [Unfit<Args, Given>] extends [never]
  ? unknown
  : { 'a function in the options does not take the arguments of the method': Unfit<Args, Given> };

/** Of the functions' arguments, a union, those that the method's do not fit. */
type Unfit<Args extends unknown[], Given extends unknown[]> = Args extends never[]
  ? never
  : ((...args: Args) => void) extends (...args: Given) => void
    ? never
    : Args;

/**
 * Checks nothing: it is `unknown` whatever `Args` is. The compiler infers `Args` from its other branch all the same, and
 * so a parameter that is not annotated gets its type from another function of the options.
 */
type Infers<Args extends unknown[]> = [Args] extends [never] ? (...args: Args) => unknown : unknown;

/** An rxjs Observable, by shape. */
interface ObservableLike {
  subscribe(...args: never[]): unknown;
}

/**
 * Answers calls of this method from the cache. The arguments and the model configuration make the key; equal calls at
 * the same time run the method once. It works on every provider and controller, in every scope.
 *
 * Methods that return a stream run uncached.
 *
 * Above a method: `@CacheLlm({ ttl: '7d', model: { model: 'gpt-4o-mini', temperature: 0 } })`
 *
 * @throws LlmCacheConfigError at definition: on a static method or a property (instance methods only), on a method
 * declared to return synchronously, and for a wrong or unknown option.
 *
 * @publicApi
 */
export function CacheLlm<
  Args extends unknown[] = [],
  ModelArgs extends unknown[] = Args,
  KeyArgs extends unknown[] = Args,
  ScopeArgs extends unknown[] = Args,
  TagsArgs extends unknown[] = Args,
>(
  options: CacheLlmOptions<ModelArgs, KeyArgs, ScopeArgs, TagsArgs> & { [option in 'model' | 'key' | 'scope' | 'tags']?: Infers<Args> } = {},
): CacheLlmDecorator<ModelArgs | KeyArgs | ScopeArgs | TagsArgs> {
  return (target, propertyKey, descriptor) => {
    const original = descriptor?.value as unknown as AnyMethod | undefined;
    if (typeof target === 'function' || typeof original !== 'function') {
      const place = typeof target === 'function' ? target.name : target.constructor.name;
      throw new LlmCacheConfigError(`@CacheLlm() on ${[place, propertyKey].map(String).join('.')}: it applies to instance methods only.`);
    }
    const owner = `@CacheLlm() on ${target.constructor.name}.${String(propertyKey)}`;
    checkCacheLlmOptions(owner, options);
    const method: CachedMethod = {
      declaring: target.constructor.name,
      property: propertyKey,
      original,
      body: bodyDigest(original),
      options: options as unknown as CacheLlmOptions, // the arguments were checked against the method's own
      returns: returnKindOf(original, Reflect.getMetadata('design:returntype', target, propertyKey), options.returns, owner),
    };
    registerMethod(target, method);
    injectHost(target, options.optional ?? false);
    descriptor.value = wrapperOf(method) as never;
  };
}

/** The door: an instance that belongs to a container goes through its interceptor, any other runs the method itself. */
function wrapperOf(method: CachedMethod): AnyMethod {
  const { original } = method;
  function wrapper(this: unknown, ...args: unknown[]): unknown {
    const host = hostOf(this);
    return host === undefined ? Reflect.apply(original, this, args) : host.intercept(method, this as object, args);
  }
  for (const property of ['name', 'length'] as const) {
    Object.defineProperty(wrapper, property, { value: original[property], configurable: true });
  }
  for (const key of Reflect.getOwnMetadataKeys(original) as unknown[]) {
    Reflect.defineMetadata(key, Reflect.getOwnMetadata(key, original), wrapper);
  }
  return wrapper;
}

/** Asks Nest to inject the interceptor as a property, once per class; see `docs/decisions/0001-property-injection.md`. */
function injectHost(target: object, optional: boolean): void {
  const property = optional ? OPTIONAL_HOST : HOST;
  if (Object.hasOwn(target, property)) return;
  defineHost(target, property);
  Inject(CACHE_LLM_INTERCEPTOR)(target, property);
  if (optional) Optional()(target, property);
}
