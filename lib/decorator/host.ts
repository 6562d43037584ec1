import type { CacheLlmInterceptor } from './cache-llm.interceptor.js';

/** Injection token of the interceptor. Registered, so that the ESM and the CJS copy of the package share it. */
export const CACHE_LLM_INTERCEPTOR = Symbol.for('nestjs-llm-cache: import LlmCacheModule.forRoot()');

/** The property through which an instance reaches the interceptor of its own container. */
export const HOST = Symbol.for('nestjs-llm-cache:host');

/** On the prototype: what the decorator knows of each method. */
export const METHODS = Symbol.for('nestjs-llm-cache:methods');

type Hosted = { [HOST]?: CacheLlmInterceptor };

/** Hosts of instances that take no properties. */
const hostsOfSealed = new WeakMap<object, CacheLlmInterceptor>();

/**
 * Lets Nest's injector assign the host without it showing: the property is not enumerable, so spreads, logs and
 * equality checks do not see it, and a frozen instance gets one as well.
 */
export function defineHost(prototype: object): void {
  if (Object.hasOwn(prototype, HOST)) return;
  Object.defineProperty(prototype, HOST, {
    configurable: true,
    get(this: object) {
      return hostsOfSealed.get(this);
    },
    set(this: object, host: CacheLlmInterceptor) {
      if (Object.isExtensible(this)) Object.defineProperty(this, HOST, { value: host, configurable: true, writable: true });
      else hostsOfSealed.set(this, host);
    },
  });
}

/** The interceptor of an instance; `undefined` for one made by hand, which runs its methods uncached. */
export function hostOf(instance: unknown): CacheLlmInterceptor | undefined {
  return (instance as Hosted | null | undefined)?.[HOST];
}

export function setHost(instance: object, host: CacheLlmInterceptor): void {
  (instance as Hosted)[HOST] = host;
}
