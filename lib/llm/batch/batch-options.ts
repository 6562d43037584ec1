import { aFunction, checkOptions, positiveInteger, timerDuration, trueOrFalse, type OptionRules } from '../../core/check-options.js';
import type { Duration } from '../../core/duration.js';
import type { CacheOutcome, CallOptions } from '../../core/types.js';
import { checkPiiOptions, piiOptions } from '../../redaction/pii-options.js';
import { cacheControlRules } from '../../policy/cache-control.js';
import { staleRules } from '../../policy/staleness.js';
import type { ChatRequest, ChatResponse } from '../chat.js';

/** One request of a batch: a chat request, or a line of an OpenAI Batch file, whose `custom_id` becomes the item's `id`. */
export type BatchRequest = ChatRequest | BatchLine;

/** A line of an OpenAI Batch file, as far as it matters here. */
export interface BatchLine {
  /** Names the request in the results. */
  custom_id: string;
  /** The chat request. */
  body: ChatRequest;
}

/** Options of `LlmService.batch`. Those of a single call apply to each request. */
export interface BatchOptions extends CallOptions {
  /** Most requests upstream at one time. @default 8 */
  concurrency?: number;
  /** Yield the items in the order of the requests; `false` yields each as it is answered. @default true */
  ordered?: boolean;
  /** Most requests read from the source and not yet yielded: what is held in memory. @default 256, or four times `concurrency` */
  window?: number;
  /** Most upstream requests within a minute; a twentieth of them may go at once. Hits are free. @default no limit */
  requestsPerMinute?: number;
  /** Most tokens within a minute, estimated before a request is sent and corrected by its usage. @default no limit */
  tokensPerMinute?: number;
  /**
   * How long a request refused for its rate limit (429, or 503 and 529 with `Retry-After`) is tried again, before its item
   * fails with that error. Meanwhile no other request is sent. @default '10m'
   */
  retryFor?: Duration;
  /** Is told after each item. What it throws is ignored. */
  onProgress?: (progress: BatchProgress) => void;
}

/** How far a batch is. */
export interface BatchProgress {
  /** Items answered, failed ones included. */
  done: number;
  /** Requests in all; known once the source has ended, or from the start when it has a length or size. */
  total?: number;
  /** Items answered from a store. */
  hits: number;
  /** Items that shared the upstream call of an equal one. */
  coalesced: number;
  /** Items that carry an error. */
  failures: number;
  /** Items in a second, over the last ten seconds. */
  perSecond: number;
  /** At that rate; absent while `total` is unknown. Milliseconds. */
  remainingMs?: number;
}

/** The result of one request of a batch: a `response` or an `error`. */
export interface BatchItem {
  /** The place of its request, from 0. */
  index: number;
  /** The `custom_id` of its line. */
  id?: string;
  /** The answer. */
  response?: ChatResponse;
  /** What the LlmProvider threw, unchanged; LlmCacheConfigError for a request that is none. */
  error?: Error;
  /** How it was answered. */
  outcome: CacheOutcome;
}

const rules: OptionRules<BatchOptions> = {
  ...cacheControlRules,
  ...staleRules,
  cacheable: aFunction,
  pii: piiOptions,
  signal: { accepts: 'an AbortSignal', test: (value) => value instanceof AbortSignal },
  concurrency: positiveInteger,
  ordered: trueOrFalse,
  window: positiveInteger,
  requestsPerMinute: positiveInteger,
  tokensPerMinute: positiveInteger,
  retryFor: timerDuration,
  onProgress: aFunction,
};

/** @throws LlmCacheConfigError naming the first wrong or unknown option. */
export function checkBatchOptions(options: unknown): void {
  checkOptions<BatchOptions>('LlmService.batch', options, rules);
  checkPiiOptions('LlmService.batch', (options as BatchOptions).pii);
}
