import type { UpstreamFailure } from '../core/errors.js';
import { fieldOf, headerOf, innerErrorsOf, namesOf, statusOf } from './error-shape.js';
import { isUpstreamFailure } from './upstream-failure.js';

/** What no content hides in. */
const IDENTIFIER = /^[\w.:-]{1,64}$/;
/** Seconds, or a date (RFC 9110, section 10.2.3). */
const RETRY_AFTER = /^\d{1,9}(\.\d{1,9})?$|^[A-Z][a-z]{2,8}, [\w :-]{8,24} GMT$/;

/** Upstream did not let this process in. Another one may have another credential: keys are changed process by process. */
const OWN_STATUSES: ReadonlySet<number> = new Set([401, 403, 407]);

/**
 * What others may be told of an error, if it is one that they would get too: upstream has answered with a status of
 * failure, or cannot be reached. Anything else may be this process's own.
 */
export function failureOf(error: unknown): UpstreamFailure | undefined {
  const status = statusOf(error);
  if (!((status !== undefined && status >= 400) || isUpstreamFailure(error))) return undefined;
  if ((status !== undefined && OWN_STATUSES.has(status)) || isExceptionOfNest(error)) return undefined;
  return withoutUndefined({
    name: namesOf(error).find((name) => isIdentifier(name) && name !== 'Error'),
    status,
    code: [error, ...innerErrorsOf(error)].map((each) => fieldOf(each, 'code')).find(isIdentifier),
    retryAfter: [headerOf(error, 'retry-after')].find((value) => value !== undefined && RETRY_AFTER.test(value)),
  });
}

/** The same as text. */
export function writeFailure(failure: UpstreamFailure): string {
  return JSON.stringify(failure);
}

/** `undefined` for a text that is none. */
export function readFailure(text: string): UpstreamFailure | undefined {
  try {
    const { name, status, code, retryAfter } = JSON.parse(text) as Record<string, unknown>;
    return withoutUndefined({
      name: isIdentifier(name) ? name : undefined,
      status: typeof status === 'number' ? status : undefined,
      code: isIdentifier(code) ? code : undefined,
      retryAfter: typeof retryAfter === 'string' && RETRY_AFTER.test(retryAfter) ? retryAfter : undefined,
    });
  } catch {
    return undefined;
  }
}

/** The app's own answer to its client: Nest knows it by its class. */
function isExceptionOfNest(error: unknown): boolean {
  return typeof fieldOf(error, 'getStatus') === 'function';
}

function isIdentifier(value: unknown): value is string {
  return typeof value === 'string' && IDENTIFIER.test(value);
}

function withoutUndefined(failure: { [Field in keyof UpstreamFailure]: UpstreamFailure[Field] | undefined }): UpstreamFailure {
  return Object.fromEntries(Object.entries(failure).filter(([, value]) => value !== undefined));
}
