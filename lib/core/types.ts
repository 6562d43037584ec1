import type { Duration } from './duration.js';
import type { PiiOptions } from './pii.js';

/** Model configuration in the provider's own words. Fields this module does not know take part in the key like the others. */
export type ModelConfig = {
  /** Name of the model. */
  model?: string;
  /** Sampling temperature. Above 0 a stored answer is one sample of several. */
  temperature?: number;
  /** Nucleus sampling. */
  top_p?: number;
  /** Most tokens of the answer. */
  max_tokens?: number;
  /** Seed of the sampling. */
  seed?: number;
  /** Where the answer ends. */
  stop?: string | string[];
} & Record<string, unknown>;

/** What a call is, as far as its answer goes. Two calls with equal parts share an entry. */
export interface KeyParts {
  /** Stable identity of what is called, such as `TicketsService.summary`. */
  name: string;
  /** Everything the answer is computed from: for a decorated method, its arguments. */
  input: unknown;
  /** Merged over the module's `model`. */
  model?: ModelConfig;
  /** Beside the module's `version`: bump it when the code or prompt behind `name` changes. */
  version?: string | number;
  /** Tenant partition; overrides the module's `scope.resolve`. `0` is a scope, `''` and `undefined` are not. */
  scope?: string | number;
  /** Whether the answer is a stream: a stream and a whole answer never share an entry by accident. @default false */
  stream?: boolean;
}

/** Tokens of one answer, as its provider reported them. */
export interface LlmUsage {
  /** Tokens of the question. */
  inputTokens: number;
  /** Tokens of the answer. */
  outputTokens: number;
  /** Both together. */
  totalTokens: number;
}

/** What happened to one call. `coalesced`: it shared the upstream call of another caller. `stale`: a stored answer past its lifetime. */
export type CacheStatus = 'hit' | 'miss' | 'stale' | 'coalesced' | 'bypass';

/** What happened to one call, without content. */
export interface CacheOutcome {
  /** How the call was answered. */
  status: CacheStatus;
  /** The identity of the call; tells a decorated call from one made inside it. */
  name: string;
  /** Why the cache was bypassed, why the answer was not stored, or why it is stale. */
  reason?: string;
  /** Whether the answer is in the cache after this call because of this call. */
  stored: boolean;
  /** Index of the tier that held a stored answer. */
  tier?: number;
  /** The call's key; absent where it bypassed the cache. */
  key?: string;
  /** Age of a stored answer, milliseconds. */
  ageMs?: number;
  /** How long the answer took to compute when it was stored, milliseconds; less the wait of a caller who waited for upstream. */
  savedMs?: number;
  /** Tokens of the answer: spent on a miss, saved on a hit. */
  usage?: LlmUsage;
}

/** How one call uses the cache. All fields are optional; several sources are merged, the innermost winning. */
export interface CacheControl {
  /** Call upstream and store the new answer. Never joins a call already under way. */
  noCache?: boolean;
  /** A stored answer may be used; nothing is stored. */
  noStore?: boolean;
  /** Only a stored answer will do: a miss rejects with `LlmCacheMissError`. */
  onlyIfCached?: boolean;
  /** Accept stored answers up to this age; 0 accepts none. */
  maxAge?: Duration;
  /** Neither read nor store. */
  bypass?: boolean;
  /** Lifetime of the answer stored by this call; `false` never expires. */
  ttl?: Duration | false;
  /** Labels for `invalidate({ tags })`, added to the method's own. */
  tags?: string[];
  /** One of several independent answers to the same question. Joins the key. */
  sample?: number | string;
  /** Called once with what happened. What it throws is ignored. */
  onOutcome?: (outcome: CacheOutcome) => void;
}

/** An extra gate: `false` keeps an answer out of the cache. It cannot admit what the built-in gate refuses. */
export type CacheableFilter = (result: unknown, context: CacheableContext) => boolean;

/** What is known about an answer when the gate looks at it. */
export interface CacheableContext {
  /** The identity of the call. */
  name: string;
  /** `true` when the answer comes from a store and is looked at again. */
  stored: boolean;
  /** The model that answered, as the answer names it. */
  model?: string;
  /** Why the answer ended, in the provider's words. */
  finishReason?: string;
  /** Tokens of the answer. */
  usage?: LlmUsage;
}

/** How long past its lifetime an answer may still be served, in the terms of RFC 5861. */
export interface StaleOptions {
  /** Serve a stored answer at once for this long past its lifetime, and have it computed anew behind it. @default false */
  staleWhileRevalidate?: Duration | false;
  /** Serve a stored answer for this long past its lifetime where upstream is out of order: 5xx, 429, timeouts, no connection. @default false */
  staleIfError?: Duration | false;
}

/** Options of one imperative call. */
export interface CallOptions extends CacheControl, StaleOptions {
  /** An extra gate for this call: it can only refuse. */
  cacheable?: CacheableFilter;
  /** Personal data in this call: over the module's options; `false` looks for none. */
  pii?: PiiOptions | false;
  /** Rejects this caller with `signal.reason`. The upstream call is cancelled when its last caller has aborted. */
  signal?: AbortSignal;
}

/** What the function that computes an answer is handed. */
export interface UpstreamCall {
  /** Aborts when no caller wants the answer any more. */
  signal: AbortSignal;
}

/** What the function of `LlmCache.wrap` is handed. */
export interface WrapCall extends UpstreamCall {
  /**
   * The `input` of the key parts as the model may see it: in the modes `redact` and `pseudonymize` without personal data.
   * There an answer is stored only if it was computed from this one.
   */
  readonly input: unknown;
}

/** What `LlmCache.invalidate` removes. With several fields, everything that matches any of them goes. */
export interface InvalidationTarget {
  /** Entries with at least one of these tags. */
  tags?: string[];
  /** Entries of this identity. */
  name?: string;
  /** Entries of this tenant. */
  scope?: string | number;
  /** One entry, by its parts or its key. */
  key?: KeyParts | string;
}
