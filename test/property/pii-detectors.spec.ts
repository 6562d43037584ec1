import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { BUILT_IN_ENTITIES, detectBuiltIn } from '../../lib/redaction/detectors/built-in-detectors.js';
import { mergeSpans } from '../../lib/redaction/detectors/merge-spans.js';
import type { PiiSpan } from '../../lib/core/pii.js';

/** Pieces that detectors react to, whole and broken, so that random texts of them come close to what is found. */
const piece = fc.oneof(
  fc.constantFrom(
    '@', '.', ':', '://', '-', '+', '(', ')', ' ', '\n', '/', '=', '"', '::', 'a', 'x12', 'call ', 'phone: ', 'ssn ', 'token=', 'Bearer ', 'eyJ', 'sk-', 'user', 'example.com',
    'a@example.com', '4111 1111 1111 1111', '4111111111111111', 'GB82WEST12345698765432', '078-05-1120', '+44 20 7946 0958', '555-867-5309', '467 0139', '10.1.2.3',
    '2001:db8::1', 'u:p4ss@h', 'AKIAIOSFODNN7EXAMPLE', '-----BEGIN PRIVATE KEY-----', '-----END PRIVATE KEY-----', '中', 'é', '\ud83d', '\ude00', '\u00a0', '\u2011',
  ),
  fc.integer({ min: 0, max: 99_999 }).map(String),
  fc.string({ unit: 'binary', maxLength: 3 }),
);
const text = fc.array(piece, { maxLength: 24 }).map((pieces) => pieces.join(''));
const detect = (given: string): PiiSpan[] => detectBuiltIn(given, BUILT_IN_ENTITIES);

/** Prose that no detector reacts to, and that says nothing about a number behind it. */
const prose = fc.array(fc.constantFrom('The weather is fine.', 'Nous mangeons.', 'Es regnet!', '我们吃饭。', 'What now?'), { minLength: 1, maxLength: 6 }).map((sentences) => `${sentences.join(' ')}\n\n`);

const KNOWN: ReadonlyArray<readonly [type: string, value: string]> = [
  ['EMAIL', 'jane.doe@example.com'],
  ['PHONE', '+44 20 7946 0958'],
  ['PHONE', '(555) 867-5309'],
  ['CREDIT_CARD', '4111 1111 1111 1111'],
  ['CREDIT_CARD', '378282246310005'],
  ['IBAN', 'DE89 3704 0044 0532 0130 00'],
  ['SSN', '078-05-1120'],
  ['IP', '203.0.113.77'],
  ['SECRET', 'AKIAIOSFODNN7EXAMPLE'],
];

describe('the built-in detectors, on any text', () => {
  it('give spans inside the text, sorted, that do not overlap', () => {
    fc.assert(
      fc.property(text, (given) => {
        let last = 0;
        for (const { start, end, type } of detect(given)) {
          expect(start).toBeGreaterThanOrEqual(last);
          expect(end).toBeGreaterThan(start);
          expect(BUILT_IN_ENTITIES).toContain(type);
          last = end;
        }
        expect(last).toBeLessThanOrEqual(given.length);
      }),
      { numRuns: 1_500 },
    );
  });

  it('find the same when prose stands in front', () => {
    fc.assert(
      fc.property(prose, text, (before, given) => {
        const moved = detect(given).map(({ type, start, end }) => ({ type, start: start + before.length, end: end + before.length }));
        expect(detect(before + given)).toEqual(moved);
      }),
      { numRuns: 1_000 },
    );
  });

  it('find a known value wherever it stands by itself', () => {
    const words = fc.array(fc.constantFrom('we', 'saw', 'it', 'Tuesday', 'maybe', 'weiß', 'été', '今日', '(so)', '"well"', '-', '…'), { maxLength: 12 }).map((list) => list.join(' '));
    fc.assert(
      fc.property(words, words, fc.constantFrom(...KNOWN), (before, after, [type, value]) => {
        const given = `${before} ${value} ${after}`;
        const start = before.length + 1;
        expect(detect(given)).toEqual([{ type, start, end: start + value.length }]);
      }),
      { numRuns: 1_000 },
    );
  });

  it('find at least what each finds alone', () => {
    fc.assert(
      fc.property(text, (given) => {
        const alone = BUILT_IN_ENTITIES.flatMap((type) => detectBuiltIn(given, [type]));
        expect(detect(given)).toEqual(mergeSpans(alone));
        const together = detect(given);
        for (const span of alone) expect(together.some(({ start, end }) => start <= span.start && span.end <= end)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('mergeSpans, of any spans', () => {
  const span = fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 9 }), fc.constantFrom('EMAIL', 'PHONE', 'SECRET', 'BADGE')).map(([start, length, type]) => ({ start, end: start + length, type }));

  it('covers what they cover, whatever their order, and merging again changes nothing', () => {
    const covered = (spans: readonly PiiSpan[]): Set<number> => new Set(spans.flatMap(({ start, end }) => Array.from({ length: end - start }, (_, index) => start + index)));
    fc.assert(
      fc.property(fc.array(span, { maxLength: 10 }), (spans) => {
        const merged = mergeSpans(spans);
        expect(covered(merged)).toEqual(covered(spans));
        expect(mergeSpans(spans.toReversed()).map(({ start, end }) => [start, end])).toEqual(merged.map(({ start, end }) => [start, end]));
        expect(mergeSpans(merged)).toEqual(merged);
      }),
    );
  });
});
