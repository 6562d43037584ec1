import { PARTS_OF } from '../core/parts-of.js';
import { ignoreRejection, isThenable } from '../core/thenable.js';
import type { KeyParts, ModelConfig } from '../core/types.js';
import { partsOfQuestion, type Question } from '../engine/question.js';
import { takeSignal } from './abort-signals.js';
import type { CacheLlmOptions } from './cache-llm-options.js';
import { isStreamKind, type KnownReturn } from './return-kind.js';

/** On the prototype: what the decorator knows of each method. Registered, for both copies of the package. */
const METHODS = Symbol.for('nestjs-llm-cache:methods');

/** Any method; what it takes and gives is the caller's business. */
export type AnyMethod = (this: unknown, ...args: unknown[]) => unknown;

/** Everything the decorator knows about one method. */
export interface CachedMethod {
  /** The class that declares it. */
  readonly declaring: string;
  readonly property: string | symbol;
  readonly original: AnyMethod;
  /** See `bodyDigest`. */
  readonly body: string | undefined;
  readonly options: CacheLlmOptions;
  /** `unknown` becomes known with the first call. */
  returns: KnownReturn;
}

type Registry = Map<string | symbol, CachedMethod>;

/** Notes a decorated method on its prototype, where the explorer and `LlmCache.partsOf` find it. */
export function registerMethod(prototype: object, method: CachedMethod): void {
  if (!Object.hasOwn(prototype, METHODS)) {
    Object.defineProperty(prototype, METHODS, { value: new Map() });
    Object.defineProperty(prototype, PARTS_OF, { value: partsOfCall });
  }
  (prototype as { [METHODS]: Registry })[METHODS].set(method.property, method);
}

function partsOfCall(this: object, property: string | symbol, args: unknown[]): KeyParts | undefined {
  const method = methodsOf(this).find((candidate) => candidate.property === property);
  if (method === undefined) return undefined;
  const { argsForKey } = takeSignal(args);
  const name = identityOf(method, runtimeOf(this).name);
  const about = (leaving: MethodCall): ReturnType<Question['about']> => ({ parts: partsOf(method, this, name, leaving, argsForKey), defaults: {} });
  return partsOfQuestion({ ...callOf(method, this, argsForKey), about, produce: () => undefined });
}

/** Every decorated method an instance can run, nearest first, overridden ones included. */
export function methodsOf(prototype: object | null): CachedMethod[] {
  const found: CachedMethod[] = [];
  for (let level = prototype; level !== null; level = Object.getPrototypeOf(level) as object | null) {
    if (Object.hasOwn(level, METHODS)) found.push(...(level as { [METHODS]: Registry })[METHODS].values());
  }
  return found;
}

/** `Runtime#Declaring.method`, shortened to `Declaring.method` where both are one class; or the name that was given. */
export function identityOf({ declaring, property, options }: CachedMethod, runtime: string): string {
  if (options.name !== undefined) return options.name;
  const method = `${declaring}.${typeof property === 'symbol' ? `[${property.description ?? 'symbol'}]` : property}`;
  return runtime === declaring ? method : `${runtime}#${method}`;
}

/** What of a call leaves for the model. */
export interface MethodCall {
  readonly input: unknown[];
  readonly model: ModelConfig | undefined;
}

/** What is asked by a call. A model configuration that cannot be made out is told of where the parts are derived. */
export function callOf(method: CachedMethod, instance: unknown, args: unknown[]): Pick<Question<MethodCall>, 'given' | 'pii'> {
  const { model, pii } = method.options;
  return { given: { input: args, model: typeof model === 'function' ? attempt(() => call(model, instance, args)) : model }, pii };
}

/**
 * The key parts of one call.
 * @param leaving what the method gets, without what a redactor took out
 * @param raw its arguments as they came: tenants and tags are the caller's own
 * @throws whatever a function in the options throws.
 */
export function partsOf(method: CachedMethod, instance: unknown, name: string, { input, model: given }: MethodCall, raw: readonly unknown[]): KeyParts {
  const { model, version, key, scope } = method.options;
  if (typeof model === 'function' && given === undefined) call(model, instance, raw); // it threw, and says so again
  return {
    name,
    stream: isStreamKind(method.returns),
    input: key === undefined ? withoutTrailingUndefined(input) : call(key, instance, input),
    model: given,
    version,
    scope: scope === undefined ? undefined : call(scope, instance, raw),
  };
}

function attempt<T>(run: () => T): T | undefined {
  try {
    return run();
  } catch {
    return undefined;
  }
}

/** The class an instance is of, whatever its own fields say. */
export function runtimeOf(instance: object): { name: string } {
  const prototype = Object.getPrototypeOf(instance) as { constructor?: { name: string } } | null;
  return prototype?.constructor ?? Object;
}

/**
 * Runs a function of the options the way the method itself is run.
 * @throws TypeError when it answers with a promise: what a call is has to be known at once.
 */
export function call<T>(run: (...args: never[]) => T, instance: unknown, args: readonly unknown[]): T {
  const result = Reflect.apply(run, instance, args) as T;
  if (!isThenable(result)) return result;
  ignoreRejection(result);
  throw new TypeError('answered with a promise');
}

/** A trailing `undefined` equals an argument left out. */
function withoutTrailingUndefined(args: readonly unknown[]): readonly unknown[] {
  let length = args.length;
  while (length > 0 && args[length - 1] === undefined) length--;
  return length === args.length ? args : args.slice(0, length);
}
