import { isRecord } from '../core/check-options.js';

/** A field of an error; `undefined` where there is none, or it throws when it is read. */
export function fieldOf(error: unknown, name: string): unknown {
  try {
    return (error as Record<string, unknown> | null | undefined)?.[name];
  } catch {
    return undefined;
  }
}

/** The HTTP status an error tells of, as SDKs, fetch wrappers and axios have it. */
export function statusOf(error: unknown): number | undefined {
  const given = [fieldOf(error, 'status'), fieldOf(error, 'statusCode'), fieldOf(fieldOf(error, 'response'), 'status')];
  return given.find((status) => typeof status === 'number');
}

/** What an error is called: SDKs give some errors a class of their own, and leave their `name` at "Error". */
export function namesOf(error: unknown): string[] {
  return [fieldOf(error, 'name'), fieldOf(fieldOf(error, 'constructor'), 'name')].filter((name) => typeof name === 'string');
}

/** What an error wraps: its cause, and of a client that tried several times or addresses what came last. */
export function innerErrorsOf(error: unknown): unknown[] {
  const errors = fieldOf(error, 'errors');
  const inner = [fieldOf(error, 'cause'), fieldOf(error, 'lastError'), ...(Array.isArray(errors) ? (errors as unknown[]).slice(-MAX_LISTED).reverse() : [])];
  return inner.filter((wrapped) => isRecord(wrapped));
}

const MAX_LISTED = 10;

/** A header of the answer that an error tells of, as SDKs have it. */
export function headerOf(error: unknown, name: string): string | undefined {
  return headerIn(fieldOf(error, 'headers') ?? fieldOf(error, 'responseHeaders'), name);
}

/** Headers are plain objects, or have a method `get`. */
function headerIn(headers: unknown, name: string): string | undefined {
  if (!isRecord(headers)) return undefined;
  try {
    const value: unknown = typeof headers['get'] === 'function' ? (headers['get'] as (name: string) => unknown).call(headers, name) : headers[name];
    return typeof value === 'string' ? value : undefined;
  } catch {
    return undefined; // headers of another kind
  }
}
