import { isRecord } from '../../core/check-options.js';
import { fieldOf, headerOf, namesOf, statusOf } from '../../policy/error-shape.js';

/** Statuses that mean "later", for those who say when. Some providers use 529 for "overloaded". */
const LATER: ReadonlySet<unknown> = new Set([503, 529]);
const TOO_MANY_REQUESTS = 429;
/** Errors with these statuses may be gone at the next try; other 4xx come again. */
const TRANSIENT_CLIENT_ERRORS: ReadonlySet<unknown> = new Set([408, 409, 425, TOO_MANY_REQUESTS]);
/** A 429 that waiting does not cure: the account has no money left. */
const NO_CURE: ReadonlySet<unknown> = new Set(['insufficient_quota', 'billing_hard_limit_reached']);

/** What a provider's error says about trying again. */
export interface RateLimit {
  /** As the provider asks by `Retry-After`; `undefined` when it does not say. */
  readonly retryAfterMs: number | undefined;
}

/** The rate limit an error tells of; `undefined` for any other error. Errors are known by shape: status and headers, as SDKs have them. */
export function rateLimitOf(error: unknown, nowMs: number): RateLimit | undefined {
  if (NO_CURE.has(fieldOf(error, 'code'))) return undefined;
  const status = statusOf(error);
  if (status !== TOO_MANY_REQUESTS && !LATER.has(status)) return undefined;
  const retryAfterMs = retryAfter(error, nowMs);
  return status === TOO_MANY_REQUESTS || retryAfterMs !== undefined ? { retryAfterMs } : undefined;
}

/** Whether the same request would very likely fail in the same way again. */
export function isLasting(error: unknown): boolean {
  if (!isRecord(error)) return true;
  const code = fieldOf(error, 'code');
  if (typeof code === 'string' && /^E[A-Z]+$|^UND_ERR/.test(code)) return false; // the connection
  const status = statusOf(error);
  if (status === undefined) return !isOfTheConnection(error);
  return status >= 400 && status < 500 && !TRANSIENT_CLIENT_ERRORS.has(status);
}

/** SDKs wrap what `fetch` throws. */
function isOfTheConnection(error: unknown): boolean {
  const cause = fieldOf(error, 'cause');
  return namesOf(error).some((name) => /Connection|Timeout|Abort/.test(name)) || (isRecord(cause) && !isLasting(cause));
}

/** RFC 9110, section 10.2.3: seconds, or a date. `retry-after-ms` is what OpenAI and Azure send beside it. */
function retryAfter(error: unknown, nowMs: number): number | undefined {
  const ms = Number.parseFloat(headerOf(error, 'retry-after-ms') ?? '');
  if (ms >= 0) return ms;
  const given = headerOf(error, 'retry-after')?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(given)) return Number(given) * 1_000;
  const date = /^[A-Z][a-z]{2,8},? /.test(given) ? Date.parse(given) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
