import { fieldOf, innerErrorsOf, namesOf, statusOf } from './error-shape.js';

const TOO_MANY_REQUESTS = 429;

/** Codes of Node, undici and axios for a connection that was refused, lost, or took too long. */
const CONNECTION_CODES: ReadonlySet<unknown> = new Set([
  'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ESOCKETTIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'ENETDOWN', 'ENETUNREACH',
  'EHOSTDOWN', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET',
]);

/** Names for the same, where an SDK says no more than that. */
const CONNECTION_NAMES: ReadonlySet<string> = new Set([
  'TimeoutError', 'APIConnectionError', 'APIConnectionTimeoutError', 'ConnectTimeoutError', 'HeadersTimeoutError', 'BodyTimeoutError', 'SocketError',
]);

/** Somebody gave up. */
const ABORTS: ReadonlySet<string> = new Set(['AbortError', 'APIUserAbortError']);

/** A mistake in the code, unless a failed connection is behind it: `fetch` throws a TypeError for that. */
const MISTAKES: ReadonlySet<string> = new Set(['TypeError', 'ReferenceError', 'RangeError', 'SyntaxError']);

/** Errors wrap errors; what is wrapped more often than this is not looked at. */
const MAX_DEPTH = 8;

/**
 * Whether an error says that upstream is out of order at the moment: 5xx, 429, a timeout, no connection. Anything else, such
 * as another 4xx, an abort or a mistake in the code, would come again, and has to be seen. Errors are known by shape, and
 * what an error itself tells goes before what it wraps.
 */
export function isUpstreamFailure(error: unknown): boolean {
  return verdict(error, new Set(), 0) === true;
}

function verdict(error: unknown, seen: Set<unknown>, depth: number): boolean | undefined {
  if (typeof error !== 'object' || error === null || depth > MAX_DEPTH || seen.has(error)) return undefined;
  seen.add(error);
  const names = namesOf(error);
  if (names.some((name) => ABORTS.has(name))) return false;
  const status = statusOf(error);
  if (status !== undefined && status >= 400) return status === TOO_MANY_REQUESTS || status >= 500;
  const code = fieldOf(error, 'code');
  if (CONNECTION_CODES.has(code)) return true;
  for (const inner of innerErrorsOf(error)) {
    const told = verdict(inner, seen, depth + 1);
    if (told !== undefined) return told;
  }
  if (names.some((name) => MISTAKES.has(name))) return false;
  return names.some((name) => CONNECTION_NAMES.has(name)) || undefined;
}
