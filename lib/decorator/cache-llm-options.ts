import {
  aFunction,
  aRecord,
  checkOptions,
  durationOrFalse,
  either,
  nonEmptyString,
  oneOf,
  stringList,
  stringOrNumber,
  trueOrFalse,
} from '../core/check-options.js';
import type { Duration } from '../core/duration.js';
import type { PiiOptions } from '../core/pii.js';
import type { CacheableFilter, ModelConfig, StaleOptions } from '../core/types.js';
import { staleRules } from '../policy/staleness.js';
import { checkPiiOptions, piiOptions } from '../redaction/pii-options.js';

/** What a decorated method returns, where its declaration does not tell. */
export type ReturnKind = 'promise' | 'asyncIterable' | 'observable' | 'readableStream';

/**
 * Options of `@CacheLlm`. Functions are called with `this` = the instance. `model`, `key`, `scope` and `tags` get the
 * method's arguments, and each may take fewer of them than another.
 */
export interface CacheLlmOptions<
  ModelArgs extends unknown[] = never[],
  KeyArgs extends unknown[] = ModelArgs,
  ScopeArgs extends unknown[] = ModelArgs,
  TagsArgs extends unknown[] = ModelArgs,
> extends StaleOptions {
  /** Stable identity. @default the classes and the method, such as `TicketsService.summary` */
  name?: string;
  /** Model configuration: joins the key, and `LlmService` inside the method uses it. */
  model?: ModelConfig | ((...args: ModelArgs) => ModelConfig);
  /** Bump it when the method's code or prompt changes. */
  version?: string | number;
  /** Lifetime of an answer. @default the module's */
  ttl?: Duration | false;
  /** Stands for the arguments in the key. */
  key?: (...args: KeyArgs) => unknown;
  /** Tenant partition; overrides the module's resolver. */
  scope?: (...args: ScopeArgs) => string | number | undefined;
  /** Labels for `invalidate({ tags })`. */
  tags?: string[] | ((...args: TagsArgs) => string[]);
  /** An extra gate: it can only refuse. */
  cacheable?: CacheableFilter;
  /** Makes the class instance out of stored plain data. Without it answers that are class instances are not stored. */
  revive?: (plain: unknown) => unknown;
  /** Personal data: over the module's options; `false` looks for none. The method gets its arguments redacted, and its result is restored. */
  pii?: PiiOptions | false;
  /** What the method returns, where it can't be seen from the declaration. Only promises are cached. */
  returns?: ReturnKind;
  /** Run uncached where no LlmCacheModule is imported, instead of failing at start-up. */
  optional?: boolean;
}

/** @throws LlmCacheConfigError naming the option. */
export function checkCacheLlmOptions(owner: string, options: unknown): void {
  checkOptions<CacheLlmOptions>(owner, options, {
    name: nonEmptyString,
    model: either(aRecord, aFunction),
    version: stringOrNumber,
    ttl: durationOrFalse,
    ...staleRules,
    key: aFunction,
    scope: aFunction,
    tags: either(stringList, aFunction),
    cacheable: aFunction,
    revive: aFunction,
    pii: piiOptions,
    returns: oneOf('promise', 'asyncIterable', 'observable', 'readableStream'),
    optional: trueOrFalse,
  });
  checkPiiOptions(owner, (options as CacheLlmOptions).pii);
}
