import { describe, expect, it } from '@jest/globals';
import { requestCopy } from '../../../lib/llm/request-copy.js';

class Money {
  #cents: number;
  constructor(cents: number) {
    this.#cents = cents;
  }
  toJSON(): string {
    return `${this.#cents} cents`;
  }
}

describe('a copy of a request', () => {
  it.each<[string, { [field: string]: unknown }, (value: never) => void]>([
    ['a field', { value: { text: 'a' } }, (value: { text: string }) => (value.text = 'b')],
    ['a nested list', { value: [['a']] }, (value: string[][]) => (value[0]![0] = 'b')],
    ['a date', { value: new Date(0) }, (value: Date) => value.setTime(1)],
    ['a URL', { value: new URL('http://a.example') }, (value: URL) => (value.href = 'http://b.example')],
    ['bytes', { value: Buffer.from('a') }, (value: Buffer) => value.fill(0)],
  ])('keeps %s as it was', (_what, request, change) => {
    const before = JSON.stringify(request);
    const copy = requestCopy(request);
    change(request['value'] as never);
    expect(JSON.stringify(copy)).toBe(before);
    expect(JSON.stringify(request)).not.toBe(before);
  });

  it('shows what an instance of a class shows', () => {
    expect(JSON.stringify(requestCopy({ price: new Money(5), tools: [{ run: undefined }] }))).toBe('{"price":"5 cents","tools":[{}]}');
    const { headers } = requestCopy({ headers: new Headers({ 'x-team': 'a' }) });
    expect(headers.get('x-team')).toBe('a');
  });

  it('keeps what is shared shared, and a cycle a cycle', () => {
    const part = { text: 'a' };
    const request: Record<string, unknown> = { messages: [part, part] };
    request['self'] = request;
    const copy = requestCopy(request) as { messages: unknown[]; self: unknown };
    expect(copy.self).toBe(copy);
    expect(copy.messages[0]).toBe(copy.messages[1]);
    expect(copy.messages[0]).not.toBe(part);
  });

  it('keeps everything by which two are told apart', () => {
    const symbol = Symbol('mark');
    const holes: unknown[] = [];
    holes[2] = 'a';
    const own = JSON.parse('{"__proto__":{"a":1}}') as object;
    const copy = requestCopy({ [symbol]: 1, holes, own, absent: undefined, run: JSON.parse });
    expect(copy).toStrictEqual({ [symbol]: 1, holes, own, absent: undefined, run: JSON.parse });
    expect(0 in copy.holes).toBe(false);
    expect(Object.keys(copy.own)).toEqual(['__proto__']);
  });
});
