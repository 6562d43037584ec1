import type { ModuleMetadata, Type } from '@nestjs/common';
import { checkOptions, isRecord, nonEmptyString, trueOrFalse } from '../core/check-options.js';
import { LlmCacheConfigError } from '../core/errors.js';
import { engineOptionRules, type EngineOptions } from '../engine/engine-options.js';
import type { LlmProvider } from '../llm/chat.js';
import { checkPiiOptions } from '../redaction/pii-options.js';

/** Options of `LlmCacheModule`. */
export interface LlmCacheOptions extends EngineOptions {
  /** What `LlmService` calls. Without one it can be injected, and a call throws `LlmCacheConfigError`. */
  provider?: LlmProvider;
}

/** Implemented by the class given as `useClass` or `useExisting`. */
export interface LlmCacheOptionsFactory {
  /** Makes the options, once, when the app starts. */
  createLlmCacheOptions(): LlmCacheOptions | Promise<LlmCacheOptions>;
}

/** Options of `LlmCacheModule.forRootAsync`: one of `useFactory`, `useClass` and `useExisting`. */
export interface LlmCacheAsyncOptions extends Pick<ModuleMetadata, 'imports'> {
  /** Makes the options out of what `inject` names. */
  // Nest types injected arguments as `any` too: a factory declares what it injects.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  useFactory?: (...args: any[]) => LlmCacheOptions | Promise<LlmCacheOptions>;
  /** Tokens of the factory's arguments. */
  inject?: Array<
    | string
    | symbol
    | Type<unknown>
    | Function
    | {
        /** What to inject. */
        token: string | symbol | Type<unknown> | Function;
        /** Inject `undefined` where nobody provides it. */
        optional: boolean;
      }
  >;
  /** A class that makes the options; Nest makes the instance. */
  useClass?: Type<LlmCacheOptionsFactory>;
  /** A provider of `imports` that makes the options. */
  useExisting?: Type<LlmCacheOptionsFactory> | string | symbol;
  /** Whether other modules see the providers without importing this one. @default true */
  isGlobal?: boolean;
}

const OWNER = 'LlmCacheModule';

/** @throws LlmCacheConfigError naming the first wrong or unknown option. */
export function checkLlmCacheOptions(options: unknown): asserts options is LlmCacheOptions {
  checkOptions<LlmCacheOptions>(OWNER, options, {
    ...engineOptionRules,
    provider: {
      accepts: 'an LlmProvider, such as openAiProvider(client): an object with a non-empty string `id` and a function `chat`',
      test: (value) => isRecord(value) && nonEmptyString.test(value['id']) && typeof value['chat'] === 'function',
    },
  });
  checkPiiOptions(OWNER, (options as LlmCacheOptions).pii);
}

/** @throws LlmCacheConfigError when it is no object, or `isGlobal` is wrong; the rest is checked when the app starts. */
export function checkRootOptions(options: unknown): asserts options is LlmCacheOptions & { isGlobal?: boolean } {
  const owner = `${OWNER}.forRoot`;
  const isGlobal = isRecord(options) ? options['isGlobal'] : undefined;
  checkOptions<{ isGlobal?: boolean }>(owner, isRecord(options) ? { isGlobal } : options, { isGlobal: trueOrFalse });
}

/** What `useExisting` does. @throws LlmCacheConfigError when the provider found there makes no options. */
export function createOptionsWith(factory: Partial<LlmCacheOptionsFactory> | undefined): LlmCacheOptions | Promise<LlmCacheOptions> {
  if (typeof factory?.createLlmCacheOptions === 'function') return factory.createLlmCacheOptions();
  throw new LlmCacheConfigError(`${OWNER}.forRootAsync: option "useExisting" must name a provider with a method createLlmCacheOptions().`);
}

function isOptionsFactory(value: unknown): boolean {
  const prototype = typeof value === 'function' ? (value.prototype as Partial<LlmCacheOptionsFactory> | undefined) : undefined;
  return typeof prototype?.createLlmCacheOptions === 'function';
}

/** @throws LlmCacheConfigError when none, or more than one, of the three ways is given. */
export function checkAsyncOptions(options: unknown): asserts options is LlmCacheAsyncOptions {
  const owner = `${OWNER}.forRootAsync`;
  const anything = { accepts: '', test: () => true };
  checkOptions<LlmCacheAsyncOptions>(owner, options, {
    imports: { accepts: 'an array of modules', test: Array.isArray },
    inject: { accepts: 'an array of injection tokens', test: Array.isArray },
    useFactory: { accepts: 'a function that returns the options', test: (value) => typeof value === 'function' },
    useClass: { accepts: 'a class with a method createLlmCacheOptions()', test: isOptionsFactory },
    useExisting: anything,
    isGlobal: trueOrFalse,
  });
  const ways = (['useFactory', 'useClass', 'useExisting'] as const).filter((way) => (options as LlmCacheAsyncOptions)[way]);
  if (ways.length !== 1) throw new LlmCacheConfigError(`${owner}: give exactly one of useFactory, useClass and useExisting.`);
}
