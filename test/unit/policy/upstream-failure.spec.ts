import { describe, expect, it } from '@jest/globals';
import { isUpstreamFailure } from '../../../lib/policy/upstream-failure.js';

const error = (fields: object, message = 'no'): Error => Object.assign(new Error(message), fields);
const named = (name: string, fields: object = {}): Error => error({ name, ...fields });
class APIConnectionError extends Error {}

function itself(): Error {
  const loop = error({});
  return Object.assign(loop, { cause: loop, lastError: loop, errors: [loop, loop] });
}

function wrapped(inner: unknown, times: number): unknown {
  return times === 0 ? inner : wrapped(error({ cause: inner }), times - 1);
}

function throwing(fields: Record<string, unknown>): object {
  return new Proxy(fields, {
    get(target, name) {
      if (name in target) return target[name as string];
      throw new Error('a getter that throws');
    },
  });
}

// What real clients throw: test/integration/vendor-failures.spec.ts.
describe('an upstream that is out of order', () => {
  it.each<[string, unknown]>([
    ...[429, 500, 502, 503, 504, 529, 599].map((status): [string, unknown] => [`status ${status}`, error({ status })]),
    ['statusCode', error({ statusCode: 503 })],
    ['response.status, as axios has it', error({ code: 'ERR_BAD_RESPONSE', response: { status: 503 } })],
    ['an account without money', error({ status: 429, code: 'insufficient_quota' })],
    ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH'].map((code): [string, unknown] => [code, error({ code })]),
    ...['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET'].map((code): [string, unknown] => [code, error({ code })]),
    ['AbortSignal.timeout', new DOMException('late', 'TimeoutError')],
    ['a class that says it', new APIConnectionError()],
    ['what fetch throws', new TypeError('fetch failed', { cause: error({ code: 'ECONNREFUSED' }) })],
    ['several addresses', new AggregateError([error({ code: 'ENETUNREACH' }), error({ code: 'ECONNREFUSED' })])],
    ['the last of several tries', named('AI_RetryError', { lastError: error({ statusCode: 503 }), errors: [error({ statusCode: 400 })] })],
    ['tries without a last one', named('RetryError', { errors: [error({ statusCode: 400 }), error({ statusCode: 503 })] })],
    ['wrapped eight times', wrapped(error({ status: 503 }), 8)],
    ['plain data', { status: 503 }],
    ['getters that throw', throwing({ cause: { code: 'ECONNRESET' } })],
    ['wrapped beside itself', Object.assign(itself(), { lastError: error({ status: 503 }) })],
  ])('%s', (_what, given) => expect(isUpstreamFailure(given)).toBe(true));
});

describe('anything else', () => {
  it.each<[string, unknown]>([
    ...[400, 401, 403, 404, 408, 409, 413, 422, 425, 499].map((status): [string, unknown] => [`status ${status}`, error({ status })]),
    ['a 4xx goes before what it wraps', error({ status: 400, cause: error({ status: 503 }) })],
    ['the last of several tries', named('AI_RetryError', { lastError: error({ statusCode: 400 }), errors: [error({ statusCode: 503 })] })],
    ['an abort', new DOMException('left', 'AbortError')],
    ["an SDK's abort, whatever it wraps", named('APIUserAbortError', { cause: error({ code: 'ECONNRESET' }) })],
    ['a mistake', new TypeError('x is not a function')],
    ['a mistake inside an SDK', Object.assign(new APIConnectionError(), { cause: new TypeError('x is not a function') })],
    ['a code of something else', error({ code: 'ENOENT' })],
    ['a client that was closed', error({ code: 'UND_ERR_DESTROYED' })],
    ['a status that is none', error({ status: 'failed' })],
    ['an answer that was fine', error({ status: 200 })],
    ['words alone', new Error('503 Service Unavailable, ECONNREFUSED')],
    ['wrapped too often', wrapped(error({ status: 503 }), 9)],
    ['itself', itself()],
    ['getters that throw', throwing({})],
    ['a text', '503'],
    ['a number', 503],
    ['nothing', undefined],
    ['null', null],
  ])('%s', (_what, given) => expect(isUpstreamFailure(given)).toBe(false));
});
