import type { CachedMethod } from './cached-method.js';

/** Injection token of the interceptor. Registered, so that the ESM and the CJS copy of the package share it. */
export const CACHE_LLM_INTERCEPTOR = Symbol.for('nestjs-llm-cache: import LlmCacheModule.forRoot()');

/** The property through which an instance reaches the interceptor of its own container. */
export const HOST = Symbol.for('nestjs-llm-cache:host');

/** The same for methods that are `optional`: a class may have both kinds, and only one is required of the container. */
export const OPTIONAL_HOST = Symbol.for('nestjs-llm-cache:optional-host');

/** What runs the decorated methods of an instance. */
export interface MethodHost {
  intercept(method: CachedMethod, instance: object, args: unknown[]): unknown;
  readonly isClosed: boolean;
}

type Hosted = { [HOST]?: MethodHost; [OPTIONAL_HOST]?: MethodHost };

/** Hosts of instances that take no properties. */
const hostsOfSealed = new WeakMap<object, MethodHost>();

/**
 * Lets Nest's injector assign the host without it showing: the property is not enumerable, so spreads, logs and
 * equality checks do not see it, and a frozen instance gets one as well.
 */
export function defineHost(prototype: object, property: symbol): void {
  Object.defineProperty(prototype, property, {
    configurable: true,
    get(this: object) {
      return hostsOfSealed.get(this);
    },
    set(this: object, host: MethodHost) {
      if (Object.isExtensible(this)) Object.defineProperty(this, property, { value: host, configurable: true, writable: true });
      else hostsOfSealed.set(this, host);
    },
  });
}

/** The interceptor of an instance; `undefined` for one made by hand, which runs its methods uncached. */
export function hostOf(instance: unknown): MethodHost | undefined {
  const hosted = instance as Hosted | null | undefined;
  return hosted?.[HOST] ?? hosted?.[OPTIONAL_HOST];
}

export function setHost(instance: object, host: MethodHost): void {
  (instance as Hosted)[HOST in instance ? HOST : OPTIONAL_HOST] = host;
}
