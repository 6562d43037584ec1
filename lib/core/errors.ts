/** Stable, machine-readable codes. A message may be reworded in any release; a code may not. */
export type LlmCacheErrorCode =
  | 'LLM_CACHE_CONFIG'
  | 'LLM_CACHE_MISS'
  | 'LLM_CACHE_UNCACHEABLE_INPUT'
  | 'LLM_CACHE_SCOPE_REQUIRED'
  | 'LLM_CACHE_PROVIDER_ANSWER'
  | 'LLM_CACHE_UPSTREAM'
  | 'LLM_CACHE_INVALIDATION'
  | 'LLM_CACHE_STORE'
  | 'LLM_CACHE_STREAM_LAG'
  | 'LLM_CACHE_PII_REDACTION';

const MARKER = Symbol.for('nestjs-llm-cache:error');

/** Base of every error this package creates. Errors of the method, SDK or LlmProvider are rethrown as they are. */
export class LlmCacheError extends Error {
  /** Name of the class, also where a bundler has renamed it. */
  override readonly name: string = 'LlmCacheError';
  /** Stable code: what a program may rely on. */
  readonly code: LlmCacheErrorCode;

  constructor(code: LlmCacheErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    Object.defineProperty(this, MARKER, { value: code });
  }

  /**
   * Like `instanceof`, and true for errors of another copy of this package in the process (ESM beside CJS).
   * Called on a subclass it tests for that subclass.
   */
  static isInstance<T>(this: { readonly prototype: T; readonly expectedCode?: LlmCacheErrorCode }, error: unknown): error is T {
    if (typeof error !== 'object' || error === null) return false;
    const code = (error as Record<symbol, unknown>)[MARKER];
    return code !== undefined && (this.expectedCode === undefined || code === this.expectedCode);
  }

  /** @internal The code all instances of a subclass carry. */
  static readonly expectedCode?: LlmCacheErrorCode;
}

/** A wrong option or a wrong use of the module, found at start-up. The message names the option and the accepted form. */
export class LlmCacheConfigError extends LlmCacheError {
  override readonly name = 'LlmCacheConfigError';
  static override readonly expectedCode = 'LLM_CACHE_CONFIG';

  constructor(message: string, options?: ErrorOptions) {
    super('LLM_CACHE_CONFIG', message, options);
  }
}

/** An `onlyIfCached` call found no stored answer. Over HTTP this is a 504 (RFC 9111, section 5.2.1.7). */
export class LlmCacheMissError extends LlmCacheError {
  override readonly name = 'LlmCacheMissError';
  static override readonly expectedCode = 'LLM_CACHE_MISS';

  constructor(name: string) {
    super(
      'LLM_CACHE_MISS',
      `No stored answer for ${name}, and onlyIfCached forbids calling upstream. ` +
        'Call again without onlyIfCached to compute and store one.',
    );
  }
}

/** An input has no key: it holds something that cannot be told apart from other values. `path` says where. */
export class UncacheableInputError extends LlmCacheError {
  override readonly name = 'UncacheableInputError';
  static override readonly expectedCode = 'LLM_CACHE_UNCACHEABLE_INPUT';

  constructor(
    /** Where the offending value sits, such as `input[0].onToken`. */
    readonly path: string,
    /** What is wrong with it, such as `a function`. */
    readonly problem: string,
  ) {
    super(
      'LLM_CACHE_UNCACHEABLE_INPUT',
      `${path} is ${problem}, which cannot take part in a cache key. ` +
        'Leave it out with the `key` option of @CacheLlm, or pass plain data.',
    );
  }
}

/** `scope.required` is set and no scope could be resolved. Calls bypass the cache; `keyFor` and `explain` throw this. */
export class ScopeRequiredError extends LlmCacheError {
  override readonly name = 'ScopeRequiredError';
  static override readonly expectedCode = 'LLM_CACHE_SCOPE_REQUIRED';

  constructor() {
    super(
      'LLM_CACHE_SCOPE_REQUIRED',
      'scope.required is set and scope.resolve returned nothing usable. ' +
        'Run the call where a tenant is known, or pass `scope` in the key parts.',
    );
  }
}

/** An LlmProvider answered in no known shape. */
export class LlmProviderError extends LlmCacheError {
  override readonly name = 'LlmProviderError';
  static override readonly expectedCode = 'LLM_CACHE_PROVIDER_ANSWER';

  constructor(providerId: string, problem: string) {
    super('LLM_CACHE_PROVIDER_ANSWER', `LlmProvider ${providerId} answered ${problem}.`);
  }
}

/** What is told of a failed upstream call to other processes: nothing that could hold content. */
export interface UpstreamFailure {
  /** The error's name, such as `RateLimitError`. */
  readonly name?: string;
  /** Its HTTP status. */
  readonly status?: number;
  /** Its code, such as `ECONNREFUSED`. */
  readonly code?: string;
  /** Its `Retry-After`, as the provider sent it. */
  readonly retryAfter?: string;
}

/**
 * Another process was asked the same at the same time, called upstream for both, and failed. Errors of this process are
 * rethrown as they are; of another's there is only this. `status` and `headers` are where SDKs have them, for retries.
 */
export class LlmUpstreamError extends LlmCacheError {
  override readonly name = 'LlmUpstreamError';
  static override readonly expectedCode = 'LLM_CACHE_UPSTREAM';
  /** HTTP status of the failed call, where it had one. */
  readonly status: number | undefined;
  /** `retry-after`, where the provider sent it. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(failure: UpstreamFailure) {
    const { name = 'an error', status, code, retryAfter } = failure;
    const what = [name, status, code].filter((part) => part !== undefined).join(', ');
    super(
      'LLM_CACHE_UPSTREAM',
      `The upstream call that another process made for the same question failed (${what}). ` +
        'Treat it like the error itself: its status and retry-after are here, its text is in the log of that process.',
      { cause: failure },
    );
    this.status = status;
    this.headers = retryAfter === undefined ? {} : { 'retry-after': retryAfter };
  }
}

/** `clear` or `invalidate` was applied in this process, but a store did not confirm it. Call it again. */
export class LlmCacheInvalidationError extends LlmCacheError {
  override readonly name = 'LlmCacheInvalidationError';
  static override readonly expectedCode = 'LLM_CACHE_INVALIDATION';

  constructor(
    /** Names of the tiers that did not confirm. */
    readonly tiers: readonly string[],
    options?: ErrorOptions,
  ) {
    super(
      'LLM_CACHE_INVALIDATION',
      `Invalidated in this process, but not confirmed by ${tiers.join(', ')}. ` +
        'Other processes, or this one after a restart, may still serve the old answers: call it again.',
      options,
    );
  }
}

/** A store operation failed, or took longer than `storeTimeout`. Seen in events; never reaches a caller. */
export class LlmCacheStoreError extends LlmCacheError {
  override readonly name = 'LlmCacheStoreError';
  static override readonly expectedCode = 'LLM_CACHE_STORE';

  constructor(
    /** `skipped`: not even tried, because the store was down a moment ago. `fenced`: refused, because a newer answer is on its way. */
    readonly kind: 'failed' | 'timeout' | 'skipped' | 'fenced',
    message: string,
    options?: ErrorOptions,
  ) {
    super('LLM_CACHE_STORE', message, options);
  }
}

/** A reader of a stream fell more than `maxEntryBytes` behind the fastest one, and what it had still to read was let go. */
export class StreamLagError extends LlmCacheError {
  override readonly name = 'StreamLagError';
  static override readonly expectedCode = 'LLM_CACHE_STREAM_LAG';

  constructor() {
    super(
      'LLM_CACHE_STREAM_LAG',
      'This reader fell further behind the stream than maxEntryBytes. ' +
        'Read faster, raise maxEntryBytes, or call with noStore and noCache to have a stream of your own.',
    );
  }
}

/**
 * The redactor failed, and the mode (`redact`, `pseudonymize`) does not let raw text go to the model, so nothing was called.
 * What the redactor threw is not its `cause`: it may hold the text.
 */
export class PiiRedactionError extends LlmCacheError {
  override readonly name = 'PiiRedactionError';
  static override readonly expectedCode = 'LLM_CACHE_PII_REDACTION';

  constructor(
    /** The `id` of the redactor. */
    readonly redactorId: string,
    problem: string,
  ) {
    super(
      'LLM_CACHE_PII_REDACTION',
      `The redactor ${redactorId} ${problem}, so the model was not called. ` +
        "Mend it, or allow raw text with pii: { mode: 'bypass' } or pii: false.",
    );
  }
}
