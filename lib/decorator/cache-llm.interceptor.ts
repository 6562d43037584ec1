import { stringList } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import type { ModelConfig } from '../core/types.js';
import { ambient } from '../engine/ambient.js';
import type { LlmCache } from '../engine/llm-cache.js';
import type { Question } from '../engine/question.js';
import { resultOf } from '../streaming/results.js';
import { takeSignal, type SignalFree } from './abort-signals.js';
import type { MethodHost } from './host.js';
import { isStreamKind, streamKindOf } from './return-kind.js';
import { call, callOf, identityOf, partsOf, runtimeOf, type CachedMethod, type MethodCall } from './cached-method.js';

const interceptors = new WeakMap<LlmCache, CacheLlmInterceptor>();

/**
 * Stands between a decorated method and the cache: arguments and model configuration become key parts, and the call
 * goes to `LlmCache`. It is not a Nest interceptor; those run on request handlers only, this runs on every provider.
 */
export class CacheLlmInterceptor implements MethodHost {
  /** Who has each identity: two methods, or two classes, must not share one by accident. */
  private readonly owners = new Map<string, { method: unknown; runtime: unknown }>();
  /** The identities claimed so far, by method and class. */
  private readonly identities = new WeakMap<CachedMethod, WeakMap<object, string>>();

  private constructor(private readonly llmCache: LlmCache) {}

  /** The interceptor of a cache. */
  static of(llmCache: LlmCache): CacheLlmInterceptor {
    let interceptor = interceptors.get(llmCache);
    if (interceptor === undefined) interceptors.set(llmCache, (interceptor = new CacheLlmInterceptor(llmCache)));
    return interceptor;
  }

  /** @internal Runs a decorated method through the cache. */
  intercept(method: CachedMethod, instance: object, args: unknown[]): unknown {
    const { returns } = method;
    if (returns === 'other') return this.runBeside(method, instance, args);
    const { signal, argsWith, argsForKey } = takeSignal(args);
    const caller = { signal };
    const question = this.questionOf(method, instance, argsForKey, argsWith);
    if (isStreamKind(returns)) return resultOf(returns, this.llmCache.openerOf(question, caller));
    if (returns === 'promise' || ambient().control?.onlyIfCached) return this.llmCache.run(question, caller);
    // The declaration does not say what the method returns, so its first call shows it.
    const probed = this.llmCache.probe(question, caller);
    if ('answer' in probed) {
      method.returns = 'promise';
      return probed.answer;
    }
    const { result } = probed;
    const { parts } = question.about(question.given);
    const kind = streamKindOf(result);
    if (kind !== undefined) method.returns = kind;
    if (kind !== undefined && kind !== 'other') {
      return resultOf(kind, this.llmCache.openerOf({ ...question, produce: () => result }, caller));
    }
    if (kind === undefined && result !== undefined && result !== null) {
      this.llmCache.warnOnce(`${parts.name} runs uncached: it returned a value, not a promise. Make it async.`);
    }
    this.llmCache.note(parts.name, 'not a promise');
    return result;
  }

  /** @internal */
  get isClosed(): boolean {
    return this.llmCache.isClosed;
  }

  /**
   * @internal The identity of a method as a class runs it.
   * @throws LlmCacheConfigError when another method or class has it already.
   */
  claim(method: CachedMethod, runtime: { name: string }): string {
    const claimed = this.identities.get(method)?.get(runtime);
    if (claimed !== undefined) return claimed;
    const identity = identityOf(method, runtime.name);
    const owner = { method: method.original, runtime };
    const present = this.owners.get(identity) ?? owner;
    // A given name belongs to the method, whichever subclass runs it; a derived one to the class as well.
    if (present.method !== owner.method || (method.options.name === undefined && present.runtime !== runtime)) {
      throw new LlmCacheConfigError(
        `Two methods have the cache identity "${identity}", so they would share answers. ` +
          'Give one of them a `name` of its own: @CacheLlm({ name: "..." }).',
      );
    }
    this.llmCache.checkPii(method.options.pii);
    this.owners.set(identity, owner);
    const ofMethod = this.identities.get(method) ?? new WeakMap<object, string>();
    this.identities.set(method, ofMethod.set(runtime, identity));
    return identity;
  }

  /** What the call is to the cache: its arguments and model configuration leave, and the rest is derived from them. */
  private questionOf(method: CachedMethod, instance: object, args: unknown[], argsWith: SignalFree['argsWith']): Question<MethodCall> {
    const { given, pii } = callOf(method, instance, args);
    return {
      given,
      pii,
      about: ({ input, model }) => this.describe(method, instance, input, model, args),
      produce: ({ signal }, { input }) => Reflect.apply(method.original, instance, argsWith(signal, input === args ? undefined : input)),
    };
  }

  /** Where it cannot be said what a call is to the cache, it bypasses it. */
  private describe(method: CachedMethod, instance: object, args: unknown[], model: ModelConfig | undefined, raw: unknown[]): ReturnType<Question['about']> {
    const runtime = runtimeOf(instance);
    try {
      const name = this.claim(method, runtime);
      const { ttl, staleWhileRevalidate, staleIfError, cacheable, revive, tags } = method.options;
      return {
        parts: partsOf(method, instance, name, { input: args, model }, raw),
        defaults: {
          body: method.body,
          ttl,
          stale: { staleWhileRevalidate, staleIfError },
          cacheable: cacheable && ((result, context) => call(cacheable, instance, [result, context])),
          revive: revive && ((plain) => call(revive, instance, [plain])),
          tags: typeof tags === 'function' ? tagsFrom(call(tags, instance, raw)) : tags,
        },
      };
    } catch (error) {
      const bypass = LlmCacheConfigError.isInstance(error) ? error.message : 'a function in its @CacheLlm options threw, or gave something else than it should (a promise, say)';
      return { parts: { name: identityOf(method, runtime.name), input: args }, defaults: { bypass } };
    }
  }

  private runBeside(method: CachedMethod, instance: object, args: unknown[]): unknown {
    this.llmCache.note(identityOf(method, runtimeOf(instance).name), 'not a promise');
    return Reflect.apply(method.original, instance, args);
  }
}

/** @throws TypeError when a function gave something else: an answer without its tags could not be invalidated by them. */
function tagsFrom(tags: unknown): string[] | undefined {
  if (tags === undefined || stringList.test(tags)) return tags as string[] | undefined;
  throw new TypeError('no list of tags');
}
