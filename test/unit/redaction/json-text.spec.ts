import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { builtInDetector } from '../../../lib/redaction/detectors/built-in-detectors.js';
import { DetectingRedactor } from '../../../lib/redaction/detecting-redactor.js';
import { JsonText } from '../../../lib/redaction/json-text.js';

const redactor = new DetectingRedactor([builtInDetector()]);
const redact = <T>(value: T) => redactor.redact(value, { path: [], direction: 'request', reversible: true }) as { value: T; rehydrate: (answer: unknown) => unknown };

describe('JSON as text', () => {
  it.each<[string, object, object]>([
    ['an escape before an address', { note: 'hi\nbob@example.com' }, { note: 'hi\n[[EMAIL_1]]' }],
    ['an escape inside', { note: 'a \u00e9 "quoted" bob@example.com' }, { note: 'a é "quoted" [[EMAIL_1]]' }],
    ['a number', { card: 4_111_111_111_111_111, to: 'bob@example.com' }, { card: 4_111_111_111_111_111, to: '[[EMAIL_1]]' }],
    ['a name with an address in it', { 'bob@example.com': 'x\ny' }, { '[[EMAIL_1]]': 'x\ny' }],
    ['nothing special', { to: 'bob@example.com', list: ['bob@example.com'] }, { to: '[[EMAIL_1]]', list: ['[[EMAIL_1]]'] }],
  ])('stays JSON, with %s', (_what, given, expected) => {
    for (const field of ['arguments', 'content']) {
      const message = Object.freeze({ role: 'assistant', [field]: JSON.stringify(given) });
      const { value, rehydrate } = redact(message);
      expect(JSON.parse(value[field as 'role'])).toEqual(expected);
      expect(JSON.parse((rehydrate(value) as typeof message)[field as 'role'])).toEqual(given);
    }
  });

  it('leaves numbers as they were written', () => {
    const text = '{"id": 12345678901234567890, "rate": 1.0, "to": "bob@example.com"}';
    expect(redact({ arguments: text }).value.arguments).toBe('{"id": 12345678901234567890, "rate": 1.0, "to": "[[EMAIL_1]]"}');
  });

  it.each(['{"broken": "\\"', 'no JSON \\', '"a text \\n"', '{"plain": "text"}'])('does not meddle with %s', (text) => {
    expect(JsonText.of(text)).toBeUndefined();
  });

  it('finds what every text stands for, and puts others in their place', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1 }), fc.string(), (texts, other) => {
        const json = JsonText.of(JSON.stringify(['\n', ...texts]))!;
        expect(json.literals.map(({ text }) => text)).toEqual(['\n', ...texts]);
        const last = texts.length;
        expect(JSON.parse(json.with(new Map([[last, other]])))).toEqual(['\n', ...texts.slice(0, -1), other]);
      }),
    );
  });
});
