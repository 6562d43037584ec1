import { describe, expect, it } from '@jest/globals';
import OpenAI, { APIConnectionError, APIConnectionTimeoutError } from 'openai';
import { isLasting, rateLimitOf } from '../../../../lib/llm/batch/rate-limit-error.js';

const NOW = Date.parse('2026-01-01T00:00:00Z');
const error = (fields: Record<string, unknown>): Error => Object.assign(new Error('no'), fields);
const sdkError = (status: number, headers: Record<string, string> = {}, body: object = {}): Error =>
  OpenAI.APIError.generate(status, body, undefined, new Headers(headers));

describe('rateLimitOf', () => {
  it.each<[string, unknown, number | undefined | 'none']>([
    ['429 without a time', sdkError(429), undefined],
    ['429, seconds', sdkError(429, { 'retry-after': '7' }), 7_000],
    ['429, fractions of a second', sdkError(429, { 'retry-after': '0.5' }), 500],
    ['429, zero', sdkError(429, { 'retry-after': '0' }), 0],
    ['429, a date', sdkError(429, { 'retry-after': 'Thu, 01 Jan 2026 00:01:00 GMT' }), 60_000],
    ['429, a date gone by', sdkError(429, { 'retry-after': 'Wed, 31 Dec 2025 00:00:00 GMT' }), 0],
    ['429, milliseconds win', sdkError(429, { 'retry-after-ms': '120', 'retry-after': '7' }), 120],
    ['429, nonsense', sdkError(429, { 'retry-after': 'soon' }), undefined],
    ['429, negative', sdkError(429, { 'retry-after': '-5' }), undefined],
    ['503 with a time', sdkError(503, { 'retry-after': '3' }), 3_000],
    ['529 with a time', error({ status: 529, headers: { 'retry-after': '3' } }), 3_000],
    ['AI SDK fields', error({ statusCode: 429, responseHeaders: { 'retry-after': '3' } }), 3_000],
    ['503 without a time', sdkError(503), 'none'],
    ['500', sdkError(500, { 'retry-after': '3' }), 'none'],
    ['an account without money', sdkError(429, {}, { error: { code: 'insufficient_quota' } }), 'none'],
    ['no error at all', undefined, 'none'],
    ['a text', 'Too many requests', 'none'],
    ['headers that are none', error({ status: 429, headers: 7 }), undefined],
  ])('%s', (_what, given, expected) => {
    expect(rateLimitOf(given, NOW)).toEqual(expected === 'none' ? undefined : { retryAfterMs: expected });
  });
});

describe('isLasting', () => {
  it.each<[string, unknown, boolean]>([
    ['400', sdkError(400), true],
    ['401', sdkError(401), true],
    ['422', sdkError(422), true],
    ['408', sdkError(408), false],
    ['409', sdkError(409), false],
    ['429', sdkError(429), false],
    ['500', sdkError(500), false],
    ['a connection that was reset', error({ code: 'ECONNRESET' }), false],
    ['a timeout of undici', error({ code: 'UND_ERR_HEADERS_TIMEOUT' }), false],
    ['what fetch throws', new TypeError('fetch failed', { cause: error({ code: 'ECONNREFUSED' }) }), false],
    ['the SDK without a connection', new APIConnectionError({ cause: undefined }), false],
    ['the SDK after a timeout', new APIConnectionTimeoutError(), false],
    ['an abort', new DOMException('left', 'AbortError'), false],
    ['an error that tells nothing', new Error('no'), true],
    ['an error with a code of its own', error({ code: 'INVALID_PROMPT' }), true],
    ['a text', 'no', true],
    ['nothing', undefined, true],
  ])('%s: %j', (_what, given, expected) => {
    expect(isLasting(given)).toBe(expected);
  });
});
