import { describe, expect, it } from '@jest/globals';
import { LlmUpstreamError } from 'nestjs-llm-cache';
import { rateLimitOf } from '../../../lib/llm/batch/rate-limit-error.js';
import { failureOf, readFailure, writeFailure } from '../../../lib/policy/failure-note.js';
import { isUpstreamFailure } from '../../../lib/policy/upstream-failure.js';

const SECRET = 'the patient is called Maria';
const withFields = (fields: object, message = SECRET): Error => Object.assign(new Error(message), fields);

describe('what other processes are told of an error', () => {
  it.each<[string, Error, object | undefined]>([
    ['a status', withFields({ status: 429, name: 'RateLimitError', headers: { 'retry-after': '7' } }), { name: 'RateLimitError', status: 429, retryAfter: '7' }],
    ['a status that would come again', withFields({ status: 400, code: 'context_length_exceeded' }), { status: 400, code: 'context_length_exceeded' }],
    ['the headers of fetch', withFields({ status: 503, headers: new Headers({ 'Retry-After': '1.5' }) }), { status: 503, retryAfter: '1.5' }],
    ['a date', withFields({ status: 503, headers: { 'retry-after': 'Wed, 21 Oct 2015 07:28:00 GMT' } }), { status: 503, retryAfter: 'Wed, 21 Oct 2015 07:28:00 GMT' }],
    ['no connection', withFields({ name: 'APIConnectionError', cause: withFields({ code: 'ECONNREFUSED' }) }), { name: 'APIConnectionError', code: 'ECONNREFUSED' }],
    ['a mistake in the code', new TypeError('x is not a function'), undefined],
    ['an abort', new DOMException('aborted', 'AbortError'), undefined],
    ['a status of success', withFields({ status: 200 }), undefined],
    ['no error at all', undefined as never, undefined],
    ['content where an identifier is expected', withFields({ status: 500, name: SECRET, code: SECRET, headers: { 'retry-after': SECRET } }), { status: 500 }],
    ['fields that throw', Object.defineProperty(withFields({ status: 500 }), 'code', { get: () => { throw new Error('no'); } }), { status: 500 }],
  ])('%s', (_, error, told) => {
    const failure = failureOf(error);
    expect(failure).toEqual(told);
    if (failure === undefined) return;
    const note = writeFailure(failure);
    expect(note).not.toContain('Maria');
    expect(readFailure(note)).toEqual(failure);
  });

  it.each(['', 'unshared', '[]', 'null', '{"name":7,"status":"500","code":{}}', `{"name":${JSON.stringify(SECRET)}}`])('a note that nobody wrote, %p, tells nothing', (note) => {
    expect(readFailure(note) ?? {}).toEqual({});
  });

  it('is an error like the one it stands for: an outage, and a rate limit', () => {
    const shared = new LlmUpstreamError({ name: 'RateLimitError', status: 429, retryAfter: '7' });
    expect(isUpstreamFailure(shared)).toBe(true);
    expect(rateLimitOf(shared, 0)).toEqual({ retryAfterMs: 7_000 });
    expect(isUpstreamFailure(new LlmUpstreamError({ code: 'ECONNREFUSED' }))).toBe(true);
    expect(isUpstreamFailure(new LlmUpstreamError({ status: 400 }))).toBe(false);
  });
});
