import fc from 'fast-check';
import { describe, expect, it } from '@jest/globals';
import { canonicalForm } from '../../lib/key/canonical-form.js';
import { keyOf, type KeyDocument } from '../../lib/key/key.js';
import { equal } from '../fixtures/values.js';
import { objectOf, reordered, text, value } from './arbitrary-values.js';

describe('canonical form, for any values', () => {
  it('is one for equal values and another for every other', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        expect(canonicalForm(a) === canonicalForm(b)).toBe(equal(a, b));
      }),
      { numRuns: 2_000 },
    );
  });

  it('tells a value from itself with one part replaced', () => {
    fc.assert(
      fc.property(value, value, value, fc.integer({ min: 0, max: 3 }), (rest, a, b, how) => {
        const around = (part: unknown): unknown =>
          [[rest, part], { rest, part }, new Map([[rest, part]]), [[part], rest]][how];
        expect(canonicalForm(around(a)) === canonicalForm(around(b))).toBe(equal(a, b));
      }),
      { numRuns: 2_000 },
    );
  });

  it('tells lists from each other however their parts are divided', () => {
    const parts = fc.array(fc.array(text, { maxLength: 3 }), { maxLength: 3 });
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(canonicalForm(a) === canonicalForm(b)).toBe(equal(a, b));
        expect(canonicalForm(a.flat()) === canonicalForm(b.flat())).toBe(equal(a.flat(), b.flat()));
      }),
      { numRuns: 1_000 },
    );
  });

  it('does not depend on the order of fields', () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(canonicalForm(reordered(given))).toBe(canonicalForm(given));
      }),
    );
  });

  it('does not depend on the order of many fields', () => {
    fc.assert(
      fc.property(fc.uniqueArray(text, { minLength: 20, maxLength: 30 }), fc.infiniteStream(fc.nat()), (names, ranks) => {
        const fields = names.map((name, index) => [name, index] as const);
        const shuffled = fields.map((field) => [field, ranks.next().value as number] as const).sort((a, b) => a[1] - b[1]);
        const inOrder = objectOf(shuffled.map(([field]) => field));
        expect(canonicalForm(inOrder)).toBe(canonicalForm(objectOf(fields)));
      }),
      { numRuns: 200 },
    );
  });

  it('is the same each time and leaves the value as it was', () => {
    fc.assert(
      fc.property(value, (given) => {
        const first = canonicalForm(given);
        const copy = reordered(given);
        expect(canonicalForm(given)).toBe(first);
        expect(equal(copy, given)).toBe(true);
      }),
    );
  });

  it('has no two alike among all small values', () => {
    const leaves: unknown[] = [
      null, undefined, true, false, 0, 1, 12, -1, Number.NaN, Infinity, 0n, 1n, '', 'a', '1', 'null', 's1:a', 'o.', 'd1;', '.', 'h', 'u',
      '\ud800', '\ufffd', new Date(0), new Date(1), /a/, /a/g, new URL('https://a.test/'), Buffer.of(1), Uint8Array.of(1), Int8Array.of(1), [], {},
      new Map(), new Set(), objectOf([['__proto__', 1]]), Object.assign([], { length: 1 }), [undefined],
    ];
    const pairs = leaves.flatMap((a) => leaves.flatMap((b): unknown[] => [[a, b], { a, b }, { a: [b] }, new Map([[a, b]]), new Set([a, [b]]), [[a], b], [a, [b]], { [String(a)]: b }]));
    const seen = new Map<string, unknown>();
    for (const each of [...leaves, ...pairs]) {
      const form = canonicalForm(each);
      const other = seen.get(form);
      if (seen.has(form) && !equal(other, each)) throw new Error(`${form} stands for two values`);
      seen.set(form, each);
    }
    expect(seen.size).toBeGreaterThan(8_000);
  });
});

describe('key, for any documents', () => {
  const label = fc.oneof(fc.constantFrom<string | number | undefined>(undefined, 0, 1, '', '0', '1', 'a'), text);
  const document: fc.Arbitrary<KeyDocument> = fc.record({
    namespace: fc.constantFrom('a', 'b', 'a.b', '\ud800', '\ufffd'),
    scope: label,
    name: fc.constantFrom('a', 'b', '', 's1:a'),
    provider: fc.constantFrom(undefined, '', 'a', 'b'),
    versions: fc.tuple(label, label),
    sample: label,
    model: fc.constantFrom({}, { a: 1 }, { a: undefined }, { b: '1' }),
    input: fc.oneof(fc.constantFrom<unknown>(undefined, null, {}, [], 'a'), value),
  });

  it('is shared by equal documents and no others', () => {
    fc.assert(
      fc.property(document, document, (a, b) => {
        expect(keyOf(a) === keyOf(b)).toBe(equal(a, b));
      }),
      { numRuns: 1_000 },
    );
  });

  it('differs when one part differs', () => {
    const part = fc.constantFrom<keyof KeyDocument>('namespace', 'scope', 'name', 'provider', 'versions', 'sample', 'model', 'input');
    fc.assert(
      fc.property(document, document, part, (a, other, name) => {
        const b = { ...a, [name]: other[name] };
        expect(keyOf(a) === keyOf(b)).toBe(equal(a, b));
      }),
      { numRuns: 1_000 },
    );
  });

  it('shows its schema and namespace, and nothing of the input', () => {
    fc.assert(
      fc.property(document, (each) => {
        expect(keyOf(each)).toMatch(/^llm\d+\.[\w%~-]+\.[\w-]{43}$/);
      }),
    );
  });
});
