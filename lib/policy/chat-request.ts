import { isRecord } from '../core/check-options.js';

/**
 * Request fields that never change an answer: how it is delivered, and labels for the provider's own books.
 * `store: false` is the default spelled out.
 */
const VOLATILE_FIELDS: ReadonlySet<string> = new Set([
  'stream', 'stream_options', 'metadata', 'safety_identifier', 'prompt_cache_key', 'headers', 'signal', 'timeout',
]);

/** Fields that tie an answer to state on the provider's side, which no key can see. */
const STATEFUL_FIELDS = ['previous_response_id', 'conversation', 'background', 'store'] as const;

/** A request for a model, as far as it can be recognised. */
export function isRequest(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && (Array.isArray(value['messages']) || ('input' in value && typeof value['model'] === 'string'));
}

/** The name of a field that makes a request's answer depend on state elsewhere. */
export function statefulField(request: Record<string, unknown>): string | undefined {
  return STATEFUL_FIELDS.find((field) => {
    const value = request[field];
    return value !== undefined && value !== null && value !== false;
  });
}

/** A request without the fields that never change an answer. */
export function withoutVolatile(request: Record<string, unknown>): Record<string, unknown> {
  return without(request, (field) => VOLATILE_FIELDS.has(field) || (field === 'store' && request[field] === false));
}

/** An object without the fields the user declared volatile; the same object where it has none. */
export function withoutDeclared<T extends Record<string, unknown>>(value: T, declared: ReadonlySet<string>): T {
  return declared.size === 0 ? value : (without(value, (field) => declared.has(field)) as T);
}

function without(value: Record<string, unknown>, drop: (field: string) => boolean): Record<string, unknown> {
  const kept = Object.entries(value).filter(([field]) => !drop(field));
  return kept.length === Object.keys(value).length ? value : Object.fromEntries(kept);
}
