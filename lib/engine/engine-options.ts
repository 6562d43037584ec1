import {
  aFunction,
  aRecord,
  checkOptions,
  duration,
  durationOrFalse,
  fraction,
  nonEmptyString,
  oneOf,
  positiveInteger,
  stringList,
  stringOrNumber,
  timerDuration,
  trueOrFalse,
  type OptionRules,
} from '../core/check-options.js';
import { durationMs, type Duration } from '../core/duration.js';
import type { PiiOptions } from '../core/pii.js';
import type { CacheableFilter, ModelConfig, StaleOptions } from '../core/types.js';
import { aSecret, Secret } from '../key/secret.js';
import { NEVER_STALE, stalenessOf, staleRules, type Staleness } from '../policy/staleness.js';
import { checkPiiOptions, piiOptions } from '../redaction/pii-options.js';
import { EncryptedEntries, plainEntries, type EntryFormat } from '../stores/entry-format.js';
import { encryptionRules, type EncryptionOptions } from '../stores/key-ring.js';
import { memoryStore } from '../stores/memory/index.js';
import type { KeyvLike } from '../stores/keyv-shape.js';
import { givenStores, type StoreInput } from '../stores/store-input.js';

/** Options of `LlmCache`. */
export interface EngineOptions extends StaleOptions {
  /** The kill switch: `'off'` runs every call uncached and touches no store. @default 'on' */
  mode?: 'on' | 'off';
  /** Where answers are kept, fastest first: Keyv, Keyv storage adapter or cache-manager Cache. @default memoryStore() */
  stores?: StoreInput | StoreInput[];
  /** Separates apps that share a store; any non-empty string. @default 'llm' */
  namespace?: string;
  /** Joins every key: bump it and nothing stored before is served again. */
  version?: string | number;
  /** Lifetime of an answer; `false` never expires. @default '1d' */
  ttl?: Duration | false;
  /** Fraction of the ttl, 0 to 1, by which each lifetime is shortened at random. @default 0.05 */
  jitter?: number;
  /** Model configuration merged under each method's and request's own. */
  model?: ModelConfig;
  /** Request fields that never change the answer, such as `['user']`; they stay out of the key. */
  volatile?: string[];
  /** Tenant partition. With `required`, a call without a scope bypasses the cache instead of sharing an entry. */
  scope?: {
    /** Who asks, at each call. `0` is a scope, `''` and `undefined` are none. */
    resolve: () => string | number | undefined;
    /** Bypass the cache where there is no scope. @default false */
    required?: boolean;
  };
  /**
   * Makes keys HMAC-SHA256: at least 32 random bytes, the same for every process that shares the store. Without it, whoever
   * can list the store can confirm a guessed prompt. Another secret = other keys = every call is a miss.
   */
  secret?: string | Uint8Array;
  /** Encrypts what the stores keep, AES-256-GCM: `keys` by name, of which `current` is written with. @default off */
  encryption?: EncryptionOptions;
  /** An extra gate: it can only refuse. */
  cacheable?: CacheableFilter;
  /** Deadline of one store operation. @default '250ms' */
  storeTimeout?: Duration;
  /**
   * How long others may go on serving what one process has invalidated in a shared store, when they miss the message; for so
   * long a version is believed without asking the store. Where the store cannot be asked, only younger answers are served.
   * @default '5s'
   */
  maxInvalidationDelay?: Duration;
  /** Larger answers are served, not stored. @default 1_048_576 (1 MiB) */
  maxEntryBytes?: number;
  /** How callers of one question at the same time share one upstream call. */
  singleFlight?: {
    /** How long a caller waits for another's identical call before it calls upstream itself. @default '60s' */
    timeout?: Duration;
    /**
     * Share it with other processes too, where the store can tell whose turn it is (`redisStore`). @default true
     */
    distributed?: boolean;
    /** How long the turn of a process outlives the process; it is extended at a third of that. @default '10s' */
    lease?: Duration;
  };
  /** When the last reader of a stream leaves: `'abort'` cancels it, `'finish'` lets it run to its end and stores it. @default 'abort' */
  onAbandon?: 'abort' | 'finish';
  /** What is done about personal data in questions and answers; `false` says that none is looked for on purpose. @default none is looked for */
  pii?: PiiOptions | false;
  /** Say once when a decorated method is answered with an entry that its code wrote before it was changed. @default true */
  warnOnChangedBody?: boolean;
}

export const engineOptionRules: OptionRules<EngineOptions> = {
  mode: oneOf('on', 'off'),
  stores: { accepts: 'a store or an array of stores', test: () => true }, // givenStores looks closer, and says what to pass instead
  namespace: nonEmptyString,
  version: stringOrNumber,
  ttl: durationOrFalse,
  jitter: fraction,
  ...staleRules,
  model: aRecord,
  volatile: stringList,
  scope: { group: { resolve: aFunction, required: trueOrFalse }, required: ['resolve'] },
  secret: aSecret,
  encryption: encryptionRules,
  cacheable: aFunction,
  storeTimeout: timerDuration,
  maxInvalidationDelay: duration,
  maxEntryBytes: positiveInteger,
  singleFlight: { group: { timeout: timerDuration, distributed: trueOrFalse, lease: timerDuration } },
  onAbandon: oneOf('abort', 'finish'),
  pii: piiOptions,
  warnOnChangedBody: trueOrFalse,
};

/** The options with every default applied and every duration in milliseconds. */
export interface Settings {
  mode: 'on' | 'off';
  stores: KeyvLike[];
  namespace: string;
  providerId: string | undefined;
  version: string | number | undefined;
  ttlMs: number | false;
  jitter: number;
  staleness: Staleness;
  model: ModelConfig;
  volatile: ReadonlySet<string>;
  scope: EngineOptions['scope'];
  /** Names entries and groups; without one, they are named by their SHA-256. */
  secret: Secret | undefined;
  format: EntryFormat;
  cacheable: CacheableFilter | undefined;
  storeTimeoutMs: number;
  maxInvalidationDelayMs: number;
  maxEntryBytes: number;
  followerTimeoutMs: number;
  distributed: boolean;
  leaseMs: number;
  onAbandon: 'abort' | 'finish';
  warnOnChangedBody: boolean;
  pii: PiiOptions | false | undefined;
}

/** @throws LlmCacheConfigError naming the first wrong or unknown option. */
export function settingsOf(options: EngineOptions, providerId?: string): Settings {
  checkOptions<EngineOptions>('LlmCache', options, engineOptionRules);
  checkPiiOptions('LlmCache', options.pii);
  const { ttl = '1d', storeTimeout = '250ms', singleFlight } = options;
  return {
    mode: options.mode ?? 'on',
    stores: givenStores(options.stores === undefined ? memoryStore() : options.stores),
    namespace: options.namespace ?? 'llm',
    providerId,
    version: options.version,
    ttlMs: ttl === false ? false : durationMs(ttl)!,
    jitter: options.jitter ?? 0.05,
    staleness: stalenessOf(NEVER_STALE, options),
    model: options.model ?? {},
    volatile: new Set(options.volatile),
    scope: options.scope,
    secret: options.secret === undefined ? undefined : new Secret(options.secret),
    format: options.encryption === undefined ? plainEntries : new EncryptedEntries(options.encryption),
    cacheable: options.cacheable,
    storeTimeoutMs: durationMs(storeTimeout)!,
    maxInvalidationDelayMs: durationMs(options.maxInvalidationDelay ?? '5s')!,
    maxEntryBytes: options.maxEntryBytes ?? 1024 * 1024,
    followerTimeoutMs: durationMs(singleFlight?.timeout ?? '60s')!,
    distributed: singleFlight?.distributed ?? true,
    leaseMs: durationMs(singleFlight?.lease ?? '10s')!,
    onAbandon: options.onAbandon ?? 'abort',
    warnOnChangedBody: options.warnOnChangedBody ?? true,
    pii: options.pii,
  };
}
