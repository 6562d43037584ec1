import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { decodeValue, encodeValue } from '../../lib/stores/value-codec.js';
import { same } from '../fixtures/values.js';
import { text, value } from './arbitrary-values.js';

const encode = (given: unknown): string => encodeValue(given, { flatten: false });

/** Whether a field's name has an escape in JSON, which V8 may read wrongly. */
function hasEscapedName(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false;
  const escaped = Object.keys(given).some((name) => JSON.stringify(name).includes('\\'));
  return escaped || Object.values(given).some(hasEscapedName);
}

describe('value codec, for any value', () => {
  it('gives back what went in, to the last detail', () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(same(decodeValue(encode(given)), given)).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  it('writes JSON behind one letter, without a lone surrogate', () => {
    fc.assert(
      fc.property(value, (given) => {
        const payload = encode(given);
        expect(payload).toMatch(/^[jt]/);
        expect(payload.isWellFormed()).toBe(true);
        JSON.parse(payload.slice(1));
      }),
    );
  });

  it('writes plain JSON as JSON.stringify does, and marks it as such', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (given) => {
        fc.pre(!JSON.stringify(given).includes('"$"'));
        fc.pre(!hasEscapedName(given));
        const negativeZero = JSON.stringify(given, (_key, part: unknown) => (Object.is(part, -0) ? 'negative zero' : part)).includes('negative zero');
        fc.pre(!negativeZero);
        expect(encode(given)).toBe(`j${JSON.stringify(given)}`);
      }),
    );
  });

  it('takes nothing a model says for a type, however deep', () => {
    const said = fc.letrec<{ part: unknown }>((tie) => ({
      part: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom<unknown>('date', 'hole', 'escaped', 'undefined', 'null-prototype', 1, null, []),
        tie('part').map(($) => ({ $ })),
        fc.tuple(tie('part'), tie('part')).map(([$, a]) => ({ $, a })),
        fc.array(tie('part'), { maxLength: 3 }),
      ),
    })).part;
    fc.assert(
      fc.property(said, (given) => {
        const parsed: unknown = JSON.parse(JSON.stringify(given));
        expect(same(decodeValue(encode(parsed)), parsed)).toBe(true);
      }),
      { numRuns: 1_000 },
    );
  });

  it('writes the same for what it gives back', () => {
    fc.assert(
      fc.property(value, (given) => {
        const payload = encode(given);
        expect(encode(decodeValue(payload))).toBe(payload);
      }),
    );
  });

  it('never reads damaged text as anything but a value or an error', () => {
    fc.assert(
      fc.property(value, fc.nat(), text, (given, place, inserted) => {
        const payload = encode(given);
        const at = place % (payload.length + 1);
        try {
          decodeValue(payload.slice(0, at) + inserted + payload.slice(at + 1));
        } catch (error) {
          expect((error as Error).message).toEqual(expect.any(String));
        }
        expect('polluted' in {}).toBe(false);
      }),
    );
  });
});
